"""The contract, for one source: what is done, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from pydantic import SecretStr
from pymysql.constants import ER

from dzgrant.engines.contract import Dropped, Limits, LoginState, Marked, Owner, Permit, Reach, Readable, views_in
from dzgrant.engines.mysql import catalogue, giving, removal, statements, verifiers, views
from dzgrant.engines.mysql.catalogue import Account
from dzgrant.engines.mysql.connections import Connections, again
from dzgrant.engines.mysql.driver import connect
from dzgrant.engines.mysql.failures import (
    DEFINER_OF_OBJECTS,
    DRIVER_FAILURES,
    NO_PLUGIN,
    while_reading,
)
from dzgrant.engines.mysql.more import more
from dzgrant.engines.mysql.session import LockedSession
from dzgrant.engines.mysql.statements import Statement
from dzgrant.errors import ConsumerRejected, Misconfigured, Refused, Transient, Unsupported
from dzgrant.model import WHOLE, Credentials, LoginOutcome, Scope, Source, Table, TablePath


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
    async def ensure_login(self, login: str, password: SecretStr | None, owner: Owner, permit: Permit) -> None:
        async with self._connections.locked(login, permit, f"making the login {login}") as session:
            found = await catalogue.account(session, login)
            mariadb = session.mariadb
            hashed = verifiers.native if mariadb else verifiers.caching_sha2
            verifier = await asyncio.to_thread(hashed, password) if password else None
            if found is None:
                await _set(session, statements.create_login(login, verifier, owner, mariadb=mariadb))
                return
            _refuse_unless_own(found, login)
            if found.other_hosts:
                raise _not_ours(login, found.other_hosts)
            await _set(session, statements.set_password(login, verifier, mariadb=mariadb))
            if found.two_passwords:
                await session.run(statements.retire_password(login))

    @again
    async def adopt(self, login: str, owner: Owner, permit: Permit) -> bool:
        async with self._connections.locked(login, permit, f"adopting the login {login}") as session:
            found = await catalogue.account(session, login)
            if found is None:
                return False
            if found.other_hosts:
                raise _not_ours(login, found.other_hosts)
            if not found.marked:
                await session.run(statements.mark(login, owner, mariadb=session.mariadb))
            return True

    @again
    async def grant(
        self, login: str, table: Table, permit: Permit, scopes: Collection[Scope] = WHOLE, *, settled: bool = False
    ) -> Reach:
        async with self._connections.locked(login, permit, f"granting {table} to {login}") as session:
            before = await catalogue.account(session, login)
            _refuse_unless_own(before, login)
            return await giving.give(session, before, table, scopes, settled=settled)

    @again
    async def prove(self, consumer: Credentials, readable: Readable) -> None:
        table = readable.table
        driver = await connect(
            self._source, consumer, self._limits, ConsumerRejected, database=self._source.database or table.schema
        )
        try:
            async with asyncio.timeout(self._limits.statement_timeout):
                await driver.run(statements.read_nothing(readable, self._limits.statement_timeout))
                await driver.ensure_closed()
        except DRIVER_FAILURES as error:
            raise while_reading(error, f"{consumer.username} can't read {table}") from error
        finally:
            driver.close()

    @again
    async def prove_by_privileges(self, login: str, readable: Readable) -> None:
        async with self._connections.session(f"looking at what {login} may read") as session:
            found = await catalogue.account(session, login)
            plugin, _ = await catalogue.authentication(session, login)
            held, through = await catalogue.reach(session, login, readable.table)
        if found is None or not found.enabled or plugin != statements.IAM_PLUGIN:
            raise ConsumerRejected(f"the login {login} is gone, disabled or does not log in by IAM")
        columns = found.columns.get(readable.table, frozenset())
        if not (held or through or (readable.columns and columns >= set(readable.columns))):
            raise Misconfigured(f"{login} can't read {readable.table}", do="look at who revoked it: dzgrant had granted it")

    @again
    async def revoke(self, login: str, keep: Collection[Table], permit: Permit) -> None:
        async with self._connections.locked(login, permit, f"revoking tables from {login}") as session:
            found = await catalogue.account(session, login)
            if found is None:
                await session.end_sessions()
                return
            _refuse_unless_own(found, login)
            await removal.take_away(session, found, keep)

    @again
    async def drop(self, login: str, permit: Permit) -> Dropped:
        async with self._connections.locked(login, permit, f"dropping the login {login}") as session:
            found = await catalogue.account(session, login)
            if found is None:
                await session.end_sessions()
                # A crash may have left its views.
                await views.sweep(session)
                return Dropped(outcome=LoginOutcome.ABSENT)
            _refuse_unless_own(found, login)
            await session.run(statements.disable(login))
            await session.end_sessions()
            # MySQL refuses to drop a definer, unless the admin may set any; MariaDB drops it and breaks the objects.
            defined = ", ".join(await catalogue.defined_by(session, login))
            dropped = not defined and not await session.run(statements.drop_login(login), expected={DEFINER_OF_OBJECTS})
            if not dropped:
                await session.run(statements.revoke_all(login))
            if found.has_place:
                await views.sweep(session)
            if dropped:
                return Dropped(outcome=LoginOutcome.DROPPED)
            return Dropped(
                outcome=LoginOutcome.DISABLED, detail=f"it is the definer of {defined or 'objects that the admin may not see'}"
            )

    @again
    async def add_password(self, login: str, password: SecretStr, permit: Permit) -> bool:
        """MariaDB has one password for a login: rotation takes a second login there."""
        async with self._connections.locked(login, permit, f"adding a password to {login}") as session:
            if session.mariadb:
                return False
            found = await catalogue.account(session, login)
            if found is None:
                raise ConsumerRejected(f"the login {login} is gone")
            _refuse_unless_own(found, login)
            _, present = await catalogue.authentication(session, login)
            # Retained again, it would push out the one before.
            if not await asyncio.to_thread(verifiers.is_of, present, password):
                verifier = await asyncio.to_thread(verifiers.caching_sha2, password)
                await _set(session, statements.add_password(login, verifier))
            return True

    @again
    async def retire_password(self, login: str, permit: Permit) -> None:
        async with self._connections.locked(login, permit, f"retiring the old password of {login}") as session:
            found = await catalogue.account(session, login)
            _refuse_unless_own(found, login)
            if found and found.two_passwords:
                await session.run(statements.retire_password(login))

    @again
    async def describe(self, login: str) -> LoginState | None:
        async with self._connections.session(f"looking at the login {login}") as session:
            found = await catalogue.account(session, login)
            if found is None:
                return None
            beyond = await more(session, login)
            places = {self._source.database, views_in(login)}
            return LoginState(
                marked=found.marked,
                enabled=found.enabled,
                tables=tuple(sorted(table for table in {*found.tables, *found.columns} if table.schema in places)),
                sessions=len(await session.sessions(login)),
                beyond=tuple(map(str, beyond)),
            )

    @again
    async def marked(self) -> tuple[Marked, ...]:
        async with self._connections.session("looking for dzgrant's logins") as session:
            return await catalogue.marked(session)

    async def close(self) -> None:
        await self._connections.close()


async def _set(session: LockedSession, statement: Statement) -> None:
    answer = await session.run(statement, expected={ER.OPTION_PREVENTS_STATEMENT, NO_PLUGIN})
    if answer is None:
        return
    if answer == NO_PLUGIN:
        raise Unsupported(
            "the server has no plugin AWSAuthenticationPlugin, by which logins use IAM",
            do="turn IAM database authentication on at the RDS instance, or take this source's option away",
        )
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
