"""kill -9 at every AWS call and every database statement of a first grant and of a last revoke; then another worker. And
of what filters add: the end of an approval that opened all, beside one that opens some rows.

The worker dies when the call or statement has been carried out and before it hears the answer. What is there then is also
what is there just before the next one, so with `before` at the very first this is every state that a crash can leave.
How many calls and statements there are is learnt from a run that nobody kills. Points are tried side by side, each lane
with a local cloud of its own, because most of the time is spent waiting for the dead worker's lease to end.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal

import psutil
import pytest

from dzgrant.localcloud import commands as c
from dzgrant.localcloud import process as localcloud
from dzgrant.localcloud.databases import Server
from dzgrant.model import Table
from tests.engines.playgrounds import PLAYGROUNDS
from tests.system import daemon
from tests.system.cloud import Cloud, until
from tests.system.story import Story, logins

_LANES = 8

_WORK = ("datazone", "glue", "sts", "dynamodb", "secretsmanager", "events")

Place = Literal["call", "statement", "ReceiveMessage", "DeleteMessageBatch"]


@dataclass(frozen=True, slots=True)
class Point:
    """Where a worker dies; `number` counts from 1."""

    place: Place
    number: int
    what: str
    when: Literal["before", "after"] = "after"


@dataclass(slots=True)
class Forked:
    """A worker of `tests.system.killer`."""

    process: psutil.Process
    log: Path
    plan: Path
    cloud: Cloud

    async def ready(self) -> None:
        async def started() -> bool | None:
            assert self.process.is_running(), self.log.read_text()
            return b'"worker_started"' in self.log.read_bytes() or None

        await until(started, self.log.read_text)

    def arm(self, point: Point) -> None:
        """It dies at this point of what it does from now on."""
        if point.place == "statement":
            self.plan.write_text(f"statements {point.number}")
            return
        works = point.place == "call"
        match = c.Match(agent="dzgrant", services=_WORK) if works else c.Match(operations=(point.place,))
        self.cloud.control.do(c.Kill(pid=self.process.pid, call=point.number, when=point.when, match=match))
        if point.place == "ReceiveMessage":
            # The poll that is open has begun before this; the next one is to die.
            self.cloud.control.send(daemon.NOTHING)

    def watch(self) -> None:
        self.cloud.control.forget_calls()
        self.plan.write_text("statements 0")

    def seen(self) -> list[Point]:
        """Every point of what it did since `watch`."""
        calls = [call for call in self.cloud.control.calls() if "dzgrant" in call.agent and call.service in _WORK]
        statements = self.statements("statements")
        return [
            Point("call", 1, f"{calls[0].service} {calls[0].operation}", "before"),
            *(Point("call", number, f"{call.service} {call.operation}") for number, call in enumerate(calls, 1)),
            *(Point("statement", number, statement) for number, statement in enumerate(statements, 1)),
            Point("ReceiveMessage", 1, "sqs"),
            Point("DeleteMessageBatch", 1, "sqs", "before"),
            Point("DeleteMessageBatch", 1, "sqs"),
        ]

    def statements(self, name: str) -> list[str]:
        """Those that it made under this name of its plan."""
        return Path(f"{self.plan}.{name}").read_text().splitlines()

    @property
    def returned(self) -> bool:
        """Whether it ended as after a drain, with exit code 0."""
        return Path(f"{self.plan}.exit").exists()

    async def dead(self) -> None:
        async def gone() -> bool | None:
            return not self.process.is_running() or None

        await until(gone, lambda: f"it lives on: {self.log.read_text()}")

    def kill(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self.process.kill()


@dataclass(slots=True)
class Lane:
    """A local cloud, and whoever forks its workers."""

    cloud: Cloud
    ca_bundle: Path
    folder: Path
    forker: subprocess.Popen[str]
    numbers: Iterator[int]
    workers: list[Forked] = field(default_factory=list)

    async def worker(self, **changes: str) -> Forked:
        """A new one, at work."""
        assert self.forker.stdin
        assert self.forker.stdout
        number = next(self.numbers)
        log, plan = self.folder / f"{number}.log", self.folder / f"{number}.plan"
        log.touch()
        plan.touch()
        variables = daemon.environment(self.cloud, self.ca_bundle, changes)
        self.forker.stdin.write(json.dumps({"environment": variables, "log": str(log), "plan": str(plan)}) + "\n")
        self.forker.stdin.flush()
        process = psutil.Process(int(self.forker.stdout.readline()))
        worker = Forked(process=process, log=log, plan=plan, cloud=self.cloud)
        self.workers.append(worker)
        await worker.ready()
        return worker

    def end(self) -> None:
        """Nobody else ends a forked worker."""
        for worker in self.workers:
            worker.kill()
        self.workers.clear()

    async def story(self, server: Server) -> tuple[Story, Table, str]:
        """A table that is published and waits for its subscriber."""
        play = PLAYGROUNDS[server.engine](server=server, admin=server.admin)
        await play.set_up()
        domain = self.cloud.control.do(c.AddDomain()).id
        environment = self.cloud.control.do(c.AddEnvironment(domain=domain, events=False)).id
        story = Story(cloud=self.cloud, play=play, domain=domain, environment=environment, strangers=frozenset())
        table = await play.create_table("orders")
        return story, table, story.publish(table)


@pytest.fixture(scope="module")
def lanes(ca_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lane]]:
    """The same for every engine."""
    folder, numbers = tmp_path_factory.mktemp("killed"), count()
    command = [sys.executable, "-m", "tests.system.killer"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as forker,
        ExitStack() as clouds,
    ):
        running = [Cloud(clouds.enter_context(localcloud.running())) for _ in range(_LANES)]
        for cloud in running:
            clouds.callback(cloud.close)
        lanes = [Lane(cloud, ca_bundle, folder, forker, numbers) for cloud in running]
        try:
            yield lanes
        finally:
            for lane in lanes:
                lane.end()
            forker.kill()


async def _learn(lane: Lane, server: Server) -> tuple[list[Point], list[Point]]:
    """All points of a grant by a new worker, and of a revoke by another new one."""
    story, table, listing = await lane.story(server)
    worker = await lane.worker()
    worker.watch()
    subscription = story.approve(listing)
    await story.cloud.settled()
    grant = worker.seen()
    lane.end()
    await story.reads(table, of=(table,))

    worker = await lane.worker()
    worker.watch()
    story.revoke(subscription)
    await story.cloud.settled()
    revoke = worker.seen()
    lane.end()
    await story.nothing_left()
    return grant, revoke


async def _killed_in_the_grant(lane: Lane, server: Server, point: Point) -> None:
    story, table, listing = await lane.story(server)
    victim = await lane.worker(**daemon.SHORT_LIVED)
    victim.arm(point)
    subscription = story.approve(listing)
    await victim.dead()
    await lane.worker()
    await story.cloud.settled()
    await story.reads(table, of=(table,))
    assert story.principal_state() == "ACTIVE"
    # What a crash and its repair left is as easily taken away.
    story.revoke(subscription)
    await story.cloud.settled()
    await story.nothing_left()
    lane.end()


async def _killed_in_the_revoke(lane: Lane, server: Server, point: Point) -> None:
    story, table, listing = await lane.story(server)
    await lane.worker()
    subscription = story.approve(listing)
    await story.cloud.settled()
    lane.end()
    victim = await lane.worker(**daemon.SHORT_LIVED)
    login = story.secret().credentials
    async with story.server.session(login=login, database=story.play.database) as run:
        await run(f"SELECT * FROM {story.play.sql(table)}")
        victim.arm(point)
        story.revoke(subscription)
        await victim.dead()
        await lane.worker()
        await story.cloud.settled()
    await story.nothing_left(login)
    assert story.principal_state() == "REMOVED"
    lane.end()


async def _opened(lane: Lane, server: Server) -> tuple[Story, Table, str, str]:
    """A table that two approvals open, one of them but a row of it. The other's subscription is the first of the two."""
    story, table, listing = await lane.story(server)
    datazone = lane.cloud.client("datazone")
    asset = datazone.get_listing(domainIdentifier=story.domain, identifier=listing)["item"]["assetListing"]["assetId"]
    first_row = {"expression": {"equalTo": {"columnName": "id", "value": "1"}}}
    made = datazone.create_asset_filter(
        domainIdentifier=story.domain,
        assetIdentifier=asset,
        name="first",
        configuration={"rowConfiguration": {"rowFilter": first_row}},
    )
    await lane.worker()
    some, whole = story.approve(listing, filters=(made["id"],)), story.approve(listing)
    await story.cloud.settled()
    await story.reads(table, of=(table,))
    lane.end()
    return story, table, whole, some


