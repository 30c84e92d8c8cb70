"""What a sweep says and where it begins, on what its looks show; the looks themselves are proved on real servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from dzgrant.accounts import Role
from dzgrant.errors import LeaseHeld, LeaseLost, Refused
from dzgrant.ledger.items import Holding
from dzgrant.model import AccountId, GrantRecord, GrantState, PrincipalState, Region
from dzgrant.reporting import Drift, DriftKind, Reporter
from dzgrant.saga import orphans
from dzgrant.saga.drift import Seen
from dzgrant.saga.explain import Sides
from dzgrant.saga.runner import Runner
from dzgrant.saga.sweep import Finding, Sweep
from dzgrant.saga.sweeper import Sweeper
from dzgrant.secrets import Look
from tests.unit.test_drift import GRANT, RECORD

NOBODY: tuple[Any, ...] = ()
NOTHING = Look(producer=None, shared=False, consumer=None)


@dataclass(slots=True)
class World:
    """All that a sweep asks: one principal whose login and secrets are gone, and a DataZone that knows no subscription."""

    grants_now: tuple[GrantRecord, ...] = (GRANT,)
    held: bool = False
    begun_at: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    repair: Callable[[], None] = lambda: None
    record: Any = RECORD

    async def every(self, _: str, after: str) -> AsyncIterator[Any]:
        self.begun_at.append(after)
        for one in NOBODY:
            yield one

    async def principals(self, *_: object) -> AsyncIterator[Any]:
        for one in NOBODY:
            yield one

    everything = principals

    async def grants(self, _: object) -> tuple[GrantRecord, ...]:
        return self.grants_now

    async def subscription(self, *_: object, **__: object) -> None:
        return None

    async def claims(self, subscription: str) -> tuple[str, ...]:
        return () if subscription in self.ended else (subscription,)

    async def end(self, subscription: str) -> None:
        self.ended.append(subscription)

    async def look(self, *_: object) -> Look:
        return NOTHING

    async def run(self, *_: object) -> Seen:
        return Seen(secrets=NOTHING, login=None, opens=None)

    async def principal(self, _: object) -> Holding:
        until = round((time.time() + 60) * 1000)
        return Holding(record=self.record, nonce="theirs", leased_until=until) if self.held else Holding(record=self.record)

    async def mend(self, _: object) -> None:
        self.repair()

    async def drift(self, _: Drift, **__: object) -> None:
        return None

    def sweep(self) -> Sweep:
        parts = dict.fromkeys(("catalog", "converge", "ledger", "secrets", "sources", "sweeps"), cast("Any", self))
        runner, reporter = cast("Runner", self), cast("Reporter", self)
        return Sweep(sides=Sides(**parts), runner=runner, reporter=reporter, repair=True, patience=timedelta())

    async def findings(self) -> dict[DriftKind, Finding]:
        return {one.drift.kind: one for one in (await self.sweep().principal(self.record)).findings}


async def test_what_another_works_on_is_not_said_to_be_repaired() -> None:
    world = World()

    def taken() -> None:
        world.held = True
        raise LeaseHeld("another worker has it")

    world.repair = taken
    found = await world.findings()
    assert not found[DriftKind.LOGIN].repaired
    assert found[DriftKind.LOGIN].reason == "another worker has it; retried with backoff"


async def test_what_was_given_up_is_not_said_to_be_repaired() -> None:
    world = World()

    def refused() -> None:
        world.record = replace(RECORD, fence=3, state=PrincipalState.REMOVED, updated_at=datetime.now(UTC))
        world.grants_now = (replace(GRANT, state=GrantState.FAILED),)

    world.repair = refused
    found = await world.findings()
    assert not found[DriftKind.LOGIN].repaired
    assert "it has less than before" in (found[DriftKind.LOGIN].reason or "")


async def test_a_revoke_that_was_cut_off_is_found_though_datazone_forgot_its_subscription() -> None:
    cut_off = replace(GRANT, state=GrantState.REVOKING, subscriptions=frozenset(), leaving=frozenset({"gone"}))
    world = World(grants_now=(cut_off,))
    found = await world.findings()
    assert found[DriftKind.UNKNOWN_SUBSCRIPTION].repaired
    assert world.ended == ["gone"]


@pytest.mark.parametrize("cursor", ["", "of a later version|APPROVED 2026-01-01"])
async def test_a_cursor_of_another_version_begins_at_the_beginning(cursor: str) -> None:
    world = World()
    async for _ in world.sweep().domain("d", cursor):
        pass
    assert world.begun_at == [""]


class Lease:
    """One that is being renewed when the sweep ends, so that the renewal finds nothing to renew."""

    domain, cursor, seconds = "d", "", 0.003

    def __init__(self) -> None:
        self.renewing = asyncio.Event()
        self.finished = asyncio.Event()

    async def renew(self) -> None:
        self.renewing.set()
        await self.finished.wait()
        raise LeaseLost("it is given back")

    async def finish(self) -> None:
        self.finished.set()
        for _ in range(3):
            await asyncio.sleep(0)

    async def release(self) -> None:
        raise LeaseLost("it is given back")


async def test_a_sweep_that_ends_while_its_lease_is_renewed_has_ended_and_says_so() -> None:
    lease = Lease()

    class Elected:
        async def record(self, _: str) -> None:
            return None

        async def take(self, *_: object) -> Lease:
            return lease

        async def domain(self, *_: object) -> AsyncIterator[Any]:
            await lease.renewing.wait()
            for one in NOBODY:
                yield one

    elected = cast("Any", Elected())
    sweeper = Sweeper(sweep=elected, sweeps=elected, reporter=elected, domains=("d",), period=timedelta(hours=1))
    assert await sweeper.once("d")


async def test_an_account_that_is_not_served_any_more_cuts_no_sweep_off() -> None:
    class Left:
        async def marked(self, *_: object) -> AsyncIterator[Any]:
            for one in NOBODY:
                yield one
            raise Refused("account 222222222222 is not to be served", do="add it to DZGRANT_ACCOUNTS")

    parts = dict.fromkeys(("catalog", "converge", "ledger", "secrets", "sources", "sweeps"), cast("Any", Left()))
    place: tuple[Role, AccountId, Region] = ("producer", AccountId("222222222222"), Region("eu-west-1"))
    (found,) = [one async for one in orphans.secrets(Sides(**parts), "d", place)]
    assert found.drift.kind is DriftKind.UNSEEN
    assert "is not to be served" in found.drift.what
