"""Clocks, chance and the way out of a process, taken in hand from outside: dzgrant itself knows nothing of it.

Every worker runs in a context of its own, by which it is known whose wire a client is to use and how wrong its clock is.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import structlog
from cachetools import TTLCache

from dzgrant import health, worker
from dzgrant.accounts import Accounts
from dzgrant.ledger import Ledger, Sweeps
from dzgrant.localcloud.places import GOVERNANCE, REGION
from dzgrant.model import AccountId, Arn, Region
from dzgrant.saga import sources
from dzgrant.settings import Settings
from tests.fakes.answers import Caller
from tests.fakes.client import Client
from tests.simulation.loop import VirtualLoop

if TYPE_CHECKING:
    from tests.simulation.wire import Wire

T = TypeVar("T")

EPOCH = 1_800_000_000.0


@dataclass(frozen=True, slots=True)
class Process:
    """`skew`: seconds by which its wall clock is fast."""

    wire: Wire
    skew: float = 0.0


PROCESS: ContextVar[Process | None] = ContextVar("PROCESS", default=None)


def wall() -> float:
    """The time by the wall clock of whoever asks."""
    process = PROCESS.get()
    return EPOCH + asyncio.get_running_loop().time() + (process.skew if process else 0.0)


class _Datetime(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        return dt.datetime.fromtimestamp(wall(), tz)


class _Accounts(Accounts):
    """Gives the clients of the process's wire, each as who it would be."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[tuple[Any, str], Client] = {}

    async def __aexit__(self, *_: object) -> None:
        """There is nothing to close."""

    def _iam_arn(self, account: AccountId, region: Region, what: str) -> Arn:
        return Arn(f"arn:aws:iam::{account}:{what}")

    async def _client(self, service: str, place: Any) -> Any:
        if (client := self._known.get((place, service))) is None:
            role = self._settings.producer_role_name if place.role == "producer" else self._settings.consumer_role_name
            home = Caller(GOVERNANCE, REGION)
            caller = Caller(place.account, place.region, role) if place.role else home
            process = PROCESS.get()
            assert process is not None
            call = partial(process.wire.call, service, caller)
            client = self._known[place, service] = Client(call, lambda: os.urandom(16).hex())
        return client


@asynccontextmanager
async def _unserved(*_: object, **__: object) -> AsyncIterator[int]:
    yield 0


@contextmanager
def controlled(seed: int, *, verbose: bool = False) -> Iterator[None]:
    """While it lasts: virtual clocks, chance by the seed, and workers whose clients lead to their wires.

    Where a module took `datetime` or a cache for its own name, it is that name which is replaced.
    """
    bytes_of = random.Random(seed).randbytes
    state = random.getstate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: asyncio.get_running_loop().time())
        patch.setattr(time, "time", wall)
        patch.setattr(os, "urandom", bytes_of)
        patch.setattr(random, "_urandom", bytes_of)
        for name, module in list(sys.modules.items()):
            if name.startswith("dzgrant."):
                if getattr(module, "datetime", None) is dt.datetime:
                    patch.setattr(module, "datetime", _Datetime)
                if getattr(module, "TTLCache", None) is TTLCache:
                    patch.setattr(module, "TTLCache", partial(TTLCache, timer=lambda: asyncio.get_running_loop().time()))
        patch.setattr(worker, "Accounts", _Accounts)
        patch.setattr(worker, "Ledger", partial(Ledger, clock=wall))
        patch.setattr(worker, "Sweeps", partial(Sweeps, clock=wall))
        patch.setattr(health, "serve", _unserved)
        patch.setattr(sources, "adapter", lambda _: _process().wire.engine)
        random.seed(seed)
        configuration = structlog.get_config()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(20 if verbose else 50))
        try:
            yield
        finally:
            structlog.configure(**configuration)
            random.setstate(state)


def _process() -> Process:
    process = PROCESS.get()
    assert process is not None
    return process


def run(story: Callable[[], Coroutine[Any, Any, T]], *, seed: int = 0, shuffled: bool = False, verbose: bool = False) -> T:
    """Runs the story in virtual time to its end."""
    loop = VirtualLoop(random.Random(seed) if shuffled else None)
    asyncio.set_event_loop(loop)
    try:
        with controlled(seed, verbose=verbose):
            return loop.run_until_complete(story())
    finally:
        _cancel_all(loop)
        asyncio.set_event_loop(None)
        loop.close()


def _cancel_all(loop: VirtualLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
