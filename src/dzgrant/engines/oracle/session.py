"""One admin connection while it is lent: to read with, or with the lock of one principal to change its login.

DDL commits by itself, so no transaction can check a fence. Where the admin may execute DBMS_LOCK, the work on one principal is
under such a lock, and each statement asks the permit after the lock was got. A lock of DBMS_LOCK is anyone's who may execute
that package, so one that a consumer holds counts for nothing: then, as where there is no DBMS_LOCK, the ledger's lease is what
keeps two workers apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import oracledb

from dzgrant.engines.contract import Limits, Permit
from dzgrant.engines.oracle import statements
from dzgrant.engines.oracle.failures import (
    BLOCK_WRONG,
    DRIVER_FAILURES,
    NO_RIGHT,
    RAISED,
    SESSION_GONE,
    SESSION_MARKED,
    code,
    while_working,
)
from dzgrant.engines.oracle.statements import Statement, identifier, spelled
from dzgrant.errors import Transient
from dzgrant.model import ALTERNATE

# Between two looks at the sessions that were killed.
_LOOK_SECONDS = 0.02
_CATALOGUE = "let a DBA run: GRANT SELECT_CATALOG_ROLE TO {admin}"

# 0: got it; 4: it is this session's already. DBMS_LOCK, "PL/SQL Packages and Types Reference".
_LOCK = """
DECLARE answer INTEGER;
BEGIN
  answer := DBMS_LOCK.REQUEST(id => :id, lockmode => DBMS_LOCK.X_MODE, timeout => :seconds);
  IF answer NOT IN (0, 4) THEN RAISE_APPLICATION_ERROR(-20000, 'not got'); END IF;
END;
"""
_UNLOCK = "DECLARE answer INTEGER; BEGIN answer := DBMS_LOCK.RELEASE(id => :id); END;"
_HOLDERS = """
SELECT s.username FROM gv$lock l JOIN gv$session s ON s.inst_id = l.inst_id AND s.sid = l.sid
WHERE l.type = 'UL' AND l.id1 = :id AND l.lmode = 6
"""
# One that was killed stays until its client asks for something, and gets an error then.
_SESSIONS = """
SELECT inst_id, sid, serial# FROM gv$session WHERE username = :login AND type = 'USER' AND status <> 'KILLED'
"""


def lock_id(login: str) -> int:
    """Of the lock that the work on this login's principal is under: below 2**30, as DBMS_LOCK asks."""
    name = f"dzgrant login {login.removesuffix(ALTERNATE)}"
    return int.from_bytes(sha256(name.encode()).digest()[:4], "big") >> 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """It reads."""

    driver: oracledb.AsyncConnection
    admin: str
    limits: Limits
    what: str
    """What is being done, for the errors."""

    @property
    def knows_rollover(self) -> bool:
        """Two passwords at once came with 21c, and with the release update 19.12."""
        return tuple(map(int, self.driver.version.split(".")[:2])) >= (19, 12)

    async def fetch(self, query: str, **values: str | int) -> list[tuple[Any, ...]]:
        """All rows of a query of the data dictionary."""
        try:
            rows: list[tuple[Any, ...]] = await self.driver.fetchall(query, values)
        except DRIVER_FAILURES as error:
            raise self._failure(error, _CATALOGUE) from error
        return rows

    async def sessions(self, login: str) -> frozenset[tuple[int, int, int]]:
        """The login's: instance, SID and serial number of each."""
        return frozenset(await self.fetch(_SESSIONS, login=spelled(login)))

    def _failure(self, error: BaseException, cure: str) -> Exception:
        admin = identifier(self.admin.strip('"') if self.admin.startswith('"') else self.admin.upper())
        return while_working(error, self.what, cure.replace("{admin}", admin))


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedSession(Session):
    """It may change what the login can do, while the permit lasts."""

    login: str
    permit: Permit

    async def lock(self) -> bool:
        """Whether it was got. Raises `Transient` when another worker has it."""
        seconds = max(1, round(self.limits.lock_timeout))
        answer = await self._block(_LOCK, expected={RAISED, BLOCK_WRONG}, id=lock_id(self.login), seconds=seconds)
        if answer == RAISED and await self._held_by_a_worker():
            raise Transient(f"{self.what}: another worker is at it in the database")
        return answer is None

    async def unlock(self) -> None:
        await self._block(_UNLOCK, expected=(), id=lock_id(self.login))

    async def run(self, statement: Statement, *, expected: Collection[str] = ()) -> str | None:
        """Sends a statement, if the permit outlasts it. None, or which of the expected codes was the answer."""
        self.permit.check(self.limits.statement_timeout)
        return await self._block(statement.sql.get_secret_value(), expected=expected, cure=statement.cure)

    async def end_sessions(self, login: str | None = None) -> None:
        """Ends those that the login has open now; a consumer that comes back at once gets what it has then."""
        login = login or self.login
        try:
            async with asyncio.timeout(self.limits.statement_timeout):
                found = await self.sessions(login)
                while found:
                    for one in sorted(found):
                        await self._end(*one)
                    await asyncio.sleep(_LOOK_SECONDS)
                    found &= await self.sessions(login)
        except TimeoutError:
            raise Transient(f"{login} still has open sessions") from None

    async def _end(self, instance: int, sid: int, serial: int) -> None:
        gone = {SESSION_GONE, SESSION_MARKED}
        answer = await self.run(statements.end_session(instance, sid, serial), expected={*gone, NO_RIGHT})
        if answer == NO_RIGHT:
            await self.run(statements.rds_end_session(sid, serial), expected=gone)

    async def _held_by_a_worker(self) -> bool:
        rows = await self.fetch(_HOLDERS, id=lock_id(self.login))
        admin = self.admin.strip('"') if self.admin.startswith('"') else self.admin.upper()
        return any(name == admin for (name,) in rows)

    async def _block(self, sql: str, *, expected: Collection[str], cure: str = "", **values: str | int) -> str | None:
        try:
            await self.driver.execute(sql, values or None)
        except DRIVER_FAILURES as error:
            if (number := code(error)) is not None and number in expected:
                return number
            raise self._failure(error, cure) from error
        return None
