"""Who may name what: another's table, and accounts that are not to be served. PostgreSQL stands for all engines."""

from __future__ import annotations

import pytest

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import CONSUMER, PRODUCER
from tests.hostile import BODIES
from tests.system.conftest import Start
from tests.system.daemon import Worker
from tests.system.story import Story

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


def refusals(story: Story, subscription: str) -> list[str]:
    """What the ledger says of it."""
    found = (item for item in story.cloud.ledger() if item["pk"]["S"] == f"SUBSCRIPTION#{subscription}")
    return [item["reason"]["S"] for item in found if "reason" in item]


async def test_a_forged_listing_opens_nothing_and_touches_nothing(story: Story) -> None:
    orders = await story.play.create_table("orders")
    do = story.cloud.control.do
    thief = do(c.AddProject(domain=story.domain)).id
    # It has an account of its own, and DataZone knows so; the table is another's.
    do(c.AddEnvironment(domain=story.domain, project=thief, account=CONSUMER, events=False))
    forged = story.publish(orders, project=thief)
    story.cloud.control.forget_calls()
    subscription = story.approve(forged)
    await story.cloud.settled()

    expected = f"account {PRODUCER} in eu-central-1, where its owner, project {thief}, has no live environment"
    for reasons in (refusals(story, subscription), story.refused(subscription)):
        assert len(reasons) == 1
        assert expected in reasons[0]
    calls = [call for call in story.cloud.control.calls() if "dzgrant" in call.agent]
    assert calls
    assert not [call for call in calls if call.account == PRODUCER]
    assert await story.logins() == frozenset()
    assert story.items() == []
    await story.nothing_left()

    # The same table, published by its owner, is opened to the same consumer.
    story.approve(story.publish(orders))
    await story.cloud.settled()
    await story.reads(orders, of=(orders,))


async def test_hostile_messages_are_buried_or_acknowledged_and_stop_nothing(story: Story, worker: Worker) -> None:
    orders = await story.play.create_table("orders")
    bodies = [text for text in BODIES.values() if text]
    for text in bodies:
        story.cloud.control.send(text)
    await story.granted(orders)
    await story.reads(orders, of=(orders,))
    buried = [letter for letter in story.cloud.dead_letters() if letter.body in bodies]
    assert sorted(letter.body for letter in buried) == sorted(bodies)
    assert all(letter.reason.isprintable() and len(letter.reason) <= 1024 for letter in buried)
    assert worker.events("handler_failed") == []


async def test_an_environment_in_an_account_that_is_not_served_is_refused_alone(own: Story, start: Start) -> None:
    orders = await own.play.create_table("orders")
    outside = own.add_environment(account="444444444444")
    with start("narrow", DZGRANT_ACCOUNTS=f"{PRODUCER} {CONSUMER}", DZGRANT_REGIONS="eu-central-1") as worker:
        await worker.ready()
        own.cloud.control.forget_calls()
        subscription = await own.granted(orders)
        await own.reads(orders, of=(orders,))
        (reason,) = refusals(own, subscription)
        assert f"account 444444444444 is not to be served (subscription {subscription}, environment {outside})" in reason
        assert own.refused(subscription) == [reason]
        assert own.items(outside) == []
        assert not [call for call in own.cloud.control.calls() if call.account == "444444444444"]
