"""Approvals that are bounded by asset filters: what the consumer then reads, and what becomes of it when a filter, or the
approval beside it, goes."""

from __future__ import annotations

from typing import Any

import pytest

from dzgrant.localcloud import commands as c
from dzgrant.model import Table
from tests.engines.playground import SAID_NO
from tests.system.orders import IN_PARIS, IN_ROME, ROWS, Orders, columns, made, rows_where
from tests.system.story import Story


@pytest.fixture
async def orders(story: Story) -> Orders:
    return await made(story)


async def test_some_columns(orders: Orders) -> None:
    subscription = await orders.approve(orders.filter(columns("ID", "city")))
    assert orders.view is None
    assert await orders.read("id, city") == [row[:2] for row in ROWS]
    assert not await orders.readable("salary")
    assert not await orders.readable()
    (outcome,) = orders.story.outcomes(subscription)
    assert (outcome["kind"], outcome["readable"], outcome["columns"]) == ("Access Granted", None, ["id", "city"])
    login = orders.story.secret().credentials
    await orders.revoke(subscription)
    await orders.story.nothing_left(login)


async def test_some_rows(orders: Orders) -> None:
    identifier = orders.filter(IN_PARIS)
    orders.story.cloud.control.forget_calls()
    subscription = await orders.approve(identifier)
    # What a filter adds to the calls of a grant: itself, and what else is approved of the table.
    calls = [call.operation for call in orders.story.cloud.control.calls() if "dzgrant" in call.agent]
    assert (calls.count("GetAssetFilter"), calls.count("Query")) == (1, 1)
    assert await orders.read() == ROWS[:1]
    assert not await orders.readable()
    (outcome,) = orders.story.outcomes(subscription)
    assert (outcome["kind"], outcome["readable"], outcome["columns"]) == ("Access Granted", orders.view, None)
    assert await orders.story.logins() == {orders.story.secret().credentials.username}
    login = orders.story.secret().credentials
    await orders.revoke(subscription)
    await orders.story.nothing_left(login)
    assert await places(orders.story) == set()


async def places(story: Story) -> set[str]:
    """The schemas or databases of views that dzgrant made."""
    name = (
        "nspname FROM pg_namespace" if story.server.engine == "postgresql" else "schema_name FROM information_schema.schemata"
    )
    found = {str(row[0]) for row in await story.play.run(f"SELECT {name}")}
    return {name for name in found if name.startswith(story.principal().login)}


async def test_several_filters_of_one_approval(orders: Orders) -> None:
    filters = [orders.filter(it) for it in (columns("id"), columns("city"), IN_PARIS, rows_where("isNull"))]
    await orders.approve(*filters)
    assert await orders.read() == [(1, "Paris"), (3, None)]
    assert not await orders.readable("id")


async def test_two_approvals_add_up_cell_by_cell_and_one_that_ends_takes_its_cells(orders: Orders) -> None:
    everywhere = await orders.approve(orders.filter(columns("id", "city")))
    in_paris = await orders.approve(orders.filter(IN_PARIS))
    assert await orders.read("id, city, salary") == [(1, "Paris", 100), (2, "Rome", None), (3, None, None)]
    assert not await orders.readable("id")

    await orders.revoke(everywhere)
    assert await orders.read("id, city, salary") == ROWS[:1]
    assert [outcome["kind"] for outcome in orders.story.outcomes(everywhere)] == ["Access Granted", "Access Kept"]
    assert orders.story.outcomes(everywhere)[1]["readable"] == orders.view
    assert orders.state() == "GRANTED"
    login = orders.story.secret().credentials
    await orders.revoke(in_paris)
    await orders.story.nothing_left(login)


