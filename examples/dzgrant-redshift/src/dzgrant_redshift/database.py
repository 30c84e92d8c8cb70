"""The contract, for one database of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.dialects.postgresql import base as types

from dzgrant.engines import filters
from dzgrant.engines.contract import Dropped, Limits, LoginState, Marked, Owner, Permit, Reach, Readable, views_in
from dzgrant.errors import ConsumerRejected, LeaseLost, Misconfigured, Refused, Transient, Unsupported
from dzgrant.model import WHOLE, Credentials, LoginOutcome, Scope, Source, Table, TablePath
from dzgrant_redshift import statements as sql
from dzgrant_redshift.connections import FAILURES, Connections, Transaction, again, connect, explained

_LONGEST_NAME = 63  # bytes: as PostgreSQL has it; Redshift lets a name be twice as long
_POLL_SECONDS = 0.02
_NO_RIGHT = "42501"

_NAMED = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE length(n.nspname) + 1 + length(c.relname) = length($1) AND c.relkind IN ('r', 'v', 'p', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'dzgrant') ORDER BY 1, 2
"""
_LOGIN = """
SELECT u.valuntil IS NULL OR u.valuntil > now() AS enabled, l.fence
FROM pg_user u LEFT JOIN dzgrant.logins l ON l.login = u.usename WHERE u.usename = $1
"""
_MARKED = "SELECT u.usename FROM dzgrant.logins l JOIN pg_user u ON u.usename = l.login"
_RELATION = """
SELECT c.oid::bigint AS oid, has_table_privilege('public', c.oid, 'SELECT') AS public
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
"""
_MAY_READ = """
SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname = $2 AND c.relname = $3 AND a.attnum > 0 AND NOT a.attisdropped AND (a.attname = ANY($4) OR $4 IS NULL)
  AND has_schema_privilege($1, n.oid, 'USAGE')
GROUP BY c.oid HAVING bool_and(has_column_privilege($1, c.oid, a.attnum, 'SELECT'))
"""
_COLUMNS = """
SELECT a.attname, t.typname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_GIVEN = """
SELECT n.nspname, c.relname, g.what FROM dzgrant.grants g
JOIN pg_class c ON c.oid::bigint = g.relation JOIN pg_namespace n ON n.oid = c.relnamespace WHERE g.login = $1 ORDER BY 1, 2
"""
_READERS = """
SELECT g.login, g.what FROM dzgrant.grants g JOIN pg_class c ON c.oid::bigint = g.relation
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
"""
_FOREIGN = """
SELECT n.nspname FROM pg_namespace n JOIN pg_user u ON u.usesysid = n.nspowner WHERE n.nspname = $1
  AND (u.usename <> current_user OR EXISTS (SELECT 1 FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind <> 'v'))
"""
_FORGET = """
DELETE FROM dzgrant.grants WHERE login = $1 AND relation IN (
  SELECT c.oid::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $2 AND c.relname = $3)
"""
_VIEWS = """
SELECT c.relname, (SELECT count(*) FROM dzgrant.grants g WHERE g.relation = c.oid::bigint) AS readers
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1
"""
_OWNED = """
SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_user u ON u.usesysid = c.relowner WHERE u.usename = $1 AND c.relkind IN ('r', 'v', 'm', 'S')
UNION ALL SELECT 'schema ' || n.nspname FROM pg_namespace n JOIN pg_user u ON u.usesysid = n.nspowner WHERE u.usename = $1
"""
_SESSIONS = "SELECT count(*) AS sessions FROM pg_stat_activity WHERE usename = $1"
_END_SESSIONS = """
SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND ($2::int[] IS NULL OR pid = ANY($2))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """What is granted for a table: itself, some columns of it, or a view over it."""

    readable: Readable
    select: str | None = None
    """The view's."""

    @property
    def digest(self) -> str:
        """64 characters that tell one filter from another; '' for the whole table."""
        what = self.select or self.readable.columns
        return sha256(repr(what).encode()).hexdigest() if what else ""


