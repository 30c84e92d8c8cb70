"""Concurrent calls of one kind, joined into batches of ten: what SQS and EventBridge take in one request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")

SIZE = 10


@dataclass(slots=True, eq=False)
class _Call(Generic[T, R]):
    item: T
    answer: R | None = None
    done: bool = False


class Batch(Generic[T, R]):
    """Calling it with an item returns that item's own answer. One request is under way at a time, in order of arrival.

    `send` takes up to ten items and returns an answer for each. What it expects to fail it returns as an answer; what it
    raises goes to one caller, and the others' items are sent again. A cancelled caller harms no other either, so an item
    may be sent twice, but is never dropped.
    """

    def __init__(self, send: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        self._send = send
        self._waiting: deque[_Call[T, R]] = deque()
        self._turn = asyncio.Lock()

    async def __call__(self, item: T) -> R:
        mine = _Call[T, R](item)
        self._waiting.append(mine)
        try:
            async with self._turn:
                while not mine.done:
                    await self._send_waiting()
        finally:
            if not mine.done:
                mine.done = True
                if mine in self._waiting:
                    self._waiting.remove(mine)
        return cast("R", mine.answer)

    async def _send_waiting(self) -> None:
        # Lets the calls that are made in this same moment join in.
        await asyncio.sleep(0)
        calls = [self._waiting.popleft() for _ in range(min(SIZE, len(self._waiting)))]
        try:
            answers = await self._send([call.item for call in calls])
            for call, answer in zip(calls, answers, strict=True):
                call.answer, call.done = answer, True
        finally:
            self._waiting.extendleft(call for call in reversed(calls) if not call.done)
