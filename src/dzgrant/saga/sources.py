"""Open sources: one `Database` for each (source, admin), each with its small pool, kept while it is of use."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from dzgrant.engines import adapter
from dzgrant.engines.contract import Database, Limits
from dzgrant.errors import AdminRejected
from dzgrant.model import Admin, Credentials, Source

T = TypeVar("T")

_MAX_OPEN = 64


class ReadAdmin(Protocol):
    """How admin credentials are read; `fresh` passes any cache."""

    async def __call__(self, admin: Admin, *, fresh: bool = False) -> Credentials: ...


@dataclass(slots=True)
class _Opened:
    database: Database | None = None
    users: int = 0
    retired: bool = False
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def leave(self) -> None:
        self.users -= 1
        if self.retired and not self.users and self.database:
            await self.database.close()


class Sources:
    """Tasks share it. More than 64 stay open only while all of them are in use."""

    def __init__(self, read_admin: ReadAdmin, limits: Limits) -> None:
        self._read_admin = read_admin
        self._limits = limits
        self._opened: OrderedDict[tuple[Source, Admin], _Opened] = OrderedDict()

    async def run(self, source: Source, admin: Admin, work: Callable[[Database], Awaitable[T]]) -> T:
        """Does the work on the source. Admin credentials that it refuses may have been rotated: they are read again, once."""
        try:
            async with self._using(source, admin) as database:
                return await work(database)
        except AdminRejected:
            self._retire(source, admin)
        async with self._using(source, admin, fresh=True) as database:
            return await work(database)

    @asynccontextmanager
    async def _using(self, source: Source, admin: Admin, *, fresh: bool = False) -> AsyncIterator[Database]:
        opened = self._opened.setdefault((source, admin), _Opened())
        self._opened.move_to_end((source, admin))
        opened.users += 1
        try:
            async with opened.opening:
                if opened.database is None:
                    engine = adapter(source.engine)
                    opened.database = engine.open(source, await self._read_admin(admin, fresh=fresh), self._limits)
            yield opened.database
        finally:
            await opened.leave()
            await self._close_idle()

    def _retire(self, source: Source, admin: Admin) -> None:
        """Out of reach for newcomers; its last user closes it."""
        if (opened := self._opened.pop((source, admin), None)) is not None:
            opened.retired = True

    async def _close_idle(self) -> None:
        while len(self._opened) > _MAX_OPEN:
            idle = next((key for key, opened in self._opened.items() if not opened.users), None)
            if idle is None:
                return
            opened = self._opened.pop(idle)
            if opened.database:
                await opened.database.close()

    async def close(self) -> None:
        """Ends every connection."""
        opened, self._opened = list(self._opened.values()), OrderedDict()
        for one in opened:
            if one.database:
                await one.database.close()
