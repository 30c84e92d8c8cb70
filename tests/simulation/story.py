"""A history drawn from a seed: people who change their minds, workers that die, answers that are lost, clocks that differ."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import DOMAIN, GOVERNANCE, REGION
from tests.fakes.answers import Caller
from tests.simulation import control
from tests.simulation.agreement import differences
from tests.simulation.promises import Promises
from tests.simulation.scenarios import reads
from tests.simulation.wire import Fate, Fault, Wire
from tests.simulation.world import World, end, made

_WORKERS = 3
_TRIES = 2
# Of two clocks: a little less than what the ledger allows for.
_SKEW = 1.4
_ODDS = {
    Fault.CRASH_BEFORE: 0.002,
    Fault.CRASH_AFTER: 0.004,
    Fault.LOST: 0.03,
    Fault.UNSENT: 0.02,
    Fault.THROTTLED: 0.02,
    Fault.BROKEN: 0.02,
}
_HOME = Caller(GOVERNANCE, REGION)
_CALM_SECONDS = 2 * 3600.0


@dataclass(slots=True)
class Told:
    """How it ended. `digest`: of every effect with its time, so that two histories can be told to be one."""

    seed: int
    problems: list[str]
    faults: Counter[str]
    calls: int
    effects: int
    seconds: float
    digest: str

    def __str__(self) -> str:
        survived = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()))
        ended = "; ".join(self.problems[:5]) if self.problems else "all agrees"
        return (
            f"seed {self.seed}: {self.calls} calls, {self.effects} effects, {self.seconds:.0f} virtual s, {self.digest}\n"
            f"  {survived}\n  {ended}"
        )


@dataclass(slots=True)
class _Chance:
    """`calm`: nothing fails any more."""

    rng: Random
    faults: Counter[str]
    calm: bool = False

    def __call__(self, number: int, name: str) -> Fate:
        rng = self.rng
        there, back = rng.expovariate(50.0), rng.expovariate(50.0)
        if self.calm:
            return Fate(None, there, back)
        if rng.random() < 0.01:
            # A pause: a read may be very old by the time at which it is heard; an effect lasts no longer than its bound.
            if reads(name):
                back += rng.uniform(1.0, 15.0)
            else:
                there += rng.uniform(0.5, 2.5)
        fault = None
        draw = rng.random()
        for one, odds in _ODDS.items():
            draw -= odds
            if draw < 0:
                fault = one
                break
        if fault is not None:
            self.faults[fault.name.lower()] += 1
        return Fate(fault, there, back, arrives=rng.random() < 0.5)


@dataclass(slots=True)
class _Story:
    rng: Random
    world: World
    chance: _Chance
    promises: Promises
    workers: list[Wire] = field(default_factory=list)
    live: list[str] = field(default_factory=list)
    """Subscriptions that are approved."""
    filters: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Of filtered subscriptions: the filter and its asset."""

    def begin(self) -> Wire:
        skew = self.rng.uniform(-_SKEW, _SKEW)
        return self.world.begin(self.chance, watch=self.promises.watch, tries=_TRIES, skew=skew)

    def deliver(self, body: str) -> None:
        """EventBridge's way: late, twice, in any order; and lost, which a sweep makes good."""
        rng, sqs, queue = self.rng, self.world.cloud.sqs, self.world.cloud.queue
        if rng.random() < 0.03:
            self.chance.faults["lost event"] += 1
            return
        sqs.send(queue, body, delay=rng.uniform(0.0, 4.0))
        if rng.random() < 0.1:
            self.chance.faults["duplicate event"] += 1
            sqs.send(queue, body, delay=rng.uniform(0.0, 60.0))

    async def revive(self) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(1.0, 8.0))
            for at, wire in enumerate(self.workers):
                if wire.dead or (wire.root is not None and wire.root.done()):
                    await end(wire)
                    self.workers[at] = self.begin()

    def step(self) -> None:
        """Somebody changes something."""
        acts: dict[Callable[[], None], int] = {
            self._approve: 6,
            self._revoke: 5 if self.live else 0,
            self._repeat: 2 if self.live else 0,
            self._narrow: 2 if self.filters else 0,
            self._add_environment: 2 if len(self.world.environments) < 4 else 0,
            self._delete_environment: 1 if len(self._open()) > 1 else 0,
        }
        self.rng.choices(list(acts), weights=list(acts.values()))[0]()

    def _approve(self) -> None:
        what = self.rng.choice(list(self.world.published.values()))
        filters: tuple[str, ...] = ()
        if self.rng.random() < 0.25:
            columns = {"columnConfiguration": {"includedColumnNames": self.rng.choice((["id"], ["city", "id"]))}}
            made = self.world.cloud.datazone.create_asset_filter(
                {"domainIdentifier": DOMAIN, "assetIdentifier": what.asset, "name": "f", "configuration": columns}, _HOME
            )
            filters = (made["id"],)
        subscription = self.world.approve(what, filters=filters)
        self.live.append(subscription)
        if filters:
            self.filters[subscription] = (filters[0], what.asset)

    def _revoke(self) -> None:
        subscription = self.live.pop(self.rng.randrange(len(self.live)))
        self.filters.pop(subscription, None)
        self.world.revoke(subscription)

    def _repeat(self) -> None:
        self.world.cloud.people.do(c.Repeat(id=self.rng.choice(self.live)))

    def _narrow(self) -> None:
        subscription = self.rng.choice(list(self.filters))
        identifier, asset = self.filters[subscription]
        columns = {"columnConfiguration": {"includedColumnNames": self.rng.choice((["id"], ["city", "id"], ["city"]))}}
        on = {"domainIdentifier": DOMAIN, "assetIdentifier": asset, "identifier": identifier}
        self.world.cloud.datazone.update_asset_filter({**on, "configuration": columns}, _HOME)
        self.world.cloud.people.do(c.Repeat(id=subscription))

    def _open(self) -> list[str]:
        known = self.world.cloud.datazone.environments
        return [one.id for one in self.world.environments if known[one.id].status == "ACTIVE"]

    def _add_environment(self) -> None:
        self.world.environment()

    def _delete_environment(self) -> None:
        self.world.cloud.people.do(c.DeleteEnvironment(environment=self.rng.choice(self._open())))


