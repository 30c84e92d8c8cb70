"""One step upon one principal: what it acts through, and its bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from dzgrant.errors import LeaseLost, Transient
from dzgrant.ledger import Lease, Ledger
from dzgrant.saga.sources import Sources
from dzgrant.secrets import Secrets

T = TypeVar("T")

Observe = Callable[[StrEnum, str, float], None]
"""Told each step, its engine and the seconds it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the steps act through."""

    ledger: Ledger
    secrets: Secrets
    sources: Sources


async def bounded(lease: Lease, seconds: float, name: object, work: Callable[[], Awaitable[T]]) -> T:
    """Starts the work only while the lease outlasts the seconds, and cuts it off there; so nothing that this process began
    goes on after another may hold the lease (daemon.md B3, 6a). Raises `Transient` then, and `LeaseLost`."""
    try:
        lease.check(seconds)
    except LeaseLost:
        await lease.renew()
    try:
        async with asyncio.timeout(seconds):
            return await work()
    except TimeoutError:
        raise Transient(f"{name} took longer than {seconds:.0f} s") from None
