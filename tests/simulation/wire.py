"""A worker's line to all that is outside of it: AWS and the databases. Each call is a place where it may be late, fail, or die.

A call is on its way, is carried out, and is on its way back. What happens to it is told by a `Fate`; a worker that died sends
nothing more, whatever its tasks still try while they end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NoReturn, Protocol, TypeVar

from botocore.exceptions import ClientError, ReadTimeoutError

from dzgrant.errors import Transient
from tests.fakes.answers import Caller, Members, Refusal
from tests.fakes.cloud import Cloud
from tests.fakes.engine import Engine, Server

T = TypeVar("T")


class Fault(Enum):
    CRASH_BEFORE = auto()
    """The worker dies; the call never was."""
    CRASH_AFTER = auto()
    """The call is carried out, and the worker dies before it hears of it."""
    LOST = auto()
    """The call is carried out, and its answer lost."""
    UNSENT = auto()
    """It never arrives."""
    THROTTLED = auto()
    BROKEN = auto()
    """AWS answers 500 and has done nothing."""


@dataclass(frozen=True, slots=True)
class Fate:
    """Of one call; seconds on the way there and back. `arrives`: also where the caller gave up while it was on its way."""

    fault: Fault | None = None
    there: float = 0.0
    back: float = 0.0
    arrives: bool = False


class Chance(Protocol):
    """Decides what becomes of a worker's call, by its number and name."""

    def __call__(self, number: int, name: str) -> Fate: ...


Watch = Callable[["Wire", str, Members, Caller | None], None]
"""Told of each effect at the moment at which it was carried out."""


class Wire:
    """`tries`: how often the SDK sends a request (standard retries); `watch` sees every effect."""

    def __init__(self, cloud: Cloud, servers: dict[str, Server], chance: Chance, *, tries: int, watch: Watch) -> None:
        self.engine = Engine(servers, self.state)
        self.calls = 0
        self.owner: str | None = None
        """As the ledger names the worker."""
        self.dead = False
        self.root: asyncio.Task[None] | None = None
        self._cloud = cloud
        self._chance = chance
        self._tries = tries
        self._watch = watch

    def kill(self) -> None:
        """Ends the worker at this instant: nothing of what it still does is seen outside."""
        self.dead = True
        if self.root is not None:
            self.root.cancel()

    async def call(self, service: str, caller: Caller, operation: str, params: Members) -> Members:
        """As the SDK makes a call: it sends it again where that may help."""
        for left in reversed(range(self._tries)):
            try:
                return await self._once(service, caller, operation, params)
            except ReadTimeoutError:
                if not left:
                    raise
            except ClientError as error:
                if not left or error.response["ResponseMetadata"]["HTTPStatusCode"] not in (500, 503):
                    raise
            await asyncio.sleep(0.1)
        raise AssertionError("the last try returns or raises")

    async def _once(self, service: str, caller: Caller, operation: str, params: Members) -> Members:
        fate = self._drawn(f"{service}.{operation}")
        if operation == "ReceiveMessage":
            return await self._poll(fate, caller, params)

        def act() -> Members:
            try:
                answer = self._cloud.answer(service, operation, params, caller)
            except Refusal as refusal:
                raise refusal.error(operation) from None
            self._watch(self, f"{service}.{operation}", params, caller)
            return answer

        return await self._carried(fate, act, operation)

    async def _poll(self, fate: Fate, caller: Caller, params: Members) -> Members:
        await self._way(fate.there)
        self._fail_before(fate, "ReceiveMessage")
        answer = await self._cloud.call("sqs", "ReceiveMessage", params, caller)
        self._fail_after(fate, "ReceiveMessage")
        return answer

    async def state(self, name: str, statement: Callable[[], T], login: str | None) -> T:
        """Carries a statement to a database."""
        fate = self._drawn(f"engine.{name}")

        def act() -> T:
            answer = statement()
            self._watch(self, f"engine.{name}", {"login": login}, None)
            return answer

        try:
            return await self._carried(fate, act, name)
        except (ReadTimeoutError, ClientError):
            raise Transient("the connection to the database was lost") from None

    async def _carried(self, fate: Fate, act: Callable[[], T], name: str) -> T:
        try:
            await self._way(fate.there)
        except asyncio.CancelledError:
            if fate.arrives and not self.dead:
                self._arrive(act)
            raise
        self._fail_before(fate, name)
        answer = act()
        self._fail_after(fate, name)
        await self._way(fate.back)
        return answer

    def _arrive(self, act: Callable[[], Any]) -> None:
        # Nobody is there to hear what it came to.
        with suppress(Exception):
            act()

    def _drawn(self, name: str) -> Fate:
        if self.dead:
            raise asyncio.CancelledError
        self.calls += 1
        return self._chance(self.calls, name)

    async def _way(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self.dead:
            raise asyncio.CancelledError

    def _fail_before(self, fate: Fate, name: str) -> None:
        match fate.fault:
            case Fault.CRASH_BEFORE:
                self._die()
            case Fault.UNSENT:
                raise ReadTimeoutError(endpoint_url=name)
            case Fault.THROTTLED:
                raise Refusal("ThrottlingException", "Rate exceeded", status=400).error(name)
            case Fault.BROKEN:
                raise Refusal("InternalServerException", "again, please", status=500).error(name)
            case _:
                return

    def _fail_after(self, fate: Fate, name: str) -> None:
        if fate.fault is Fault.CRASH_AFTER:
            self._die()
        if fate.fault is Fault.LOST:
            raise ReadTimeoutError(endpoint_url=name)

    def _die(self) -> NoReturn:
        self.kill()
        raise asyncio.CancelledError
