"""One small world: a cloud, two databases, people who publish, approve and revoke, and workers that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from pydantic import SecretStr

from dzgrant import worker
from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import BUS, CONSUMER, CONSUMER_PROJECT, CONSUMER_ROLE, DOMAIN, PRODUCER_ROLE, REGION, TABLE
from dzgrant.model import Environment, Source, Table
from dzgrant.settings import Settings
from tests.fakes.cloud import Cloud
from tests.fakes.conftest import ring
from tests.fakes.engine import Server
from tests.simulation.control import EPOCH, PROCESS, Process
from tests.simulation.wire import Chance, Fate, Watch, Wire

_ADMIN = "the admin's password"
_GRACE_HOURS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A table that can be subscribed to. `asset`: by which it is filtered."""

    listing: str
    asset: str
    source: Source
    table: Table


def unhindered(number: int, name: str) -> Fate:
    return Fate()


def unwatched(*_: object) -> None:
    pass


@dataclass(slots=True, kw_only=True)
class World:
    """`published` by listing."""

    cloud: Cloud
    settings: Settings
    servers: dict[str, Server] = field(default_factory=dict)
    published: dict[str, Published] = field(default_factory=dict)
    project: str = CONSUMER_PROJECT
    environments: list[Environment] = field(default_factory=list)
    """All that there ever were."""

    def publish(self, engine: str, name: str) -> Published:
        """A table `name` of the one database of this engine."""
        place = {"engine": engine, "host": f"{engine}.example", "port": 5432, "database": "shop"}
        path = name if engine == "mysql" else f"public.{name}"
        source = Source(engine=engine, host=f"{engine}.example", port=5432, database="shop")
        table = Table(schema="shop" if engine == "mysql" else "public", name=name)
        known = engine == "postgresql"
        server = self.servers.setdefault(source.key, Server(_ADMIN, {}, fenced=known, two_passwords=not known))
        server.paths[path] = table
        made = self.cloud.people.do(
            c.Publish.model_validate({**place, "table": path, "username": "admin", "password": SecretStr(_ADMIN)})
        )
        found = Published(listing=made.listing, asset=made.asset, source=source, table=table)
        self.published[found.listing] = found
        return found

    def environment(self, *, events: bool = True) -> str:
        key = self.cloud.people.do(c.AddEnvironment(project=self.project, events=events)).id
        made = Environment(domain=DOMAIN, project=self.project, id=key, account=CONSUMER, region=REGION)
        self.environments.append(made)
        return key

    def approve(self, what: Published, *, filters: tuple[str, ...] = (), events: bool = True) -> str:
        """The id of a subscription."""
        request = self.cloud.people.do(c.Subscribe(listing=what.listing, project=self.project, events=False)).id
        return self.cloud.people.do(c.Approve(request=request, filters=filters, events=events)).subscription

    def revoke(self, subscription: str, *, events: bool = True) -> None:
        self.cloud.people.do(c.Revoke(subscription=subscription, events=events))

    def begin(self, chance: Chance = unhindered, *, watch: Watch = unwatched, tries: int = 1, skew: float = 0.0) -> Wire:
        """Starts a worker; what it does goes over the wire that is returned."""
        wire = Wire(self.cloud, self.servers, chance, tries=tries, watch=watch)
        process = Process(wire, skew)

        async def live() -> None:
            PROCESS.set(process)
            with suppress(asyncio.CancelledError):
                await worker.run(self.settings)

        wire.root = asyncio.get_running_loop().create_task(live())
        return wire

    async def until(self, true: Callable[[], bool], *, seconds: float, pause: float = 2.0) -> bool:
        """Whether it came true within so many virtual seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not true():
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(pause)
        return True


async def end(wire: Wire) -> None:
    wire.kill()
    assert wire.root is not None
    await asyncio.wait([wire.root])


def made(seed: int = 0, *, rotate_after_hours: float | None = None, sweep_minutes: float = 0.0) -> World:
    """A world of two databases with two tables each. To be made while a loop runs."""
    loop = asyncio.get_running_loop()
    cloud = Cloud(lambda: EPOCH + loop.time(), wait=ring, rng=Random(seed))
    settings = Settings(
        queue_url=cloud.queue.url,
        table=TABLE,
        producer_role_name=PRODUCER_ROLE,
        consumer_role_name=CONSUMER_ROLE,
        event_bus=BUS,
        datazone_rate=100,
        visibility_seconds=30,
        backoff_seconds=1,
        backoff_cap_seconds=8,
        lease_seconds=9,
        database_connect_timeout=1,
        database_statement_timeout=3,
        database_lock_timeout=1,
        rotation_grace_hours=_GRACE_HOURS if rotate_after_hours else 24.0,
        rotate_after_days=rotate_after_hours / 24 if rotate_after_hours else None,
        domain_ids=(DOMAIN,),
        sweep_minutes=sweep_minutes,
        http_port=0,
    )
    return World(cloud=cloud, settings=settings)
