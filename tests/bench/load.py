"""Many events: how the worker grows with what it has granted, and what a steady stream asks of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from tests.bench.world import World, world

_SECONDS = 300.0

Shape = Literal["many principals", "one principal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What the last grants took, up to so many in all."""

    grants: int
    per_second: float
    cpu_ms: float
    calls: float
    mebibytes: float
    """Resident, at their end."""


def growth(engine: str, shape: Shape, totals: Sequence[int]) -> list[Point]:
    """A point for each of the totals, which grow; each step's events are caused at once.

    Nothing waits on purpose here: neither the calls, nor the worker for DataZone's quota.
    """
    with world(engine, {"datazone_rate": "100"}, far=False) as stage:
        requests = _requests(stage, shape, totals[-1])
        return [_step(stage, requests[done:total], total) for done, total in pairwise((0, *totals))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What a stream of grants asked, from its first event to its last outcome."""

    per_second: float
    """Grants that were made."""
    cores: float
    """CPU of one grant times the grants asked for in a second, so that a worker that lags does not look cheap."""
    behind: float
    """Seconds from the last event to the last outcome."""
    mebibytes: float


def stream(engine: str, per_second: float, grants: int) -> Stream:
    """Events at an even pace, each for a new principal, with the worker's settings as they come."""
    warm = 8
    with world(engine, {}) as stage:
        requests = _requests(stage, "many principals", warm + grants)
        _step(stage, requests[:warm], warm)
        cpu, began = stage.daemon.cpu, time.monotonic()
        for number, request in enumerate(requests[warm:]):
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
            stage.approve(request)
        sent = time.monotonic()
        stage.daemon.until("granted", warm + grants, seconds=_SECONDS)
        ended = time.monotonic()
        return Stream(
            per_second=grants / (ended - began),
            cores=(stage.daemon.cpu - cpu) / grants * per_second,
            behind=ended - sent,
            mebibytes=stage.daemon.mebibytes,
        )


def _requests(stage: World, shape: Shape, count: int) -> list[str]:
    if shape == "many principals":
        stage.create_tables(["orders"])
        listing = stage.publish("orders")
        return [stage.request(listing, stage.consumer()) for _ in range(count)]
    tables = [f"table_{number}" for number in range(count)]
    stage.create_tables(tables)
    project = stage.consumer()
    return [stage.request(stage.publish(table), project) for table in tables]


def _step(stage: World, requests: Sequence[str], total: int) -> Point:
    stage.control.forget_calls()
    cpu, began = stage.daemon.cpu, time.monotonic()
    for request in requests:
        stage.approve(request)
    stage.daemon.until("granted", total, seconds=_SECONDS)
    seconds = time.monotonic() - began
    return Point(
        grants=total,
        per_second=len(requests) / seconds,
        cpu_ms=(stage.daemon.cpu - cpu) * 1000 / len(requests),
        calls=len(stage.calls()) / len(requests),
        mebibytes=stage.daemon.mebibytes,
    )
