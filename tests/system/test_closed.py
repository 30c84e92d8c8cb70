"""What is approved can't be given yet, and what was given before is more: the table is closed until a person has made way."""

from __future__ import annotations

import pytest

from dzgrant.localcloud import commands as c
from tests.system.orders import IN_PARIS, ROWS, Orders, columns, made
from tests.system.story import Story

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


@pytest.fixture
async def orders(rds_story: Story) -> Orders:
    """Their owner, dzgrant's admin, may make no schema, which a view needs."""
    story = rds_story
    orders = await made(story)
    await story.play.run(f"ALTER TABLE {story.play.sql(orders.table)} OWNER TO {story.play.admin.username}")
    await story.play.run(f"REVOKE CREATE ON DATABASE {story.play.database} FROM {story.play.admin.username}")
    return orders


async def way_made(orders: Orders) -> None:
    play = orders.story.play
    await play.run(f"GRANT CREATE ON DATABASE {play.database} TO {play.admin.username}")
    await orders.story.cloud.settled()


async def test_an_approval_that_ends_leaves_nothing_open_that_only_it_had_opened(orders: Orders) -> None:
    story = orders.story
    whole = await orders.approve()
    await orders.approve(orders.filter(IN_PARIS))
    assert await orders.readable()
    story.revoke(whole)
    assert "can't make a schema for its views" in await story.waits()
    assert not await orders.readable()
    assert orders.state() == "GRANTING"

    await way_made(orders)
    assert await orders.read() == ROWS[:1]
    assert orders.state() == "GRANTED"


async def test_a_filter_that_changes_leaves_nothing_open_that_it_hides_now(orders: Orders) -> None:
    story = orders.story
    identifier = orders.filter(columns("id", "city", "salary"))
    subscription = await orders.approve(identifier)
    assert await orders.readable("salary")
    orders.change(identifier, IN_PARIS)
    story.cloud.control.do(c.Repeat(id=subscription))
    assert "can't make a schema for its views" in await story.waits()
    assert not await orders.readable("salary")

    await way_made(orders)
    assert await orders.read() == ROWS[:1]
