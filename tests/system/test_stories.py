"""The main road and the faults of the field, each by name, through the real daemon."""

from __future__ import annotations

from dzgrant.localcloud import commands as c
from tests.system.daemon import NOTHING
from tests.system.story import Story


async def test_an_approved_subscription_opens_one_table_and_a_revoke_closes_it(story: Story) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    subscription = await story.granted(orders)
    await story.reads(orders, of=(orders, items))
    secret = story.secret()
    assert secret.tags["AmazonDataZoneProject"] == "consumer"
    assert secret.tags["AmazonDataZoneDomain"] == story.domain
    assert await story.logins() == {secret.credentials.username}

    story.revoke(subscription)
    await story.cloud.settled()
    await story.nothing_left(secret.credentials)
    assert story.principal_state() == "REMOVED"
    # Each at least once.
    kinds = dict.fromkeys(outcome["kind"] for outcome in story.outcomes(subscription))
    assert list(kinds) == ["Access Granted", "Access Revoked"]


async def test_a_second_table_joins_the_first_and_leaves_it_alone(story: Story) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    first = await story.granted(orders)
    secret = story.secret()
    second = await story.granted(items)
    await story.reads(orders, items, of=(orders, items))
    assert story.secret() == secret

    story.revoke(first)
    await story.cloud.settled()
    await story.reads(items, of=(orders, items))
    assert story.secret() == secret

    story.revoke(second)
    await story.cloud.settled()
    await story.nothing_left(secret.credentials)


async def test_the_main_road_with_an_admin_like_that_of_rds(rds_story: Story) -> None:
    story = rds_story
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    first = await story.granted(orders)
    second = await story.granted(items)
    await story.reads(orders, items, of=(orders, items))
    login = story.secret().credentials
    async with story.server.session(database=story.play.database, login=login) as run:
        await run(f"SELECT * FROM {story.play.sql(orders)}")
        story.revoke(first)
        await story.cloud.settled()
        await story.reads(items, of=(orders, items))
        story.revoke(second)
        await story.cloud.settled()
    await story.nothing_left(login)


async def test_two_grants_to_one_environment_at_once_share_one_login(story: Story) -> None:
    tables = [await story.play.create_table(f"t{number}") for number in range(4)]
    listings = [story.publish(table) for table in tables]
    for listing in listings:
        story.approve(listing)
    await story.cloud.settled()
    await story.reads(*tables, of=tables)
    assert len(await story.logins()) == 1


async def test_two_connections_to_one_server_are_one_source(story: Story) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    server, database = story.server, story.play.database
    word = "postgresql" if server.engine == "postgresql" else "mysql"
    await story.granted(orders, connection=f"one-{story.environment}")
    url = f"jdbc:{word}://{server.host.upper()}:{server.port}/{database}"
    await story.granted(items, connection=f"two-{story.environment}", url=url)
    await story.reads(orders, items, of=(orders, items))
    assert await story.logins() == {story.secret().credentials.username}


async def test_a_revoke_twice_is_as_one(story: Story) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    login = story.secret().credentials
    story.revoke(subscription)
    story.cloud.control.do(c.Repeat(id=subscription))
    await story.cloud.settled()
    story.cloud.control.do(c.Repeat(id=subscription))
    await story.cloud.settled()
    await story.nothing_left(login)
    assert story.refused(subscription) == []


async def test_a_revoke_before_its_grant_leaves_nothing(story: Story) -> None:
    orders = await story.play.create_table("orders")
    listing = story.publish(orders)
    subscription = story.approve(listing, events=False)
    story.revoke(subscription)
    await story.cloud.settled()
    await story.nothing_left()
    assert story.refused(subscription) == []


async def test_a_late_created_after_revoked_grants_nothing(story: Story) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    login = story.secret().credentials
    story.revoke(subscription, events=False)
    # The latest event of the subscription is still the one of its creation: it alone comes, and comes late.
    story.cloud.control.do(c.Repeat(id=subscription))
    await story.cloud.settled()
    await story.nothing_left(login)
    story.cloud.control.do(c.Repeat(id=subscription))
    await story.cloud.settled()
    await story.nothing_left(login)


async def test_the_subscriber_cancels(story: Story) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    login = story.secret().credentials
    story.cloud.control.do(c.Cancel(subscription=subscription))
    await story.cloud.settled()
    await story.nothing_left(login)


async def test_subscribing_again_while_the_secret_is_scheduled_for_deletion(story: Story) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    first = story.secret()
    story.revoke(subscription)
    await story.cloud.settled()
    await story.nothing_left(first.credentials)

    again = await story.granted(orders)
    await story.reads(orders, of=(orders,))
    second = story.secret()
    assert second.arn == first.arn
    assert second.credentials.password != first.credentials.password
    story.revoke(again)
    await story.cloud.settled()
    await story.nothing_left(second.credentials)


async def test_a_secret_that_came_back_has_a_new_password_whatever_failed_then(story: Story) -> None:
    orders = await story.play.create_table("orders")
    subscription = await story.granted(orders)
    first = story.secret()
    story.revoke(subscription)
    await story.cloud.settled()

    # As often as the SDK asks.
    story.cloud.control.do(c.Fail(times=4, match=c.Match(operations=("PutSecretValue",))))
    await story.granted(orders)
    await story.reads(orders, of=(orders,))
    assert story.secret().credentials.password != first.credentials.password


async def test_of_two_subscriptions_to_one_table_the_last_to_end_takes_the_access(story: Story) -> None:
    orders = await story.play.create_table("orders")
    listing, other = story.publish(orders), story.publish(orders)
    first, second = story.approve(listing), story.approve(other)
    await story.cloud.settled()
    login = story.secret().credentials
    story.revoke(first)
    await story.cloud.settled()
    await story.reads(orders, of=(orders,))
    assert story.outcomes(first)[-1]["kind"] == "Access Kept"
    story.revoke(second)
    await story.cloud.settled()
    await story.nothing_left(login)


async def test_a_failed_copy_heals(story: Story) -> None:
    orders = await story.play.create_table("orders")
    listing = story.publish(orders)
    create = c.Match(operations=("CreateSecret",), agent="dzgrant")
    # The first creates the producer's secret; all that comes after it is the consumer's copy.
    story.cloud.control.do(c.Fail(times=6, match=create))
    story.approve(listing)
    await story.cloud.settled()
    await story.reads(orders, of=(orders,))
    assert len(await story.logins()) == 1
    assert story.principal_state() == "ACTIVE"


async def test_a_message_of_another_source_is_acknowledged(story: Story) -> None:
    letters = len(story.cloud.dead_letters())
    story.cloud.control.send(NOTHING)
    await story.cloud.settled()
    assert len(story.cloud.dead_letters()) == letters


async def test_a_poison_message_goes_to_the_dead_letters_with_its_reason(story: Story) -> None:
    for body in ("", "{", "[]", '{"source": "aws.datazone"}', "\x00".join("abc")):
        poison = body + story.environment
        story.cloud.control.send(poison)
        await story.cloud.settled()
        (letter,) = [letter for letter in story.cloud.dead_letters() if letter.body == poison]
        assert "no event that dzgrant can read" in letter.reason
        assert "\n" not in letter.reason
