"""IAM database authentication: a login without a password, and a secret that says so.

No RDS is here to take a token, so what dzgrant proves is what it can prove of such a login on RDS too: the catalogue's
word. The server has a role `rds_iam`, as RDS has, which is all that PostgreSQL's side of it is made of.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dzgrant.localcloud.places import CONSUMER, PRODUCER
from dzgrant.model import AccountId, Credentials, Table
from dzgrant.passwords import new_password
from tests.system.cloud import until
from tests.system.conftest import Start
from tests.system.story import Story
from tests.system.test_rotation import NO_GRACE, Dzgrant

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

BY_IAM = {"DZGRANT_IAM_SOURCES": "postgresql://*"}
_MEMBERS = """
SELECT m.rolname FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
WHERE r.rolname = 'rds_iam'
"""


@pytest.fixture
async def iam_story(own: Story) -> Story:
    if not await own.server.execute("SELECT FROM pg_roles WHERE rolname = 'rds_iam'"):
        await own.server.execute("CREATE ROLE rds_iam NOLOGIN")
    return own


def value(story: Story, account: AccountId) -> dict[str, Any]:
    """The JSON of the environment's one secret in this account."""
    secrets = story.cloud.client("secretsmanager", account)
    [found] = [one for one in secrets.list_secrets()["SecretList"] if story.environment in one["Name"]]
    parsed: dict[str, Any] = json.loads(secrets.get_secret_value(SecretId=found["ARN"])["SecretString"])
    return parsed


async def may_read(story: Story, table: Table) -> bool:
    login = story.principal().login
    [(answer,)] = await story.play.run(f"SELECT has_table_privilege('{login}', '{story.play.sql(table)}', 'SELECT')")
    return bool(answer)


async def test_a_login_by_iam_has_no_password_and_goes_like_any_other(iam_story: Story, start: Start) -> None:
    story = iam_story
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    with start("worker", **BY_IAM) as worker:
        await worker.ready()
        first = await story.granted(orders)
        login = story.principal().login
        for account in (PRODUCER, CONSUMER):
            found = value(story, account)
            assert found["username"] == login
            assert found["authentication"] == "iam"
            assert "password" not in found
        assert (login,) in await story.server.execute(_MEMBERS)
        [(stored,)] = await story.server.execute(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{login}'")
        assert stored is None
        assert await may_read(story, orders)
        assert not await may_read(story, items)

        second = await story.granted(items)
        assert await may_read(story, items)
        story.revoke(first)
        await story.cloud.settled()
        assert not await may_read(story, orders)
        story.revoke(second)
        await story.cloud.settled()
        await story.nothing_left(Credentials(username=login, password=new_password()))


async def test_a_source_that_turns_to_iam_takes_the_password_away_and_gives_it_back(iam_story: Story, start: Start) -> None:
    story = iam_story
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    with start("by password") as worker:
        await worker.ready()
        await story.granted(orders)
        by_password = story.secret().credentials
    with start("by iam", **BY_IAM) as worker:
        await worker.ready()
        second = await story.granted(items)
        assert "password" not in value(story, CONSUMER)
        assert not await story.play.can_log_in(by_password)
        assert await may_read(story, orders)
        assert await may_read(story, items)
    with start("by password again") as worker:
        await worker.ready()
        story.revoke(second)
        await story.granted(await story.play.create_table("returns"))
        assert (by_password.username,) not in await story.server.execute(_MEMBERS)
        assert await story.play.can_log_in(story.secret().credentials)
        assert await story.play.can_read(story.secret().credentials, orders)


async def test_what_a_rotation_left_goes_though_the_source_turned_to_iam(
    iam_story: Story, start: Start, ca_bundle: Path
) -> None:
    story = iam_story
    orders = await story.play.create_table("orders")
    with start("by password") as worker:
        await worker.ready()
        await story.granted(orders)
    before = story.secret().credentials
    await Dzgrant(story, ca_bundle).rotate(**NO_GRACE)
    in_use = story.secret().credentials
    assert await story.play.can_log_in(before)
    with start("by iam", **BY_IAM, **NO_GRACE) as worker:
        await worker.ready()
        await story.granted(await story.play.create_table("items"))

        async def gone() -> bool | None:
            return await story.logins() == {in_use.username} or None

        await until(gone, story.items)
    assert not await story.play.can_log_in(before)
    assert not await story.play.can_log_in(in_use)
