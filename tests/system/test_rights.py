"""The stacks proved: their resources carry a whole story, their policies allow each call of it, and no right is idle.

The local cloud asks the policies that the templates made about every call of a role, as IAM would, and refuses what they
do not allow; so a right that is missing stops the story. What is allowed and never used must be accounted for in
tests/deploy/unused_rights.toml.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import pytest
from botocore.exceptions import ClientError

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.databases import Server
from dzgrant.localcloud.places import (
    CONSUMER,
    CONSUMER_PROJECT,
    CONSUMER_ROLE,
    DEAD_LETTERS,
    DOMAIN,
    GOVERNANCE,
    KMS_KEY_ALIAS,
    OUTCOMES,
    PRODUCER,
    PRODUCER_ROLE,
    QUEUE,
    REGION,
    TABLE,
)
from dzgrant.model import AccountId
from dzgrant.protection import LOOK_SECONDS
from tests.engines.playgrounds import PLAYGROUNDS
from tests.system import daemon
from tests.system.cloud import Cloud
from tests.system.daemon import Worker
from tests.system.extension import POLICY, Place, arn
from tests.system.orders import IN_PARIS, made
from tests.system.stacks import EXTERNAL_ID, LISTED, deployed
from tests.system.story import Story, logins

RULE_DEAD_LETTERS = "dzgrant-rule-dlq"
UNUSED = Path(__file__).parents[1] / "deploy" / "unused_rights.toml"
Right = tuple[str, str, str]
"""Policy, statement and action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    cloud: Cloud
    story: Story
    worker: Worker
    rights: c.Rights
    """As they were when the story had ended."""


