"""The admin's connections to one database of a source: a small pool, used by threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar, cast

from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.pool import QueuePool
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from dzgrant.engines.contract import Limits, Permit
from dzgrant.engines.sqlserver.driver import connect
from dzgrant.engines.sqlserver.failures import Again
from dzgrant.engines.sqlserver.session import Row, Session, Transaction
from dzgrant.engines.sqlserver.threads import Threads, Watch
from dzgrant.errors import AdminRejected, Transient
from dzgrant.model import Credentials, Source

T = TypeVar("T")

# NAT gateways and load balancers forget an idle connection after 350 s.
_RECYCLE_SECONDS = 300

again = retry(
    retry=retry_if_exception_type(Again), stop=stop_after_attempt(6), wait=wait_random(min=0.01, max=0.15), reraise=True
)
"""Decorates what is safe to do again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What one piece of work has, in its thread: the pool, and the watch that its waiter keeps."""

    source: Source
    admin: Credentials
    limits: Limits
    what: str
    """What is being done, for the errors."""
    pool: QueuePool
    watch: Watch

    def fetch(self, batch: str, *values: str | int, cure: str | None = None) -> list[list[Row]]:
        """A batch outside of any transaction: the rows of each result."""
        with self.session() as session:
            return session.fetch(batch, *values, cure=cure)

    @contextmanager
    def transaction(self, login: str, permit: Permit) -> Iterator[Transaction]:
        with self.session() as session, session.transaction(login, self.admin.username, permit) as transaction:
            yield transaction

    @contextmanager
    def elsewhere(self, database: str) -> Iterator[Desk]:
        """The same server and admin, another database, for a while."""
        there = replace(self, source=replace(self.source, database=database))
        pool = _pool(there.source, self.admin, self.limits)
        try:
            yield replace(there, pool=pool)
        finally:
            pool.dispose()

    @contextmanager
    def session(self) -> Iterator[Session]:
        self.watch.allow(self.limits.connect_timeout * 2 + self.limits.statement_timeout)
        try:
            lent = self.pool.connect()
        except PoolExhausted:
            raise Transient(f"{self.what}: every connection to the database is busy") from None
        session = cast("Session", lent.driver_connection)
        session.watch, session.what = self.watch, self.what
        try:
            yield session
        except BaseException as error:
            # A statement that failed may have taken the connection with it; what dzgrant itself refused has not.
            if self.watch.abandoned or error.__cause__ is not None:
                lent.invalidate()
            raise
        finally:
            if self.watch.abandoned and lent.is_valid:
                lent.invalidate()
            lent.close()


class Connections:
    """A source's. Tasks share it."""

    def __init__(self, source: Source, admin: Credentials, limits: Limits) -> None:
        self._desk = partial(Desk, source=source, admin=admin, limits=limits)
        self._pool = _pool(source, admin, limits)
        self._threads = Threads(limits.pool_size, limits.connect_timeout + limits.statement_timeout)

    async def run(self, what: str, work: Callable[[Desk], T]) -> T:
        """Does the work in a thread; `what` is being done, for the errors."""
        return await self._threads.run(lambda watch: work(self._desk(what=what, pool=self._pool, watch=watch)))

    async def close(self) -> None:
        try:
            await self._threads.run(lambda _: self._pool.dispose())
        finally:
            self._threads.close()


def _pool(source: Source, admin: Credentials, limits: Limits) -> QueuePool:
    def create() -> Session:
        driver = connect(source, admin, limits, AdminRejected)
        try:
            return Session(driver, source, limits)
        except BaseException:
            driver.close()
            raise

    return QueuePool(
        create,  # type: ignore[arg-type]  # all that the pool asks of a connection is `close`
        pool_size=limits.pool_size,
        # What an abandoned thread holds counts until that comes back; `Threads` bounds both together.
        max_overflow=limits.pool_size,
        timeout=limits.connect_timeout,
        recycle=_RECYCLE_SECONDS,
        reset_on_return=None,
        # The one used last is the likeliest to live.
        use_lifo=True,
    )
