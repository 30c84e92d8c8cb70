"""SIGTERM in the midst of everything: a worker under load ends in time and as it should, and what it could not finish the next
one finishes at once, to the same end. PostgreSQL stands for all engines; `test_kill.py` has the ends that nobody announces.

One world: each worker is asked to end at another call or statement of its load, with time to finish or with none, and the next
one, whose turn to end comes then, begins with what it left.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import count, cycle
from pathlib import Path

import pytest

from dzgrant.intake.queue import POLL
from dzgrant.localcloud import commands as c
from dzgrant.localcloud import process as localcloud
from dzgrant.localcloud.databases import Server
from dzgrant.model import Table
from tests.system import daemon
from tests.system.cloud import Cloud, until
from tests.system.story import Story
from tests.system.test_kill import Forked, Lane

_LOAD = 2
_IN_TIME = 25.0
"""Seconds within which what was left must be done: less than a message stays hidden that was not given back."""
_DRAIN_SECONDS = ("20", "0")


@pytest.fixture(scope="module")
def lane(ca_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    command = [sys.executable, "-m", "tests.system.killer"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as forker,
        localcloud.running() as local,
    ):
        cloud = Cloud(local)
        lane = Lane(cloud, ca_bundle, tmp_path_factory.mktemp("drained"), forker, count())
        try:
            yield lane
        finally:
            lane.end()
            forker.kill()
            cloud.close()


def _consumers(story: Story) -> list[tuple[str, str]]:
    """New projects, each with its environment."""
    do, domain = story.cloud.control.do, story.domain
    projects = [do(c.AddProject(domain=domain)).id for _ in range(_LOAD)]
    return [(one, do(c.AddEnvironment(domain=domain, project=one, events=False)).id) for one in projects]


def _arm(worker: Forked, place: str, number: int) -> None:
    if place == "statement":
        worker.plan.write_text(f"statements {number} SIGTERM")
        return
    match = c.Match(agent="dzgrant", operations=(place,))
    worker.cloud.control.do(c.Kill(pid=worker.process.pid, call=number, when="after", match=match, signal="SIGTERM"))


async def _ended(worker: Forked) -> float:
    """Waits until it is gone; asserts that it drained and returned. Gives the seconds that it took."""
    await until(_said(worker, "drain_started"), worker.log.read_text, 60.0)
    began = time.monotonic()
    # Ends the long poll.
    worker.cloud.control.send(daemon.NOTHING)
    await worker.dead()
    assert worker.returned, worker.log.read_text()
    assert '"worker_stopped"' in worker.log.read_text()
    assert "handler_failed" not in worker.log.read_text()
    return time.monotonic() - began


def _said(worker: Forked, event: str) -> Callable[[], Awaitable[bool | None]]:
    async def look() -> bool | None:
        return f'"{event}"' in worker.log.read_text() or None

    return look


async def _statements(lane: Lane, story: Story, listing: str) -> tuple[int, int]:
    """How many statements a load of grants takes, and one of revokes."""
    worker = await lane.worker()
    # The first load is that of a cold worker, with connections to make.
    subscriptions: list[str] = []
    for name in ("cold", "grants"):
        worker.plan.write_text(f"{name} 0")
        subscriptions = [story.approve(listing, project=project) for project, _ in _consumers(story)]
        await story.cloud.settled()
    worker.plan.write_text("revokes 0")
    for subscription in subscriptions:
        story.revoke(subscription)
    await story.cloud.settled()
    lane.end()
    return len(worker.statements("grants")), len(worker.statements("revokes"))


def _spread(most: int, points: int) -> list[tuple[str, int]]:
    """So many statements of a load, from the first on; how many it has in all depends on how many connections are open."""
    return [("statement", 1 + (most - 1) * one // points) for one in range(points)]


# The calls of each phase.
_GRANTS = [
    ("TransactWriteItems", 1),
    ("CreateSecret", 1),
    ("PutResourcePolicy", 1),
    ("CreateSecret", 2 * _LOAD),
    ("TransactWriteItems", 2 * _LOAD),
]
_REVOKES = [
    ("UpdateItem", 1),
    ("DeleteResourcePolicy", 1),
    ("DeleteSecret", 1),
    ("PutEvents", 1),
]
_ROTATIONS = [("PutSecretValue", 1), ("UpdateSecretVersionStage", 1), ("PutEvents", 1)]


async def test_a_sigterm_in_a_rotation_leaves_secrets_that_work(lane: Lane, postgresql: Server) -> None:
    story, orders, listing = await lane.story(postgresql)
    await lane.worker()
    consumers = _consumers(story)
    for project, _ in consumers:
        story.approve(listing, project=project)
    await story.cloud.settled()
    lane.end()
    places = [environment for _, environment in consumers]
    grace = {"DZGRANT_ROTATION_GRACE_HOURS": "0.0002"}
    for place, number in _ROTATIONS:
        worker = await lane.worker(**grace, DZGRANT_ROTATE_AFTER_DAYS="0.00002")
        _arm(worker, place, number)
        assert await _ended(worker) < 10
        await lane.worker(**grace)
        await until(_settled(story, places), lambda: list(map(story.items, places)), _IN_TIME)
        lane.end()
        for environment in places:
            await story.reads(orders, environment=environment, of=(orders,))


def _settled(story: Story, environments: Sequence[str]) -> Callable[[], Awaitable[bool | None]]:
    """Whether no rotation is under way, nor any grace."""

    async def look() -> bool | None:
        items = [item for environment in environments for item in story.items(environment)]
        return not [item for item in items if "spare" in item or "nonce" in item] or None

    return look


@pytest.mark.timeout(600)
async def test_a_sigterm_in_any_phase_loses_nothing_and_ends_in_time(lane: Lane, postgresql: Server) -> None:
    story, orders, listing = await lane.story(postgresql)
    grants, revokes = await _statements(lane, story, listing)
    points = [
        *((point, False) for point in (*_GRANTS, *_spread(grants, 3))),
        *((point, True) for point in (*_REVOKES, *_spread(revokes, 2))),
    ]
    longest, drains = 0.0, cycle(_DRAIN_SECONDS)
    seconds = next(drains)
    worker = await lane.worker(DZGRANT_DRAIN_SECONDS=seconds)
    for (place, number), revoking in points:
        consumers = _consumers(story)
        if revoking:
            subscriptions = [story.approve(listing, project=project) for project, _ in consumers]
            await story.cloud.settled()
            _arm(worker, place, number)
            for subscription in subscriptions:
                story.revoke(subscription)
        else:
            _arm(worker, place, number)
            subscriptions = [story.approve(listing, project=project) for project, _ in consumers]
        took = await _ended(worker)
        longest = max(longest, took)
        assert took < float(seconds) + 10, (place, number)
        # Who had time to finish has left nothing to be done again.
        once, seconds = seconds != "0", next(drains)
        worker = await lane.worker(DZGRANT_DRAIN_SECONDS=seconds)
        await story.cloud.settled(_IN_TIME)
        await _as_it_should_be(story, orders, consumers, subscriptions, revoked=revoking, once=once)
    lane.end()
    print(f"\n{len(points)} ends; the longest took {longest:.1f} s")


async def _as_it_should_be(
    story: Story,
    orders: Table,
    consumers: Sequence[tuple[str, str]],
    subscriptions: Sequence[str],
    *,
    revoked: bool,
    once: bool,
) -> None:
    """`once`: each end was told a single time."""
    kind = "Access Revoked" if revoked else "Access Granted"
    told = [outcome for outcome in story.cloud.outcomes() if outcome["detail-type"] == kind]
    for (_, environment), subscription in zip(consumers, subscriptions, strict=True):
        mine = [outcome for outcome in told if outcome["detail"]["subscription"] == subscription]
        assert len(mine) == 1 if once else mine, subscription
        if revoked:
            await story.nothing_left(environment=environment)
        else:
            await story.reads(orders, environment=environment, of=(orders,))
    assert story.cloud.dead_letters() == []


async def test_an_idle_worker_ends_within_its_poll(lane: Lane) -> None:
    worker = await lane.worker()
    asked = len(lane.cloud.control.calls())

    async def polls() -> bool | None:
        return any(call.operation == "ReceiveMessage" for call in lane.cloud.control.calls()[asked:]) or None

    await until(polls, worker.log.read_text)
    began = time.monotonic()
    worker.process.terminate()
    await worker.dead()
    assert time.monotonic() - began < POLL + 2
    assert worker.returned
