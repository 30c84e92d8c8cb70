"""Connections to one source: TLS that is verified or nothing, and no wait without a bound.

SQLAlchemy keeps the small pool; python-oracledb, in its thin mode, speaks to the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import oracledb
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from dzgrant.engines.contract import Limits, Permit
from dzgrant.engines.oracle.failures import DRIVER_FAILURES, Again, while_connecting, while_working
from dzgrant.engines.oracle.session import LockedSession, Session
from dzgrant.engines.tls import verifying
from dzgrant.errors import AdminRejected, ConsumerRejected, DzgrantError, Transient, Unsupported
from dzgrant.model import Credentials, Source

# NAT gateways and load balancers forget an idle connection after 350 s.
_RECYCLE_SECONDS = 300
_OLDEST = 19
_SID = "SID:"

again = retry(
    retry=retry_if_exception_type(Again), stop=stop_after_attempt(4), wait=wait_random(min=0.01, max=0.1), reraise=True
)
"""Decorates what is safe to do again."""


async def connect(
    source: Source, credentials: Credentials, limits: Limits, rejected: type[AdminRejected | ConsumerRejected]
) -> oracledb.AsyncConnection:
    """A new connection, over TLS that vouches for the host. Raises as `while_connecting` says."""
    # The driver checks the host's name itself, and turns that off in the context.
    context = await verifying(limits.ca_bundle, driver="oracledb")
    place = (
        {"sid": source.database.removeprefix(_SID)} if source.database.startswith(_SID) else {"service_name": source.database}
    )
    try:
        async with asyncio.timeout(limits.connect_timeout):
            connection: oracledb.AsyncConnection = await oracledb.connect_async(
                user=credentials.username,
                password=credentials.password.get_secret_value(),
                host=source.host,
                port=source.port,
                **place,
                protocol="tcps",
                ssl_context=context,
                ssl_server_dn_match=True,
                tcp_connect_timeout=limits.connect_timeout,
                program="dzgrant",
            )
    except DRIVER_FAILURES as error:
        raise while_connecting(error, f"{credentials.username} can't log in to {source}", rejected) from error
    connection.call_timeout = round(limits.statement_timeout * 1000)
    return connection


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
            yield Session(driver=driver, admin=self._admin, limits=self._limits, what=what)

    @asynccontextmanager
    async def locked(self, login: str, permit: Permit, what: str) -> AsyncIterator[LockedSession]:
        """A connection that holds the lock of this login's principal, where the admin may take one."""
        async with self._lent(what) as driver:
            session = LockedSession(
                driver=driver, admin=self._admin, limits=self._limits, what=what, login=login, permit=permit
            )
            held = await session.lock()
            yield session
            if held:
                await session.unlock()

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def _lent(self, what: str) -> AsyncIterator[oracledb.AsyncConnection]:
        lent = await self._connect(what)
        try:
            driver: Any = (await lent.get_raw_connection()).driver_connection
            yield driver
        except BaseException:
            # A lock of this session goes with it, and nobody knows what it would say next.
            await lent.invalidate()
            raise
        finally:
            await lent.close()

    async def _connect(self, what: str) -> AsyncConnection:
        try:
            async with asyncio.timeout(self._limits.connect_timeout + self._limits.statement_timeout):
                return await self._engine.connect()
        except (PoolExhausted, TimeoutError):
            raise Transient(f"{what}: every connection to the database is busy") from None
        except DBAPIError as error:
            # SQLAlchemy puts a question of its own to a new server.
            raise while_working(error.orig or error, what, "look at the database") from error


def _engine(source: Source, admin: Credentials, limits: Limits) -> AsyncEngine:
    async def create() -> oracledb.AsyncConnection:
        driver = await connect(source, admin, limits, AdminRejected)
        try:
            await _prepare(driver, source, limits)
        except BaseException:
            driver.terminate()
            raise
        return driver

    engine = create_async_engine(
        "oracle+oracledb_async://",
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
        if not lent.driver_connection.is_healthy():
            raise DisconnectionError

    return engine


async def _prepare(driver: oracledb.AsyncConnection, source: Source, limits: Limits) -> None:
    if int(driver.version.partition(".")[0]) < _OLDEST:
        raise Unsupported(f"Oracle {driver.version} is too old", do=f"upgrade {source} to {_OLDEST}c or newer")
    try:
        await driver.execute(f"ALTER SESSION SET DDL_LOCK_TIMEOUT = {max(1, round(limits.lock_timeout))}")
    except DRIVER_FAILURES as error:
        failure: DzgrantError = while_working(error, f"a new session of {source}", "look at the database")
        raise failure from error
