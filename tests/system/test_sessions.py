"""A revoke ends what is open: sessions, cursors, transactions; and nothing that the consumer does can hold it up."""

from __future__ import annotations

import pytest

from dzgrant.localcloud.databases import Run
from dzgrant.model import Credentials
from tests.engines.playground import SAID_NO
from tests.system.story import Story


async def test_an_open_session_is_dead_after_the_revoke(story: Story) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    login = story.secret().credentials
    async with story.server.session(database=story.play.database, login=login) as run:
        assert len(await run(f"SELECT * FROM {story.play.sql(orders)}")) == 3
        story.revoke(subscription)
        await story.cloud.settled()
        with pytest.raises(SAID_NO):
            await run("SELECT 1")
        await story.nothing_left(login)


async def test_an_open_cursor_stops_when_only_its_table_is_revoked(story: Story) -> None:
    """In PostgreSQL it is WITH HOLD, which no transaction keeps open; in MySQL and MariaDB a HANDLER."""
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    subscription = await story.granted(orders)
    await story.granted(items)
    login = story.secret().credentials
    async with story.play.reading(login, orders) as next_row:
        assert await next_row() == 1
        story.revoke(subscription)
        await story.cloud.settled()
        with pytest.raises(SAID_NO):
            await next_row()
    await story.reads(items, of=(orders, items))


async def test_an_open_transaction_does_not_hold_up_the_revoke(story: Story) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    login = story.secret().credentials
    async with story.server.session(database=story.play.database, login=login) as run:
        await run("BEGIN")
        # It holds a lock on the table until the transaction ends.
        await run(f"SELECT * FROM {story.play.sql(orders)}")
        story.revoke(subscription)
        await story.cloud.settled()
        await story.nothing_left(login)
        with pytest.raises(SAID_NO):
            await run("SELECT 1")


async def test_a_lock_of_the_consumers_own_does_not_hold_up_the_revoke(story: Story) -> None:
    """In PostgreSQL on its own temporary table; in MySQL and MariaDB the very lock that dzgrant takes for this login."""
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    login = story.secret().credentials
    async with story.server.session(database=story.play.database, login=login) as run:
        await _lock_something_of_its_own(story, login, run)
        story.revoke(subscription)
        await story.cloud.settled()
        await story.nothing_left(login)


async def _lock_something_of_its_own(story: Story, login: Credentials, run: Run) -> None:
    if story.server.engine == "postgresql":
        await run("CREATE TEMPORARY TABLE mine (id int)")
        await run("BEGIN")
        await run("LOCK TABLE mine IN ACCESS EXCLUSIVE MODE")
        return
    # A login that may only SELECT makes no temporary tables there; the locks that it can take are named ones.
    with pytest.raises(SAID_NO):
        await run("CREATE TEMPORARY TABLE mine (id int)")
    await run(f"SELECT GET_LOCK('dzgrant:{login.username}', 0)")


async def test_property_of_the_consumer_does_not_keep_its_access(story: Story) -> None:
    """A large object in another database can't be dropped from here: the login is then disabled, and said to be."""
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    login = story.secret().credentials
    if story.server.engine == "postgresql":
        await story.server.execute("SELECT lo_create(0)", database="postgres", login=login)
    else:
        await story.play.give_property(login)
    story.revoke(subscription)
    await story.cloud.settled()
    assert not await story.play.can_log_in(login)
    assert story.cloud.readable_secrets(story.environment) == []
    assert story.cloud.shares(story.environment) == []
    assert story.principal_state() == "DISABLED"
    outcome = story.outcomes(subscription)[-1]
    assert (outcome["kind"], outcome["loginOutcome"]) == ("Access Revoked", "disabled")
    assert outcome["reason"]

    # Approved again, it is the same login, enabled; what it has is still its own.
    await story.granted(orders)
    assert story.secret().credentials.username == login.username
    await story.reads(orders, of=(orders,))