@pytest.fixture(scope="module")
def proof(postgresql: Server, ca_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    folder = tmp_path_factory.mktemp("stacks")
    with deployed() as cloud, daemon.running(cloud, ca_bundle, folder / "worker.log") as worker:
        story = asyncio.run(_begin(cloud, postgresql, worker))
        asyncio.run(_play(story, lambda *command: _dzgrant(cloud, ca_bundle, *command)))
        yield Proof(cloud=cloud, story=story, worker=worker, rights=cloud.control.rights())
        asyncio.run(story.play.tear_down())


async def _begin(cloud: Cloud, server: Server, worker: Worker) -> Story:
    play = PLAYGROUNDS[server.engine](server=server, admin=server.admin)
    await play.set_up()
    await worker.ready()
    place = Place.made(cloud, domain=DOMAIN, events=True)
    await cloud.settled()
    return Story(cloud=cloud, play=play, domain=DOMAIN, environment=place.id, strangers=await logins(server))


async def _dzgrant(cloud: Cloud, ca_bundle: Path, *command: str) -> str:
    """A command in a task of its own, as the scheduled reconcile is one."""
    variables = daemon.environment(cloud, ca_bundle, {})
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dzgrant.cli",
        *command,
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def _play(story: Story, dzgrant: Callable[..., Any]) -> None:
    """The cheapest story that makes every kind of call."""
    cloud, control = story.cloud, story.cloud.control
    place = Place(cloud=cloud, domain=DOMAIN, id=story.environment)
    place.is_extended(f"{place.id}_pub_db")
    await _environment_that_comes_back(cloud)

    # A table, whose first try fails; a second one, by a connection whose admin secret is listed; one of which only some
    # rows are approved.
    clients, invoices = await story.play.create_table("clients"), await story.play.create_table("invoices")
    failing = c.Match(services=("glue",), agent="dzgrant")
    control.do(c.Fail(status=400, code="ConcurrentModificationException", match=failing))
    # So long in work that the task asks ECS for protection meanwhile.
    control.do(c.Latency(milliseconds=1.5 * LOOK_SECONDS * 1000 / 10))
    first = await story.granted(clients)
    control.do(c.Latency(milliseconds=0))
    login = story.secret().credentials
    admin = {"username": story.play.admin.username, "password": story.play.admin.password.get_secret_value()}
    cloud.client("secretsmanager", PRODUCER).create_secret(Name=LISTED, SecretString=json.dumps(admin))
    second = await story.granted(invoices, secret=LISTED, connection="listed")
    orders = await made(story)
    filtered = await orders.approve(orders.filter(IN_PARIS))
    assert await orders.read() == [(1, "Paris", 100)]

    # Tables as one listing; a target that is dzgrant's to answer.
    product = control.do(c.PublishProduct(domain=DOMAIN, listings=(story.publish(clients),)))
    bundled = story.approve(product.id)
    control.do(c.AddTarget(environment=story.environment))
    answered = story.approve(story.publish(invoices))
    await cloud.settled()

    # A password anew, a sweep, what people ask.
    await dzgrant("rotate", story.principal().id)
    assert story.secret().credentials != login
    await dzgrant("reconcile")
    await dzgrant("grants", "list", "--project", CONSUMER_PROJECT)
    await dzgrant("explain", first)

    # All of it ends, and a part comes back while the secrets can still be restored.
    for subscription in (first, second, filtered, bundled, answered):
        story.revoke(subscription)
    await cloud.settled()
    await story.nothing_left(login)
    again = await story.granted(clients)
    await story.reads(clients, of=(clients, invoices))
    story.revoke(again)
    place.delete()
    # What can never succeed.
    control.send("{}")
    await cloud.settled()
    place.is_as_made(f"{place.id}_pub_db")
    assert [letter.body for letter in cloud.dead_letters()] == ["{}"]
    _event_that_the_queue_does_not_admit(cloud)


async def _environment_that_comes_back(cloud: Cloud) -> None:
    """One whose role has no boundary of its own, and whose deletion fails at first."""
    place = Place.made(cloud, domain=DOMAIN)
    place.iam.delete_role_permissions_boundary(RoleName=place.role)
    for _ in range(2):
        place.deploy()
        await cloud.settled()
        place.is_extended(f"{place.id}_sub_db")
        place.delete()
        await cloud.settled()
        assert (place.boundary(), place.policies()) == (None, set())


def _event_that_the_queue_does_not_admit(cloud: Cloud) -> None:
    """It is kept in the rule's own dead-letter queue."""
    sqs = cloud.client("sqs")
    url, kept = (sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in (QUEUE, RULE_DEAD_LETTERS))
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    place = Place.made(cloud, domain=DOMAIN)
    place.deploy()
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    (message,) = sqs.receive_message(QueueUrl=kept)["Messages"]
    assert place.id in message["Body"]


def test_no_call_was_refused(proof: Proof) -> None:
    (rule,) = proof.rights.refused
    assert rule.startswith("events.amazonaws.com: sqs:SendMessage on")


def _given(cloud: Cloud) -> set[Right]:
    """Every action that the deployed policies allow to the worker's three roles, or to whoever uses the key and the queues."""
    found: set[Right] = set()

    def add(policy: str, document: dict[str, Any]) -> None:
        for it in document["Statement"]:
            actions = it["Action"] if isinstance(it["Action"], list) else [it["Action"]]
            found.update((policy, it["Sid"], action) for action in actions if it["Effect"] == "Allow")

    for account, name in ((GOVERNANCE, "dzgrant-worker"), (PRODUCER, PRODUCER_ROLE), (CONSUMER, CONSUMER_ROLE)):
        iam = cloud.client("iam", account)
        add(f"trust of {name}", iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"])
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            add(f"{name}/{policy}", document)
        assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    kms = cloud.client("kms", PRODUCER)
    (key,) = kms.list_keys()["Keys"]
    # moto gives a stack's key policy as it was in the template.
    add("key", kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"])
    sqs = cloud.client("sqs")
    for name in (QUEUE, DEAD_LETTERS, RULE_DEAD_LETTERS):
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        add(name, json.loads(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]))
    return found


def test_every_right_is_used_or_accounted_for(proof: Proof) -> None:
    given = _given(proof.cloud)
    used = {(it.policy, it.statement, it.action) for it in proof.rights.used}
    entries = tomllib.loads(UNUSED.read_text())["unused"]
    reasons = {(it["policy"], it["statement"], action) for it in entries for action in it["actions"] if it["reason"]}
    unused = given - used
    assert unused == reasons, "\n".join(
        [f"allowed, never used, and without a reason in {UNUSED.name}: {' '.join(it)}" for it in sorted(unused - reasons)]
        + [f"in {UNUSED.name}, but used or not allowed: {' '.join(it)}" for it in sorted(reasons - unused)]
    )


async def test_a_right_that_is_taken_away_stops_the_work_and_is_named(proof: Proof) -> None:
    story, iam = proof.story, proof.cloud.client("iam", PRODUCER)
    policy = iam.get_role_policy(RoleName=PRODUCER_ROLE, PolicyName="producer")["PolicyDocument"]
    less = [it for it in policy["Statement"] if it["Sid"] != "ShareProducerSecrets"]
    narrow = json.dumps({**policy, "Statement": less})
    story = replace(story, environment=Place.made(proof.cloud, domain=DOMAIN).id)
    iam.put_role_policy(RoleName=PRODUCER_ROLE, PolicyName="producer", PolicyDocument=narrow)
    try:
        orders = await story.play.create_table("orders_of_later")
        story.approve(story.publish(orders))
        said = "dzgrant-producer/session is not authorized to perform: secretsmanager:PutResourcePolicy on resource: arn:aws"
        assert said in await story.waits()
    finally:
        iam.put_role_policy(RoleName=PRODUCER_ROLE, PolicyName="producer", PolicyDocument=json.dumps(policy))
    await proof.cloud.settled()
    await story.reads(orders, of=(orders,))


def _client(proof: Proof, service: str, key: dict[str, str]) -> Any:
    """With the credentials of a role's session."""
    place = {"endpoint_url": proof.cloud.local.endpoint, "region_name": REGION}
    return boto3.client(service, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key="x", **place)


def _worker(proof: Proof, service: str) -> Any:
    with urlopen(proof.cloud.local.environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"]) as answer:  # the local cloud's
        return _client(proof, service, json.load(answer))


def _member(proof: Proof, service: str, account: AccountId, role: str) -> Any:
    there = f"arn:aws:iam::{account}:role/{role}"
    got = _worker(proof, "sts").assume_role(RoleArn=there, RoleSessionName="test", ExternalId=EXTERNAL_ID)
    return _client(proof, service, got["Credentials"])


def _auditor(proof: Proof, service: str, account: AccountId) -> Any:
    """A role of the account's own that may do everything there."""
    iam = proof.cloud.client("iam", account)
    trust = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    anything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document, policy = (json.dumps({"Version": "2012-10-17", "Statement": it}) for it in (trust, anything))
    there = iam.create_role(RoleName="auditor", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    iam.put_role_policy(RoleName="auditor", PolicyName="anything", PolicyDocument=policy)
    sts = proof.cloud.client("sts", account)
    return _client(proof, service, sts.assume_role(RoleArn=there, RoleSessionName="test")["Credentials"])


def _refused(call: Callable[..., Any], **wish: Any) -> None:
    with pytest.raises(ClientError) as refusal:
        call(**wish)
    assert "AccessDenied" in refusal.value.response["Error"]["Code"], refusal.value


def test_what_is_anothers_is_refused_to_the_worker(proof: Proof) -> None:
    _refused(_worker(proof, "sqs").receive_message, QueueUrl=f"{proof.cloud.local.endpoint}/{GOVERNANCE}/{OUTCOMES}")
    _refused(_worker(proof, "dynamodb").get_item, TableName="theirs", Key={"pk": {"S": "x"}})
    _refused(_worker(proof, "datazone").get_domain, identifier="dzd_theirs")
    _refused(_worker(proof, "events").put_events, Entries=[{"Source": "x", "DetailType": "x", "Detail": "{}"}])
    # A call that nobody thought of is no right of anybody.
    _refused(_worker(proof, "dynamodb").delete_table, TableName=TABLE)


def test_a_member_role_is_assumed_by_the_task_with_the_external_id_alone(proof: Proof) -> None:
    wish = {"RoleArn": f"arn:aws:iam::{PRODUCER}:role/{PRODUCER_ROLE}", "RoleSessionName": "test"}
    assume = _worker(proof, "sts").assume_role
    assert assume(**wish, ExternalId=EXTERNAL_ID)["Credentials"]
    _refused(assume, **wish)
    _refused(assume, **wish, ExternalId="wrong")
    _refused(proof.cloud.client("sts").assume_role, **wish, ExternalId=EXTERNAL_ID)
    _refused(assume, **{**wish, "RoleArn": f"arn:aws:iam::{PRODUCER}:role/theirs"}, ExternalId=EXTERNAL_ID)


def test_what_is_anothers_is_refused_to_the_producer_role(proof: Proof) -> None:
    secrets = _member(proof, "secretsmanager", PRODUCER, PRODUCER_ROLE)
    theirs = proof.cloud.client("secretsmanager", PRODUCER).create_secret(Name="theirs", SecretString="x")["ARN"]
    mark = [{"Key": "dzgrant", "Value": "x"}]
    _refused(secrets.get_secret_value, SecretId=theirs)
    _refused(secrets.delete_secret, SecretId=theirs)
    _refused(secrets.create_secret, Name="new", SecretString="x", Tags=mark)
    _refused(secrets.create_secret, Name="dzgrant/producer/new", SecretString="x")
    new = secrets.create_secret(Name="dzgrant/producer/new", SecretString="x", KmsKeyId=KMS_KEY_ALIAS, Tags=mark)["ARN"]
    share = json.dumps({"Version": "2012-10-17", "Statement": _share(CONSUMER)})
    _refused(secrets.put_resource_policy, SecretId=new, ResourcePolicy=share)
    _refused(secrets.put_resource_policy, SecretId=new, ResourcePolicy=share, BlockPublicPolicy=False)


def _share(principal: str) -> dict[str, Any]:
    read = "secretsmanager:GetSecretValue"
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": read, "Resource": "*"}


def test_a_producer_secret_opens_to_its_reader_alone(proof: Proof) -> None:
    owner = proof.cloud.client("secretsmanager", PRODUCER)
    shared = owner.create_secret(Name="dzgrant/producer/shared", SecretString="x", KmsKeyId=KMS_KEY_ALIAS)["ARN"]
    read = _member(proof, "secretsmanager", CONSUMER, CONSUMER_ROLE).get_secret_value
    _refused(read, SecretId=shared)
    share = json.dumps({"Version": "2012-10-17", "Statement": _share(f"arn:aws:iam::{CONSUMER}:root")})
    owner.put_resource_policy(SecretId=shared, ResourcePolicy=share)
    assert read(SecretId=shared)["SecretString"] == "x"
    # The secret would open to the whole account, and in its own account to whoever may do everything: the key does not.
    _refused(_auditor(proof, "secretsmanager", CONSUMER).get_secret_value, SecretId=shared)
    _refused(_auditor(proof, "secretsmanager", PRODUCER).get_secret_value, SecretId=shared)


def test_what_would_widen_an_environment_is_refused_to_the_consumer_role(proof: Proof) -> None:
    place = Place.made(proof.cloud, domain=DOMAIN)
    iam = _member(proof, "iam", CONSUMER, CONSUMER_ROLE)
    everything = "arn:aws:iam::aws:policy/AdministratorAccess"
    _refused(iam.attach_role_policy, RoleName=place.role, PolicyArn=everything)
    _refused(iam.put_role_permissions_boundary, RoleName=place.role, PermissionsBoundary=everything)
    # The boundary that it has is AWS's own.
    _refused(iam.delete_role_permissions_boundary, RoleName=place.role)
    _refused(iam.attach_role_policy, RoleName=CONSUMER_ROLE, PolicyArn=arn(POLICY))
    _refused(iam.put_role_policy, RoleName=place.role, PolicyName="x", PolicyDocument="{}")
