"""The main road through the real daemon on the engines whose servers are doubles here: the wire and the drivers are real."""

from __future__ import annotations

from pathlib import Path

import pytest

from dzgrant.engines.contract import views_in
from tests.engines.playground import SAID_NO
from tests.system.orders import IN_PARIS, ROWS, made
from tests.system.story import Story
from tests.system.test_rotation import NO_GRACE, Dzgrant

pytestmark = pytest.mark.parametrize("engine", ["sqlserver", "babelfish", "oracle"], indirect=True)


async def test_from_approval_to_revoke(story: Story) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    first = await story.granted(orders)
    await story.reads(orders, of=(orders, items))
    second = await story.granted(items)
    await story.reads(orders, items, of=(orders, items))
    login = story.secret().credentials

    async with story.server.session(database=story.play.database, login=login) as run:
        await run(f"SELECT * FROM {story.play.sql(orders)}")
        story.revoke(first)
        await story.cloud.settled()
        with pytest.raises(SAID_NO):
            await run(f"SELECT * FROM {story.play.sql(items)}")
    await story.reads(items, of=(orders, items))
    story.revoke(second)
    await story.cloud.settled()
    await story.nothing_left(login)
    kinds = [outcome["kind"] for outcome in (*story.outcomes(first), *story.outcomes(second))]
    assert dict.fromkeys(kinds) == dict.fromkeys(["Access Granted", "Access Revoked"])


async def test_the_main_road_with_an_admin_like_that_of_rds(rds_story: Story) -> None:
    story = rds_story
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    await story.reads(orders, of=(orders,))
    login = story.secret().credentials
    story.revoke(subscription)
    await story.cloud.settled()
    await story.nothing_left(login)


async def test_a_rotation_shuts_nobody_out_until_its_grace_ends(story: Story, ca_bundle: Path) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    before, dzgrant = story.secret().credentials, Dzgrant(story, ca_bundle)
    await dzgrant.rotate(**NO_GRACE)
    after = story.secret().credentials
    assert after.password != before.password
    assert [await story.play.can_read(login, orders) for login in (before, after)] == [True, True]
    done = await dzgrant("rotate", "--older-than", "3650d")
    assert (done.code, "retired" in done.output) == (0, True), done.output
    assert [await story.play.can_log_in(login) for login in (before, after)] == [False, True]
    await story.reads(orders, of=(orders,))
    story.revoke(subscription)
    await story.cloud.settled()
    await story.nothing_left(after)
    assert await story.logins() == frozenset()


async def test_a_filter_holds_until_it_ends(story: Story) -> None:
    orders = await made(story)
    in_paris = await orders.approve(orders.filter(IN_PARIS))
    assert orders.view is not None
    assert await orders.read() == ROWS[:1]
    assert not await orders.readable()
    whole = await orders.approve()
    assert await orders.read() == ROWS
    await orders.revoke(whole)
    assert await orders.read() == ROWS[:1]
    assert not await orders.readable()
    login = story.secret().credentials
    await orders.revoke(in_paris)
    await story.nothing_left(login)
    assert not await story.play.has_place(views_in(login.username))


async def test_a_password_that_the_server_refuses_is_replaced(story: Story, ca_bundle: Path) -> None:
    orders = await story.play.create_table("orders")

    def made() -> int:
        """How many passwords there ever were."""
        return len(set(story.cloud.values(f"dzgrant/producer/{story.environment}/")))

    async with story.play.refuse_passwords():
        story.approve(story.publish(orders))
        assert "password" in await story.waits()
        assert made() > 1
    await story.cloud.settled()
    await story.reads(orders, of=(orders,))

    before, count, dzgrant = story.secret(), made(), Dzgrant(story, ca_bundle)
    async with story.play.refuse_passwords():
        refused = await dzgrant("rotate", story.principal().id)
    assert (refused.code, "password" in refused.output) == (1, True), refused.output
    # The worker may have gone on with it meanwhile.
    assert made() >= count + 2
    assert story.secret() == before
    await story.reads(orders, of=(orders,))
    await dzgrant.rotate()
    assert story.secret().credentials.password != before.credentials.password
    await story.reads(orders, of=(orders,))


async def test_a_missing_table_is_refused_in_one_line_and_leaves_nothing(story: Story) -> None:
    subscription = story.approve(story.publish(story.play.table("misspelt")))
    await story.cloud.settled()
    (reason,) = story.refused(subscription)
    assert "misspelt" in reason
    assert "\n" not in reason
    await story.nothing_left()