async def told(seed: int, steps: int, sweep_minutes: float) -> Told:
    rng = Random(seed)
    world = made(seed, rotate_after_hours=0.4 if seed % 2 else None, sweep_minutes=sweep_minutes)
    world.cloud.datazone.lag = 1.0
    world.cloud.datazone.page = 2
    world.cloud.secrets.policy_seconds = 0.5
    world.cloud.ledger.lag = 0.5
    world.cloud.ledger.page = 3
    chance = _Chance(rng, Counter())
    story = _Story(rng, world, chance, Promises(world))
    world.cloud.people.send = story.deliver
    for engine in ("postgresql", "mysql"):
        for table in ("orders", "customers"):
            world.publish(engine, table)
    world.environment()
    await asyncio.sleep(2.0)
    story.workers = [story.begin() for _ in range(_WORKERS)]
    reviving = asyncio.get_running_loop().create_task(story.revive())
    for _ in range(steps):
        story.step()
        await asyncio.sleep(rng.expovariate(0.3))
    chance.calm = True
    await world.until(lambda: not differences(world), seconds=_CALM_SECONDS if sweep_minutes else 600.0, pause=15.0)
    await asyncio.sleep(30)
    left = [f"in the end: {one}" for one in differences(world)]
    reviving.cancel()
    for wire in story.workers:
        await end(wire)
    effects = story.promises.effects
    return Told(
        seed=seed,
        problems=[*story.promises.broken, *left],
        faults=chance.faults,
        calls=sum(wire.calls for wire in story.workers),
        effects=len(effects),
        seconds=asyncio.get_running_loop().time(),
        digest=sha256(json.dumps(effects).encode()).hexdigest()[:12],
    )


def simulated(seed: int, steps: int, *, sweep_minutes: float = 10.0, verbose: bool = False) -> Told:
    return control.run(lambda: told(seed, steps, sweep_minutes), seed=seed, shuffled=True, verbose=verbose)
