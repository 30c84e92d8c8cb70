"""Connections to one source: verified TLS, bounded on the server and here, and transactions in few round trips."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from dzgrant.engines.contract import Limits, Permit
from dzgrant.engines.postgresql import statements
from dzgrant.engines.postgresql.failures import DRIVER_FAILURES, Again, while_connecting, while_working
from dzgrant.engines.tls import verifying
from dzgrant.errors import AdminRejected, ConsumerRejected, DzgrantError
from dzgrant.model import Credentials, Source

Driver = Any
"""asyncpg's connection; asyncpg has no types."""

# NAT gateways and load balancers forget an idle connection after 350 s.
_RECYCLE_SECONDS = 300

again = retry(
    retry=retry_if_exception_type(Again), stop=stop_after_attempt(6), wait=wait_random(min=0.01, max=0.15), reraise=True
)
"""Decorates what is safe to do again."""


async def connect(
    source: Source, credentials: Credentials, limits: Limits, rejected: type[AdminRejected | ConsumerRejected]
) -> Driver:
    """A new connection, over TLS that vouches for the host. Raises as `while_connecting` says."""
    context = await verifying(limits.ca_bundle)
    milliseconds = str(round(limits.statement_timeout * 1000))
    try:
        return await asyncpg.connect(
            host=source.host,
            port=source.port,
            database=source.database,
            user=credentials.username,
            password=credentials.password.get_secret_value(),
            ssl=context,
            timeout=limits.connect_timeout,
            # The server ends a statement first; this is for a server that answers nothing at all.
            command_timeout=limits.statement_timeout + limits.connect_timeout,
            # A plan lasts as long as its connection.
            max_cached_statement_lifetime=0,
            server_settings={
                "application_name": "dzgrant",
                "statement_timeout": milliseconds,
                "idle_in_transaction_session_timeout": milliseconds,
                "lock_timeout": str(round(limits.lock_timeout * 1000)),
                # Nobody's function stands in for the server's own, and a literal is what it looks like.
                "search_path": "pg_catalog",
                "standard_conforming_strings": "on",
            },
        )
    except DRIVER_FAILURES as error:
        raise while_connecting(error, f"{credentials.username} can't log in to {source}", rejected) from error


class Transaction:
    """Open until `commit`; left before that, it is rolled back."""

    def __init__(self, driver: Driver, permit: Permit, seconds: float) -> None:
        self._driver = driver
        self._permit = permit
        self._seconds = seconds
        self.server_version: int = driver.get_server_version().major

    async def fetch(self, query: str, *values: str) -> list[Any]:
        rows: list[Any] = await self._driver.fetch(query, *values)
        return rows

    async def run(self, *changes: str) -> None:
        """Sends the statements as one script, if the permit outlasts one of them; the fence, under its lock, covers all."""
        self._permit.check(self._seconds)
        await self._driver.execute(";\n".join(changes))

    async def commit(self, *changes: str) -> None:
        """Like `run`, with the commit as its last word."""
        await self.run(*changes, statements.COMMIT)


class Connections:
    """The admin's pool. Tasks share it."""

    def __init__(self, source: Source, admin: Credentials, limits: Limits) -> None:
        self.source = source
        self.limits = limits
        self._admin = admin
        self._engine = _engine(source, admin, limits)

    def elsewhere(self, database: str) -> Connections:
        """The same server and admin, another database; to be closed by the caller."""
        return Connections(replace(self.source, database=database), self._admin, self.limits)

    async def fetch(self, query: str, *values: str | list[str] | list[int] | None) -> list[Any]:
        """One query that changes nothing dzgrant keeps, outside of any transaction."""
        async with self._lent() as driver:
            rows: list[Any] = await driver.fetch(query, *values)
            return rows

    @asynccontextmanager
    async def transaction(self, permit: Permit, *locks: str) -> AsyncIterator[Transaction]:
        """A transaction that holds these locks. Left by an error, or without a commit, it is rolled back."""
        async with self._lent() as driver:
            await driver.execute(f"{statements.BEGIN};\n{statements.lock(*locks)}")
            yield Transaction(driver, permit, self.limits.statement_timeout)

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Driver]:
        try:
            async with self._engine.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                try:
                    yield driver
                except (asyncpg.PostgresError, DzgrantError):
                    await _leave(driver)
                    raise
                except BaseException:
                    # Cancelled or timed out within a statement: nobody knows what this connection would say next.
                    await connection.invalidate()
                    raise
                else:
                    await _leave(driver)
        except DRIVER_FAILURES as error:
            raise while_working(error, str(self.source)) from error

    async def close(self) -> None:
        await self._engine.dispose()


async def _leave(driver: Driver) -> None:
    if not driver.is_closed() and driver.is_in_transaction():
        await driver.execute(statements.ROLLBACK)


def _engine(source: Source, admin: Credentials, limits: Limits) -> AsyncEngine:
    async def create() -> Driver:
        return await connect(source, admin, limits, AdminRejected)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=create,
        # The pool's own transactions are not used: dzgrant's begin with their locks, in one message.
        isolation_level="AUTOCOMMIT",
        pool_size=limits.pool_size,
        max_overflow=0,
        pool_timeout=limits.connect_timeout + limits.statement_timeout,
        pool_recycle=_RECYCLE_SECONDS,
        # The one used last has its plans ready.
        pool_use_lifo=True,
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def alive(lent: Any, *_: object) -> None:
        # The driver heard the server hang up, or was cut off in its rollback: no statement need be spent to ask.
        if lent.driver_connection.is_closed() or lent.driver_connection.is_in_transaction():
            raise DisconnectionError

    return engine
