"""Environments whose events and whose status in DataZone disagree: what DataZone says now decides, once it has settled."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import CONSUMER_PROJECT
from tests.envelopes import envelope
from tests.system.cloud import until
from tests.system.daemon import Worker
from tests.system.story import Story

# No database decides any of it.
pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

DEPLOYED, DELETION = "Environment Deployment Completed", "Environment Deletion Started"


def send(story: Story, kind: str) -> None:
    """An event of the story's environment, of now, whatever DataZone says of it."""
    data = {"environmentId": story.environment, "projectId": CONSUMER_PROJECT}
    event = envelope(kind, story.environment, data, domain=story.domain)
    story.cloud.control.send(json.dumps({**event, "time": datetime.now(UTC).isoformat()}))


def marked(story: Story) -> bool:
    """Whether the ledger has the mark that the environment is being deleted."""
    return any(item["sk"]["S"] == "ENVIRONMENT" for item in story.items())


async def test_an_environment_that_lives_again_without_an_event_gets_what_is_approved(story: Story) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    await story.granted(orders)
    login = story.secret().credentials
    story.cloud.control.do(c.DeleteEnvironment(environment=story.environment))
    await story.cloud.settled()
    await story.nothing_left(login)
    assert marked(story)

    story.cloud.control.do(c.SetEnvironmentStatus(environment=story.environment, status="ACTIVE", events=False))
    subscription = await story.granted(items)
    await story.reads(items, of=(orders, items))
    assert not marked(story)
    assert story.refused(subscription) == []


async def test_a_late_deployment_opens_nothing_that_is_being_deleted(story: Story) -> None:
    orders = await story.play.create_table("orders")
    await story.granted(orders)
    login = story.secret().credentials
    story.cloud.control.do(c.DeleteEnvironment(environment=story.environment))
    await story.cloud.settled()
    send(story, DEPLOYED)
    await story.cloud.settled()
    await story.nothing_left(login)
    # An approval that is under way must go on finding it closed.
    assert marked(story)


async def test_a_deletion_that_datazone_does_not_say_yet_is_waited_for(story: Story, worker: Worker) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    await story.granted(orders)
    login = story.secret().credentials
    # What a deployment would bring.
    story.approve(story.publish(items), events=False)
    send(story, DELETION)

    async def delayed() -> bool | None:
        return any(story.environment in line["error"] for line in worker.events("message_delayed")) or None

    await until(delayed, worker.log.read_text)
    await story.reads(orders, of=(orders, items))
    story.cloud.control.do(c.DeleteEnvironment(environment=story.environment, events=False))
    await story.cloud.settled()
    await story.nothing_left(login)


async def test_the_next_anchor_of_a_project_takes_over_from_one_that_is_deleted(story: Story) -> None:
    """V2: one environment stands for the project in its account and Region."""
    control = story.cloud.control
    domain = control.do(c.AddDomain(version="V2")).id
    wish = c.AddEnvironment(domain=domain, blueprint="Tooling", events=False)
    first, second = sorted(control.do(wish).id for _ in range(2))
    story = replace(story, domain=domain, environment=first)
    orders = await story.play.create_table("orders")
    await story.granted(orders)
    await story.reads(orders, of=(orders,))
    assert story.cloud.consumer_secrets(second) == []
    login = story.secret().credentials

    control.do(c.DeleteEnvironment(environment=first))
    await story.cloud.settled()
    await story.nothing_left(login)
    await story.reads(orders, of=(orders,), environment=second)
