"""What is done to the parts from outside: processes killed and started anew, lines cut and slow."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack
from dataclasses import dataclass, field

import psutil

from dzgrant.localcloud.databases import NotAvailable
from dzgrant.localcloud.databases.packages import unpacked
from tests.chaos.plan import Plan, Tally
from tests.system.daemon import Worker
from tests.system.forwarding import forwarded


@dataclass(slots=True)
class Line:
    """From `port` to a server of this machine."""

    port: int
    server: int
    _seconds: float = 0.0
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def mend(self) -> None:
        self._seconds = 0.0
        await self._open.enter_async_context(forwarded(self.port, self.server, delay=lambda: self._seconds))

    async def cut(self) -> None:
        """Ends what goes through it, and refuses what comes."""
        await self._open.aclose()

    def slow(self, seconds: float) -> None:
        self._seconds = seconds


Start = Callable[..., AbstractContextManager[Worker]]


@dataclass(slots=True)
class Fleet:
    """Workers; one that is killed is followed by another."""

    start: Start
    plan: Plan
    tally: Tally
    dice: random.Random
    variables: dict[str, str]
    """Of each."""
    ever: list[Worker] = field(default_factory=list)
    _running: list[Worker] = field(default_factory=list)
    _ends: ExitStack = field(default_factory=ExitStack)

    def add(self) -> None:
        number, variables = len(self.ever), self.variables
        if number % 2 and self.plan.skew:
            variables = variables | skewed(self.dice.uniform(-self.plan.skew, self.plan.skew))
            self.tally.blows["workers with a skewed clock"] += 1
        worker = self._ends.enter_context(self.start(f"worker-{number}", **variables))
        self.ever.append(worker)
        self._running.append(worker)

    def kill(self) -> None:
        self._running.pop(self.dice.randrange(len(self._running))).kill()
        self.add()

    def close(self) -> None:
        self._ends.close()


def skewed(seconds: float) -> dict[str, str]:
    """Variables of a process whose wall clock differs, by libfaketime; its monotonic clock is right. Raises `NotAvailable`."""
    root = unpacked("libfaketime", what="libfaketime", do="run without skewed clocks")
    library = next(root.glob("usr/lib/**/libfaketime.so.1"))
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{seconds:+.3f}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def can_skew() -> str | None:
    """The reason why clocks can't be skewed here; None: they can."""
    try:
        skewed(0)
    except NotAvailable as error:
        return str(error)
    return None


def restart(port: int) -> None:
    """Starts the server that listens there anew: its guard (dzgrant.localcloud.databases) does that on SIGHUP."""
    for connection in psutil.net_connections("tcp4"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            os.kill(psutil.Process(connection.pid).ppid(), signal.SIGHUP)
            return
    # It is about to start still.


async def rain(plan: Plan, tally: Tally, dice: random.Random, fleet: Fleet, lines: list[Line]) -> None:
    """Blow upon blow until it is cancelled; then every line is whole."""
    try:
        while True:
            await asyncio.sleep(dice.expovariate(1 / plan.pause))
            await _strike(tally, dice, fleet, dice.choice(lines))
    finally:
        for line in lines:
            await line.cut()
            await line.mend()


async def _strike(tally: Tally, dice: random.Random, fleet: Fleet, line: Line) -> None:
    blow = dice.choices(["kill -9 of a worker", "database restarted", "line cut", "line slow"], [4, 1, 3, 3])[0]
    tally.blows[blow] += 1
    match blow:
        case "kill -9 of a worker":
            fleet.kill()
        case "database restarted":
            restart(line.server)
        case "line cut":
            await line.cut()
            await asyncio.sleep(dice.uniform(0.1, 3))
            await line.mend()
        case _:
            line.slow(dice.uniform(0.02, 0.3))
            await asyncio.sleep(dice.uniform(0.5, 3))
            line.slow(0)
