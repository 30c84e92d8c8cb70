"""The commands against the whole system: what they say of real grants, what they mend, and what they leave alone."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import CONSUMER
from tests.deploy.templates import DEPLOY, load, refusals
from tests.system import daemon
from tests.system.orders import IN_PARIS, IN_ROME, columns, made
from tests.system.story import Story

one_engine = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
"""For what asks no database."""

Dzgrant = Callable[..., Awaitable[subprocess.CompletedProcess[str]]]


@pytest.fixture
def dzgrant(story: Story, ca_bundle: Path) -> Dzgrant:
    """Runs a command in the story's domain: `await dzgrant("grants", "list")`."""
    environment = {**daemon.environment(story.cloud, ca_bundle, {"DZGRANT_DOMAIN_IDS": story.domain}), "COLUMNS": "250"}

    async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dzgrant.cli", *arguments]
        return await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The JSON lines that a command printed."""
    assert not done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def differences(done: subprocess.CompletedProcess[str]) -> list[str]:
    [explained] = lines(done)
    assert (done.returncode == 0) is explained["agrees"]
    return [
        difference
        for principal in explained["principals"]
        for found in (principal, *principal["tables"])
        for difference in found["differences"]
    ]


@one_engine
async def test_the_grants_that_are_and_that_were(story: Story, dzgrant: Dzgrant) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    principal = story.principal()

    [grant] = lines(await dzgrant("grants", "list", "--subscription", subscription, "--json"))
    assert (grant["table"], grant["state"], grant["subscriptions"]) == (str(orders), "GRANTED", [subscription])
    assert (
        grant["place"] | {"principal": principal.id, "login": principal.login, "source": str(story.play.source)}
        == grant["place"]
    )
    fitting = {
        "--environment": story.environment,
        "--project": "consumer",
        "--source": str(story.play.source),
        "--state": "GRANTED",
    }
    assert lines(await dzgrant("grants", "list", "--json", *chain(*fitting.items()))) == [grant]
    for change in (
        {"--source": story.play.source.key},
        {"--source": "0" * 16},
        {"--project": "another"},
        {"--state": "FAILED"},
    ):
        found = lines(await dzgrant("grants", "list", "--json", *chain(*(fitting | change).items())))
        assert found == ([grant] if story.play.source.key in change.values() else [])

    story.revoke(subscription)
    await story.cloud.settled()
    assert lines(await dzgrant("grants", "list", "--subscription", subscription, "--json")) == []
    [was] = lines(await dzgrant("grants", "list", "--subscription", subscription, "--state", "REVOKED", "--json"))
    assert (was["table"], was["state"], was["subscriptions"]) == (str(orders), "REVOKED", [subscription])

    [login, approval] = lines(await dzgrant("grants", "show", principal.id, subscription, "--json"))
    assert (login["login"]["state"], login["grants"]) == ("REMOVED", [])
    assert [event["state"] for event in approval["history"]] == ["GRANTED", "REVOKED"]
    assert login["history"] == approval["history"]


@one_engine
async def test_tables_for_people_say_the_same(story: Story, dzgrant: Dzgrant) -> None:
    orders = await story.play.create_table("orders [red]of[/red] :smile:")
    subscription = await story.granted(orders)
    principal = story.principal()
    password = story.secret().credentials.password.get_secret_value()
    for arguments in (
        ("grants", "list", "--environment", story.environment),
        ("grants", "show", principal.id),
        ("explain", subscription),
    ):
        done = await dzgrant(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        for word in (principal.id, principal.login, str(orders), str(story.play.source), "GRANTED"):
            assert word in done.stdout
        assert password not in done.stdout


@one_engine
async def test_a_limit_says_that_there_is_more(story: Story, dzgrant: Dzgrant) -> None:
    for name in ("orders", "items"):
        await story.granted(await story.play.create_table(name))
    done = await dzgrant("grants", "list", "--environment", story.environment, "--limit", "1", "--json")
    assert len(done.stdout.splitlines()) == 1
    assert "more than 1" in done.stderr


@one_engine
async def test_the_toolkit_is_told_what_athena_needs(story: Story, dzgrant: Dzgrant) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    done = await dzgrant("toolkit", "athena", "--subscription", subscription, "--json")
    assert not done.stderr
    parameters = {it["Key"]: it["Value"] for it in json.loads(done.stdout)}
    # The secret is there under this name, and the product takes all of them.
    found = story.cloud.client("secretsmanager", CONSUMER).describe_secret(SecretId=parameters["Secret"])
    assert {"Key": "AmazonDataZoneEnvironment", "Value": story.environment} in found["Tags"]
    product = load(DEPLOY / "toolkit" / "athena.yaml")
    assert refusals(product, parameters) == []
    assert [name for name, it in product["Parameters"].items() if "Default" not in it] == list(parameters)

    shown = await dzgrant("toolkit", "athena", "--subscription", subscription)
    assert parameters["Secret"] in shown.stdout
    schema = orders.schema.lower().replace('"', '""')
    assert f'"{parameters["Catalog"]}"."{schema}"."{orders.name}"' in shown.stdout

    story.revoke(subscription)
    await story.cloud.settled()
    for name, why in ((subscription, "gives access to nothing any longer"), ("nothing", "the ledger knows no subscription")):
        refused = await dzgrant("toolkit", "athena", "--subscription", name)
        assert (refused.returncode, refused.stdout) == (1, "")
        [line] = refused.stderr.splitlines()
        assert why in line


@one_engine
async def test_what_the_ledger_does_not_know_is_one_line(story: Story, dzgrant: Dzgrant) -> None:
    for arguments in (("grants", "show", "nobody/0000"), ("grants", "show", "nothing"), ("reconcile", "nothing")):
        done = await dzgrant(*arguments)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1


async def test_explain_finds_no_difference_before_and_after_and_changes_nothing(story: Story, dzgrant: Dzgrant) -> None:
    subscription = await story.granted(await story.play.create_table("orders"))
    items, control = story.items(), story.cloud.control
    control.forget_calls()
    assert differences(await dzgrant("explain", subscription, "--json")) == []
    made = {call.operation for call in control.calls() if call.service != "sqs"}
    assert {"GetSubscription", "GetTable", "Query", "GetSecretValue"} <= made
    assert {
        operation for operation in made if not operation.startswith(("Get", "List", "Query", "BatchGet", "AssumeRole"))
    } == set()
    assert story.items() == items

    story.revoke(subscription)
    await story.cloud.settled()
    assert differences(await dzgrant("explain", subscription, "--json")) == []


async def test_explain_names_a_lost_secret_and_reconcile_mends_it(story: Story, dzgrant: Dzgrant) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    story.cloud.client("secretsmanager", CONSUMER).delete_secret(SecretId=story.secret().arn, RecoveryWindowInDays=7)
    assert differences(await dzgrant("explain", subscription, "--json")) == ["the consumer secret is not there"]

    done = await dzgrant("reconcile", subscription)
    assert (done.returncode, done.stderr) == (0, "")
    assert differences(await dzgrant("explain", subscription, "--json")) == []
    await story.reads(orders, of=(orders,))


async def test_reconcile_finds_lost_events_of_the_whole_domain(story: Story, dzgrant: Dzgrant) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    ended = await story.granted(orders)
    story.revoke(ended, events=False)
    begun = story.approve(story.publish(items), events=False)
    assert differences(await dzgrant("explain", begun, "--json"))
    assert differences(await dzgrant("explain", ended, "--json"))

    done = await dzgrant("reconcile")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {words[0]: " ".join(words) for line in done.stdout.splitlines() if (words := line.split())}
    assert rows[begun].startswith(f"{begun} not_granted {story.principal().id}")
    assert rows[ended].startswith(f"{ended} not_revoked {story.principal().id}")
    assert rows[begun].endswith(" yes")
    assert rows[ended].endswith(" yes")
    await story.reads(items, of=(orders, items))
    for subscription in (ended, begun):
        assert differences(await dzgrant("explain", subscription, "--json")) == []


async def test_reconcile_for_a_schedule_logs_what_it_did(story: Story, dzgrant: Dzgrant) -> None:
    begun = story.approve(story.publish(await story.play.create_table("orders")), events=False)
    done = await dzgrant("reconcile", begun, "--log")
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["event"]) == (0, "reconciled")
    assert [last[name] for name in ("subscriptions", "principals", "findings", "repaired", "failed")] == [1, 1, 1, 1, 0]


async def test_reconcile_takes_what_an_environment_had_that_went_unheard(story: Story, dzgrant: Dzgrant) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    login = story.secret().credentials
    story.cloud.control.do(c.DeleteEnvironment(environment=story.environment, gone=True, events=False))
    assert "recorded, but not wanted any more" in differences(await dzgrant("explain", subscription, "--json"))
    assert (await dzgrant("reconcile", subscription)).returncode == 0
    await story.nothing_left(login)


@one_engine
async def test_reconcile_takes_what_went_unheard_of_a_subscription_that_is_partly_refused(
    story: Story, dzgrant: Dzgrant
) -> None:
    orders, stays = await story.play.create_table("orders"), story.add_environment()
    listings = (story.publish(orders), story.publish(story.play.table("misspelt")))
    subscription = story.approve(story.cloud.control.do(c.PublishProduct(domain=story.domain, listings=listings)).id)
    await story.cloud.settled()
    login = story.secret().credentials
    assert await story.play.can_read(login, orders)
    story.cloud.control.do(c.SetEnvironmentStatus(environment=story.environment, status="DELETE_FAILED", events=False))

    done = await dzgrant("reconcile", subscription)
    assert done.returncode == 1
    assert "misspelt" in done.stdout
    await story.nothing_left(login)
    assert story.tables() == {}
    assert await story.play.can_read(story.secret(stays).credentials, orders)


@one_engine
async def test_a_refused_subscription_shows_its_reason(story: Story, dzgrant: Dzgrant) -> None:
    subscription = story.approve(story.publish(await story.play.create_table("orders")), filters=("rows",))
    await story.cloud.settled()
    done = await dzgrant("explain", subscription)
    assert done.returncode == 3
    assert "refused: the filter rows of asset" in done.stdout
    [shown] = lines(await dzgrant("grants", "show", subscription, "--json"))
    assert "has no such filter any more" in shown["refused"]
    [listed] = lines(await dzgrant("grants", "list", "--subscription", subscription, "--json"))
    assert (listed["subscription"], listed["reason"]) == (subscription, shown["refused"])
    assert "the filter rows" in (await dzgrant("grants", "list", "--state", "FAILED")).stdout
    assert lines(await dzgrant("grants", "list", "--state", "GRANTED", "--subscription", subscription, "--json")) == []
    done = await dzgrant("reconcile", subscription)
    assert done.returncode == 1
    assert "the filter rows" in done.stdout


@one_engine
async def test_a_filter_that_changed_is_told_and_mended(story: Story, dzgrant: Dzgrant) -> None:
    orders = await made(story)
    everywhere, in_paris = await orders.approve(orders.filter(columns("id", "city"))), orders.filter(IN_PARIS)
    subscription = await orders.approve(in_paris)
    [shown] = lines(await dzgrant("grants", "show", story.principal().id, "--json"))
    [grant] = shown["grants"]
    assert (grant["object"], grant["columns"]) == (orders.view, None)
    assert sorted(grant["filters"], key=lambda one: bool(one["rows"])) == [
        {"subscription": everywhere, "columns": ["city", "id"], "rows": False},
        {"subscription": subscription, "columns": None, "rows": True},
    ]
    drawn = (await dzgrant("grants", "show", subscription)).stdout
    assert f"{subscription} (some rows)" in drawn
    assert f"{everywhere} (some columns)" in drawn
    assert differences(await dzgrant("explain", subscription, "--json")) == []

    orders.change(in_paris, IN_ROME)
    changed = "recorded with other filters than those of the approval now"
    assert differences(await dzgrant("explain", subscription, "--json")) == [changed]
    done = await dzgrant("reconcile", subscription)
    assert done.returncode == 0, done.stdout
    assert await orders.read("id, city, salary") == [(1, "Paris", None), (2, "Rome", 200), (3, None, None)]
    assert differences(await dzgrant("explain", subscription, "--json")) == []


@one_engine
async def test_a_health_port_that_is_taken_is_one_line(story: Story, ca_bundle: Path, dzgrant: Dzgrant) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = str(taken.sockets[0].getsockname()[1])
    command = [sys.executable, "-m", "dzgrant.cli", "run"]
    environment = daemon.environment(story.cloud, ca_bundle, {"DZGRANT_HTTP_PORT": port})
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    taken.close()
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line
