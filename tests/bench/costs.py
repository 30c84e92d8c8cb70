"""What one grant and one revoke cost, one at a time: calls, statements, round trips, CPU, and the time to a working secret."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median, quantiles

from dzgrant.localcloud.commands import Call
from dzgrant.localcloud.places import CONSUMER
from tests.bench.world import CALL_MS, ROUND_TRIP_MS, World, world

_SECONDS = 60.0
# Both need GetSubscription's answer and nothing else, so that one of them need not wait for the other.
_SIDE_BY_SIDE = {"ListEnvironments", "GetTable"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One event, from the moment before it was caused to the deletion of its message."""

    calls: tuple[Call, ...]
    statements: int
    round_trips: int
    database_ms: float
    """What all the round trips took."""
    cpu_ms: float
    began: float
    """Seconds since the epoch."""

    @property
    def secret_ms(self) -> float:
        """From the event to the worker's next call after the one that made the consumer's copy: it was there before that."""
        return (self.calls[self._copied + 1].time - self.began) * 1000

    @property
    def floor_ms(self) -> float:
        """What the calls and round trips before a working secret take that must follow each other."""
        return self.calls_in_a_row * CALL_MS + self.round_trips * ROUND_TRIP_MS

    @property
    def calls_in_a_row(self) -> int:
        before = [call.operation for call in self.calls[: self._copied + 1]]
        return len(before) - (len(_SIDE_BY_SIDE & set(before)) - 1)

    @property
    def stage_ms(self) -> float:
        """What the local cloud and the database took beyond the injected waits: this machine's time, not the worker's."""
        before = self.calls[: self._copied + 1]
        own = {call.operation: (call.seconds or 0) * 1000 - CALL_MS for call in before if call.operation in _SIDE_BY_SIDE}
        in_a_row = sum((call.seconds or 0) * 1000 - CALL_MS for call in before if call.operation not in own)
        return in_a_row + max(own.values(), default=0.0) + self.database_ms - self.round_trips * ROUND_TRIP_MS

    @property
    def _copied(self) -> int:
        return next(at for at, call in enumerate(self.calls) if call.operation == "CreateSecret" and call.account == CONSUMER)


@dataclass(frozen=True, slots=True)
class Samples:
    """Of one kind of event."""

    all: tuple[Sample, ...]

    @property
    def calls(self) -> int:
        """Of the worst."""
        return max(len(sample.calls) for sample in self.all)

    @property
    def statements(self) -> float:
        return median(sample.statements for sample in self.all)

    @property
    def round_trips(self) -> float:
        return median(sample.round_trips for sample in self.all)

    @property
    def cpu_ms(self) -> float:
        """The mean: the kernel counts CPU in steps of 10 ms."""
        return mean(sample.cpu_ms for sample in self.all)

    @property
    def secret_ms(self) -> float:
        return median(sample.secret_ms for sample in self.all)

    @property
    def secret_ms_p95(self) -> float:
        return quantiles([sample.secret_ms for sample in self.all], n=20, method="inclusive")[-1]

    @property
    def stage_ms(self) -> float:
        return median(sample.stage_ms for sample in self.all)

    @property
    def secret_ratio(self) -> float:
        """Median of the time to a working secret, without the stage's own time, to its floor."""
        return median((sample.secret_ms - sample.stage_ms) / sample.floor_ms for sample in self.all)

    @property
    def floor_ms(self) -> float:
        return median(sample.floor_ms for sample in self.all)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    start: int
    """Calls before the first event."""
    cold: Samples
    """The very first grant of a process."""
    first: Samples
    second: Samples
    """One more table for the same principal."""
    fewer: Samples
    """A revoke after which a table remains."""
    last: Samples


def costs(engine: str, events: int, **settings: str) -> Costs:
    """Of so many principals on one source, with everything warm but `cold`. `settings` as in `world`."""
    with world(engine, settings) as stage:
        start = len(stage.calls())
        stage.create_tables(["orders", "items"])
        orders, items = stage.publish("orders"), stage.publish("items")
        newcomer, *projects = [stage.consumer() for _ in range(events + 1)]
        requests = {listing: [stage.request(listing, project) for project in projects] for listing in (orders, items)}
        subscriptions: dict[str, list[str]] = {orders: [], items: []}

        def grant(listing: str) -> Callable[[str], None]:
            return lambda request: subscriptions[listing].append(stage.approve(request))

        def revoke(listing: str) -> Samples:
            return _each(stage, subscriptions[listing], stage.revoke, "revoked")

        return Costs(
            start=start,
            cold=_each(stage, [stage.request(orders, newcomer)], stage.approve, "granted"),
            first=_each(stage, requests[orders], grant(orders), "granted"),
            second=_each(stage, requests[items], grant(items), "granted"),
            fewer=revoke(items),
            last=revoke(orders),
        )


def _each(stage: World, ids: Sequence[str], act: Callable[[str], object], outcome: str) -> Samples:
    return Samples(tuple(_sample(stage, lambda one=one: act(one), outcome) for one in ids))  # type: ignore[misc]


def _sample(stage: World, act: Callable[[], object], outcome: str) -> Sample:
    stage.control.forget_calls()
    seen, cpu = stage.daemon.seen[outcome], stage.daemon.cpu
    statements, round_trips, waited = stage.statements(), stage.line.round_trips, stage.line.waited
    began = time.time()
    act()
    stage.daemon.until(outcome, seen + 1, seconds=_SECONDS)
    stage.until_quiet()
    return Sample(
        calls=tuple(stage.calls()),
        statements=stage.statements() - statements,
        round_trips=stage.line.round_trips - round_trips,
        database_ms=(stage.line.waited - waited) * 1000,
        cpu_ms=(stage.daemon.cpu - cpu) * 1000,
        began=began,
    )
