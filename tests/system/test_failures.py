"""What a person must put right: it is said in one line, waits without harm, and goes on by itself once it is right."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.databases.workplace import free_port
from dzgrant.localcloud.places import CONSUMER, GOVERNANCE, KMS_KEY_ALIAS, PRODUCER
from dzgrant.model import AccountId, Credentials
from tests.engines.postgresql_playground import PostgresqlPlayground, quoted
from tests.system.cloud import Cloud, until
from tests.system.commands import Commands
from tests.system.conftest import Start
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


def _add_role(cloud: Cloud, account: AccountId, name: str, *, trusted: str = GOVERNANCE) -> None:
    """As the member account's stack, where it is deployed or mended later."""
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{trusted}:root"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam = cloud.client("iam", account)
    if name in {role["RoleName"] for role in iam.list_roles()["Roles"]}:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    else:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        anything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.put_role_policy(RoleName=name, PolicyName="anything", PolicyDocument=json.dumps(anything))


def _add_key(cloud: Cloud, name: str) -> None:
    kms = cloud.client("kms", PRODUCER)
    key = next(one["TargetKeyId"] for one in kms.list_aliases()["Aliases"] if one["AliasName"] == KMS_KEY_ALIAS)
    kms.create_alias(AliasName=name, TargetKeyId=key)


def _distrust(cloud: Cloud, account: AccountId, name: str) -> None:
    _add_role(cloud, account, name, trusted="999999999999")


def _encrypt_anew(cloud: Cloud) -> None:
    secrets = cloud.client("secretsmanager", PRODUCER)
    for secret in secrets.list_secrets()["SecretList"]:
        if secret["Name"].startswith("dzgrant/producer/"):
            secrets.update_secret(SecretId=secret["ARN"], KmsKeyId=KMS_KEY_ALIAS)


AWS_KEY = "alias/aws/secretsmanager"
"""The key that no other account may use."""


@one_engine
@pytest.mark.parametrize(
    ("setting", "spoil", "mend", "says", "state"),
    [
        pytest.param(
            {"DZGRANT_PRODUCER_ROLE_NAME": "later-producer"},
            None,
            partial(_add_role, account=PRODUCER, name="later-producer"),
            f"the producer role arn:aws:iam::{PRODUCER}:role/later-producer can't be assumed",
            "SUBSCRIPTION",
            id="no producer role",
        ),
        pytest.param(
            {"DZGRANT_CONSUMER_ROLE_NAME": "later-consumer"},
            None,
            partial(_add_role, account=CONSUMER, name="later-consumer"),
            f"the consumer role arn:aws:iam::{CONSUMER}:role/later-consumer can't be assumed",
            "GRANT",
            id="no consumer role",
        ),
        pytest.param(
            {"DZGRANT_PRODUCER_ROLE_NAME": "closed-producer"},
            partial(_distrust, account=PRODUCER, name="closed-producer"),
            partial(_add_role, account=PRODUCER, name="closed-producer"),
            f"the producer role arn:aws:iam::{PRODUCER}:role/closed-producer can't be assumed",
            "SUBSCRIPTION",
            id="a role that trusts another",
        ),
        pytest.param(
            {"DZGRANT_KMS_KEY_ALIAS": "alias/later"},
            None,
            partial(_add_key, name="alias/later"),
            "alias/later is not found",
            "GRANT",
            id="no key",
        ),
        pytest.param(
            {"DZGRANT_KMS_KEY_ALIAS": AWS_KEY},
            None,
            _encrypt_anew,
            "Access to KMS is not allowed",
            "GRANT",
            id="no right to the key",
        ),
    ],
)
async def test_what_a_deployment_lacks_is_a_named_state_one_line_and_an_alarm_and_goes_on_by_itself(
    own: Story,
    start: Start,
    ca_bundle: Path,
    setting: dict[str, str],
    spoil: Callable[[Cloud], None] | None,
    mend: Callable[[Cloud], None],
    says: str,
    state: str,
) -> None:
    story, orders = own, await own.play.create_table("orders")
    if spoil is not None:
        spoil(story.cloud)
    with start("lacking", **setting) as worker:
        await worker.ready()
        subscription = story.approve(story.publish(orders))

        async def stuck() -> str | None:
            """The reason, where the ledger calls it stuck: of a grant, or of a subscription that never came to one."""
            places = {f"ENVIRONMENT#{story.environment}", f"SUBSCRIPTION#{subscription}"}
            items = [it for it in story.cloud.ledger() if it["pk"]["S"] in places and it["sk"]["S"].startswith(state)]
            worried = [it for it in items if "stuck" in it or it.get("state", {}).get("S") == "STUCK_GRANT"]
            return next((it["reason"]["S"] for it in worried), None)

        reason = await until(stuck, story.cloud.ledger)
        assert says in reason
        assert "\n" not in reason
        assert subscription in reason or story.environment in reason

        listed = await Commands(story, ca_bundle)("stuck", "list", "--json")
        (line,) = [line for line in listed.stdout.splitlines() if subscription in line]
        assert says in line

        # What the alarm counts is said at each try.
        async def said() -> bool | None:
            lines = [line for line in worker.events() if line["event"] in ("access_stuck", "subscription_stuck")]
            return (len(lines) >= 2 and {(line["level"], line["aim"]) for line in lines} == {("warning", "grant")}) or None

        await until(said, worker.log.read_text)
        assert worker.process.poll() is None
        assert story.cloud.waiting() == 1
        assert story.refused(subscription) == []
        assert "Traceback" not in worker.log.read_text()

        mend(story.cloud)
        await story.cloud.settled()
        await story.reads(orders, of=(orders,))
        assert await stuck() is None
