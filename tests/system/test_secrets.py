"""The two secrets of a principal, against the local cloud's Secrets Manager in the producer's and the consumer's account."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from types_aiobotocore_secretsmanager import SecretsManagerClient

from dzgrant.accounts import Accounts
from dzgrant.errors import Misconfigured, Refused
from dzgrant.localcloud import commands as c
from dzgrant.localcloud.client import Control
from dzgrant.localcloud.places import CONSUMER, GOVERNANCE, PRODUCER, REGION
from dzgrant.localcloud.process import LocalCloud, running
from dzgrant.model import Admin, Arn, Credentials, Environment, Principal, Region, Source
from dzgrant.secrets import MARK, Kept, Secrets
from dzgrant.settings import Settings, load

ADMIN = Admin(account=PRODUCER, region=REGION, connection="shop", secret=None)
OUTSIDER = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{GOVERNANCE}:root"}}


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with running() as cloud:
        yield cloud


@pytest.fixture
def control(cloud: LocalCloud) -> Iterator[Control]:
    yield cloud.control
    cloud.control.do(c.Heal())


@pytest.fixture
def settings(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    return load()


@pytest.fixture
async def accounts(settings: Settings) -> AsyncIterator[Accounts]:
    async with Accounts(settings) as accounts:
        yield accounts


@pytest.fixture
def secrets(accounts: Accounts, settings: Settings) -> Secrets:
    return Secrets(accounts, settings)


@pytest.fixture
async def producer(accounts: Accounts) -> SecretsManagerClient:
    return await accounts.secrets("producer", PRODUCER, REGION)


@pytest.fixture
async def consumer(accounts: Accounts) -> SecretsManagerClient:
    return await accounts.secrets("consumer", CONSUMER, REGION)


@pytest.fixture
def principal() -> Principal:
    """One of its own for each test."""
    return Principal(
        environment=Environment(
            domain="dzd_local", project="sales", id=f"env-{uuid4().hex[:12]}", account=CONSUMER, region=REGION
        ),
        source=Source(engine="postgresql", host="db.example.com", port=5432, database="shop"),
    )


def names(principal: Principal) -> tuple[str, str]:
    tail = f"{principal.environment.id}/{principal.source.key}"
    return f"dzgrant/producer/{tail}", f"dzgrant/consumer/{tail}"


def operations(control: Control) -> list[str]:
    return [call.operation for call in control.calls() if call.service == "secretsmanager"]


async def scheduled(client: SecretsManagerClient, name: str) -> bool:
    return "DeletedDate" in await client.describe_secret(SecretId=name)


def password(kept: Kept) -> str:
    assert isinstance(kept.credentials, Credentials)
    return kept.credentials.password.get_secret_value()


async def test_the_usual_way_is_one_call_each(secrets: Secrets, control: Control, principal: Principal) -> None:
    control.forget_calls()
    kept = await secrets.keep_producer(principal, ADMIN)
    await secrets.share(principal, ADMIN, kept.arn)
    shared = await secrets.read_shared(principal, kept.arn)
    copy = await secrets.keep_consumer(principal, shared)
    assert await secrets.read_consumer(principal) == kept.credentials == shared
    await secrets.unshare(principal, ADMIN, kept.arn)
    await secrets.delete_consumer(principal, copy)
    await secrets.delete_producer(principal, ADMIN, kept.arn)
    assert operations(control) == [
        "CreateSecret",
        "PutResourcePolicy",
        "GetSecretValue",
        "CreateSecret",
        "GetSecretValue",
        "DeleteResourcePolicy",
        "DeleteSecret",
        "DeleteSecret",
    ]
    assert kept.fresh
    assert kept.credentials.username == principal.login


async def test_both_say_what_a_client_needs(
    secrets: Secrets, producer: SecretsManagerClient, consumer: SecretsManagerClient, principal: Principal
) -> None:
    kept = await secrets.keep_producer(principal, ADMIN)
    await secrets.keep_consumer(principal, kept.credentials)
    for client, name in zip((producer, consumer), names(principal), strict=True):
        value = json.loads((await client.get_secret_value(SecretId=name))["SecretString"])
        assert value == {
            "engine": "postgres",
            "host": "db.example.com",
            "port": 5432,
            "dbname": "shop",
            "db_name": "shop",
            "username": principal.login,
            "password": password(kept),
        }
        found = await client.describe_secret(SecretId=name)
        assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == {
            "AmazonDataZoneDomain": "dzd_local",
            "AmazonDataZoneProject": "sales",
            "AmazonDataZoneEnvironment": principal.environment.id,
            MARK: principal.id,
        }
    assert (await producer.describe_secret(SecretId=names(principal)[0]))["KmsKeyId"] == "alias/dzgrant"


async def test_exactly_the_consumer_role_may_read(
    secrets: Secrets, accounts: Accounts, producer: SecretsManagerClient, principal: Principal
) -> None:
    kept = await secrets.keep_producer(principal, ADMIN)
    await secrets.share(principal, ADMIN, kept.arn)
    await secrets.share(principal, ADMIN, kept.arn)
    policy = json.loads((await producer.get_resource_policy(SecretId=kept.arn))["ResourcePolicy"])
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"AWS": accounts.role_arn("consumer", CONSUMER, REGION)}
    assert set(statement["Action"]) == {"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"}
    assert statement["Effect"] == "Allow"
    await secrets.unshare(principal, ADMIN, kept.arn)
    assert "ResourcePolicy" not in await producer.get_resource_policy(SecretId=kept.arn)


async def test_a_share_that_does_not_work_is_found_out(
    secrets: Secrets, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dzgrant.secrets.secrets._POLICY_SECONDS", 0.5)
    kept = await secrets.keep_producer(principal, ADMIN)
    with pytest.raises(Misconfigured, match="consumer role can't read"):
        await secrets.read_shared(principal, kept.arn)


async def test_a_producer_in_another_region(accounts: Accounts, settings: Settings, principal: Principal) -> None:
    """The share is read where the secret is; the copy is where the environment is."""
    secrets = Secrets(accounts, settings.model_copy(update={"kms_key_alias": "alias/aws/secretsmanager"}))
    elsewhere = Admin(account=CONSUMER, region=Region("eu-west-1"), connection="shop", secret=None)
    # The role of one account only, so that the key's own account is the reader's.
    client = await accounts.secrets("consumer", CONSUMER, elsewhere.region)
    made = await client.create_secret(
        Name=names(principal)[0], SecretString=json.dumps({"username": principal.login, "password": "x"})
    )
    found = await secrets.read_shared(principal, Arn(made["ARN"]))
    assert found.username == principal.login


async def test_whoever_comes_after_a_crash_finds_the_same_password(secrets: Secrets, principal: Principal) -> None:
    first = await secrets.keep_producer(principal, ADMIN)
    again = await secrets.keep_producer(principal, ADMIN)
    assert again.credentials == first.credentials
    assert again.arn == first.arn
    assert not again.fresh
    renewed = await secrets.renew_producer(principal, ADMIN)
    assert renewed.fresh
    assert password(renewed) != password(first)
    assert (await secrets.keep_producer(principal, ADMIN)).credentials == renewed.credentials


async def test_a_lost_producer_secret_is_made_again(secrets: Secrets, principal: Principal) -> None:
    renewed = await secrets.renew_producer(principal, ADMIN)
    assert renewed.fresh
    assert (await secrets.keep_producer(principal, ADMIN)).credentials == renewed.credentials


async def test_resubscribing_within_the_recovery_window_restores_with_a_new_password(
    secrets: Secrets, producer: SecretsManagerClient, consumer: SecretsManagerClient, principal: Principal
) -> None:
    first = await secrets.keep_producer(principal, ADMIN)
    copy = await secrets.keep_consumer(principal, first.credentials)
    await secrets.put_pending(principal, ADMIN, principal.login)
    await secrets.delete_producer(principal, ADMIN, first.arn)
    await secrets.delete_consumer(principal, copy)
    assert await scheduled(producer, names(principal)[0])
    assert await scheduled(consumer, names(principal)[1])
    assert await secrets.read_consumer(principal) is None
    second = await secrets.keep_producer(principal, ADMIN)
    assert second.fresh
    assert password(second) != password(first)
    # A rotation would go on with what is pending.
    versions = await secrets.versions(principal, ADMIN)
    assert versions
    assert versions.pending is None
    await secrets.share(principal, ADMIN, second.arn)
    await secrets.keep_consumer(principal, await secrets.read_shared(principal, second.arn))
    assert await secrets.read_consumer(principal) == second.credentials
    assert not await scheduled(producer, names(principal)[0])


async def test_a_password_of_an_earlier_life_is_replaced(
    secrets: Secrets, producer: SecretsManagerClient, principal: Principal
) -> None:
    """Whoever restored the secret got no further; the ledger says when this life began."""
    first = await secrets.keep_producer(principal, ADMIN)
    await secrets.put_pending(principal, ADMIN, principal.login)
    await secrets.delete_producer(principal, ADMIN, first.arn)
    await producer.restore_secret(SecretId=first.arn)
    kept = await secrets.keep_producer(principal, ADMIN, since=datetime.now(UTC) - timedelta(minutes=1))
    assert kept.credentials == first.credentials
    second = await secrets.keep_producer(principal, ADMIN, since=datetime.now(UTC) + timedelta(minutes=1))
    assert second.fresh
    assert password(second) != password(first)
    versions = await secrets.versions(principal, ADMIN)
    assert versions
    assert (versions.current.credentials, versions.pending) == (second.credentials, None)


async def test_a_secret_without_a_usable_value_gets_one(
    secrets: Secrets, producer: SecretsManagerClient, consumer: SecretsManagerClient, principal: Principal
) -> None:
    made = await secrets.keep_producer(principal, ADMIN)
    for broken in ("no json", "[]", '{"username": "x"}', json.dumps({"username": principal.login, "password": None})):
        await producer.put_secret_value(SecretId=made.arn, SecretString=broken)
        kept = await secrets.keep_producer(principal, ADMIN)
        assert kept.fresh
        await secrets.keep_consumer(principal, kept.credentials)
        await consumer.put_secret_value(SecretId=names(principal)[1], SecretString=broken)
        assert await secrets.read_consumer(principal) is None
        await secrets.keep_consumer(principal, kept.credentials)
        assert await secrets.read_consumer(principal) == kept.credentials


async def test_another_ones_password_is_not_kept(
    secrets: Secrets, consumer: SecretsManagerClient, principal: Principal
) -> None:
    kept = await secrets.keep_producer(principal, ADMIN)
    copy = await secrets.keep_consumer(principal, kept.credentials)
    await consumer.put_secret_value(SecretId=copy, SecretString='{"username": "root", "password": "x"}')
    assert await secrets.read_consumer(principal) is None


async def test_tags_that_were_taken_off_come_back(
    secrets: Secrets, consumer: SecretsManagerClient, principal: Principal
) -> None:
    kept = await secrets.keep_producer(principal, ADMIN)
    copy = await secrets.keep_consumer(principal, kept.credentials)
    await consumer.untag_resource(SecretId=copy, TagKeys=["AmazonDataZoneDomain"])
    await secrets.keep_consumer(principal, kept.credentials)
    found = await consumer.describe_secret(SecretId=copy)
    assert {"Key": "AmazonDataZoneDomain", "Value": "dzd_local"} in found["Tags"]


async def test_a_copy_that_is_right_is_not_written_again(
    secrets: Secrets, consumer: SecretsManagerClient, principal: Principal, control: Control
) -> None:
    """Versions of a secret are few: a hundred, and none younger than a day is trimmed."""
    kept = await secrets.keep_producer(principal, ADMIN)
    await secrets.keep_consumer(principal, kept.credentials)
    control.forget_calls()
    await secrets.keep_consumer(principal, kept.credentials)
    assert "PutSecretValue" not in operations(control)


async def test_the_copy_says_which_views_are_to_be_read(
    secrets: Secrets, producer: SecretsManagerClient, consumer: SecretsManagerClient, principal: Principal, control: Control
) -> None:
    kept = await secrets.keep_producer(principal, ADMIN)
    copy = await secrets.keep_consumer(principal, kept.credentials, {"public.orders": "views.orders_1", "public.items": None})

    async def objects(client: SecretsManagerClient, arn: str) -> object:
        return json.loads((await client.get_secret_value(SecretId=arn))["SecretString"]).get("objects")

    assert await objects(consumer, copy) == {"public.orders": "views.orders_1"}
    found = await secrets.find_consumer(principal)
    assert found
    assert (found.credentials, found.objects) == (kept.credentials, {"public.orders": "views.orders_1"})

    # Each change is one of its own; what it does not name stays, credentials and all.
    await secrets.point_consumer(principal, {"public.clients": "views.clients_1"})
    await secrets.keep_consumer(principal, kept.credentials)
    assert await objects(consumer, copy) == {"public.orders": "views.orders_1", "public.clients": "views.clients_1"}
    await secrets.point_consumer(principal, {"public.orders": None, "public.clients": None})
    assert await objects(consumer, copy) is None
    assert await secrets.read_consumer(principal) == kept.credentials
    assert await objects(producer, kept.arn) is None

    control.forget_calls()
    await secrets.point_consumer(principal, {"public.orders": None})
    assert operations(control) == ["GetSecretValue"]
    await secrets.delete_consumer(principal, copy)
    await secrets.point_consumer(principal, {"public.orders": "views.orders_1"})
    assert await secrets.find_consumer(principal) is None


async def test_a_secret_that_is_not_dzgrants_stays_untouched(
    secrets: Secrets, producer: SecretsManagerClient, consumer: SecretsManagerClient, principal: Principal
) -> None:
    mine, copy = names(principal)
    for client, name in ((producer, mine), (consumer, copy)):
        made = await client.create_secret(Name=name, SecretString="theirs")
        await client.put_resource_policy(SecretId=name, ResourcePolicy=_policy(made["ARN"]))
    with pytest.raises(Refused, match=f"{mine} exists and has no tag"):
        await secrets.keep_producer(principal, ADMIN)
    kept = await secrets.keep_producer(_neighbour(principal), ADMIN)
    with pytest.raises(Refused, match=f"{copy} exists and has no tag"):
        await secrets.keep_consumer(principal, kept.credentials)
    await secrets.unshare(principal, ADMIN)
    await secrets.delete_consumer(principal)
    await secrets.delete_producer(principal, ADMIN)
    for client, name in ((producer, mine), (consumer, copy)):
        assert (await client.get_secret_value(SecretId=name))["SecretString"] == "theirs"
        assert "ResourcePolicy" in await client.get_resource_policy(SecretId=name)


def _neighbour(principal: Principal) -> Principal:
    return Principal(
        environment=principal.environment, source=Source(engine="mysql", host="db.example.com", port=3306, database="shop")
    )


def _policy(arn: str) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [OUTSIDER | {"Action": "secretsmanager:GetSecretValue", "Resource": arn}]}
    )


async def test_taking_away_twice_is_taking_away_once(secrets: Secrets, control: Control, principal: Principal) -> None:
    kept = await secrets.keep_producer(principal, ADMIN)
    copy = await secrets.keep_consumer(principal, kept.credentials)
    for arn in (kept.arn, None, kept.arn):
        await secrets.unshare(principal, ADMIN, arn)
        await secrets.delete_producer(principal, ADMIN, arn)
    for found in (None, copy, None):
        await secrets.delete_consumer(principal, found)
    control.forget_calls()
    never = _neighbour(principal)
    await secrets.unshare(never, ADMIN)
    await secrets.delete_producer(never, ADMIN)
    await secrets.delete_consumer(never)
    assert operations(control) == ["DescribeSecret"] * 3


async def test_a_secret_that_the_ledger_does_not_know_is_found_by_name(
    secrets: Secrets, producer: SecretsManagerClient, principal: Principal
) -> None:
    """A worker died after it had made the secret; or it had gone meanwhile and was made anew."""
    await secrets.keep_producer(principal, ADMIN)
    await secrets.delete_producer(principal, ADMIN)
    assert await scheduled(producer, names(principal)[0])
    await secrets.keep_producer(principal, ADMIN)
    gone = Arn(f"arn:aws:secretsmanager:{REGION}:{PRODUCER}:secret:{names(principal)[0]}-AbCdEf")
    await secrets.delete_producer(principal, ADMIN, gone)
    assert await scheduled(producer, names(principal)[0])


async def test_without_a_recovery_window_nothing_stays(
    accounts: Accounts, settings: Settings, consumer: SecretsManagerClient, principal: Principal
) -> None:
    secrets = Secrets(accounts, settings.model_copy(update={"secret_recovery_days": 0}))
    kept = await secrets.keep_producer(principal, ADMIN)
    copy = await secrets.keep_consumer(principal, kept.credentials)
    await secrets.delete_consumer(principal, copy)
    await secrets.delete_producer(principal, ADMIN, kept.arn)
    with pytest.raises(consumer.exceptions.ResourceNotFoundException):
        await consumer.describe_secret(SecretId=copy)
    second = await secrets.keep_producer(principal, ADMIN)
    assert second.arn != kept.arn


async def test_a_missing_key_is_said_in_one_line(accounts: Accounts, settings: Settings, principal: Principal) -> None:
    secrets = Secrets(accounts, settings.model_copy(update={"kms_key_alias": "alias/absent"}))
    with pytest.raises(Misconfigured, match="KMS key") as wrong:
        await secrets.keep_producer(principal, ADMIN)
    assert "\n" not in str(wrong.value)


async def test_a_repeated_request_is_no_harm(secrets: Secrets, control: Control, principal: Principal) -> None:
    """The SDK sends a request again when its answer was an error on the way."""
    control.do(c.Fail(times=2, match=c.Match(operations=("CreateSecret", "PutResourcePolicy", "DeleteSecret"))))
    kept = await secrets.keep_producer(principal, ADMIN)
    assert kept.fresh
    control.do(c.Fail(times=1))
    await secrets.share(principal, ADMIN, kept.arn)
    control.do(c.Fail(times=1))
    await secrets.delete_producer(principal, ADMIN, kept.arn)


async def test_passwords_are_never_shown(secrets: Secrets, principal: Principal) -> None:
    kept = await secrets.keep_producer(principal, ADMIN)
    hidden = password(kept)
    assert hidden not in f"{kept!r} {kept} {secrets!r} {vars(secrets)!r}"
