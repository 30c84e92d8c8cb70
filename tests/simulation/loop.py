"""asyncio's event loop without a clock or a socket: time passes only while everything waits, and then at once.

Which of the tasks that are ready goes first is drawn from a seed, so that one seed is one history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any


class Stuck(RuntimeError):
    """Everything waits, and nothing is to come that it could wait for."""


class VirtualLoop(asyncio.BaseEventLoop):
    """`rng`: None keeps asyncio's own order."""

    def __init__(self, rng: Random | None = None) -> None:
        super().__init__()
        self._rng = rng
        self._passed = 0.0
        # What BaseEventLoop asks of its selector is to wait; this one has nothing else.
        self._selector = self
        self.signals: dict[int, Callable[[], object]] = {}

    def time(self) -> float:
        return self._passed

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("everything waits for ever")
        self._passed += max(timeout, 0.0)
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]  # asyncio's own, of every version
        if self._rng is not None and len(ready) > 1:
            order = list(ready)
            self._rng.shuffle(order)
            ready.clear()
            ready.extend(order)

    def _write_to_self(self) -> None:
        """Nothing sleeps that would have to be woken."""

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        self.signals[sig] = lambda: callback(*args)
