"""The admin's connections to one source: each bounded on the server and here, some with the lock of one principal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from dzgrant.engines.contract import Limits, Permit
from dzgrant.engines.mysql import statements
from dzgrant.engines.mysql.driver import Connection, connect
from dzgrant.engines.mysql.failures import Again, while_working
from dzgrant.engines.mysql.session import LockedSession, Session
from dzgrant.errors import AdminRejected, Transient, Unsupported
from dzgrant.model import Credentials, Source

# NAT gateways and load balancers forget an idle connection after 350 s.
_RECYCLE_SECONDS = 300
# ATTRIBUTE came with MySQL 8.0.21; MariaDB 10.6 is the oldest that is still maintained.
_OLDEST_MYSQL = (8, 0, 21)
_OLDEST_MARIADB = (10, 6)

again = retry(
    retry=retry_if_exception_type(Again), stop=stop_after_attempt(4), wait=wait_random(min=0.01, max=0.1), reraise=True
)
"""Decorates what is safe to do again."""


class Connections:
    """The admin's pool. Tasks share it."""

    def __init__(self, source: Source, admin: Credentials, limits: Limits) -> None:
        self._admin = admin.username
        self._limits = limits
        self._engine = _engine(source, admin, limits)

    @asynccontextmanager
    async def session(self, what: str) -> AsyncIterator[Session]:
        """A connection to read with."""
        async with self._lent(what) as driver:
            yield Session(driver=driver, admin=self._admin, limits=self._limits, mariadb=self._mariadb, what=what)

    @asynccontextmanager
    async def locked(self, login: str, permit: Permit, what: str) -> AsyncIterator[LockedSession]:
        """A connection that holds the lock of this login's principal."""
        async with self._lent(what) as driver:
            session = LockedSession(
                driver=driver,
                admin=self._admin,
                limits=self._limits,
                mariadb=self._mariadb,
                what=what,
                login=login,
                permit=permit,
            )
            try:
                if not await session.acquired():
                    async with self._lent(what) as other:
                        await session.contend(replace(session, driver=other))
                yield session
                await session.release()
            except BaseException:
                # The lock goes with the connection.
                driver.close()
                raise

    async def close(self) -> None:
        await self._engine.dispose()

    @property
    def _mariadb(self) -> bool:
        return bool(getattr(self._engine.dialect, "is_mariadb", False))

    @asynccontextmanager
    async def _lent(self, what: str) -> AsyncIterator[Connection]:
        lent = await self._connect(what)
        try:
            check_version(self._engine.dialect.server_version_info or (), mariadb=self._mariadb)
            driver: Any = (await lent.get_raw_connection()).driver_connection
            yield driver
        finally:
            await lent.close()

    async def _connect(self, what: str) -> AsyncConnection:
        try:
            async with asyncio.timeout(self._limits.connect_timeout + self._limits.statement_timeout):
                return await self._engine.connect()
        except (PoolExhausted, TimeoutError):
            raise Transient(f"{what}: every connection to the database is busy") from None
        except DBAPIError as error:
            # SQLAlchemy puts a few questions of its own to a new server.
            raise while_working(error.orig or error, what, "USAGE") from error


def check_version(version: tuple[object, ...], *, mariadb: bool) -> None:
    """Raises `Unsupported` for a server that is too old."""
    name, oldest = ("MariaDB", _OLDEST_MARIADB) if mariadb else ("MySQL", _OLDEST_MYSQL)
    if version < oldest:
        raise Unsupported(
            f"{name} {_dotted(version)} is too old", do=f"upgrade the server to {name} {_dotted(oldest)} or newer"
        )


def _dotted(version: Iterable[object]) -> str:
    return ".".join(map(str, version))


def _engine(source: Source, admin: Credentials, limits: Limits) -> AsyncEngine:
    settings = statements.session_settings(limits.statement_timeout, limits.lock_timeout)

    async def create() -> Connection:
        driver = await connect(source, admin, limits, AdminRejected)
        try:
            async with asyncio.timeout(limits.statement_timeout):
                await driver.run(settings)
        except BaseException:
            driver.close()
            raise
        return driver

    engine = create_async_engine(
        "mysql+aiomysql://",
        async_creator=create,
        # Each statement commits by itself: there is nothing to roll back.
        pool_reset_on_return=None,
        pool_size=limits.pool_size,
        max_overflow=0,
        pool_timeout=limits.connect_timeout + limits.statement_timeout,
        pool_recycle=_RECYCLE_SECONDS,
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def alive(lent: Any, *_: object) -> None:
        # No statement need be spent to ask a server that has hung up already.
        if lent.driver_connection.lost:
            raise DisconnectionError

    return engine
