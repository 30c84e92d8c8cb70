"""The driver blocks, so it works in threads of its own; whoever waits for one waits within bounds.

A piece of work runs in one thread from its beginning to its end, and holds at most one connection at a time. Before
each call that blocks it says how long that may take. One that takes longer, or whose waiter was cancelled, is
abandoned: it stops before its next call, and what it held is closed by the thread itself when that comes back. Its place
is free at once; so that drivers which hang can't pile up threads, there are twice as many threads as places, no more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dzgrant.errors import Transient

T = TypeVar("T")


class Abandoned(Exception):
    """Nobody waits for this work any more."""


class Watch:
    """Between a thread and its waiter."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._abandoned = False

    def allow(self, seconds: float) -> None:
        """A call follows that may take so long. Raises `Abandoned`."""
        if self._abandoned:
            raise Abandoned
        self._until = time.monotonic() + seconds

    def abandon(self) -> None:
        self._abandoned = True

    @property
    def abandoned(self) -> bool:
        return self._abandoned

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._until - time.monotonic())


class Threads:
    """A source's own. Tasks share it."""

    def __init__(self, places: int, seconds: float) -> None:
        """`seconds`: the longest wait for a place, and for a thread to begin."""
        self._seconds = seconds
        self._places = asyncio.Semaphore(places)
        self._threads = ThreadPoolExecutor(max_workers=2 * places, thread_name_prefix="sqlserver")

    async def run(self, work: Callable[[Watch], T]) -> T:
        """Raises `Transient` when no thread is free in time, or when the driver does not come back."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._places.acquire()
        except TimeoutError:
            raise Transient("every connection to the database is busy") from None
        watch = Watch(self._seconds)
        future = asyncio.get_running_loop().run_in_executor(self._threads, work, watch)
        try:
            while not future.done():
                await asyncio.wait({future}, timeout=watch.seconds_left)
                if not future.done() and not watch.seconds_left:
                    raise Transient("the database does not answer, and its driver waits on")
            return future.result()
        finally:
            watch.abandon()
            # One that has not begun never does.
            future.cancel()
            self._places.release()

    def close(self) -> None:
        self._threads.shutdown(wait=False)
