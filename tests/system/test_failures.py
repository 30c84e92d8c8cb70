"""What a person must put right: it is said in one line, waits without harm, and goes on by itself once it is right."""

from __future__ import annotations

import json
import secrets

import pytest
from pydantic import SecretStr

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.databases.workplace import free_port
from dzgrant.localcloud.places import PRODUCER
from dzgrant.model import Credentials
from tests.engines.postgresql_playground import PostgresqlPlayground, quoted
from tests.system.cloud import until
from tests.system.forwarding import forwarded
from tests.system.story import Story

one_engine = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
"""For what is the same on every engine."""


async def test_a_wrong_admin_password_is_said_and_heals_when_it_is_put_right(story: Story) -> None:
    orders = await story.play.create_table("orders")
    wrong = SecretStr(secrets.token_urlsafe(16))
    published = story.publication(orders, password=wrong, connection=f"wrong-{story.environment}")
    subscription = story.approve(published.listing)
    reason = await story.waits()
    assert story.play.admin.username in reason
    assert wrong.get_secret_value() not in reason
    assert "\n" not in reason
    assert await story.logins() == frozenset()
    assert story.tables() == {story.play.path(orders).name: "GRANTING"}
    assert story.cloud.consumer_secrets(story.environment) == []

    assert published.secret_arn
    _put_admin(story, published.secret_arn, story.play.admin)
    await story.cloud.settled()
    await story.reads(orders, of=(orders,))
    assert story.refused(subscription) == []


async def test_a_rotated_admin_password_is_read_again_at_once(story: Story) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    admin = await story.server.rds_admin()
    await _let_have(story, admin)
    name = f"rotated-{story.environment}"
    wish = {"username": admin.username, "connection": name}
    first = story.publication(orders, password=admin.password, **wish)
    story.approve(first.listing)
    second = story.publication(items, password=admin.password, **wish)
    await story.cloud.settled()

    new = Credentials(username=admin.username, password=SecretStr(secrets.token_urlsafe(16)))
    await _set_password(story, new)
    assert second.secret_arn
    _put_admin(story, second.secret_arn, new)
    subscription = story.approve(second.listing)
    await story.cloud.settled()
    await story.reads(orders, items, of=(orders, items))
    assert [outcome["kind"] for outcome in story.outcomes(subscription)] == ["Access Granted"]


def _put_admin(story: Story, secret: str, admin: Credentials) -> None:
    value = json.dumps({"username": admin.username, "password": admin.password.get_secret_value()})
    story.cloud.client("secretsmanager", PRODUCER).put_secret_value(SecretId=secret, SecretString=value)


async def _let_have(story: Story, admin: Credentials) -> None:
    """The tables of the story become this admin's too."""
    database, server = story.play.database, story.server
    if isinstance(story.play, PostgresqlPlayground):
        schema = quoted(story.play.schema)
        await story.play.run(f"GRANT ALL ON DATABASE {database} TO {admin.username} WITH GRANT OPTION")
        await story.play.run(f"GRANT USAGE ON SCHEMA {schema} TO {admin.username} WITH GRANT OPTION")
        await story.play.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {admin.username} WITH GRANT OPTION")
    else:
        await server.execute(f"GRANT SELECT ON `{database}`.* TO {admin.username} WITH GRANT OPTION")


async def _set_password(story: Story, admin: Credentials) -> None:
    """Sessions that are open know nothing of it; a failover, which often comes with it, ends them."""
    kind, end = ("ROLE", "SELECT pg_terminate_backend({})") if story.server.engine == "postgresql" else ("USER", "KILL {}")
    word = "PASSWORD" if kind == "ROLE" else "IDENTIFIED BY"
    await story.server.execute(f"ALTER {kind} {admin.username} {word} '{admin.password.get_secret_value()}'")
    for number in await story.sessions(admin.username):
        await story.server.execute(end.format(number))


async def test_a_host_that_does_not_answer_is_waited_for(story: Story) -> None:
    orders = await story.play.create_table("orders")
    port = free_port()
    subscription = story.approve(story.publish(orders, port=port, connection=f"far-{story.environment}"))
    reason = await story.waits()
    assert f"localhost:{port}" in reason
    assert "\n" not in reason
    assert story.cloud.consumer_secrets(story.environment) == []

    async with forwarded(port, story.server.port):
        await story.cloud.settled()
        secret = story.secret()
        assert secret.port == port
        assert await story.play.can_read(secret.credentials, orders)
        story.revoke(subscription)
        await story.cloud.settled()
        assert not await story.play.can_log_in(secret.credentials)


@one_engine
async def test_two_revokes_that_waited_for_the_database_are_both_told_as_done(story: Story) -> None:
    """The first that gets through takes both tables; the other finds nothing to do, and its access is gone all the same."""
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    port = free_port()
    place = {"port": port, "connection": f"far-{story.environment}"}
    async with forwarded(port, story.server.port):
        ended = [await story.granted(orders, **place), await story.granted(items, **place)]
        (secret,) = story.cloud.consumer_secrets(story.environment)
    for subscription in ended:
        story.revoke(subscription)

    async def both_wait() -> bool | None:
        return (list(story.tables().values()), len(story.reasons())) == (["REVOKING"] * 2, 2) or None

    await until(both_wait, story.items)
    async with forwarded(port, story.server.port):
        await story.cloud.settled()
    assert not await story.play.can_log_in(secret.credentials)
    assert story.cloud.readable_secrets(story.environment) == []
    for subscription in ended:
        kinds = dict.fromkeys(outcome["kind"] for outcome in story.outcomes(subscription))
        assert "Access Kept" not in kinds
        assert list(kinds)[-1] == "Access Revoked"


@one_engine
async def test_a_table_that_waits_for_a_right_does_not_hold_the_others_of_its_product(rds_story: Story) -> None:
    story = rds_story
    orders, theirs = await story.play.create_table("orders"), await story.play.create_foreign_table("theirs")
    listings = (story.publish(theirs), story.publish(orders))
    subscription = story.approve(story.cloud.control.do(c.PublishProduct(domain=story.domain, listings=listings)).id)
    reason = await story.waits()
    assert await story.play.can_read(story.secret().credentials, orders)
    assert not await story.play.can_read(story.secret().credentials, theirs)
    assert story.tables() == {str(orders): "GRANTED", story.play.path(theirs).name: "GRANTING"}
    told = {(outcome["table"], outcome["kind"]): outcome.get("reason") for outcome in story.outcomes(subscription)}
    assert set(told) == {(str(orders), "Access Granted"), (story.play.path(theirs).name, "Access Stuck")}
    assert story.refused(subscription) == []
    assert story.cloud.waiting() > 0

    # What it asks a person to run is all that it needs.
    statement = reason.partition("run as its owner: ")[2]
    assert statement.startswith("GRANT SELECT ON ")
    await story.play.run(statement)
    await story.cloud.settled()
    await story.reads(orders, theirs, of=(orders, theirs))
    assert story.refused(subscription) == []


async def test_a_right_that_a_role_lacks_is_said(story: Story) -> None:
    orders = await story.play.create_table("orders")
    denied = c.Fail(times=2, status=403, code="AccessDeniedException", match=c.Match(operations=("PutResourcePolicy",)))
    story.cloud.control.do(denied)
    story.approve(story.publish(orders))
    reason = await story.waits()
    assert "AccessDeniedException" in reason
    await story.cloud.settled()
    await story.reads(orders, of=(orders,))