async def _learn_narrowing(lane: Lane, server: Server) -> list[Point]:
    story, table, whole, some = await _opened(lane, server)
    worker = await lane.worker()
    worker.watch()
    story.revoke(whole)
    await story.cloud.settled()
    points = worker.seen()
    await _narrowed(story, table, some)
    lane.end()
    return points


async def _killed_in_the_narrowing(lane: Lane, server: Server, point: Point) -> None:
    story, table, whole, some = await _opened(lane, server)
    victim = await lane.worker(**daemon.SHORT_LIVED)
    victim.arm(point)
    story.revoke(whole)
    await victim.dead()
    await lane.worker()
    await story.cloud.settled()
    await _narrowed(story, table, some)
    lane.end()


async def _narrowed(story: Story, table: Table, some: str) -> None:
    """Asserts that one row is left, by the view that the secret names; and that it is as easily taken away."""
    secret = story.secret()
    schema, name = secret.objects[str(table)].split(".")
    view = Table(schema=schema, name=name)
    assert await story.play.run(f"SELECT * FROM {story.play.sql(view)}", secret.credentials) == [(1,)]
    assert not await story.play.can_read(secret.credentials, table)
    assert story.tables() == {str(table): "GRANTED"}
    story.revoke(some)
    await story.cloud.settled()
    await story.nothing_left(secret.credentials)


