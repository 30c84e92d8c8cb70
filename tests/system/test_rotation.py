"""Rotation against the whole system: a reader who logs in with whatever the secret holds is never shut out."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dzgrant.model import Credentials, Table
from tests.system import daemon
from tests.system.cloud import until
from tests.system.conftest import Start
from tests.system.story import Story

_FOREIGN = {"postgresql": "CREATE ROLE {} LOGIN", "mysql": "CREATE USER {}"}
_GONE = {"postgresql": "DROP ROLE {}", "mysql": "DROP USER {}"}
NO_GRACE = {"DZGRANT_ROTATION_GRACE_HOURS": "0"}


@dataclass(slots=True)
class Command:
    code: int
    output: str


@dataclass(slots=True)
class Dzgrant:
    """The commands, in processes of their own."""

    story: Story
    ca_bundle: Path

    async def __call__(self, *arguments: str, **changes: str) -> Command:
        variables = daemon.environment(self.story.cloud, self.ca_bundle, changes) | {"COLUMNS": "250"}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dzgrant.cli",
            *arguments,
            env=variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return Command(process.returncode, output.decode())

    async def rotate(self, **changes: str) -> None:
        done = await self("rotate", self.story.principal().id, **changes)
        assert done.code == 0, done.output


@pytest.fixture
def dzgrant(story: Story, ca_bundle: Path) -> Dzgrant:
    return Dzgrant(story, ca_bundle)


@asynccontextmanager
async def reader(story: Story, table: Table, *, grace: bool = True) -> AsyncIterator[None]:
    """Logs in and reads again and again, with what the secret holds at that moment. One refusal ends the test.

    Without a `grace`, what the secret held may be dead before the login with it arrives; then it holds another by now.
    """
    reads = 0
    ended = asyncio.Event()

    async def read_on() -> None:
        nonlocal reads
        while not ended.is_set():
            login = story.secret().credentials
            if await story.play.can_read(login, table):
                reads += 1
            else:
                assert not grace, f"{login.username} could not read"
                assert story.secret().credentials != login, f"{login.username} can't read, and the secret holds it still"

    async def has_read(number: int) -> None:
        async def seen() -> bool | None:
            assert not reading.done(), reading.exception()
            return reads >= number or None

        await until(seen, lambda: f"{reads} reads")

    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read_on())
        await has_read(1)
        yield
        await has_read(reads + 2)
        ended.set()


async def test_nobody_is_shut_out(story: Story, dzgrant: Dzgrant) -> None:
    orders = await story.play.create_table("orders")
    await story.granted(orders)
    before = story.secret()
    async with (
        reader(story, orders),
        story.server.session(login=before.credentials, database=story.play.database) as run,
    ):
        await dzgrant.rotate()
        # Who still holds the password before, or a session, reads on until the grace ends.
        assert await story.play.can_read(before.credentials, orders)
        await run(f"SELECT * FROM {story.play.sql(orders)}")
        after = story.secret()
        assert after.credentials.password != before.credentials.password
        assert after.arn == before.arn
    await story.reads(orders, of=(orders,))


async def test_what_was_in_use_before_ends(story: Story, dzgrant: Dzgrant) -> None:
    orders = await story.play.create_table("orders")
    await story.granted(orders)
    async with reader(story, orders, grace=False):
        first = story.secret().credentials
        await dzgrant.rotate()
        second = story.secret().credentials
        # A second rotation ends the grace of the first: there are two ways in at most.
        await dzgrant.rotate(**NO_GRACE)
        third = story.secret().credentials
        assert [await story.play.can_log_in(login) for login in (first, second, third)] == [False, True, True]
        done = await dzgrant("rotate", "--older-than", "3650d")
        assert (done.code, "retired" in done.output) == (0, True), done.output
    assert story.secret().credentials == third
    assert not await story.play.can_log_in(second)
    assert await story.logins() == {third.username}
    await story.reads(orders, of=(orders,))


async def test_a_grant_and_a_revoke_during_the_grace(story: Story, dzgrant: Dzgrant) -> None:
    orders, clients = await story.play.create_table("orders"), await story.play.create_table("clients")
    one = await story.granted(orders)
    before = story.secret().credentials
    await dzgrant.rotate()
    other = await story.granted(clients)
    assert await story.play.can_read(before, clients)
    await story.reads(orders, clients, of=(orders, clients))
    story.revoke(one)
    await story.cloud.settled()
    assert not await story.play.can_read(before, orders)
    assert await story.play.can_read(before, clients)
    await story.reads(clients, of=(orders, clients))

    async with story.server.session(login=before, database=story.play.database):
        story.revoke(other)
        await story.cloud.settled()
        assert [await story.sessions(login) for login in story.principal().logins] == [[], []]
    assert await story.logins() == frozenset()
    await story.nothing_left(before)
    assert story.principal_state() == "REMOVED"
    # A new life begins where the first one did.
    await story.granted(orders)
    assert story.secret().credentials.username == story.principal().login


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"], indirect=True)
async def test_a_second_login_of_somebody_else(story: Story, dzgrant: Dzgrant) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    before, foreign = story.secret().credentials, story.principal().logins[1]
    await story.server.execute(_FOREIGN[story.server.engine].format(foreign))
    done = await dzgrant("rotate", story.principal().id)
    assert (done.code, foreign in done.output) == (1, True), done.output
    assert story.secret().credentials == before
    assert "spare" not in next(item for item in story.items() if item["sk"]["S"].startswith("PRINCIPAL#"))
    await story.reads(orders, of=(orders,))
    story.revoke(subscription)
    await story.cloud.settled()
    await story.nothing_left(before)
    assert await story.logins() == {foreign}
    await story.server.execute(_GONE[story.server.engine].format(foreign))


async def test_what_a_person_sees(story: Story, dzgrant: Dzgrant) -> None:
    orders = await story.play.create_table("orders")
    await story.granted(orders)
    principal, before = story.principal().id, story.secret().credentials
    would = await dzgrant("rotate", principal, "--dry-run")
    assert (would.code, "would rotate" in would.output) == (0, True), would.output
    assert story.secret().credentials == before
    young = await dzgrant("rotate", "--older-than", "1d")
    assert (young.code, principal in young.output) == (0, False), young.output
    unknown = await dzgrant("rotate", "nobody/0123456789abcdef")
    assert (unknown.code, "knows no principal" in unknown.output) == (1, True), unknown.output
    for wrong in ((), ("--older-than", "soon"), (principal, "--older-than", "1d")):
        assert (await dzgrant("rotate", *wrong)).code == 2


async def test_the_schedule(own: Story, start: Start) -> None:
    """Passwords of seconds, so that they are made anew again and again."""
    orders = await own.play.create_table("orders")
    hours, days = 1 / 3600, 2 / 86400
    changes = {"DZGRANT_ROTATION_GRACE_HOURS": f"{hours:.6f}", "DZGRANT_ROTATE_AFTER_DAYS": f"{days:.7f}"}
    with start("scheduled", **changes) as worker:
        await worker.ready()
        await own.granted(orders)
        first = own.secret().credentials

        async def third() -> Credentials | None:
            rotated = [event for event in worker.events("grant_outcome") if event["outcome"] == "rotated"]
            return own.secret().credentials if len(rotated) >= 2 else None

        async with reader(own, orders, grace=False):
            last = await until(third, worker.events)
        assert last.password != first.password

        async def dead() -> bool | None:
            return None if await own.play.can_log_in(first) else True

        await until(dead, worker.events)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_what_does_not_read_is_never_promoted(story: Story, dzgrant: Dzgrant) -> None:
    play, keeper = story.play, "keeper_of_a_view"
    base = await play.create_table("base")
    view = await play.create_view("recent", base)
    subscription = story.approve(story.publish(view))
    await story.cloud.settled()
    before = story.secret()
    # The view reads with its owner's rights, and its owner has none.
    await play.run(f"CREATE ROLE {keeper}")
    await play.run(f"ALTER VIEW {play.sql(view)} OWNER TO {keeper}")
    try:
        refused = await dzgrant("rotate", story.principal().id)
        assert (refused.code, "can't read" in refused.output) == (1, True), refused.output
        assert story.secret() == before
    finally:
        await play.run(f"ALTER VIEW {play.sql(view)} OWNER TO {play.admin.username}")
        await play.run(f"DROP ROLE {keeper}")
    story.revoke(subscription)
    await story.cloud.settled()
