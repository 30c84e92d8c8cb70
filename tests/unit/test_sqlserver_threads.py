"""Work in threads: nobody waits for a driver that hangs, and nothing that was abandoned is used again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from dzgrant.engines.sqlserver.threads import Abandoned, Threads, Watch
from dzgrant.errors import Transient

SECONDS = 0.2


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(1, SECONDS)
    yield made
    made.close()


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """What a driver waits for that does not come back, until the test is over."""
    event = threading.Event()
    yield event
    event.set()


async def test_work_is_done_elsewhere(threads: Threads) -> None:
    assert await threads.run(lambda _: threading.current_thread()) is not threading.current_thread()


async def test_a_failure_is_raised_here(threads: Threads) -> None:
    def fail(_: Watch) -> None:
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        await threads.run(fail)


async def test_a_call_may_take_as_long_as_it_said(threads: Threads) -> None:
    def slow(watch: Watch) -> str:
        watch.allow(10)
        threading.Event().wait(2 * SECONDS)
        return "done"

    assert await threads.run(slow) == "done"


async def test_a_driver_that_hangs_holds_nobody_and_stops_when_it_comes_back(threads: Threads, hang: threading.Event) -> None:
    stopped = threading.Event()

    def hanging(watch: Watch) -> None:
        watch.allow(SECONDS)
        hang.wait()
        try:
            watch.allow(SECONDS)
        except Abandoned:
            stopped.set()
            raise

    with pytest.raises(Transient, match="does not answer"):
        await threads.run(hanging)
    # The only place is free again.
    assert await threads.run(lambda _: "next") == "next"
    hang.set()
    assert await asyncio.to_thread(stopped.wait, 10)


async def test_work_that_is_cancelled_stops_before_its_next_call(threads: Threads, hang: threading.Event) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def work(watch: Watch) -> None:
        watch.allow(10)
        begun.set()
        hang.wait()
        if watch.abandoned:
            stopped.set()

    task = asyncio.create_task(threads.run(work))
    assert await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hang.set()
    assert await asyncio.to_thread(stopped.wait, 10)


async def test_hanging_drivers_pile_up_no_threads(threads: Threads, hang: threading.Event) -> None:
    def hanging(watch: Watch) -> None:
        watch.allow(0.01)
        hang.wait()

    before = set(threading.enumerate())
    for _ in range(5):
        with pytest.raises(Transient):
            await threads.run(hanging)
    assert sum(thread.name.startswith("sqlserver") for thread in set(threading.enumerate()) - before) <= 2


async def test_a_place_is_waited_for_within_bounds(threads: Threads, hang: threading.Event) -> None:
    def busy(watch: Watch) -> None:
        watch.allow(10)
        hang.wait()

    first = asyncio.create_task(threads.run(busy))
    await asyncio.sleep(0)
    with pytest.raises(Transient, match="busy"):
        await threads.run(lambda _: None)
    hang.set()
    await first
