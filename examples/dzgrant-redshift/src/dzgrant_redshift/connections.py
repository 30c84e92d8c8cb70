"""Connections to one cluster: verified TLS, one small pool, and transactions that hold dzgrant's lock."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from dzgrant.engines.contract import Limits, Permit
from dzgrant.engines.tls import verifying
from dzgrant.errors import AdminRejected, ConsumerRejected, DzgrantError, Misconfigured, Transient
from dzgrant.model import Credentials, Source
from dzgrant_redshift import statements

FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
_PASSWORD_REFUSED = frozenset({"28000", "28P01"})
_AGAIN = frozenset({"23505", "40001", "42P06", "42P07", "42710", "XX000"})
"""Two did the same at once: a serialisation failure, or the first use of a new database."""
_PASSING = frozenset({"25006", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "53300"})


class Again(Transient):
    """Goes well when it is done again at once."""


again = retry(
    retry=retry_if_exception_type(Again), stop=stop_after_attempt(8), wait=wait_random(min=0.01, max=0.2), reraise=True
)


class Connections:
    """The admin's pool. Tasks share it."""

    def __init__(self, source: Source, admin: Credentials, limits: Limits) -> None:
        self._source = source
        self._admin = admin
        self._limits = limits
        self._pool: Any = None

    async def fetch(self, query: str, *values: object) -> list[Any]:
        """One query that changes nothing."""
        async with self._lent() as driver:
            rows: list[Any] = await driver.fetch(query, *values)
            return rows

    @asynccontextmanager
    async def transaction(self, permit: Permit) -> AsyncIterator[Transaction]:
        """Commits when it is left without an error."""
        limits = self._limits
        begin = statements.begin(limits.lock_timeout, limits.statement_timeout)
        async with self._lent() as driver:
            try:
                await driver.execute(begin)
            except (asyncpg.InvalidSchemaNameError, asyncpg.UndefinedTableError):
                # dzgrant's first work in this database.
                await driver.execute("ROLLBACK")
                permit.check(limits.statement_timeout)
                await driver.execute("; ".join(statements.SET_UP))
                await driver.execute(begin)
            yield Transaction(driver, permit, limits.statement_timeout)
            await driver.execute("COMMIT")

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        try:
            if self._pool is None:
                # No reset between two uses: what asyncpg would send, Redshift does not know.
                self._pool = asyncpg.create_pool(
                    connect=self._connect, min_size=0, max_size=self._limits.pool_size, reset=_nothing
                )
            async with (await self._pool).acquire(timeout=self._patience) as driver:
                try:
                    yield driver
                except (asyncpg.PostgresError, DzgrantError):
                    await _leave(driver)
                    raise
                except BaseException:
                    # Cut off within a statement: nobody knows what this connection would say next.
                    driver.terminate()
                    raise
        except FAILURES as error:
            raise explained(error, str(self._source)) from error

    @property
    def _patience(self) -> float:
        return self._limits.connect_timeout + self._limits.statement_timeout

    async def _connect(self, *_: object, **__: object) -> Any:
        return await connect(self._source, self._admin, self._limits, AdminRejected)


class Transaction:
    """Open, with dzgrant's lock."""

    def __init__(self, driver: Any, permit: Permit, seconds: float) -> None:
        self._driver = driver
        self._permit = permit
        self._seconds = seconds

    async def fetch(self, query: str, *values: object) -> list[Any]:
        rows: list[Any] = await self._driver.fetch(query, *values)
        return rows

    async def run(self, statement: str, *values: object) -> None:
        self._permit.check(self._seconds)
        await self._driver.execute(statement, *values)


async def connect(source: Source, who: Credentials, limits: Limits, rejected: type[AdminRejected | ConsumerRejected]) -> Any:
    """A new connection, over TLS that vouches for the host."""
    what = f"{who.username} can't log in to {source}"
    context = await verifying(limits.ca_bundle)
    try:
        return await asyncpg.connect(
            host=source.host,
            port=source.port,
            database=source.database,
            user=who.username,
            password=who.password.get_secret_value(),
            ssl=context,
            timeout=limits.connect_timeout,
            command_timeout=limits.statement_timeout + limits.connect_timeout,
            statement_cache_size=0,
            server_settings={"statement_timeout": str(round(limits.statement_timeout * 1000)), "search_path": "pg_catalog"},
        )
    except FAILURES as error:
        if isinstance(error, ssl.SSLError):
            do = "set DZGRANT_DATABASE_CA_BUNDLE to the authority that signs its certificate"
            raise Misconfigured(f"{what}: {error}", do=do) from error
        if _code(error) not in _PASSWORD_REFUSED:
            raise explained(error, what) from error
        if rejected is ConsumerRejected:
            raise ConsumerRejected(f"{what}: {error}") from error
        raise AdminRejected(f"{what}: {error}", do="put the right credentials into the source's admin secret") from error


def explained(error: BaseException, what: str) -> DzgrantError:
    """The driver's failure as one of dzgrant's errors, by its SQLSTATE."""
    code = _code(error)
    line = f"{what}: {error} [{code or type(error).__name__}]"
    if code in _AGAIN:
        return Again(line)
    if code is None or code in _PASSING or code.startswith("08"):
        return Transient(line)
    return Misconfigured(line, do="give the admin login this right, or look at the database")


def _code(error: BaseException) -> str | None:
    code: str | None = getattr(error, "sqlstate", None)
    return code


async def _leave(driver: Any) -> None:
    if not driver.is_closed() and driver.is_in_transaction():
        await driver.execute("ROLLBACK")


async def _nothing(_: object) -> None:
    """What a connection needs between two uses."""
