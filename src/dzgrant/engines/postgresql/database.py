"""The contract's `Database`, for PostgreSQL: logins and proofs. `giving` and `filtered` give access, `removal` takes it."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import structlog
from pydantic import SecretStr

from dzgrant.engines.contract import Dropped, Limits, LoginState, Marked, Owner, Permit, Reach, Readable
from dzgrant.engines.filters import is_whole
from dzgrant.engines.marker import Marker, admitted
from dzgrant.engines.postgresql import catalogue, filtered, giving, proof, removal, statements
from dzgrant.engines.postgresql.catalogue import holdings
from dzgrant.engines.postgresql.connections import Connections, Driver, again, connect
from dzgrant.engines.postgresql.failures import DRIVER_FAILURES, NotLetIn, while_proving
from dzgrant.engines.postgresql.scram import verifier
from dzgrant.engines.postgresql.sessions import evict, unblocked
from dzgrant.errors import ConsumerRejected, DzgrantError, Misconfigured, Refused, Unsupported
from dzgrant.model import WHOLE, Credentials, Scope, Source, Table, TablePath

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
    async def ensure_login(self, login: str, password: SecretStr | None, owner: Owner, permit: Permit) -> None:
        """TLS can't be required of one role here; pg_hba.conf, or `rds.force_ssl`, requires it of all."""
        if password is None and not await self._connections.fetch(catalogue.IAM):
            raise Unsupported(
                "the server has no role rds_iam, by which logins use IAM",
                do="turn IAM database authentication on at the RDS instance, or take this source's option away",
            ).about(source=self._source)
        secret = verifier(password) if password else None
        key = statements.login_key(login)

        async def make() -> bool:
            async with self._connections.transaction(permit, key) as transaction:
                rows = await transaction.fetch(catalogue.LOGIN, login)
                if rows:
                    admitted(login, Marker.read(rows[0]["comment"]), permit)
                changes = [statements.set_password(login, secret) if rows else statements.create_login(login, secret)]
                by_iam = bool(rows) and rows[0]["by_iam"]
                # IAM wins over a password: the login is a member of this role, or has a password.
                if by_iam and secret:
                    changes.append(statements.shut_out_of_iam(login))
                elif not by_iam and not secret:
                    changes.append(statements.let_in_by_iam(login))
                await transaction.commit(*changes, statements.mark(login, Marker(owner=owner, fence=permit.fence)))
                return bool(rows)

        existed = await unblocked(make, partial(evict, self._connections, permit, key))
        log.info("login_password_set" if existed else "login_created", login=login, source=self._source.key)

    @again
    async def adopt(self, login: str, owner: Owner, permit: Permit) -> bool:
        key = statements.login_key(login)

        async def mark() -> bool:
            async with self._connections.transaction(permit, key) as transaction:
                rows = await transaction.fetch(catalogue.LOGIN, login)
                if not rows:
                    return False
                marker = Marker(owner=owner, fence=permit.fence)
                if comment := rows[0]["comment"]:
                    found = admitted(login, Marker.read(comment), permit)
                    if found != marker:
                        raise Refused(f"{login} is the login of environment {found.owner.environment}", do="leave it out")
                await transaction.commit(statements.mark(login, marker))
                return True

        return await unblocked(mark, partial(evict, self._connections, permit, key))

    @again
    async def grant(
        self, login: str, table: Table, permit: Permit, scopes: Collection[Scope] = WHOLE, *, settled: bool = False
    ) -> Reach:
        """Raises `ConsumerRejected`, too: for a login that somebody dropped, and that must be made again."""
        try:
            if is_whole(scopes):
                return await giving.give(self._connections, login, table, permit)
            return await filtered.give_part(self._connections, login, table, permit, scopes, settled=settled)
        except DzgrantError as error:
            raise error.about(source=self._source) from error.__cause__

    async def prove(self, consumer: Credentials, readable: Readable) -> None:
        table = readable.table
        connection = await self._log_in(consumer)
        try:
            await connection.execute(statements.read_nothing(readable))
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
    async def prove_by_privileges(self, login: str, readable: Readable) -> None:
        await proof.prove_by_privileges(self._connections, login, readable)

    @again
    async def revoke(self, login: str, keep: Collection[Table], permit: Permit) -> None:
        await removal.revoke(self._connections, login, keep, permit)

    @again
    async def drop(self, login: str, permit: Permit) -> Dropped:
        return await removal.drop(self._connections, login, permit)

    async def add_password(self, login: str, password: SecretStr, permit: Permit) -> bool:  # noqa: ARG002
        """A role has one password: rotation takes a second login."""
        return False

    async def retire_password(self, login: str, permit: Permit) -> None:
        """There is none to retire."""

    @again
    async def describe(self, login: str) -> LoginState | None:
        held = await holdings(self._connections.fetch, login)
        if held is None:
            return None
        return LoginState(
            marked=held.marker is not None,
            enabled=held.enabled,
            tables=held.tables,
            sessions=held.sessions,
            beyond=tuple(sorted({one.name for one in held.privileges if not one.usual})),
        )

    @again
    async def marked(self) -> tuple[Marked, ...]:
        rows = await self._connections.fetch(catalogue.MARKED)
        found = ((row["rolname"], Marker.read(row["comment"])) for row in rows)
        return tuple(Marked(login=login, owner=marker.owner) for login, marker in found if marker)

    async def close(self) -> None:
        await self._connections.close()
