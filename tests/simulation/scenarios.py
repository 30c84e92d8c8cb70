"""What is prepared, what then happens, and where a worker may die while it does what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import DOMAIN, GOVERNANCE, REGION
from tests.fakes.answers import Caller
from tests.simulation.agreement import differences, recorded
from tests.simulation.wire import Fate, Fault, Wire
from tests.simulation.world import World, end, made

_HOME = Caller(GOVERNANCE, REGION)
_ROTATE_AFTER_HOURS = 0.1
_SWEEP_MINUTES = 10.0

Act = Callable[[World], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`prepare` is settled before `act`; `waits`: seconds that pass after it without any worker.

    `done`: what agreement does not tell.
    """

    name: str
    prepare: Callable[[World], Act]
    rotates: bool = False
    sweeps: bool = False
    waits: float = 0.0
    done: Callable[[World], bool] = lambda _: True

    def __str__(self) -> str:
        return self.name


def _first_grant(world: World) -> Act:
    table = world.publish("postgresql", "orders")
    world.environment()
    return lambda world: _ignored(world.approve(table))


def _second_table(world: World) -> Act:
    orders, customers = world.publish("postgresql", "orders"), world.publish("postgresql", "customers")
    world.environment()
    world.approve(orders)
    return lambda world: _ignored(world.approve(customers))


def _one_of_two_ends(world: World) -> Act:
    orders, customers = world.publish("mysql", "orders"), world.publish("mysql", "customers")
    world.environment()
    world.approve(orders)
    ending = world.approve(customers)
    return lambda world: world.revoke(ending)


def _last_revoke(world: World) -> Act:
    table = world.publish("postgresql", "orders")
    world.environment()
    subscription = world.approve(table)
    return lambda world: world.revoke(subscription)


def _last_revoke_unfenced(world: World) -> Act:
    table = world.publish("mysql", "orders")
    world.environment()
    subscription = world.approve(table)
    return lambda world: world.revoke(subscription)


def _revoke_by_the_ledger_alone(world: World) -> Act:
    """By then there is no listing, no Glue table, no connection and no environment; and the worker is another one."""
    table = world.publish("postgresql", "orders")
    environment = world.environment()
    subscription = world.approve(table)

    def act(world: World) -> None:
        world.cloud.glue.tables.clear()
        world.cloud.glue.connections.clear()
        world.cloud.datazone.listings[table.listing].active = False
        world.cloud.people.do(c.DeleteEnvironment(environment=environment, gone=True, events=False))
        world.revoke(subscription)

    return act


def _grant_again(world: World) -> Act:
    table = world.publish("postgresql", "orders")
    world.environment()
    world.revoke(world.approve(table))
    return lambda world: _ignored(world.approve(table))


def _environment_added(world: World) -> Act:
    orders, stock = world.publish("postgresql", "orders"), world.publish("mysql", "stock")
    world.environment()
    world.approve(orders)
    world.approve(stock)
    return lambda world: _ignored(world.environment())


def _environment_deleted(world: World) -> Act:
    orders, stock = world.publish("postgresql", "orders"), world.publish("mysql", "stock")
    going = world.environment()
    world.environment()
    world.approve(orders)
    world.approve(stock)
    return lambda world: _ignored(world.cloud.people.do(c.DeleteEnvironment(environment=going)))


def _rotation(engine: str) -> Callable[[World], Act]:
    def prepare(world: World) -> Act:
        orders = world.publish(engine, "orders")
        world.environment()
        world.approve(orders)
        return lambda world: None

    return prepare


def _rotated(world: World) -> bool:
    """Once, and what was in use before is gone."""
    records = [known.record for known in recorded(world).values()]
    now = world.cloud.clock()
    return all(one.spare is None and one.password_at and now - one.password_at.timestamp() < 200 for one in records)


def _filter_narrowed(world: World) -> Act:
    """No event tells of a filter: the subscription's own comes again."""
    orders = world.publish("postgresql", "orders")
    world.environment()
    wide = {"columnConfiguration": {"includedColumnNames": ["city", "id"]}}
    on = {"domainIdentifier": DOMAIN, "assetIdentifier": orders.asset}
    made = world.cloud.datazone.create_asset_filter({**on, "name": "columns", "configuration": wide}, _HOME)
    subscription = world.approve(orders, filters=(made["id"],))

    def act(world: World) -> None:
        narrow = {"columnConfiguration": {"includedColumnNames": ["id"]}}
        world.cloud.datazone.update_asset_filter({**on, "identifier": made["id"], "configuration": narrow}, _HOME)
        world.cloud.people.do(c.Repeat(id=subscription))

    return act


