"""Environments whose user role and Glue databases dzgrant extends, and puts back: by events, over HTTP, by real workers.

Most of it needs no database. Workers are forked (see `tests.system.killer`), since each test has settings of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from dzgrant.localcloud import commands as c
from dzgrant.localcloud import process as localcloud
from dzgrant.localcloud.databases import Server
from dzgrant.localcloud.environments import BOUNDARY as AWS_BOUNDARY
from tests.engines.playgrounds import PLAYGROUNDS
from tests.system import daemon, extension
from tests.system.cloud import Cloud, until
from tests.system.extension import BOUNDARY, OTHER_BOUNDARY, OTHER_POLICY, POLICY, Place, arn
from tests.system.story import Story, logins
from tests.system.test_kill import Forked, Lane, _all

_LANES = 3
# Between two of these nothing happens that a crash could leave behind.
_CHANGES = (
    "UpdateItem",
    "TransactWriteItems",
    "PutRolePermissionsBoundary",
    "AttachRolePolicy",
    "DetachRolePolicy",
    "POST /AddLFTagsToResource",
    "POST /RemoveLFTagsFromResource",
    "PutEvents",
)


@pytest.fixture(scope="module")
def lanes(ca_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Lane]]:
    """Local clouds with the policies and the tag that the settings name."""
    folder, numbers = tmp_path_factory.mktemp("extended"), count()
    command = [sys.executable, "-m", "tests.system.killer"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as forker,
        ExitStack() as clouds,
    ):
        running = [Cloud(clouds.enter_context(localcloud.running())) for _ in range(_LANES)]
        for cloud in running:
            clouds.callback(cloud.close)
            extension.prepare(cloud)
        lanes = [Lane(cloud, ca_bundle, folder, forker, numbers) for cloud in running]
        try:
            yield lanes
        finally:
            for lane in lanes:
                lane.end()
            forker.kill()


@pytest.fixture
async def lane(lanes: list[Lane]) -> AsyncIterator[Lane]:
    """One without a worker, and without what an earlier test left."""
    yield lanes[0]
    lanes[0].end()
    lanes[0].cloud.control.do(c.Heal())
    lanes[0].cloud.purge()


async def working(lane: Lane, **changes: str) -> Forked:
    """A worker that extends environments."""
    return await lane.worker(**extension.SETTINGS, **changes)


async def test_what_a_deployment_extends_a_deletion_puts_back(lane: Lane) -> None:
    await working(lane)
    place = Place.made(lane.cloud, events=True)
    databases = (f"{place.id}_pub_db", f"{place.id}_sub_db")
    await lane.cloud.settled()
    place.is_extended(*databases)
    assert place.outcomes() == [("Extended", None)]
    place.delete()
    await lane.cloud.settled()
    place.is_as_made(*databases)
    assert place.state() == "RESTORED"
    assert place.outcomes() == [("Extended", None), ("Restored", None)]


async def test_the_bus_hears_what_was_there_before_and_what_is_now(lane: Lane) -> None:
    await working(lane)
    place = Place.made(lane.cloud, events=True)
    await lane.cloud.settled()
    (told,) = [event for event in lane.cloud.outcomes() if event["detail"]["environment"] == place.id]
    role = f"arn:aws:iam::333333333333:role/{place.role}"
    assert told["detail"]["traits"] == [
        {"kind": "boundary", "of": role, "name": "", "before": f"arn:aws:iam::aws:policy/{AWS_BOUNDARY}", "now": arn(BOUNDARY)},
        {"kind": "policy", "of": role, "name": arn(POLICY), "before": None, "now": arn(POLICY)},
        {"kind": "tag", "of": f"{place.id}_pub_db", "name": "access", "before": None, "now": "dzgrant"},
        {"kind": "tag", "of": f"{place.id}_sub_db", "name": "access", "before": None, "now": "dzgrant"},
    ]


async def test_a_second_deployment_changes_nothing_and_forgets_nothing(lane: Lane) -> None:
    await working(lane)
    place = Place.made(lane.cloud, events=True)
    await lane.cloud.settled()
    lane.cloud.control.forget_calls()
    for _ in range(3):
        place.deploy()
    await lane.cloud.settled()
    assert not [call for call in lane.cloud.control.calls() if "dzgrant" in call.agent and call.operation in _CHANGES]
    place.delete()
    await lane.cloud.settled()
    place.is_as_made(f"{place.id}_pub_db")


async def test_in_v2_the_role_is_the_tooling_environments_and_the_database_another_ones(lane: Lane) -> None:
    await working(lane)
    domain = lane.cloud.control.do(c.AddDomain(version="V2")).id
    tooling = Place.made(lane.cloud, domain=domain, blueprint="Tooling", events=True)
    lake = Place.made(lane.cloud, domain=domain, blueprint="DataLake", events=True)
    await lane.cloud.settled()
    tooling.is_extended()
    assert (lake.tags(f"{lake.id}_db"), lake.state()) == ({"access": ["dzgrant"]}, "EXTENDED")
    for place in (lake, tooling):
        place.delete()
    await lane.cloud.settled()
    tooling.is_as_made(f"{lake.id}_db")


async def test_what_was_there_before_is_put_back_whatever_it_was(lane: Lane) -> None:
    place = Place.made(lane.cloud)
    database = f"{place.id}_pub_db"
    place.bound(OTHER_BOUNDARY)
    place.tag(database, "before")
    for policy in (POLICY, OTHER_POLICY):
        place.iam.attach_role_policy(RoleName=place.role, PolicyArn=arn(policy))
    bare = Place.made(lane.cloud)
    bare.iam.delete_role_permissions_boundary(RoleName=bare.role)
    await working(lane)
    place.deploy()
    bare.deploy()
    await lane.cloud.settled()
    assert (place.boundary(), place.policies()) == (BOUNDARY, {POLICY, OTHER_POLICY})
    assert place.tags(database) == {"access": ["dzgrant"]}
    bare.is_extended()
    place.delete()
    bare.delete()
    await lane.cloud.settled()
    # The policy was attached before: it is not dzgrant's to detach.
    assert (place.boundary(), place.policies()) == (OTHER_BOUNDARY, {POLICY, OTHER_POLICY})
    assert place.tags(database) == {"access": ["before"]}
    assert (bare.boundary(), bare.policies()) == (None, set())


async def test_what_somebody_changed_meanwhile_stays_and_is_told(lane: Lane) -> None:
    await working(lane)
    place = Place.made(lane.cloud, events=True)
    await lane.cloud.settled()
    place.bound(OTHER_BOUNDARY)
    place.delete()
    await lane.cloud.settled()
    assert (place.boundary(), place.policies()) == (OTHER_BOUNDARY, set())
    (_, (kind, reason)) = place.outcomes()
    assert kind == "Restored"
    assert reason is not None
    assert OTHER_BOUNDARY in reason


async def test_other_settings_later_keep_what_was_there_first_and_none_at_all_undo_still(lane: Lane) -> None:
    await working(lane)
    place = Place.made(lane.cloud, events=True)
    await lane.cloud.settled()
    lane.end()
    later = {"DZGRANT_ENVIRONMENT_BOUNDARY": OTHER_BOUNDARY, "DZGRANT_LAKE_FORMATION_TAG": "access=later"}
    await lane.worker(DZGRANT_EXTEND_ENVIRONMENTS="true", **later)
    place.deploy()
    await lane.cloud.settled()
    assert (place.boundary(), place.policies()) == (OTHER_BOUNDARY, set())
    assert place.tags(f"{place.id}_pub_db") == {"access": ["later"]}
    lane.end()
    await lane.worker()
    place.deploy()
    await lane.cloud.settled()
    assert place.boundary() == OTHER_BOUNDARY
    place.delete()
    await lane.cloud.settled()
    place.is_as_made(f"{place.id}_pub_db")


async def test_without_the_setting_no_environment_is_touched(lane: Lane) -> None:
    await lane.worker(**{**extension.SETTINGS, "DZGRANT_EXTEND_ENVIRONMENTS": "false"})
    place = Place.made(lane.cloud, events=True)
    await lane.cloud.settled()
    place.is_as_made(f"{place.id}_pub_db")
    place.delete()
    await lane.cloud.settled()
    assert (place.state(), place.outcomes()) == (None, [])


async def test_a_role_that_is_gone_ends_well(lane: Lane) -> None:
    await working(lane)
    place = Place.made(lane.cloud, events=True)
    await lane.cloud.settled()
    lane.end()
    place.delete()
    lane.cloud.control.do(c.DeleteEnvironment(environment=place.id, gone=True, events=False))
    assert place.role_is_gone()
    await working(lane)
    await lane.cloud.settled()
    assert place.state() == "RESTORED"
    assert place.outcomes()[1:] == [("Restored", None)]


@pytest.mark.parametrize(
    ("missing", "setting"),
    [
        ("policy/absent", {"DZGRANT_ENVIRONMENT_BOUNDARY": "absent"}),
        ("policy/absent", {"DZGRANT_ENVIRONMENT_POLICIES": "absent"}),
        ("access=absent", {"DZGRANT_LAKE_FORMATION_TAG": "access=absent"}),
        ("role/absent can't be assumed", {"DZGRANT_CONSUMER_ROLE_NAME": "absent"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_missing_is_told_in_one_line_and_waited_for(lane: Lane, missing: str, setting: dict[str, str]) -> None:
    await lane.worker(**{**extension.SETTINGS, **setting})
    place = Place.made(lane.cloud, events=True)

    async def told() -> str | None:
        return next((reason for kind, reason in place.outcomes() if kind == "Stuck" and reason), None)

    reason = await until(told, place.outcomes)
    assert missing in reason
    assert place.id in reason
    assert "\n" not in reason
    assert lane.cloud.waiting() == 1
    lane.end()
    # Whatever was done of it is undone by what the ledger says.
    await working(lane)
    place.delete()
    await lane.cloud.settled()
    place.is_as_made(f"{place.id}_pub_db")


async def test_access_ends_and_begins_without_waiting_for_iam(lane: Lane, postgresql: Server) -> None:
    play = PLAYGROUNDS[postgresql.engine](server=postgresql, admin=postgresql.admin)
    await play.set_up()
    control, domain = lane.cloud.control, lane.cloud.control.do(c.AddDomain()).id
    place = Place.made(lane.cloud, domain=domain)
    strangers = await logins(postgresql)
    story = Story(cloud=lane.cloud, play=play, domain=domain, environment=place.id, strangers=strangers)
    orders = await play.create_table("orders")
    await working(lane)
    story.approve(story.publish(orders), events=False)
    control.do(c.Fail(times=1000, status=403, code="AccessDenied", match=c.Match(services=("iam",), agent="dzgrant")))
    place.deploy()

    async def granted() -> bool | None:
        return story.tables() == {str(orders): "GRANTED"} or None

    await until(granted, story.items)
    await story.reads(orders, of=(orders,))
    control.do(c.Heal())
    await lane.cloud.settled()
    place.is_extended()

    login = story.secret().credentials
    control.do(c.Fail(times=1000, status=403, code="AccessDenied", match=c.Match(services=("iam",), agent="dzgrant")))
    place.delete()

    async def stuck() -> bool | None:
        return ("Stuck" in [kind for kind, _ in place.outcomes()[-1:]]) or None

    await until(stuck, place.outcomes)
    await story.nothing_left(login)
    control.do(c.Heal())
    await lane.cloud.settled()
    place.is_as_made()
    await play.tear_down()


async def _extending(lane: Lane) -> Place:
    place = Place.made(lane.cloud)
    place.tag(f"{place.id}_pub_db", "before")
    return place


async def _killed(lane: Lane, number: int, *, restoring: bool) -> None:
    """A worker dies at its n-th change of an extension, or of what puts it back; another one goes on."""
    place = await _extending(lane)
    if restoring:
        await working(lane)
        place.deploy()
        await lane.cloud.settled()
        lane.end()
    victim = await working(lane, **daemon.SHORT_LIVED)
    match = c.Match(agent="dzgrant", operations=_CHANGES)
    lane.cloud.control.do(c.Kill(pid=victim.process.pid, call=number, when="after", match=match))
    (place.delete if restoring else place.deploy)()
    await victim.dead()
    await working(lane)
    await lane.cloud.settled()
    if not restoring:
        place.is_extended(f"{place.id}_pub_db", f"{place.id}_sub_db")
        place.delete()
        await lane.cloud.settled()
    place.is_as_made(f"{place.id}_sub_db")
    assert place.tags(f"{place.id}_pub_db") == {"access": ["before"]}
    assert place.state() == "RESTORED"
    lane.end()


async def _changes(lane: Lane) -> tuple[int, int]:
    """How many there are in an extension, and in what puts it back."""
    await working(lane)
    place, found = await _extending(lane), []
    for step in (place.deploy, place.delete):
        lane.cloud.control.forget_calls()
        step()
        await lane.cloud.settled()
        calls = [call for call in lane.cloud.control.calls() if "dzgrant" in call.agent and call.operation in _CHANGES]
        found.append(len(calls))
    lane.end()
    return found[0], found[1]


async def test_kill_9_at_every_change(lanes: list[Lane]) -> None:
    extending, restoring = await _changes(lanes[0])
    assert (extending, restoring) == (7, 8)
    points: list[Callable[[Lane], Awaitable[None]]] = [
        partial(_killed, number=number + 1, restoring=back)
        for back, numbers in ((False, extending), (True, restoring))
        for number in range(numbers)
    ]
    await _all(points, lanes)
