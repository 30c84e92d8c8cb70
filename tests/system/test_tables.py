"""What may be subscribed to: every kind of table, every spelling of a name, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from dzgrant.localcloud import commands as c
from dzgrant.model import Credentials
from tests.system.story import Story

# 63 bytes of UTF-8 is PostgreSQL's limit; MySQL's is 64 characters.
NAMES = {
    "mixed case": "OrDeRs",
    "spaces": "orders of the year",
    "double quotes": 'the "orders"',
    "single quotes and backquotes": "the 'orders' `too`",
    "dots": "orders.2024.q1",
    "semicolons": "orders; drop table users; --",
    "63 bytes of two each": "é" * 31 + "x",
    "63 bytes of three each": "表" * 21,
    "wildcards": "orders_%",
    "backslash": r"orders\_",
}


async def test_names_of_every_kind_go_the_whole_way(story: Story) -> None:
    tables = {kind: await story.play.create_table(name) for kind, name in NAMES.items()}
    # What a wildcard would reach.
    neighbour = await story.play.create_table("ordersXX")
    subscriptions = {kind: story.approve(story.publish(table)) for kind, table in tables.items()}
    await story.cloud.settled()
    assert [story.refused(subscription) for subscription in subscriptions.values()] == [[]] * len(NAMES)
    await story.reads(*tables.values(), of=(*tables.values(), neighbour))

    login = story.secret().credentials
    last = subscriptions.pop("wildcards")
    for subscription in subscriptions.values():
        story.revoke(subscription)
    await story.cloud.settled()
    await story.reads(tables["wildcards"], of=(*tables.values(), neighbour))
    story.revoke(last)
    await story.cloud.settled()
    await story.nothing_left(login)


async def test_a_view_and_a_partitioned_table(story: Story) -> None:
    play = story.play
    base = await play.create_table("base")
    view, partitioned = await play.create_view("of_the_base", base), await play.create_partitioned("measures")
    first = story.approve(story.publish(view, view=True))
    second = story.approve(story.publish(partitioned))
    await story.cloud.settled()
    await story.reads(view, partitioned, of=(base, view, partitioned))
    login = story.secret().credentials
    story.revoke(first)
    story.revoke(second)
    await story.cloud.settled()
    await story.nothing_left(login)


async def test_a_data_product_with_tables_on_two_sources(story: Story) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    other = f"{story.play.database}_two"
    if not await _exists(story, other):
        await story.server.create_database(other)
    name = f"far_{story.environment}"
    await story.server.execute(f"CREATE TABLE {name} (id int)", database=other)
    path = f"public.{name}" if story.server.engine == "postgresql" else name
    far = story.publish(orders, database=other, table=path, connection=f"far-{story.environment}")
    listings = (story.publish(orders), story.publish(items), far)
    product = story.cloud.control.do(c.PublishProduct(domain=story.domain, listings=listings)).id
    subscription = story.approve(product)
    await story.cloud.settled()

    secrets = story.cloud.consumer_secrets(story.environment)
    assert {secret.database for secret in secrets} == {story.play.database, other}
    assert len({secret.credentials.username for secret in secrets}) == 2
    by_database = {secret.database: secret.credentials for secret in secrets}
    assert await story.play.can_read(by_database[story.play.database], orders)
    assert await story.play.can_read(by_database[story.play.database], items)
    assert await story.server.execute(f"SELECT * FROM {name}", database=other, login=by_database[other]) == []
    assert not await story.play.can_read(by_database[other], orders)

    story.revoke(subscription)
    await story.cloud.settled()
    await story.nothing_left()
    assert await story.logins() == frozenset()


async def _exists(story: Story, database: str) -> bool:
    if story.server.engine == "mysql":
        return False
    return bool(await story.server.execute(f"SELECT FROM pg_database WHERE datname = '{database}'"))


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("jdbc:db2://db.example.com:50000/SHOP", "installed: PostgreSQL, MySQL"),
        ("jdbc:mysql://one.example.com,two.example.com/shop", "several hosts"),
        ("jdbc:oracle:thin:@//db.example.com:1521", "neither a service nor a SID"),
    ],
)
async def test_a_url_that_leads_nowhere_is_refused_in_one_line(story: Story, url: str, said: str) -> None:
    orders = await story.play.create_table("orders")
    subscription = story.approve(story.publish(orders, connection=f"nowhere-{story.environment}", url=url))
    await story.cloud.settled()
    (reason,) = story.refused(subscription)
    assert f"subscription {subscription}" in reason
    assert said in reason
    assert "\n" not in reason
    await story.nothing_left()
    assert story.items() == []
    [kept] = [item for item in story.cloud.ledger() if item["pk"]["S"] == f"SUBSCRIPTION#{subscription}"]
    assert (kept["state"]["S"], said in kept["reason"]["S"]) == ("FAILED", True)
    await _ends(story, subscription)


async def test_a_table_that_is_not_there_is_refused_in_one_line_and_leaves_nothing(story: Story) -> None:
    orders = await story.play.create_table("orders")
    missing = story.play.table("misspelt")
    subscription = story.approve(story.publish(missing))
    await story.cloud.settled()
    (reason,) = story.refused(subscription)
    assert "misspelt" in reason
    assert story.tables() == {story.play.path(missing).name: "FAILED"}
    assert "misspelt" in story.reasons()[0]
    await story.nothing_left()
    assert [outcome["kind"] for outcome in story.outcomes(subscription)] == ["Access Failed"]

    # One table that is refused takes nothing from the others, nor do they from it.
    await story.granted(orders)
    assert await story.play.can_read(story.secret().credentials, orders)
    await _ends(story, subscription)
    await story.reads(orders, of=(orders,))


async def _ends(story: Story, subscription: str) -> None:
    """What was refused is as easily revoked as anything."""
    story.revoke(subscription)
    await story.cloud.settled()
    assert "FAILED" not in story.tables().values()


@pytest.mark.parametrize("who", ["user", "iam_principal"])
async def test_a_subscriber_that_is_no_project_is_refused_clearly(story: Story, who: str) -> None:
    orders = await story.play.create_table("orders")
    name = "arn:aws:iam::333333333333:role/analyst" if who == "iam_principal" else "analyst"
    wish = {"domain": story.domain, "listing": story.publish(orders), who: name}
    request = story.cloud.control.do(c.Subscribe.model_validate(wish))
    subscription = story.cloud.control.do(c.Approve(request=request.id)).subscription
    await story.cloud.settled()
    (reason,) = story.refused(subscription)
    assert "project" in reason
    await story.nothing_left()


async def test_a_login_of_the_same_name_that_dzgrant_did_not_make_is_refused_and_untouched(story: Story) -> None:
    orders = await story.play.create_table("orders")
    # The name is known beforehand: it follows from environment and source.
    theirs = _login(story)
    await story.play.create_login(theirs)
    subscription = story.approve(story.publish(orders))
    await story.cloud.settled()
    (reason,) = story.refused(subscription)
    assert theirs.username in reason
    assert await story.play.can_log_in(theirs)
    assert not await story.play.can_read(theirs, orders)
    assert story.cloud.readable_secrets(story.environment) == []

    await _ends(story, subscription)
    assert await story.play.can_log_in(theirs)
    await _drop(story, theirs)


async def test_a_missing_table_is_no_reason_to_touch_a_login_that_dzgrant_did_not_make(story: Story) -> None:
    theirs = _login(story)
    await story.play.create_login(theirs)
    missing = story.play.table("misspelt")
    subscription = story.approve(story.publish(missing))
    await story.cloud.settled()
    (reason,) = story.refused(subscription)
    assert "misspelt" in reason
    assert story.tables() == {story.play.path(missing).name: "FAILED"}
    assert story.principal_state() == "REMOVED"
    assert [outcome["kind"] for outcome in story.outcomes(subscription)] == ["Access Failed"]
    assert await story.play.can_log_in(theirs)

    await _ends(story, subscription)
    assert await story.play.can_log_in(theirs)
    await _drop(story, theirs)


def _login(story: Story) -> Credentials:
    return Credentials(username=story.principal().login, password=SecretStr("not-of-dzgrant"))


async def _drop(story: Story, login: Credentials) -> None:
    kind = "ROLE" if story.server.engine == "postgresql" else "USER"
    await story.server.execute(f"DROP {kind} {login.username}")


async def test_what_everyone_may_read_is_said_in_the_outcome(story: Story) -> None:
    orders = await story.play.create_table("orders")
    through = await story.play.let_everyone_read(orders)
    subscription = await story.granted(orders)
    assert story.outcomes(subscription)[0]["readableThrough"] == through
