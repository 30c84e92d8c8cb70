"""One admin connection while it is lent: to read with, or with the lock of one principal to change its login.

`GET_LOCK` asks for no privilege, so every login of the server can hold dzgrant's lock. A worker's session is the admin's;
whoever else holds it is shown out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pymysql.constants import ER

from dzgrant.engines.contract import Limits, Permit
from dzgrant.engines.mysql import statements
from dzgrant.engines.mysql.driver import Connection
from dzgrant.engines.mysql.failures import DRIVER_FAILURES, code, while_working
from dzgrant.engines.mysql.statements import Statement
from dzgrant.errors import Transient
from dzgrant.model import ALTERNATE
from dzgrant.together import together

# Between two looks at the sessions that were killed.
_LOOK_SECONDS = 0.02
# Whole seconds, as MySQL has it.
_IN_LINE_SECONDS = 5.0

_LOCK = Statement(sql="SELECT GET_LOCK(%(name)s, %(seconds)s)", right="USAGE ON *.*")
_UNLOCK = Statement(sql="SELECT RELEASE_LOCK(%(name)s)", right="USAGE ON *.*")

# Without PROCESS the list holds one's own sessions only, and says nothing of it; innodb_trx answers with an error.
_ALL_SESSIONS = "FROM information_schema.processlist WHERE (SELECT COUNT(*) FROM information_schema.innodb_trx) >= 0"
# The list's own collation takes `ADMIN` for `admin`; to the server they are two logins.
_SESSIONS = Statement(sql=f"SELECT id {_ALL_SESSIONS} AND user = %(login)s COLLATE utf8mb4_bin", right="PROCESS ON *.*")
_HOLDER = Statement(sql=f"SELECT user {_ALL_SESSIONS} AND id = IS_USED_LOCK(%(name)s)", right="PROCESS ON *.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """It reads."""

    driver: Connection
    admin: str
    limits: Limits
    mariadb: bool
    what: str
    """What is being done, for the errors."""

    @property
    def seconds(self) -> float:
        """The server ends a statement first; this is for a server that answers nothing at all."""
        return self.limits.statement_timeout + self.limits.connect_timeout

    async def fetch(self, query: Statement, **values: str | float) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        try:
            async with asyncio.timeout(self.seconds):
                return await self.driver.run(query.sql, values)
        except DRIVER_FAILURES as error:
            raise while_working(error, self.what, query.cure(self.admin)) from error

    async def sessions(self, login: str) -> frozenset[int]:
        """The ids of the login's sessions."""
        return frozenset(int(number) for (number,) in await self.fetch(_SESSIONS, login=login))


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedSession(Session):
    """Holds the lock of one principal: it may change what the login can do, while the permit lasts."""

    login: str
    permit: Permit

    @property
    def lock(self) -> str:
        """One for both logins of a principal, which share its views."""
        return f"dzgrant:{self.login.removesuffix(ALTERNATE)}"

    async def acquired(self) -> bool:
        """Whether the lock was got without a fight."""
        return await self._locked(self.limits.lock_timeout)

    async def contend(self, beside: LockedSession) -> None:
        """Stands in line for the lock while `beside`, on another connection, ends the sessions of whoever holds it.

        Raises `Transient` when that is another worker, or when they come back faster than they are ended.
        """
        if not await beside.evict():
            raise Transient(f"{self.what}: another worker is at it in the database")
        got, _ = await together([self._locked(_IN_LINE_SECONDS), beside.evict_until_an_admin_holds_it()])
        if not got:
            raise Transient(f"{self.what}: others hold its lock in the database, however often their sessions are ended")

    async def evict_until_an_admin_holds_it(self) -> bool:
        """Within the time that one stands in line."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_IN_LINE_SECONDS):
                while True:
                    if not await self.evict():
                        return True
                    await asyncio.sleep(_LOOK_SECONDS)
        return False

    async def release(self) -> None:
        await self.fetch(_UNLOCK, name=self.lock)

    async def run(self, statement: Statement, *, expected: Collection[int] = ()) -> int | None:
        """Sends a statement, if the permit outlasts it. None, or which of the expected error numbers was the answer."""
        self.permit.check(self.limits.statement_timeout)
        try:
            async with asyncio.timeout(self.seconds):
                await self.driver.run(statement.sql)
        except DRIVER_FAILURES as error:
            if (number := code(error)) is not None and number in expected:
                return number
            raise while_working(error, self.what, statement.cure(self.admin)) from error
        return None

    async def end_sessions(self, login: str | None = None) -> None:
        """Ends those that the login has open now; a consumer that comes back at once gets what it has then."""
        whose = login or self.login
        try:
            async with asyncio.timeout(self.limits.statement_timeout):
                found = await self.sessions(whose)
                while found:
                    for number in found:
                        await self._end(number)
                    # A killed session ends when it notices.
                    await asyncio.sleep(_LOOK_SECONDS)
                    found &= await self.sessions(whose)
        except TimeoutError:
            raise Transient(f"{whose} still has open sessions") from None

    async def _locked(self, seconds: float) -> bool:
        ((answer,),) = await self.fetch(_LOCK, name=self.lock, seconds=seconds)
        return bool(answer)

    async def evict(self) -> bool:
        """Ends all sessions of the login that holds the lock: others may be in line for it. False: an admin holds it."""
        for (holder,) in await self.fetch(_HOLDER, name=self.lock):
            if holder == self.admin:
                return False
            # Not waited for: whoever comes back must find us in line before it.
            for number in await self.sessions(holder):
                await self._end(number)
        return True

    async def _end(self, number: int) -> None:
        kill = statements.end_session(number, mariadb=self.mariadb)
        answer = await self.run(kill, expected={ER.NO_SUCH_THREAD, ER.KILL_DENIED_ERROR})
        if answer == ER.KILL_DENIED_ERROR:
            await self.run(statements.rds_end_session(number, mariadb=self.mariadb), expected={ER.NO_SUCH_THREAD})
