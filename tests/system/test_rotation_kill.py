"""kill -9 at everything that a rotation changes, in AWS and in the database; then a worker, whose schedule goes on from there.

Between two changes nothing happens that a crash could leave behind, so reads are left out. Where the rotation died before
it was begun, nothing is to be finished; else the secrets hold a new password in the end, and the one before is dead.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import psutil
import pytest

from dzgrant.localcloud import commands as c
from dzgrant.localcloud import process as localcloud
from dzgrant.localcloud.databases import Server
from dzgrant.model import Table
from tests.system import daemon
from tests.system.cloud import Cloud, until
from tests.system.story import Story, logins
from tests.system.test_kill import Forked, Lane, Point, _all, _named

_LANES = 8
_GRACE = {"DZGRANT_ROTATION_GRACE_HOURS": "0.0002"}
_WORK = ("datazone", "glue", "sts", "dynamodb", "secretsmanager", "events")
# Renewals of the lease are left out: how many there are is a matter of time.
_CHANGES = ("TransactWriteItems", "PutSecretValue", "UpdateSecretVersionStage", "PutEvents")
_READS = ("select", "show", "connect", "_connect", "begin", "start", "set", "rollback")


@pytest.fixture(scope="module")
def lanes(ca_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lane]]:
    folder, numbers = tmp_path_factory.mktemp("killed_rotations"), count()
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


class Command(Forked):
    """A command of dzgrant instead of a worker; it waits for `go`."""

    def go(self) -> None:
        Path(f"{self.plan}.go").touch()


def _rotating(lane: Lane, story: Story) -> Command:
    assert lane.forker.stdin
    assert lane.forker.stdout
    number = next(lane.numbers)
    log, plan = lane.folder / f"{number}.log", lane.folder / f"{number}.plan"
    log.touch()
    plan.touch()
    order = {
        "environment": daemon.environment(lane.cloud, lane.ca_bundle, daemon.SHORT_LIVED | _GRACE),
        "log": str(log),
        "plan": str(plan),
        "command": ["rotate", story.principal().id],
    }
    lane.forker.stdin.write(json.dumps(order) + "\n")
    lane.forker.stdin.flush()
    command = Command(process=psutil.Process(int(lane.forker.stdout.readline())), log=log, plan=plan, cloud=lane.cloud)
    lane.workers.append(command)
    return command


async def _done(command: Command) -> None:
    """Lets it begin, and waits for its end."""
    command.go()
    await command.dead()


async def _granted(lane: Lane, server: Server) -> tuple[Story, Table, str]:
    story, table, listing = await lane.story(server)
    await lane.worker()
    subscription = story.approve(listing)
    await story.cloud.settled()
    lane.end()
    return story, table, subscription


async def _learn(lane: Lane, server: Server) -> list[Point]:
    """What a rotation changes: each call, by its number among those of its kind, and each statement."""
    story, table, subscription = await _granted(lane, server)
    command = _rotating(lane, story)
    command.watch()
    before = story.secret().credentials
    await _done(command)
    assert "rotated" in command.log.read_text()
    assert story.secret().credentials != before
    await story.reads(table, of=(table,))
    calls = [call.operation for call in lane.cloud.control.calls() if "dzgrant" in call.agent and call.service in _WORK]
    statements = command.statements("statements")
    await lane.worker()
    story.revoke(subscription)
    await story.cloud.settled()
    lane.end()
    return [
        # The ledger's word that a spare is being made comes just before its password.
        Point("call", 1, "PutSecretValue", "before"),
        *(Point("call", at, what) for what in _CHANGES for at in range(1, calls.count(what) + 1)),
        *(Point("statement", at, what) for at, what in enumerate(statements, 1) if not what.lower().startswith(_READS)),
    ]


async def _killed(lane: Lane, server: Server, point: Point) -> None:
    story, table, subscription = await _granted(lane, server)
    before = story.secret().credentials
    victim = _rotating(lane, story)
    if point.place == "statement":
        victim.plan.write_text(f"statements {point.number}")
    else:
        match = c.Match(agent="dzgrant", services=_WORK, operations=(point.what,))
        lane.cloud.control.do(c.Kill(pid=victim.process.pid, call=point.number, when=point.when, match=match))
    await _done(victim)
    assert "rotated" not in victim.log.read_text(), f"it was not killed: {victim.log.read_text()}"
    await story.reads(table, of=(table,))
    begun = "spare" in _principal(story) or story.secret().credentials != before

    worker = await lane.worker(**_GRACE)

    async def ended() -> bool | None:
        await story.reads(table, of=(table,))
        item = _principal(story)
        return None if "spare" in item or "nonce" in item else True

    if begun:
        await until(ended, lambda: f"{_principal(story)} {worker.log.read_text()[-3000:]}", 60)
        assert story.secret().credentials != before
        assert not await story.play.can_log_in(before)
    assert {login for login in await story.logins() if login in story.principal().logins} == {
        story.secret().credentials.username
    }

    story.revoke(subscription)
    await story.cloud.settled()
    await story.nothing_left(before)
    assert not {*story.principal().logins} & await story.logins()
    lane.end()


def _principal(story: Story) -> dict[str, object]:
    (item,) = [item for item in story.items() if item["sk"]["S"].startswith("PRINCIPAL#")]
    return item


@pytest.mark.timeout(600)
async def test_kill_9_at_everything_that_a_rotation_changes(engine: Server, lanes: list[Lane]) -> None:
    before = await logins(engine)
    points = await _learn(lanes[0], engine)
    print(f"\n{engine.flavour}: {len(points)} points: {[point.what for point in points]}")
    await _all([_named(_killed, engine, point) for point in points], lanes)
    assert await logins(engine) == before