async def test_an_approval_without_a_filter_opens_all_and_its_end_narrows(orders: Orders) -> None:
    in_paris = await orders.approve(orders.filter(IN_PARIS))
    whole = await orders.approve()
    assert orders.view is None
    assert await orders.read() == ROWS
    login = orders.story.secret().credentials
    async with orders.story.server.session(login=login, database=orders.story.play.database) as run:
        assert len(await run(f"SELECT * FROM {orders.story.play.sql(orders.table)}")) == len(ROWS)
        await orders.revoke(whole)
        with pytest.raises(SAID_NO):
            await run(f"SELECT * FROM {orders.story.play.sql(orders.table)}")
    assert orders.view is not None
    assert await orders.read() == ROWS[:1]
    assert not await orders.readable()
    await orders.revoke(in_paris)
    await orders.story.nothing_left(login)


async def test_a_filter_that_changed_is_found_when_the_subscription_is_looked_at(orders: Orders) -> None:
    identifier = orders.filter(IN_PARIS)
    subscription = await orders.approve(identifier)
    for configuration, rows in ((IN_ROME, ROWS[1:2]), (rows_where("isNotNull"), ROWS[:2])):
        orders.change(identifier, configuration)
        await orders.look_again(subscription)
        assert await orders.read() == rows
    orders.change(identifier, columns("id"))
    await orders.look_again(subscription)
    assert orders.view is None
    assert await orders.read("id") == [(1,), (2,), (3,)]
    assert not await orders.readable("city")


async def test_a_look_that_changes_nothing_leaves_the_consumers_session_open(orders: Orders) -> None:
    identifier = orders.filter(IN_PARIS)
    subscription = await orders.approve(identifier)
    beside = await orders.approve(orders.filter(columns("id")))
    await orders.revoke(beside)
    login = orders.story.secret().credentials
    async with orders.story.server.session(login=login, database=orders.story.play.database) as run:
        await run("SELECT 1")
        await orders.look_again(subscription)
        await run("SELECT 1")
        orders.change(identifier, IN_ROME)
        await orders.look_again(subscription)
        with pytest.raises(SAID_NO):
            await run("SELECT 1")
    assert await orders.read() == ROWS[1:2]


@pytest.mark.parametrize(
    ("configuration", "why"),
    [
        (rows_where("equalTo", value="Paris", sensitive=True), "sensitive"),
        (columns(), "includes no columns"),
        (columns("id", "wages"), "wages"),
    ],
)
async def test_what_cannot_be_enforced_is_refused_and_leaves_nothing(
    orders: Orders, configuration: dict[str, Any], why: str
) -> None:
    subscription = await orders.approve(orders.filter(configuration))
    (reason,) = orders.story.refused(subscription)
    assert why in reason
    assert "\n" not in reason
    await orders.story.nothing_left()


@pytest.mark.parametrize("spoilt", ["invalid", "sensitive", "deleted", "impossible"])
async def test_a_filter_that_cannot_be_enforced_any_more_takes_what_it_let_be_read(orders: Orders, spoilt: str) -> None:
    story, identifier = orders.story, orders.filter(IN_PARIS)
    items = await story.play.create_table("items")
    await story.granted(items)
    subscription = await orders.approve(identifier)
    login, view = story.secret().credentials, orders.view
    assert view is not None
    if spoilt == "invalid":
        story.cloud.control.do(c.InvalidateFilter(filter=identifier))
    elif spoilt == "deleted":
        orders.delete(identifier)
    else:
        changed = rows_where("isNull", sensitive=True) if spoilt == "sensitive" else columns("wages")
        orders.change(identifier, changed)
    await orders.look_again(subscription)
    assert len(story.refused(subscription)) == 1
    # Nothing of it is left, and what others approved stays.
    assert not await orders.readable("id")
    schema, name = view.split(".")
    assert not await story.play.can_read(login, Table(schema=schema, name=name))
    assert await story.play.can_read(login, items)
    assert orders.view is None

    if spoilt != "deleted":
        # Mended, it comes back.
        orders.change(identifier, IN_ROME)
        await orders.look_again(subscription)
        assert await orders.read() == ROWS[1:2]
