"""What the demo checks: each an observation of something real, with the time it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.05


class Unmet(Exception):
    """What should be is not; the text says what was seen instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`where` is an engine's flavour (`PostgreSQL 18.1`), or what else it is about.

    `unmet` says why it failed, `left_out` why it could not be checked here.
    """

    what: str
    where: str
    seconds: float = 0.0
    unmet: str | None = None
    left_out: str | None = None


async def until(look: Callable[[], Awaitable[T | None]], *, seconds: float, otherwise: str) -> T:
    """Looks again and again until there is something to see. Raises `Unmet` after so many seconds."""
    deadline = time.monotonic() + seconds
    while (seen := await look()) is None:
        if time.monotonic() > deadline:
            raise Unmet(f"{otherwise} after {seconds:.0f} s")
        await asyncio.sleep(_POLL_SECONDS)
    return seen