def _lost(world: World) -> Act:
    """An approval and a revoke of which no event tells."""
    orders, customers = world.publish("postgresql", "orders"), world.publish("mysql", "customers")
    world.environment()
    ending = world.approve(orders)

    def act(world: World) -> None:
        world.revoke(ending, events=False)
        world.approve(customers, events=False)

    return act


def _ignored(_: object) -> None:
    pass


SCENARIOS = (
    Scenario(name="first grant", prepare=_first_grant),
    Scenario(name="second table", prepare=_second_table),
    Scenario(name="one of two ends", prepare=_one_of_two_ends),
    Scenario(name="last revoke", prepare=_last_revoke),
    Scenario(name="last revoke, without a fence in the database", prepare=_last_revoke_unfenced),
    Scenario(name="last revoke, by the ledger alone", prepare=_revoke_by_the_ledger_alone, waits=1.0),
    Scenario(name="re-grant", prepare=_grant_again),
    Scenario(name="environment added", prepare=_environment_added),
    Scenario(name="environment deleted", prepare=_environment_deleted),
    Scenario(
        name="rotation by a second login",
        prepare=_rotation("postgresql"),
        rotates=True,
        waits=_ROTATE_AFTER_HOURS * 3600 - 10,
        done=_rotated,
    ),
    Scenario(
        name="rotation by a second password",
        prepare=_rotation("mysql"),
        rotates=True,
        waits=_ROTATE_AFTER_HOURS * 3600 - 10,
        done=_rotated,
    ),
    Scenario(name="filter narrowed", prepare=_filter_narrowed),
    Scenario(name="lost events, found by a sweep", prepare=_lost, sweeps=True, waits=3 * _SWEEP_MINUTES * 60),
)


@dataclass(slots=True)
class Point:
    """The one call that something befalls: the `at`-th effect after it was armed. `seen`: the effects since then."""

    fault: Fault | None = None
    at: int = 0
    armed: bool = False
    seen: list[str] | None = None

    def __call__(self, number: int, name: str) -> Fate:
        if not self.armed or reads(name):
            return Fate()
        if self.seen is None:
            self.seen = []
        self.seen.append(name)
        return Fate(self.fault) if len(self.seen) == self.at else Fate()


def reads(name: str) -> bool:
    """Whether the call leaves everything as it is. A worker that dies at it is one that died at the effect before it."""
    service, _, operation = name.partition(".")
    if service == "engine":
        return operation in ("resolve", "prove", "describe")
    return operation.startswith(("Get", "List", "Describe", "Query", "BatchGet", "Receive"))


async def played(scenario: Scenario, point: Point) -> list[str]:
    """What is not as it should be in the end."""
    world = made(
        rotate_after_hours=_ROTATE_AFTER_HOURS if scenario.rotates else None,
        sweep_minutes=_SWEEP_MINUTES if scenario.sweeps else 0.0,
    )
    act = scenario.prepare(world)
    workers: list[Wire] = [world.begin(point)]
    assert await world.until(lambda: not differences(world), seconds=120), f"preparing: {differences(world)}"
    if scenario.waits:
        await end(workers[0])
        act(world)
        await asyncio.sleep(scenario.waits)
        point.armed = True
        workers.append(world.begin(point))
    else:
        point.armed = True
        act(world)

    def settled() -> bool:
        if workers[-1].dead:
            workers.append(world.begin())
        return scenario.done(world) and not differences(world)

    # A sweep that was cut off leaves to the next one what it was at, since that may be in work still.
    await world.until(settled, seconds=3000 if scenario.sweeps else 600)
    point.armed = False
    # What was right once stays so: nothing is under way any more.
    await asyncio.sleep(60)
    left = differences(world) + ([] if scenario.done(world) else ["it was not done"])
    for wire in workers:
        await end(wire)
    return left
