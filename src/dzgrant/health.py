"""The HTTP port: /livez, /readyz and /metrics, for the container's health check and for Prometheus.

Live means that restarting would not help: the event loop turns and the queue's poll loop moves. Ready means that what the
worker needs answers. A dependency that is down makes it unready, never dead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dzgrant.errors import DzgrantError
from dzgrant.metrics import Metrics

Check = Callable[[], Awaitable[object]]
"""Returns when what it checks answers, raises otherwise."""

# Four tries of a long poll, each of 35 s at most, and the pauses between: a poll loop that is silent for longer is stuck.
_QUIET_LIMIT = 240.0
_CHECK_SECONDS = 3.0
_CACHE_SECONDS = 5.0
_TICK_SECONDS = 1.0


@asynccontextmanager
async def serve(
    host: str, port: int, *, metrics: Metrics, quiet_seconds: Callable[[], float], checks: Mapping[str, Check]
) -> AsyncIterator[int]:
    """Serves until the context ends; yields the port it is bound to, which matters for port 0.

    `quiet_seconds` says for how long the poll loop has shown no life. `checks` are what /readyz asks, by name; it asks
    them together, for 3 s at most, and not again for 5 s. Raises `OSError` when the port is taken.
    """
    readiness = _Readiness(checks)
    app = web.Application()

    async def livez(_: web.Request) -> web.Response:
        quiet = quiet_seconds()
        text = "ok" if quiet < _QUIET_LIMIT else f"the queue was not polled for {quiet:.0f} s"
        return web.Response(text=text, status=200 if text == "ok" else 503)

    async def readyz(_: web.Request) -> web.Response:
        answers = await readiness.ask()
        return web.json_response(answers, status=200 if set(answers.values()) <= {"ok"} else 503)

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", exposition)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        watching = asyncio.create_task(_watch_lag(metrics))
        try:
            yield runner.addresses[0][1]
        finally:
            watching.cancel()
            await asyncio.wait([watching])
    finally:
        await runner.cleanup()


class _Readiness:
    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._answers: dict[str, str] = {}
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def ask(self) -> dict[str, str]:
        """`ok`, or what is wrong, for each check."""
        async with self._asking:
            if time.monotonic() - self._asked_at > _CACHE_SECONDS:
                answers = await asyncio.gather(*(_answer(check) for check in self._checks.values()))
                self._answers = dict(zip(self._checks, answers, strict=True))
                self._asked_at = time.monotonic()
            return self._answers


async def _answer(check: Check) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except TimeoutError:
        return f"no answer within {_CHECK_SECONDS:.0f} s"
    except DzgrantError as error:
        return str(error)
    return "ok"


async def _watch_lag(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _TICK_SECONDS
        await asyncio.sleep(_TICK_SECONDS)
        metrics.loop_lag.set(max(0.0, loop.time() - due))
