"""What can't go on: it is listed with its reason, told once, tried when a person says so, and settled by hand if it must be."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import PRODUCER
from tests.system.cloud import until
from tests.system.commands import Commands
from tests.system.conftest import Start
from tests.system.story import Story

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


@pytest.fixture
def commands(own: Story, ca_bundle: Path) -> Commands:
    return Commands(own, ca_bundle)


def put_admin(story: Story, published: c.Published, password: SecretStr) -> None:
    value = json.dumps({"username": story.play.admin.username, "password": password.get_secret_value()})
    story.cloud.client("secretsmanager", PRODUCER).put_secret_value(SecretId=published.secret_arn, SecretString=value)


async def told(story: Story, subscription: str, kind: str) -> list[dict[str, object]]:
    """The outcomes of this kind, once there is one."""

    async def look() -> list[dict[str, object]] | None:
        return [one for one in story.outcomes(subscription) if one["kind"] == kind] or None

    return await until(look, lambda: story.outcomes(subscription))


async def tries(story: Story, more: int) -> None:
    """Waits until the grant of the environment was tried so often again."""

    def intents() -> int:
        return sum(int(item["intents"]["N"]) for item in story.items() if "intents" in item)

    before = intents()

    async def enough() -> bool | None:
        return intents() >= before + more or None

    await until(enough, story.items)


async def listed(commands: Commands) -> list[dict[str, Any]]:
    done = await commands("stuck", "list", "--json")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [one for one in found if "place" in one and one["place"]["environment"] == commands.story.environment]


async def test_a_stuck_revoke_is_told_once_and_its_lost_message_is_made_good_by_reconcile(
    own: Story, commands: Commands, start: Start
) -> None:
    orders = await own.play.create_table("orders")
    published = own.publication(orders, connection=f"stuck-{own.environment}")
    with start("worker") as worker:
        subscription = own.approve(published.listing)
        await own.cloud.settled()
        login = own.secret().credentials
        put_admin(own, published, SecretStr(secrets.token_urlsafe(16)))
    # It knows the admin's password still: another worker reads the secret.
    with start("another") as worker:
        own.revoke(subscription)
        [stuck] = await told(own, subscription, "Access Stuck")
        await tries(own, 2)
        assert await worker.drain() == 0
    own.cloud.purge()
    assert [one["kind"] for one in own.outcomes(subscription)].count("Access Stuck") == 1
    assert (stuck["aim"], stuck["table"]) == ("revoke", str(orders))
    assert await own.play.can_log_in(login)

    [one] = await listed(commands)
    assert (one["state"], one["subscriptions"], one["table"]) == ("STUCK_REVOKE", [subscription], str(orders))
    assert one["reason"] == stuck["reason"]
    assert one["since"] <= one["tried"] < one["next_try"]
    drawn = await commands("stuck", "list")
    for word in (own.principal().id, "STUCK_REVOKE", subscription, str(own.principal().source)):
        assert word in drawn.stdout

    # As long as nobody mends it, a try says what is in the way.
    tried = await commands("stuck", "retry", subscription)
    assert (tried.returncode, "STUCK_REVOKE" in tried.stdout) == (1, True)
    assert own.play.admin.username in tried.stderr
    nothing = await commands("stuck", "retry", "env/0000000000000000")
    assert (nothing.returncode, "is stuck; see" in nothing.stderr) == (1, True)
    assert nothing.stderr.count("\n") == 1

    put_admin(own, published, own.play.admin.password)
    done = await commands("reconcile", subscription, "--domain", own.domain)
    assert done.returncode == 0, done.stdout + done.stderr
    await own.nothing_left(login)


async def test_a_stuck_grant_goes_on_when_a_person_has_mended_it_and_says_so(
    own: Story, commands: Commands, start: Start
) -> None:
    orders = await own.play.create_table("orders")
    wrong = SecretStr(secrets.token_urlsafe(16))
    published = own.publication(orders, password=wrong, connection=f"stuck-{own.environment}")
    with start("worker") as worker:
        subscription = own.approve(published.listing)
        [stuck] = await told(own, subscription, "Access Stuck")
        assert await worker.drain() == 0
    own.cloud.purge()
    assert stuck["aim"] == "grant"
    explained = await commands("explain", subscription, "--domain", own.domain)
    assert explained.returncode == 3
    assert "STUCK_GRANT" in explained.stdout
    [one] = await listed(commands)
    assert (one["state"], one["subscriptions"]) == ("STUCK_GRANT", [subscription])

    put_admin(own, published, own.play.admin.password)
    tried = await commands("stuck", "retry", subscription)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert "GRANTED" in tried.stdout
    await own.reads(orders, of=(orders,))


async def test_what_a_person_settled_is_closed_without_the_database_and_without_a_word_of_its_login(
    own: Story, commands: Commands, start: Start
) -> None:
    orders, items = await own.play.create_table("orders"), await own.play.create_table("items")
    published = own.publication(orders, connection=f"stuck-{own.environment}")
    other = own.publication(items, connection=f"stuck-{own.environment}")
    with start("worker"):
        ended = own.approve(published.listing)
        await own.cloud.settled()
        login = own.secret().credentials
        put_admin(own, published, SecretStr(secrets.token_urlsafe(16)))
    with start("another") as worker:
        own.revoke(ended)
        await told(own, ended, "Access Stuck")
        wanted = own.approve(other.listing)
        await told(own, wanted, "Access Stuck")
        assert await worker.drain() == 0

    principal = own.principal().id
    resolve = ("stuck", "resolve", principal, "--why", "the database was deleted")
    refused = await commands(*resolve, typed="no\n")
    assert (refused.returncode, f"no is not {principal}: nothing was changed" in refused.stderr) == (1, True)
    assert set(own.tables().values()) == {"REVOKING", "GRANTING"}
    done = await commands(*resolve, typed=f"{principal}\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was not dropped" in done.stdout

    assert await own.play.can_log_in(login), "nobody dropped it, and nobody says so"
    assert own.cloud.readable_secrets(own.environment) == []
    assert own.cloud.shares(own.environment) == []
    assert own.principal_state() == "REMOVED"
    assert own.tables() == {own.play.path(items).name: "FAILED"}
    [resolved] = await told(own, ended, "Access Resolved")
    assert (resolved["aim"], resolved["loginOutcome"]) == ("revoke", None)
    assert "the database was deleted" in str(resolved["reason"])
    assert "Access Revoked" not in {one["kind"] for one in own.outcomes(ended)}
    [resolved] = await told(own, wanted, "Access Resolved")
    assert resolved["aim"] == "grant"
    for subscription in (ended, wanted):
        shown = await commands("grants", "show", subscription)
        assert "resolved by hand by" in shown.stdout
    assert await listed(commands) == []

    # The messages that still wait say no more: one finds nothing to do, the other becomes a dead letter.
    with start("last") as worker:
        await own.cloud.settled()
        assert await worker.drain() == 0
    assert own.tables() == {own.play.path(items).name: "FAILED"}
    assert [reason for reason in own.refused(wanted) if "the database was deleted" in reason]
    assert len([one for one in own.outcomes(wanted) if one["kind"] == "Access Stuck"]) == 1