async def _all(points: list[Callable[[Lane], Awaitable[None]]], lanes: list[Lane]) -> None:
    """Every point, on whichever lane is free."""
    waiting = iter(points)

    async def along(lane: Lane) -> None:
        for attempt in waiting:
            await attempt(lane)

    async with asyncio.TaskGroup() as tasks:
        for lane in lanes:
            tasks.create_task(along(lane))


@pytest.mark.timeout(600)
async def test_kill_9_at_every_call_and_statement(engine: Server, lanes: list[Lane]) -> None:
    before = await logins(engine)
    grant, revoke = await _learn(lanes[0], engine)
    attempts = [
        _named(scene, engine, point)
        for scene, points in ((_killed_in_the_grant, grant), (_killed_in_the_revoke, revoke))
        for point in points
    ]
    began = time.monotonic()
    await _all(attempts, lanes)
    print(f"\n{engine.flavour}: {len(grant)} points of a grant, {len(revoke)} of a revoke; {time.monotonic() - began:.0f} s")
    assert await logins(engine) == before


@pytest.mark.timeout(600)
async def test_kill_9_while_an_end_narrows_what_another_approval_leaves(engine: Server, lanes: list[Lane]) -> None:
    before = await logins(engine)
    points = await _learn_narrowing(lanes[0], engine)
    began = time.monotonic()
    await _all([_named(_killed_in_the_narrowing, engine, point) for point in points], lanes)
    print(f"\n{engine.flavour}: {len(points)} points of a narrowing; {time.monotonic() - began:.0f} s")
    assert await logins(engine) == before


def _named(
    scene: Callable[[Lane, Server, Point], Awaitable[None]], server: Server, point: Point
) -> Callable[[Lane], Awaitable[None]]:
    async def attempt(lane: Lane) -> None:
        try:
            await scene(lane, server, point)
        except Exception as error:
            error.add_note(f"{scene.__name__} {point}")
            raise

    return attempt
