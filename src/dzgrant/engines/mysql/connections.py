"""Connections to one source: verified TLS, bounded on the server and here, and the lock of one principal."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

import aiomysql
from pymysql.constants import CLIENT
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from dzgrant.engines.contract import Limits, Permit
from dzgrant.engines.mysql import statements
from dzgrant.engines.mysql.failures import DRIVER_FAILURES, Again, code, while_connecting, while_working
from dzgrant.engines.mysql.statements import Statement
from dzgrant.errors import AdminRejected, ConsumerRejected, Misconfigured, Transient, Unsupported
from dzgrant.model import Credentials, Source

# NAT gateways and load balancers forget an idle connection after 350 s.
_RECYCLE_SECONDS = 300
# ATTRIBUTE came with MySQL 8.0.21; MariaDB 10.6 is the oldest that is still maintained.
_OLDEST_MYSQL = (8, 0, 21)
_OLDEST_MARIADB = (10, 6)

_LOCK = Statement(sql="SELECT GET_LOCK(%(name)s, %(seconds)s)", right="USAGE ON *.*")
_UNLOCK = Statement(sql="SELECT RELEASE_LOCK(%(name)s)", right="USAGE ON *.*")

again = retry(
    retry=retry_if_exception_type(Again), stop=stop_after_attempt(4), wait=wait_random(min=0.01, max=0.1), reraise=True
)
"""Decorates what is safe to do again."""


class _Cursor(aiomysql.Cursor):  # type: ignore[misc]  # aiomysql has no types
    async def _show_warnings(self, conn: object) -> None:
        """What a server notes (IF EXISTS, say) is asked for by another statement, and would become a Python warning."""


class Connection(aiomysql.Connection):  # type: ignore[misc]  # aiomysql has no types
    """aiomysql's, which by itself goes on in plain text where the server offers no TLS."""

    async def open(self) -> Self:
        try:
            await self._connect()
        except BaseException:
            self.close()
            raise
        return self

    async def _request_authentication(self) -> None:
        # The last moment: what comes next holds the password, readable by a server that asks for `mysql_clear_password`.
        if not self.server_capabilities & CLIENT.SSL:
            raise Misconfigured("the server does not offer TLS", do="turn TLS on at the server")
        await super()._request_authentication()

    @property
    def lost(self) -> bool:
        """Closed by either side, as far as is known here."""
        return bool(self.closed or self._reader.eof_received)

    async def run(self, sql: str, values: dict[str, str | float] | None = None) -> list[tuple[Any, ...]]:
        """One statement and all its rows. Raises the driver's own errors."""
        async with self.cursor() as cursor:
            await cursor.execute(sql, values)
            return list(await cursor.fetchall())


@cache
def _tls(ca_bundle: Path | None) -> ssl.SSLContext:
    # One for all connections: reading a bundle costs 10 ms and more.
    return ssl.create_default_context(cafile=ca_bundle)


async def _trusted(ca_bundle: Path | None) -> ssl.SSLContext:
    try:
        return await asyncio.to_thread(_tls, ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(
            f"the authorities in {ca_bundle} can't be read: {error}", do="set DZGRANT_DATABASE_CA_BUNDLE to a PEM file"
        ) from error


async def connect(
    source: Source,
    credentials: Credentials,
    limits: Limits,
    rejected: type[AdminRejected | ConsumerRejected],
    *,
    database: str | None = None,
) -> Connection:
    """A new connection, over TLS that vouches for the host. Raises as `while_connecting` says."""
    what = f"{credentials.username} can't log in to {source}"
    context = await _trusted(limits.ca_bundle)
    try:
        async with asyncio.timeout(limits.connect_timeout):
            return await Connection(
                host=source.host,
                port=source.port,
                user=credentials.username,
                password=credentials.password.get_secret_value(),
                db=database,
                ssl=context,
                charset="utf8mb4",
                autocommit=True,
                cursorclass=_Cursor,
                program_name="dzgrant",
            ).open()
    except Misconfigured as error:
        raise Misconfigured(f"{what}: {error.what}", do=error.do) from None
    except DRIVER_FAILURES as error:
        raise while_connecting(error, what, rejected) from error


class Session:
    """One admin connection, while it is lent: it reads."""

    def __init__(self, driver: Connection, admin: str, limits: Limits, what: str, *, mariadb: bool) -> None:
        self.mariadb = mariadb
        self.limits = limits
        self._driver = driver
        self._admin = admin
        self._what = what
        # The server ends a statement first; this is for a server that answers nothing at all.
        self._seconds = limits.statement_timeout + limits.connect_timeout

    async def fetch(self, query: Statement, **values: str | float) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._driver.run(query.sql, values)
        except DRIVER_FAILURES as error:
            raise while_working(error, self._what, query.cure(self._admin)) from error


class LockedSession(Session):
    """Holds the lock of one principal: it may change what the login can do, while the permit lasts."""

    def __init__(
        self, driver: Connection, admin: str, limits: Limits, what: str, *, mariadb: bool, login: str, permit: Permit
    ) -> None:
        super().__init__(driver, admin, limits, what, mariadb=mariadb)
        self._lock = f"dzgrant:{login}"
        self._permit = permit

    async def acquire(self) -> None:
        """Raises `Transient` when another worker holds the lock."""
        ((held,),) = await self.fetch(_LOCK, name=self._lock, seconds=self.limits.lock_timeout)
        if held != 1:
            raise Transient(f"{self._what}: another worker is at it in the database")

    async def release(self) -> None:
        await self.fetch(_UNLOCK, name=self._lock)

    async def run(self, statement: Statement, *, expected: Collection[int] = ()) -> int | None:
        """Sends a statement, if the permit outlasts it. None, or which of the expected error numbers was the answer."""
        self._permit.check(self.limits.statement_timeout)
        try:
            async with asyncio.timeout(self._seconds):
                await self._driver.run(statement.sql)
        except DRIVER_FAILURES as error:
            if (number := code(error)) is not None and number in expected:
                return number
            raise while_working(error, self._what, statement.cure(self._admin)) from error
        return None


class Connections:
    """The admin's pool. Tasks share it."""

    def __init__(self, source: Source, admin: Credentials, limits: Limits) -> None:
        self._admin = admin.username
        self._limits = limits
        self._engine = _engine(source, admin, limits)

    @asynccontextmanager
    async def session(self, what: str) -> AsyncIterator[Session]:
        """A connection to read with; `what` is being done, for the errors."""
        async with self._lent(what) as driver:
            yield Session(driver, self._admin, self._limits, what, mariadb=self._mariadb)

    @asynccontextmanager
    async def locked(self, login: str, permit: Permit, what: str) -> AsyncIterator[LockedSession]:
        """A connection that holds the lock of this login's principal."""
        async with self._lent(what) as driver:
            session = LockedSession(driver, self._admin, self._limits, what, mariadb=self._mariadb, login=login, permit=permit)
            try:
                await session.acquire()
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