class RedshiftDatabase:
    """A `Database`."""

    def __init__(self, source: Source, admin: Credentials, limits: Limits) -> None:
        self._source = source
        self._admin = admin.username
        self._limits = limits
        self._connections = Connections(source, admin, limits)

    @again
    async def resolve(self, path: TablePath) -> Table:
        rows = await self._connections.fetch(_NAMED, path.name)
        tables = (Table(schema=row["nspname"], name=row["relname"]) for row in rows)
        match [table for table in tables if TablePath(name=str(table)).key == path.key]:
            case [table]:
                return table
            case []:
                raise Refused(f"no table or view fits {path}, in any case", do="correct its location in Glue")
            case several:
                names = ", ".join(map(str, several))
                raise Refused(f"{path} is ambiguous: {names}", do="rename all but one of them")

    @again
    async def ensure_login(self, login: str, password: SecretStr | None, owner: Owner, permit: Permit) -> None:
        if password is None:
            raise Unsupported("Redshift's IAM logins make their users themselves", do="take it out of DZGRANT_IAM_SOURCES")
        async with self._connections.transaction(permit) as transaction:
            exists = await _admitted(transaction, login, permit)
            await transaction.run(sql.set_password(login, password) if exists else sql.create_login(login, password))
            await transaction.run("DELETE FROM dzgrant.logins WHERE login = $1", login)
            insert = "INSERT INTO dzgrant.logins VALUES ($1, $2, $3)"
            whose = f"{owner.domain} {owner.project} {owner.environment}"
            await transaction.run(insert, login, whose, permit.fence)

    async def adopt(self, login: str, owner: Owner, permit: Permit) -> bool:  # noqa: ARG002
        raise Unsupported("no other program made logins here that dzgrant would take over", do="leave it out")

    @again
    async def grant(
        self, login: str, table: Table, permit: Permit, scopes: Collection[Scope] = WHOLE, *, settled: bool = False
    ) -> Reach:
        async with self._connections.transaction(permit) as transaction:
            if not await _admitted(transaction, login, permit):
                raise ConsumerRejected(f"the login {login} is gone")
            base = await transaction.fetch(_RELATION, table.schema, table.name)
            if not base:
                raise Refused(f"no table {table}", do="publish it again under its new name").about(table=table)
            target = await self._target(transaction, login, table, scopes)
            touched = await self._give(transaction, login, table, target, settled=settled)
        for one in sorted(touched):
            await self._end_sessions(one, permit, newcomers=False)
        public = bool(base[0]["public"])
        return Reach(readable=target.readable, public=public, through="PUBLIC" if public else None)

    async def _target(self, transaction: Transaction, login: str, table: Table, scopes: Collection[Scope]) -> _Target:
        if filters.is_whole(scopes):
            return _Target(readable=Readable(table=table))
        rows = await transaction.fetch(_COLUMNS, table.schema, table.name)
        columns = {row["attname"]: _type(row["typname"]) for row in rows}
        reading = filters.reading(table, columns, scopes, sql.DIALECT)
        if not reading.by_rows:
            return _Target(readable=Readable(table=table, columns=reading.columns))
        return _Target(readable=Readable(table=_view(login, table), columns=reading.columns), select=reading.select)

    async def _give(
        self, transaction: Transaction, login: str, table: Table, target: _Target, *, settled: bool
    ) -> frozenset[str]:
        """In the one transaction, so that nobody sees the steps.

        Returns the logins whose sessions may have something open that was taken: now, or before a crash.
        """
        given = await _given(transaction, login)
        before = {one: given[one] for one in (table, _view(login, table)) if one in given}
        readable = target.readable.table
        changed = await self._show(transaction, target) if target.select else frozenset[str]()
        for one in before:
            if one != readable or not target.select:
                await transaction.run(sql.revoke_all(one, login))
            await _forget(transaction, one, login)
        for reader in sorted({login} | changed):
            await self._grant(transaction, reader, target)
        # A GRANT by one who may not grant can come to nothing without an error.
        if not await self._reads(transaction, login, target.readable):
            raise self._no_right(readable)
        await _sweep(transaction, views_in(login))
        same = settled and before == {readable: target.digest}
        return changed | {login} if before and target.digest and not same else changed

    async def _show(self, transaction: Transaction, target: _Target) -> frozenset[str]:
        """Makes the view, or exchanges it for this one; returns those who read the other, and have lost it with it."""
        view = target.readable.table
        if await transaction.fetch(_FOREIGN, view.schema):
            raise Refused(f"the schema {view.schema} holds what dzgrant did not put there", do="move it elsewhere")
        readers = {row["login"]: row["what"] for row in await transaction.fetch(_READERS, view.schema, view.name)}
        if readers and set(readers.values()) == {target.digest}:
            return frozenset()
        for reader in readers:
            await _forget(transaction, view, reader)
        await transaction.run(sql.create_schema(view.schema))
        await transaction.run(sql.drop_view(view))
        await transaction.run(sql.create_view(view, target.select or ""))
        return frozenset(readers)

    async def _grant(self, transaction: Transaction, reader: str, target: _Target) -> None:
        table = target.readable.table
        try:
            await transaction.run(sql.grant_usage(table.schema, reader))
            # A view shows no more columns than it should by itself.
            await transaction.run(sql.grant_select(table, reader, None if target.select else target.readable.columns))
        except FAILURES as error:
            if getattr(error, "sqlstate", None) != _NO_RIGHT:
                raise
            raise self._no_right(table) from error
        [relation] = await transaction.fetch(_RELATION, table.schema, table.name)
        await transaction.run("INSERT INTO dzgrant.grants VALUES ($1, $2, $3)", reader, relation["oid"], target.digest)

    def _no_right(self, table: Table) -> Misconfigured:
        usage, select = sql.grant_usage(table.schema, self._admin), sql.grant_select(table, self._admin)
        return Misconfigured(
            f"the admin login {self._admin} may not grant what is needed",
            do=f"run as its owner: {usage} WITH GRANT OPTION; {select} WITH GRANT OPTION",
        ).about(source=self._source)

    async def prove(self, consumer: Credentials, readable: Readable) -> None:
        driver = await connect(self._source, consumer, self._limits, ConsumerRejected)
        try:
            await driver.execute(sql.read_nothing(readable.table, readable.columns))
            await driver.close(timeout=self._limits.connect_timeout)
        except FAILURES as error:
            raise explained(error, f"{consumer.username} can't read {readable.table}") from error
        finally:
            driver.terminate()

    @again
    async def prove_by_privileges(self, login: str, readable: Readable) -> None:
        async with self._connections.transaction(_Reading()) as transaction:
            if not await self._reads(transaction, login, readable):
                raise ConsumerRejected(f"{login} has no SELECT on {readable.table}")

    async def _reads(self, transaction: Transaction, login: str, readable: Readable) -> bool:
        columns = list(readable.columns) if readable.columns else None
        return bool(await transaction.fetch(_MAY_READ, login, readable.table.schema, readable.table.name, columns))

    @again
    async def revoke(self, login: str, keep: Collection[Table], permit: Permit) -> None:
        async with self._connections.transaction(permit) as transaction:
            if not await _admitted(transaction, login, permit):
                return
            await _take(transaction, login, keep)
        await self._end_sessions(login, permit, newcomers=False)

    @again
    async def drop(self, login: str, permit: Permit) -> Dropped:
        async with self._connections.transaction(permit) as transaction:
            if not await _admitted(transaction, login, permit):
                await transaction.run("DELETE FROM dzgrant.logins WHERE login = $1", login)
                return Dropped(outcome=LoginOutcome.ABSENT)
            await transaction.run(sql.disable(login))
        await self._end_sessions(login, permit, newcomers=True)
        async with self._connections.transaction(permit) as transaction:
            await _take(transaction, login, ())
            if owned := [row["name"] for row in await transaction.fetch(_OWNED, login)]:
                return Dropped(outcome=LoginOutcome.DISABLED, detail=f"it owns {', '.join(owned)}")
            await transaction.run(sql.drop_login(login))
            await transaction.run("DELETE FROM dzgrant.grants WHERE login = $1", login)
            await transaction.run("DELETE FROM dzgrant.logins WHERE login = $1", login)
        return Dropped(outcome=LoginOutcome.DROPPED)

    async def add_password(self, login: str, password: SecretStr, permit: Permit) -> bool:  # noqa: ARG002
        """A login has but one password here."""
        return False

    async def retire_password(self, login: str, permit: Permit) -> None:
        """There is never an older one."""

    @again
    async def describe(self, login: str) -> LoginState | None:
        async with self._connections.transaction(_Reading()) as transaction:
            found = await transaction.fetch(_LOGIN, login)
            if not found:
                return None
            given = await transaction.fetch(_GIVEN, login)
            [open_now] = await transaction.fetch(_SESSIONS, login)
            return LoginState(
                marked=found[0]["fence"] is not None,
                enabled=found[0]["enabled"],
                tables=tuple(Table(schema=row["nspname"], name=row["relname"]) for row in given),
                sessions=open_now["sessions"],
            )

    @again
    async def marked(self) -> tuple[Marked, ...]:
        async with self._connections.transaction(_Reading()) as transaction:
            rows = await transaction.fetch(_MARKED)
        return tuple(Marked(login=row["usename"], owner=None) for row in rows)

    async def close(self) -> None:
        await self._connections.close()

    async def _end_sessions(self, login: str, permit: Permit, *, newcomers: bool) -> None:
        """Ends the login's sessions and waits until they are gone; with `newcomers`, those that come meanwhile, too."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._limits.statement_timeout
        found: Sequence[int] | None = None
        while True:
            permit.check(self._limits.statement_timeout)
            there = [row["pid"] for row in await self._connections.fetch(_END_SESSIONS, login, found)]
            if not there:
                return
            if clock() > deadline:
                raise Transient(f"{len(there)} sessions of {login} do not end").about(source=self._source)
            found = found if newcomers else there
            await asyncio.sleep(_POLL_SECONDS)


class _Reading:
    """The permit of what changes nothing that dzgrant gave."""

    fence = 0

    def check(self, seconds: float) -> None:
        """Nothing is at stake."""


async def _admitted(transaction: Transaction, login: str, permit: Permit) -> bool:
    """Whether the login is there. Raises `Refused` when it is not dzgrant's, `LeaseLost` when a later holder was here."""
    found = await transaction.fetch(_LOGIN, login)
    if not found:
        return False
    fence = found[0]["fence"]
    if fence is None:
        raise Refused(f"a login {login} exists that dzgrant did not make", do="rename or drop it")
    if fence > permit.fence:
        raise LeaseLost(f"the fence of {login} is {fence} already, this worker's is {permit.fence}")
    await transaction.run("UPDATE dzgrant.logins SET fence = $2 WHERE login = $1", login, permit.fence)
    return True


