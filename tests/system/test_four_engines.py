"""The main road through the real daemon on the engines whose servers are doubles here: the wire and the drivers are real."""

from __future__ import annotations

import pytest

from tests.engines.playground import SAID_NO
from tests.system.story import Story

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


async def test_a_missing_table_is_refused_in_one_line_and_leaves_nothing(story: Story) -> None:
    subscription = story.approve(story.publish(story.play.table("misspelt")))
    await story.cloud.settled()
    (reason,) = story.refused(subscription)
    assert "misspelt" in reason
    assert "\n" not in reason
    await story.nothing_left()
