"""The contract, for one source: what is done, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from pydantic import SecretStr
from pymysql.constants import ER

from dzgrant.engines.contract import Dropped, Limits, LoginState, Owner, Permit, Reach, Readable
from dzgrant.engines.mysql import catalogue, statements, verifiers
from dzgrant.engines.mysql.catalogue import Account
from dzgrant.engines.mysql.connections import Connections, again
from dzgrant.engines.mysql.driver import connect
from dzgrant.engines.mysql.failures import (
    DEFINER_OF_OBJECTS,
    DRIVER_FAILURES,
    NO_GRANT,
    NO_LOGIN,
    NO_TABLE,
    while_reading,
)
from dzgrant.engines.mysql.session import LockedSession
from dzgrant.engines.mysql.statements import Statement
from dzgrant.errors import ConsumerRejected, Misconfigured, Refused, Transient
from dzgrant.model import Credentials, LoginOutcome, Source, Table, TablePath


class MysqlDatabase:
    """A `Database`."""

    def __init__(self, source: Source, admin: Credentials, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._connections = Connections(source, admin, limits)

    @again
    async def resolve(self, path: TablePath) -> Table:
        database = self._source.database
        async with self._connections.session(f"looking for the table {path}") as session:
            found = await catalogue.named(session, database, path)
        if len(found) == 1:
            return found[0]
        if not found:
            raise Refused(
                f"the database {database} has no table or view {path!s}, in whatever case, that the admin login may see",
                do="publish the asset again with the table's present name, or let the admin login see it",
            )
        names = ", ".join(table.name for table in found)
        raise Refused(
            f"{path} fits several tables of the database {database}: {names}",
            do="rename all but one: Glue's names know no case",
        )

    @again
    async def ensure_login(self, login: str, password: SecretStr, owner: Owner, permit: Permit) -> None:
        async with self._connections.locked(login, permit, f"making the login {login}") as session:
            found = await catalogue.account(session, login)
            mariadb = session.mariadb
            verifier = await asyncio.to_thread(verifiers.native if mariadb else verifiers.caching_sha2, password)
            if found is None:
                await _set(session, statements.create_login(login, verifier, owner, mariadb=mariadb))
                return
            _refuse_unless_own(found, login)
            if found.other_hosts:
                raise _not_ours(login, found.other_hosts)
            await _set(session, statements.set_password(login, verifier, mariadb=mariadb))

    @again
    async def grant(self, login: str, table: Table, permit: Permit) -> Reach:
        async with self._connections.locked(login, permit, f"granting {table} to {login}") as session:
            _refuse_unless_own(await catalogue.account(session, login), login)
            if await session.run(statements.grant_select(table, login), expected=NO_LOGIN):
                raise ConsumerRejected(f"the login {login} is gone")
            seen = await catalogue.reach(session, login, table)
        if seen is None:
            raise Transient(f"{login} was granted {table}, and somebody took it away at once")
        return seen

    @again
    async def prove(self, consumer: Credentials, readable: Readable) -> None:
        table = readable.table
        driver = await connect(self._source, consumer, self._limits, ConsumerRejected, database=table.schema)
        try:
            async with asyncio.timeout(self._limits.statement_timeout):
                await driver.run(statements.read_nothing(table, self._limits.statement_timeout))
                await driver.ensure_closed()
        except DRIVER_FAILURES as error:
            raise while_reading(error, f"{consumer.username} can't read {table}") from error
        finally:
            driver.close()

    @again
    async def revoke(self, login: str, keep: Collection[Table], permit: Permit) -> None:
        async with self._connections.locked(login, permit, f"revoking tables from {login}") as session:
            found = await catalogue.account(session, login)
            if found is None:
                await session.end_sessions()
                return
            _refuse_unless_own(found, login)
            left = await _take_away(session, login, found, frozenset(keep))
            await session.end_sessions()
            # Last, since the admin may have lost the right to give: what was taken stays taken.
            for table in sorted(frozenset(keep) - left):
                await session.run(statements.grant_select(table, login), expected=NO_TABLE)

    @again
    async def drop(self, login: str, permit: Permit) -> Dropped:
        async with self._connections.locked(login, permit, f"dropping the login {login}") as session:
            found = await catalogue.account(session, login)
            if found is None:
                await session.end_sessions()
                return Dropped(outcome=LoginOutcome.ABSENT)
            _refuse_unless_own(found, login)
            await session.run(statements.disable(login))
            await session.end_sessions()
            # MySQL refuses to drop a definer, unless the admin may set any; MariaDB drops it and breaks the objects.
            defined = ", ".join(await catalogue.defined_by(session, login))
            if not defined and not await session.run(statements.drop_login(login), expected={DEFINER_OF_OBJECTS}):
                return Dropped(outcome=LoginOutcome.DROPPED)
            await session.run(statements.revoke_all(login))
            return Dropped(
                outcome=LoginOutcome.DISABLED, detail=f"it is the definer of {defined or 'objects that the admin may not see'}"
            )

    @again
    async def describe(self, login: str) -> LoginState | None:
        async with self._connections.session(f"looking at the login {login}") as session:
            found = await catalogue.account(session, login)
            if found is None:
                return None
            return LoginState(
                marked=found.marked,
                enabled=found.enabled,
                tables=tuple(sorted(table for table in found.tables if table.schema == self._source.database)),
                sessions=len(await session.sessions(login)),
            )

    async def close(self) -> None:
        await self._connections.close()


async def _set(session: LockedSession, statement: Statement) -> None:
    if not await session.run(statement, expected={ER.OPTION_PREVENTS_STATEMENT}):
        return
    if await catalogue.read_only(session):
        raise Transient("the server is read-only now: a replica, or a failover")
    # With a plugin such as simple_password_check, MariaDB wants to see the password, and writes it to its general log.
    raise Misconfigured(
        "the server takes no hash of a password", do="let an administrator run: SET GLOBAL strict_password_validation = OFF"
    )


def _refuse_unless_own(found: Account | None, login: str) -> None:
    if found and not found.marked:
        raise _not_ours(login, found.other_hosts)


def _not_ours(login: str, hosts: Collection[str]) -> Refused:
    names = ", ".join(f"'{login}'@'{host}'" for host in hosts) or f"'{login}'"
    return Refused(f"the login {names} was not made by dzgrant", do="rename or drop it")


async def _take_away(session: LockedSession, login: str, found: Account, keep: frozenset[Table]) -> frozenset[Table]:
    """Takes all but the tables to keep, or all where it holds more than tables; returns the tables that are left."""
    if keep and not found.wider:
        for table in sorted(found.tables - keep):
            await session.run(statements.revoke_select(table, login), expected=NO_GRANT)
        return found.tables & keep
    if found.tables or found.wider:
        await session.run(statements.revoke_all(login))
    return frozenset()