def _view(login: str, table: Table) -> Table:
    return Table(schema=views_in(login), name=filters.view_name(table, _LONGEST_NAME))


async def _given(transaction: Transaction, login: str) -> dict[Table, str]:
    """What the login was granted, whatever it is called now, each with its digest."""
    rows = await transaction.fetch(_GIVEN, login)
    return {Table(schema=row["nspname"], name=row["relname"]): row["what"] for row in rows}


async def _take(transaction: Transaction, login: str, keep: Collection[Table]) -> None:
    kept = {*keep, *(_view(login, table) for table in keep)}
    given = set(await _given(transaction, login))
    for table in sorted(given - kept):
        await transaction.run(sql.revoke_all(table, login))
        await _forget(transaction, table, login)
    for schema in sorted({table.schema for table in given} - {table.schema for table in given & kept}):
        await transaction.run(sql.revoke_usage(schema, login))
    await _sweep(transaction, views_in(login))


async def _forget(transaction: Transaction, table: Table, login: str) -> None:
    await transaction.run(_FORGET, login, table.schema, table.name)


async def _sweep(transaction: Transaction, place: str) -> None:
    """Views that no login reads any more go, and their schema after the last."""
    if await transaction.fetch(_FOREIGN, place):
        return
    views = await transaction.fetch(_VIEWS, place)
    unread = [row["relname"] for row in views if not row["readers"]]
    for name in unread:
        await transaction.run(sql.drop_view(Table(schema=place, name=name)))
    if views and len(unread) == len(views):
        await transaction.run(sql.drop_schema(place))


# The catalogue's own names where they are not SQL's.
_KINDS = {
    "int2": sa.SmallInteger,
    "int4": sa.Integer,
    "int8": sa.BigInteger,
    "float4": sa.Float,
    "float8": sa.Float,
    "bool": sa.Boolean,
    "bpchar": sa.CHAR,
}


def _type(name: str) -> sa.types.TypeEngine[Any]:
    """SQLAlchemy's type of a column, by the catalogue's name for it."""
    if name == "timestamptz":
        return types.TIMESTAMP(timezone=True)
    kind = _KINDS.get(name) or types.ischema_names.get(name, sa.types.NullType)
    made: sa.types.TypeEngine[Any] = kind()
    return made
