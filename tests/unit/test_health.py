"""The HTTP port, asked over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from dzgrant.errors import Misconfigured
from dzgrant.health import serve
from dzgrant.metrics import Metrics


@dataclass
class Worker:
    quiet: float = 0.0
    fails: Exception | None = None
    hangs: bool = False
    asked: int = 0
    metrics: Metrics = field(default_factory=Metrics)

    async def ledger(self) -> None:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise self.fails

    async def queue(self) -> None:
        return

    @asynccontextmanager
    async def port(self) -> AsyncIterator[aiohttp.ClientSession]:
        checks = {"queue": self.queue, "ledger": self.ledger}
        async with (
            serve("127.0.0.1", 0, metrics=self.metrics, quiet_seconds=lambda: self.quiet, checks=checks) as port,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
        ):
            yield session


async def test_it_lives_while_the_poll_loop_moves() -> None:
    worker = Worker()
    async with worker.port() as session:
        async with session.get("/livez") as answer:
            assert (answer.status, await answer.text()) == (200, "ok")
        worker.quiet = 1000
        async with session.get("/livez") as answer:
            assert (answer.status, await answer.text()) == (503, "the queue was not polled for 1000 s")


async def test_it_is_ready_when_all_that_it_needs_answers_and_does_not_ask_again_at_once() -> None:
    worker = Worker()
    async with worker.port() as session:
        for _ in range(3):
            async with session.get("/readyz") as answer:
                assert (answer.status, await answer.json()) == (200, {"queue": "ok", "ledger": "ok"})
    assert worker.asked == 1


async def test_what_is_wrong_is_named() -> None:
    worker = Worker(fails=Misconfigured("the table is not there", do="create it"))
    async with worker.port() as session, session.get("/readyz") as answer:
        assert answer.status == 503
        assert await answer.json() == {"queue": "ok", "ledger": "the table is not there; create it"}


async def test_a_check_that_hangs_is_cut_off() -> None:
    worker = Worker(hangs=True)
    async with worker.port() as session, session.get("/readyz") as answer:
        assert answer.status == 503
        assert await answer.json() == {"queue": "ok", "ledger": "no answer within 3 s"}


async def test_metrics_are_in_the_format_of_prometheus() -> None:
    worker = Worker()
    worker.metrics.events.labels("Subscription Created", "handled").inc()
    async with worker.port() as session, session.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        assert 'dzgrant_events_total{kind="Subscription Created",outcome="handled"} 1.0' in await answer.text()


async def test_a_late_event_loop_shows() -> None:
    worker = Worker()
    async with worker.port(), asyncio.timeout(60):
        loop = asyncio.get_running_loop()
        while (worker.metrics.registry.get_sample_value("dzgrant_loop_lag_seconds") or 0) <= 0.2:
            # Lets the watch begin a tick of its second, then blocks the loop for longer than that, as a bug would.
            await asyncio.sleep(0.01)
            ends = loop.time() + 1.3
            while loop.time() < ends:
                pass
            await asyncio.sleep(0.01)


async def test_nothing_is_left_behind() -> None:
    before = asyncio.all_tasks()
    async with Worker().port() as session, session.get("/livez"):
        pass
    assert asyncio.all_tasks() == before
