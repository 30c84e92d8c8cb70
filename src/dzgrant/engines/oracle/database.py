"""The contract, for one source: what is done, in which order."""

from __future__ import annotations

from collections.abc import Collection

import structlog
from pydantic import SecretStr

from dzgrant.engines.contract import Dropped, Limits, LoginState, Marked, Owner, Permit, Reach, Readable
from dzgrant.engines.oracle import catalogue, giving, removal, statements, views
from dzgrant.engines.oracle.catalogue import Account
from dzgrant.engines.oracle.connections import Connections, again, connect
from dzgrant.engines.oracle.failures import DRIVER_FAILURES, NO_PROFILE, PROFILE_EXISTS, while_reading
from dzgrant.engines.oracle.session import LockedSession
from dzgrant.engines.oracle.statements import Statement
from dzgrant.errors import ConsumerRejected, Misconfigured, Refused, Unsupported
from dzgrant.model import WHOLE, Credentials, LoginOutcome, Scope, Source, Table, TablePath

log = structlog.get_logger(__name__)


class OracleDatabase:
    """A `Database`."""

    def __init__(self, source: Source, admin: Credentials, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._connections = Connections(source, admin, limits)

    @again
    async def resolve(self, path: TablePath) -> Table:
        async with self._connections.session(f"looking for the table {path}") as session:
            found = await catalogue.named(session, path)
        match found:
            case [table]:
                return table
            case []:
                what, do = f"no table or view fits {path}, in any case", "correct its location in Glue, or publish it again"
            case several:
                what, do = f"{path} is ambiguous: {', '.join(map(str, several))}", "rename all but one of them"
        raise Refused(what, do=do).about(source=self._source, table=path)

    @again
    async def ensure_login(self, login: str, password: SecretStr | None, owner: Owner, permit: Permit) -> None:
        if password is None:
            raise Unsupported("RDS for Oracle has no IAM database authentication", do="take this source's option away")
        async with self._connections.locked(login, permit, f"making the login {login}") as session:
            found = await catalogue.account(session, login)
            if found is None:
                await _with_profile(session, statements.create_login(login, password))
            else:
                _refuse_unless_own(found, login)
                await _set(session, password)
            if found is None or not found.may_connect:
                await session.run(statements.grant_session(login))
        event = "login_created" if found is None else "login_password_set"
        log.info(event, login=login, source=self._source.key, environment=owner.environment)

    @again
    async def adopt(self, login: str, owner: Owner, permit: Permit) -> bool:
        async with self._connections.locked(login, permit, f"adopting the login {login}") as session:
            found = await catalogue.account(session, login)
            if found and not found.marked:
                await _with_profile(session, statements.mark(login))
        log.info("login_adopted", login=login, source=self._source.key, environment=owner.environment)
        return found is not None

    @again
    async def grant(
        self, login: str, table: Table, permit: Permit, scopes: Collection[Scope] = WHOLE, *, settled: bool = False
    ) -> Reach:
        async with self._connections.locked(login, permit, f"granting {table} to {login}") as session:
            before = await self._own(session)
            reach = await giving.give(session, before, table, scopes, settled=settled)
        log.info("read_granted", login=login, table=str(table), source=self._source.key, through=reach.through)
        return reach

    @again
    async def prove(self, consumer: Credentials, readable: Readable) -> None:
        driver = await connect(self._source, consumer, self._limits, ConsumerRejected)
        try:
            await driver.fetchall(statements.read_nothing(readable))
            await driver.close()
        except DRIVER_FAILURES as error:
            raise while_reading(error, f"{consumer.username} can't read {readable.table}") from error
        finally:
            # Where it is closed already, this does nothing.
            driver.terminate()

    @again
    async def prove_by_privileges(self, login: str, readable: Readable) -> None:
        async with self._connections.session(f"looking at what {login} may read") as session:
            found = await catalogue.account(session, login)
        if found is None or not found.enabled or not found.may_connect:
            raise ConsumerRejected(f"the login {login} is gone or disabled")
        if readable.table not in found.tables:
            raise Misconfigured(f"{login} can't read {readable.table}", do="look at who revoked it: dzgrant had granted it")

    @again
    async def revoke(self, login: str, keep: Collection[Table], permit: Permit) -> None:
        async with self._connections.locked(login, permit, f"revoking tables from {login}") as session:
            found = await catalogue.account(session, login)
            if found is None:
                return
            _refuse_unless_own(found, login)
            await removal.take_away(session, found, keep)
        log.info("read_revoked", login=login, source=self._source.key, kept=len(keep))

    @again
    async def drop(self, login: str, permit: Permit) -> Dropped:
        async with self._connections.locked(login, permit, f"dropping the login {login}") as session:
            found = await catalogue.account(session, login)
            if found is None:
                # A crash may have left its views.
                await views.sweep(session)
                return Dropped(outcome=LoginOutcome.ABSENT)
            _refuse_unless_own(found, login)
            dropped = await removal.drop(session, found)
        log.info("login_dropped", login=login, source=self._source.key, outcome=dropped.outcome, detail=dropped.detail)
        return dropped

    @again
    async def add_password(self, login: str, password: SecretStr, permit: Permit) -> bool:
        async with self._connections.locked(login, permit, f"adding a password to {login}") as session:
            found = await self._own(session)
            if not await catalogue.rolls_over(session):
                return False
            if found.two_passwords:
                if await self._opens(login, password):
                    return True
                # Set now, it would take the place of the newest, which the consumer may use.
                await session.run(statements.retire_password(login))
            await session.run(statements.add_password(login, password))
            return True

    @again
    async def retire_password(self, login: str, permit: Permit) -> None:
        async with self._connections.locked(login, permit, f"retiring the old password of {login}") as session:
            found = await catalogue.account(session, login)
            if found:
                _refuse_unless_own(found, login)
            if found and found.two_passwords:
                await session.run(statements.retire_password(login))

    @again
    async def describe(self, login: str) -> LoginState | None:
        async with self._connections.session(f"looking at the login {login}") as session:
            found = await catalogue.account(session, login)
            if found is None:
                return None
            sessions = len(await session.sessions(login))
        return LoginState(
            marked=found.marked, enabled=found.enabled, tables=found.tables, sessions=sessions, beyond=found.beyond
        )

    @again
    async def marked(self) -> tuple[Marked, ...]:
        async with self._connections.session("looking for dzgrant's logins") as session:
            return await catalogue.marked(session)

    async def close(self) -> None:
        await self._connections.close()

    async def _own(self, session: LockedSession) -> Account:
        found = await catalogue.account(session, session.login)
        if found is None:
            raise ConsumerRejected(f"the login {session.login} is gone").about(source=self._source)
        _refuse_unless_own(found, session.login)
        return found

    async def _opens(self, login: str, password: SecretStr) -> bool:
        credentials = Credentials(username=login, password=password)
        try:
            driver = await connect(self._source, credentials, self._limits, ConsumerRejected)
        except ConsumerRejected:
            return False
        driver.terminate()
        return True


async def _with_profile(session: LockedSession, statement: Statement) -> None:
    """Runs what gives a login the marker's profile, which is made where there is none yet."""
    if await session.run(statement, expected={NO_PROFILE}):
        profile = statements.create_profile(rollover=session.knows_rollover)
        await session.run(profile, expected={PROFILE_EXISTS})
        await session.run(statement)


async def _set(session: LockedSession, password: SecretStr) -> None:
    """The profile lets the password before open too, until it is retired."""
    await session.run(statements.set_password(session.login, password))
    after = await catalogue.account(session, session.login)
    if after and after.two_passwords:
        await session.run(statements.retire_password(session.login))


def _refuse_unless_own(found: Account, login: str) -> None:
    if not found.marked:
        raise Refused(f"a login {login} exists that dzgrant did not make", do="rename or drop it; dzgrant leaves it as it is")
