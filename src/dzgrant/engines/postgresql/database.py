"""The contract's `Database`, for PostgreSQL: making logins and giving access. `removal` takes both away."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial

import structlog
from pydantic import SecretStr

from dzgrant.engines.contract import Dropped, Limits, LoginState, Owner, Permit, Reach, Readable
from dzgrant.engines.postgresql import catalogue, removal, statements
from dzgrant.engines.postgresql.catalogue import Holdings, Step, Way
from dzgrant.engines.postgresql.connections import Connections, Driver, Transaction, again, connect
from dzgrant.engines.postgresql.failures import DRIVER_FAILURES, NotLetIn, while_proving
from dzgrant.engines.postgresql.marker import Marker, admitted
from dzgrant.engines.postgresql.scram import verifier
from dzgrant.engines.postgresql.sessions import evict, unblocked
from dzgrant.errors import ConsumerRejected, DzgrantError, Misconfigured, Refused
from dzgrant.model import Credentials, Source, Table, TablePath

log = structlog.get_logger(__name__)


class PostgresqlDatabase:
    """One source. Made by the adapter; connects when it is first used."""

    def __init__(self, source: Source, admin: Credentials, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._connections = Connections(source, admin, limits)

    @again
    async def resolve(self, path: TablePath) -> Table:
        rows = await self._connections.fetch(catalogue.TABLES, path.name)
        tables = (Table(schema=row["nspname"], name=row["relname"]) for row in rows)
        match [table for table in tables if TablePath(name=str(table)).key == path.key]:
            case [table]:
                return table
            case []:
                what, do = f"no table or view fits {path}, in any case", "correct its location in Glue, or publish it again"
            case several:
                what, do = f"{path} is ambiguous: {', '.join(map(str, several))}", "rename all but one of them"
        raise Refused(what, do=do).about(source=self._source, table=path)

    @again
    async def ensure_login(self, login: str, password: SecretStr, owner: Owner, permit: Permit) -> None:
        """TLS can't be required of one role here; pg_hba.conf, or `rds.force_ssl`, requires it of all."""
        secret = verifier(password)
        key = statements.login_key(login)

        async def make() -> bool:
            async with self._connections.transaction(permit, key) as transaction:
                rows = await transaction.fetch(catalogue.LOGIN, login)
                if rows:
                    admitted(login, Marker.read(rows[0]["comment"]), permit)
                change = statements.set_password(login, secret) if rows else statements.create_login(login, secret)
                await transaction.commit(change, statements.mark(login, Marker(owner=owner, fence=permit.fence)))
                return bool(rows)

        existed = await unblocked(make, partial(evict, self._connections, permit, key))
        log.info("login_password_set" if existed else "login_created", login=login, source=self._source.key)

    @again
    async def grant(self, login: str, table: Table, permit: Permit) -> Reach:
        """Raises `ConsumerRejected`, too: for a login that somebody dropped, and that must be made again."""
        keys = statements.login_key(login), statements.table_key(table)

        async def give() -> Way:
            async with self._connections.transaction(permit, *keys) as transaction:
                way = await self._way(transaction, login, table)
                marker = admitted(login, way.marker, permit)
                if changes := [*self._changes(way, login), *_marking(way, login, marker)]:
                    await transaction.run(*changes)
                    # A GRANT by one who may not grant only warns.
                    if missing := [step for step in (await self._way(transaction, login, table)).steps if not step.given]:
                        raise self._no_right(way, missing)
                    await transaction.commit()
                return way

        way = await unblocked(give, partial(evict, self._connections, permit, *keys, statements.PARENTS_KEY))
        log.info("select_granted", login=login, table=str(table), source=self._source.key, through=way.through)
        return Reach(readable=Readable(table=table), public=way.through is not None, through=way.through)

    async def _way(self, transaction: Transaction, login: str, table: Table) -> Way:
        [row] = await transaction.fetch(catalogue.WAY, login, table.schema, table.name)
        way = Way.read(row, table)
        if not way.table_exists:
            raise Refused(f"no table {table}", do="publish it again under its new name").about(source=self._source, table=table)
        if not way.login_exists:
            raise ConsumerRejected(f"the login {login} is gone").about(source=self._source)
        return way

    def _changes(self, way: Way, login: str) -> Iterable[str]:
        missing = [step for step in way.steps if not step.given]
        if barred := [step for step in missing if not step.grantable]:
            raise self._no_right(way, barred)
        if any(step in way.parents for step in missing):
            yield statements.lock(statements.PARENTS_KEY)
        for step in missing:
            yield step.statement(login)

    def _no_right(self, way: Way, barred: Iterable[Step]) -> DzgrantError:
        statements_to_run = "; ".join(f"{step.statement(way.admin)} WITH GRANT OPTION" for step in barred)
        return Misconfigured(
            f"the admin login {way.admin} may not grant what is needed", do=f"run as its owner: {statements_to_run}"
        ).about(source=self._source)

    async def prove(self, consumer: Credentials, readable: Readable) -> None:
        table = readable.table
        connection = await self._log_in(consumer)
        try:
            await connection.execute(statements.read_nothing(table))
            await connection.close(timeout=self._limits.connect_timeout)
        except DRIVER_FAILURES as error:
            raise while_proving(error, f"{consumer.username} can't read {table}").about(source=self._source) from error
        finally:
            # Where it is closed already, this does nothing.
            connection.terminate()

    async def _log_in(self, consumer: Credentials) -> Driver:
        try:
            return await connect(self._source, consumer, self._limits, ConsumerRejected)
        except NotLetIn as error:
            rows = await self._connections.fetch(catalogue.LOGIN, consumer.username)
            if not rows or not rows[0]["enabled"]:
                raise
            raise Misconfigured(
                error.what, do="let it in with a password, from the worker's address, in pg_hba.conf"
            ) from error

    @again
    async def revoke(self, login: str, keep: Collection[Table], permit: Permit) -> None:
        await removal.revoke(self._connections, login, keep, permit)

    @again
    async def drop(self, login: str, permit: Permit) -> Dropped:
        return await removal.drop(self._connections, login, permit)

    @again
    async def describe(self, login: str) -> LoginState | None:
        held = Holdings.read(await self._connections.fetch(catalogue.HELD, login))
        if held is None:
            return None
        return LoginState(marked=held.marker is not None, enabled=held.enabled, tables=held.tables, sessions=held.sessions)

    async def close(self) -> None:
        await self._connections.close()


def _marking(way: Way, login: str, marker: Marker) -> Iterable[str]:
    if marker != way.marker:
        yield statements.mark(login, marker)
