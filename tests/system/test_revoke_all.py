"""`dzgrant revoke-all`: what it lists, what it asks, what is gone afterwards, and that a re-installed dzgrant grants again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dzgrant.localcloud.databases.workplace import free_port
from dzgrant.localcloud.places import GOVERNANCE, TABLE
from tests.system.commands import Commands
from tests.system.forwarding import forwarded
from tests.system.story import Story

one_engine = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
two_engines = pytest.mark.parametrize("engine", ["postgresql", "mariadb"], indirect=True)


@pytest.fixture
def commands(story: Story, ca_bundle: Path) -> Commands:
    return Commands(story, ca_bundle)


@two_engines
async def test_all_that_a_domain_has_ends_and_comes_back_with_the_next_installation(story: Story, commands: Commands) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    second = story.add_environment()
    subscriptions = [await story.granted(orders), await story.granted(items)]
    before = {place: story.secret(place).credentials for place in (story.environment, second)}
    known = story.items()

    listed = await commands("revoke-all", "--domain", story.domain, "--dry-run")
    assert listed.returncode == 0, listed.stderr
    for word in (story.principal().id, story.principal(second).id, str(orders), str(items), *subscriptions):
        assert word in listed.stdout
    assert story.items() == known

    done = await commands("revoke-all", "--domain", story.domain, "--yes", story.domain)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 revoked" in done.stdout
    for place, login in before.items():
        await story.nothing_left(login, place)
        assert story.principal_state(place) == "REMOVED"

    reconciled = await commands("reconcile", "--domain", story.domain)
    assert reconciled.returncode == 0, reconciled.stdout
    for place in before:
        await story.reads(orders, items, environment=place, of=(orders, items))


@one_engine
async def test_another_domain_and_what_is_not_confirmed_stay(story: Story, commands: Commands) -> None:
    orders = await story.play.create_table("orders")
    await story.granted(orders)
    for typed, options in (("yes\n", ()), ("", ("--yes", "dzd_another"))):
        refused = await commands("revoke-all", "--domain", story.domain, *options, typed=typed)
        assert refused.returncode == 1
        assert f"is not {story.domain}: nothing was revoked" in refused.stderr
    await story.reads(orders, of=(orders,))

    typed_right = await commands("revoke-all", "--domain", story.domain, typed=f"{story.domain}\n")
    assert typed_right.returncode == 0, typed_right.stderr
    await story.nothing_left()
    again = await commands("revoke-all", "--domain", story.domain)
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)


@one_engine
async def test_what_can_not_end_yet_is_listed_and_ends_when_it_is_run_again(story: Story, commands: Commands) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    port = free_port()
    async with forwarded(port, story.server.port):
        await story.granted(orders, port=port, connection=f"away-{story.environment}")
        await story.granted(items)
        [near] = [one for one in story.cloud.consumer_secrets(story.environment) if one.port != port]
        [far] = [one for one in story.cloud.consumer_secrets(story.environment) if one.port == port]
    revoke_all = ("revoke-all", "--domain", story.domain, "--yes", story.domain)
    done = await commands(*revoke_all)
    assert done.returncode == 1
    assert "1 revoked" in done.stdout
    assert "1 not yet" in done.stdout
    assert f"localhost:{port}" in done.stdout
    assert not await story.play.can_log_in(near.credentials)

    async with forwarded(port, story.server.port):
        done = await commands(*revoke_all)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not await story.play.can_log_in(far.credentials)
    await story.nothing_left()


@one_engine
async def test_a_principal_that_a_worker_has_at_that_moment_is_told(story: Story, commands: Commands) -> None:
    await story.granted(await story.play.create_table("orders"))
    [key] = [{name: item[name] for name in ("pk", "sk")} for item in story.items() if item["sk"]["S"].startswith("PRINCIPAL#")]
    leased = {":nonce": {"S": "another"}, ":until": {"N": str(round((time.time() + 600) * 1000))}}
    dynamodb = story.cloud.client("dynamodb", GOVERNANCE)
    dynamodb.update_item(
        TableName=TABLE, Key=key, UpdateExpression="SET nonce = :nonce, leased_until = :until", ExpressionAttributeValues=leased
    )
    done = await commands("revoke-all", "--domain", story.domain, "--yes", story.domain)
    assert done.returncode == 1
    assert "another worker has the principal" in done.stdout
    assert "is the service stopped?" in done.stdout

    dynamodb.update_item(TableName=TABLE, Key=key, UpdateExpression="REMOVE nonce, leased_until")
    done = await commands("revoke-all", "--domain", story.domain, "--yes", story.domain)
    assert done.returncode == 0, done.stdout + done.stderr
    await story.nothing_left()
