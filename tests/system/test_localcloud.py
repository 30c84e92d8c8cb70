"""The local cloud against AWS's own client, over HTTP, as the worker sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any
from urllib.request import urlopen

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import get_session
from botocore.validate import ParamValidator

from dzgrant.errors import Refused
from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import (
    BUS,
    CONSUMER,
    CONSUMER_ROLE,
    DOMAIN,
    GOVERNANCE,
    KMS_KEY_ALIAS,
    OUTCOMES,
    PRODUCER,
    PRODUCER_ROLE,
    REGION,
    TABLE,
    queue_url,
)
from dzgrant.localcloud.process import LocalCloud, running

Client = Callable[..., Any]


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with running() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def client(cloud: LocalCloud) -> Iterator[Client]:
    """`client("sqs")`, or `client("glue", role=PRODUCER_ROLE, account=PRODUCER)` through the role. No retries."""
    with ExitStack() as exits:

        def make(service: str, account: str = GOVERNANCE, role: str | None = None) -> Any:
            key = {"aws_access_key_id": f"AKIA{account}", "aws_secret_access_key": "x"}
            if role:
                arn = f"arn:aws:iam::{account}:role/{role}"
                got = make("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
                key = {
                    "aws_access_key_id": got["AccessKeyId"],
                    "aws_secret_access_key": got["SecretAccessKey"],
                    "aws_session_token": got["SessionToken"],
                }
            config = Config(retries={"total_max_attempts": 1}, max_pool_connections=16)
            made = boto3.client(service, endpoint_url=cloud.endpoint, region_name=REGION, config=config, **key)
            return exits.enter_context(closing(made))

        yield make


@pytest.fixture
def queue(cloud: LocalCloud, client: Client) -> Callable[[], list[str]]:
    """Empties the worker's queue; then gives the detail-types that came since, in order."""
    sqs, url = client("sqs"), cloud.environment["DZGRANT_QUEUE_URL"]
    sqs.purge_queue(QueueUrl=url)

    def kinds() -> list[str]:
        found = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"])["detail-type"] for message in messages]
        return found

    return kinds


@pytest.fixture
def healed(cloud: LocalCloud) -> Iterator[LocalCloud]:
    yield cloud
    cloud.control.do(c.Heal())


@pytest.fixture(scope="module")
def listing(cloud: LocalCloud) -> str:
    return published(cloud).listing


def published(cloud: LocalCloud, **more: Any) -> c.Published:
    plain = {"engine": "postgresql", "host": "localhost", "port": 5432, "database": "shop", "table": "public.Orders"}
    return cloud.control.do(c.Publish.model_validate({**plain, "username": "admin", "password": "secret", **more}))


def approved(cloud: LocalCloud, listing: str, **more: Any) -> c.Subscribed:
    request = cloud.control.do(c.Subscribe(listing=listing, **more)).id
    return cloud.control.do(c.Approve(request=request))


def refused(call: Callable[..., object], **arguments: Any) -> str:
    """The code of the error that the call is answered with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_a_connection_is_kept_however_many_there_are(cloud: LocalCloud) -> None:
    # Glue lists a hundred on a page.
    for number in range(101):
        published(cloud, connection=f"crowd-{number}", credentials="inline")
    assert published(cloud, connection="crowd-100", credentials="inline").connection == "crowd-100"


# DataZone

IN_PARIS = {"rowConfiguration": {"rowFilter": {"expression": {"equalTo": {"columnName": "city", "value": "Paris"}}}}}


@pytest.fixture(scope="module")
def answers(cloud: LocalCloud, client: Client, listing: str) -> dict[str, Any]:
    """One answer of each operation, with everything in it that the local DataZone ever puts in."""
    do, datazone = cloud.control.do, client("datazone")
    tooling = do(c.AddBlueprint(name="OwnTooling", tooling=True)).id
    environment = do(c.AddEnvironment(blueprint="OwnTooling")).id
    target = do(c.AddTarget(environment=environment)).id
    request = do(c.Subscribe(listing=listing)).id
    published_asset = datazone.get_listing(domainIdentifier=DOMAIN, identifier=listing)["item"]["assetListing"]["assetId"]
    on_asset = {"domainIdentifier": DOMAIN, "assetIdentifier": published_asset}
    filtered = datazone.create_asset_filter(**on_asset, name="rows", description="in Paris", configuration=IN_PARIS)
    do(c.InvalidateFilter(filter=filtered["id"]))
    subscribed = do(c.Approve(request=request, filters=(filtered["id"],)))
    grant = subscribed.grants[0]
    asset = datazone.get_subscription_grant(domainIdentifier=DOMAIN, identifier=grant)["assets"][0]["assetId"]
    product = do(c.PublishProduct(listings=(listing,))).id
    approved(cloud, product)
    approved(cloud, listing, iam_principal="arn:aws:iam::333333333333:role/analyst")
    approved(cloud, listing, user="44f864b8-50a1-70cc-736f-c1f763934ab7")
    one, there = {"domainIdentifier": DOMAIN}, {"domainIdentifier": DOMAIN, "environmentIdentifier": environment}
    failed = {"status": "GRANT_FAILED", "failureCause": {"message": "no such table"}}
    return {
        "GetDomain": datazone.get_domain(identifier=DOMAIN),
        "GetProject": datazone.get_project(**one, identifier="consumer"),
        "GetEnvironmentBlueprint": datazone.get_environment_blueprint(**one, identifier=tooling),
        "ListEnvironmentBlueprints": datazone.list_environment_blueprints(**one),
        "GetEnvironment": datazone.get_environment(**one, identifier=environment),
        "ListEnvironments": datazone.list_environments(**one, projectIdentifier="consumer"),
        "GetListing": datazone.get_listing(**one, identifier=listing),
        "GetListing product": datazone.get_listing(**one, identifier=product),
        "CreateAssetFilter": filtered,
        "GetAssetFilter": datazone.get_asset_filter(**on_asset, identifier=filtered["id"]),
        "ListAssetFilters": datazone.list_asset_filters(**on_asset),
        "UpdateAssetFilter": datazone.update_asset_filter(**on_asset, identifier=filtered["id"], configuration=IN_PARIS),
        "GetSubscription": datazone.get_subscription(**one, identifier=subscribed.subscription),
        "ListSubscriptions": datazone.list_subscriptions(**one),
        "GetSubscriptionTarget": datazone.get_subscription_target(**there, identifier=target),
        "ListSubscriptionTargets": datazone.list_subscription_targets(**there),
        "GetSubscriptionGrant": datazone.get_subscription_grant(**one, identifier=grant),
        "ListSubscriptionGrants": datazone.list_subscription_grants(**one),
        "UpdateSubscriptionGrantStatus": datazone.update_subscription_grant_status(
            **one, identifier=grant, assetIdentifier=asset, **failed
        ),
    }


@pytest.mark.parametrize(
    "operation",
    [
        "GetDomain",
        "GetProject",
        "GetEnvironmentBlueprint",
        "ListEnvironmentBlueprints",
        "GetEnvironment",
        "ListEnvironments",
        "GetListing",
        "GetListing product",
        "CreateAssetFilter",
        "GetAssetFilter",
        "ListAssetFilters",
        "UpdateAssetFilter",
        "GetSubscription",
        "ListSubscriptions",
        "GetSubscriptionTarget",
        "ListSubscriptionTargets",
        "GetSubscriptionGrant",
        "ListSubscriptionGrants",
        "UpdateSubscriptionGrantStatus",
    ],
)
def test_an_answer_has_the_shape_of_the_service_model(operation: str, answers: dict[str, Any]) -> None:
    answer = {name: value for name, value in answers[operation].items() if name != "ResponseMetadata"}
    assert wrong(operation.partition(" ")[0], answer) == ""
    assert answer.get("items") != []


def test_the_shape_check_finds_a_missing_member(answers: dict[str, Any]) -> None:
    answer = {name: value for name, value in answers["GetProject"].items() if name not in {"ResponseMetadata", "name"}}
    assert "name" in wrong("GetProject", answer)


def wrong(operation: str, answer: dict[str, Any]) -> str:
    """How an answer differs from the operation's output in botocore's model: required members, types, unknown members."""
    shape: Any = get_session().get_service_model("datazone").operation_model(operation).output_shape
    return str(ParamValidator().validate(answer, shape).generate_report())


def test_an_asset_filter_lives_and_goes(cloud: LocalCloud, client: Client) -> None:
    made, datazone = published(cloud), client("datazone")
    on = {"domainIdentifier": DOMAIN, "assetIdentifier": made.asset}
    identifier = datazone.create_asset_filter(**on, name="rows", configuration=IN_PARIS)["id"]

    def found() -> dict[str, Any]:
        answer: dict[str, Any] = datazone.get_asset_filter(**on, identifier=identifier)
        return answer

    assert (found()["configuration"], found()["status"]) == (IN_PARIS, "VALID")
    cloud.control.do(c.InvalidateFilter(filter=identifier, reason="no column city"))
    assert (found()["status"], found()["errorMessage"]) == ("INVALID", "no column city")
    assert datazone.list_asset_filters(**on, status="VALID")["items"] == []
    ids = {"columnConfiguration": {"includedColumnNames": ["id"]}}
    datazone.update_asset_filter(**on, identifier=identifier, configuration=ids)
    assert (found()["configuration"], found()["status"]) == (ids, "VALID")

    other = {**on, "assetIdentifier": published(cloud).asset}
    assert refused(datazone.get_asset_filter, **other, identifier=identifier) == "ResourceNotFoundException"
    assert refused(datazone.list_asset_filters, **{**on, "assetIdentifier": "none"}) == "ResourceNotFoundException"
    datazone.delete_asset_filter(**on, identifier=identifier)
    assert refused(datazone.get_asset_filter, **on, identifier=identifier) == "ResourceNotFoundException"


def test_environments_come_in_pages_of_fifty(cloud: LocalCloud, client: Client) -> None:
    project = cloud.control.do(c.AddProject()).id
    made = [cloud.control.do(c.AddEnvironment(project=project)).id for _ in range(51)]
    cloud.control.do(c.AddEnvironment(project=project, status="CREATING"))
    cloud.control.do(c.AddEnvironment(project=project, blueprint="DefaultDataWarehouse"))
    datazone = client("datazone")
    blueprint = datazone.list_environment_blueprints(domainIdentifier=DOMAIN, name="DefaultDataLake")["items"][0]["id"]
    asked = {
        "domainIdentifier": DOMAIN,
        "projectIdentifier": project,
        "environmentBlueprintIdentifier": blueprint,
        "status": "ACTIVE",
    }
    first = datazone.list_environments(**asked)
    assert len(first["items"]) == 50
    assert all("environmentBlueprintId" not in item for item in first["items"])
    pages = datazone.get_paginator("list_environments").paginate(**asked, PaginationConfig={"PageSize": 20})
    assert [item["id"] for page in pages for item in page["items"]] == made
    assert datazone.list_environments(domainIdentifier=DOMAIN, projectIdentifier="unknown")["items"] == []


def test_datazone_says_no_as_aws_does(client: Client) -> None:
    datazone = client("datazone")
    get = datazone.get_subscription
    assert refused(get, domainIdentifier=DOMAIN, identifier="unknown") == "ResourceNotFoundException"
    assert refused(get, domainIdentifier="dzd_unknown", identifier="x") == "ResourceNotFoundException"
    assert refused(get, domainIdentifier=DOMAIN, identifier="no spaces") == "ValidationException"
    assert refused(datazone.list_subscriptions, domainIdentifier=DOMAIN, maxResults=51) == "ValidationException"
    assert refused(datazone.list_subscriptions, domainIdentifier=DOMAIN, status="OPEN") == "ValidationException"
    assert refused(client("datazone", CONSUMER).get_domain, identifier=DOMAIN) == "AccessDeniedException"


def test_subscriptions_are_found_by_each_filter(cloud: LocalCloud, client: Client, listing: str) -> None:
    project = cloud.control.do(c.AddProject()).id
    mine = approved(cloud, listing, project=project)
    ended = approved(cloud, listing, project=project)
    cloud.control.do(c.Cancel(subscription=ended.subscription))

    def found(**filters: str) -> list[str]:
        return [it["id"] for it in client("datazone").list_subscriptions(domainIdentifier=DOMAIN, **filters)["items"]]

    assert found(subscriptionRequestIdentifier=mine.request) == [mine.subscription]
    assert found(owningProjectId=project) == [mine.subscription, ended.subscription]
    assert found(owningProjectId=project, status="APPROVED") == [mine.subscription]
    assert found(owningProjectId=project, sortBy="CREATED_AT", sortOrder="DESCENDING")[0] == ended.subscription
    assert {mine.subscription, ended.subscription} <= set(found(subscribedListingId=listing))


def test_a_v2_domain_has_its_own_blueprints(cloud: LocalCloud, client: Client) -> None:
    domain = cloud.control.do(c.AddDomain(version="V2")).id
    environment = cloud.control.do(c.AddEnvironment(domain=domain, blueprint="Tooling")).id
    got = client("datazone").get_environment(domainIdentifier=domain, identifier=environment)
    assert got["provider"] == "Amazon SageMaker"
    assert client("datazone").get_domain(identifier=domain)["domainVersion"] == "V2"
    with pytest.raises(Refused, match="DefaultDataLake"):
        cloud.control.do(c.AddEnvironment(domain=domain))


# Events


def test_events_come_in_datazones_order(cloud: LocalCloud, queue: Callable[[], list[str]], listing: str) -> None:
    project = cloud.control.do(c.AddProject()).id
    environment = cloud.control.do(c.AddEnvironment(project=project)).id
    subscription = approved(cloud, listing, project=project).subscription
    cloud.control.do(c.Revoke(subscription=subscription))
    cloud.control.do(c.Repeat(id=subscription))
    cloud.control.do(c.DeleteEnvironment(environment=environment))
    cloud.control.do(c.DeleteEnvironment(environment=environment, gone=True))
    assert queue() == [
        "Environment Deployment Completed",
        "Subscription Request Created",
        "Subscription Request Accepted",
        "Subscription Created",
        "Subscription Revoked",
        "Subscription Revoked",
        "Environment Deletion Started",
        "Environment Deletion Completed",
    ]


def test_an_envelope_is_eventbridges(cloud: LocalCloud, client: Client, queue: object, listing: str) -> None:
    request = cloud.control.do(c.Subscribe(listing=listing, events=False)).id
    made = cloud.control.do(c.Approve(request=request))
    url = cloud.environment["DZGRANT_QUEUE_URL"]
    bodies = [m["Body"] for m in client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]]
    envelope = next(json.loads(body) for body in bodies if "Subscription Created" in body)
    assert envelope["source"] == "aws.datazone"
    assert envelope["account"] == GOVERNANCE
    assert envelope["detail"]["metadata"] | {"domain": DOMAIN, "id": made.subscription} == envelope["detail"]["metadata"]
    assert envelope["detail"]["data"]["status"] == "APPROVED"
    assert envelope["detail"]["data"]["subscribedPrincipal"] == {"id": "consumer", "type": "PROJECT"}


def test_a_lost_event_still_changes_the_state(
    cloud: LocalCloud, client: Client, queue: Callable[[], list[str]], listing: str
) -> None:
    subscription = approved(cloud, listing).subscription
    queue()
    cloud.control.do(c.Revoke(subscription=subscription, retain_permissions=True, events=False))
    got = client("datazone").get_subscription(domainIdentifier=DOMAIN, identifier=subscription)
    assert (got["status"], got["retainPermissions"]) == ("REVOKED", True)
    assert queue() == []
    with pytest.raises(Refused, match="REVOKED"):
        cloud.control.do(c.Revoke(subscription=subscription))


def test_a_custom_target_asks_for_grants_and_hears_the_answer(
    cloud: LocalCloud, client: Client, queue: Callable[[], list[str]]
) -> None:
    do, datazone = cloud.control.do, client("datazone")
    project = do(c.AddProject()).id
    do(c.AddTarget(environment=do(c.AddEnvironment(project=project, events=False)).id))
    first, second = published(cloud), published(cloud, table="public.lines")
    product = do(c.PublishProduct(listings=(first.listing, second.listing))).id
    made = approved(cloud, product, project=project)
    (grant,) = made.grants
    assert queue()[-2:] == ["Subscription Grant Requested"] * 2
    got = datazone.get_subscription_grant(domainIdentifier=DOMAIN, identifier=grant)
    assert (got["subscriptionId"], got["status"]) == (made.subscription, "PENDING")

    def report(asset: str, status: str) -> str:
        told = {"domainIdentifier": DOMAIN, "identifier": grant, "assetIdentifier": asset, "status": status}
        return str(datazone.update_subscription_grant_status(**told)["status"])

    assert report(first.asset, "GRANT_IN_PROGRESS") == "PENDING"
    assert report(first.asset, "GRANTED") == "PENDING"
    assert report(second.asset, "GRANTED") == "COMPLETED"
    assert queue() == ["Subscription Grant Completed"] * 2
    do(c.Cancel(subscription=made.subscription))
    assert queue() == ["Subscription Cancelled"] + ["Subscription Grant Revoke Requested"] * 2
    told = {"domainIdentifier": DOMAIN, "identifier": grant, "assetIdentifier": "unknown", "status": "REVOKED"}
    assert refused(datazone.update_subscription_grant_status, **told) == "ResourceNotFoundException"


def test_grants_are_made_and_deleted_one_by_one(cloud: LocalCloud, queue: Callable[[], list[str]], listing: str) -> None:
    do = cloud.control.do
    project = do(c.AddProject()).id
    target = do(c.AddTarget(environment=do(c.AddEnvironment(project=project)).id, automatic=False)).id
    made = approved(cloud, listing, project=project)
    assert made.grants == ()
    queue()
    grant = do(c.AddGrant(subscription=made.subscription, target=target)).id
    with pytest.raises(Refused, match="already"):
        do(c.AddGrant(subscription=made.subscription, target=target))
    do(c.DeleteGrant(grant=grant))
    assert queue() == ["Subscription Grant Requested", "Subscription Grant Revoke Requested"]


def test_outcome_events_can_be_read(cloud: LocalCloud, client: Client) -> None:
    entry = {"Source": "dzgrant", "DetailType": "Grant Completed", "Detail": '{"table": "a.b"}', "EventBusName": BUS}
    other = {**entry, "Source": "someone.else"}
    assert client("events").put_events(Entries=[entry, other])["FailedEntryCount"] == 0
    sqs, url = client("sqs"), queue_url(cloud.endpoint, OUTCOMES)
    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    body = json.loads(message["Body"])
    assert (body["source"], body["detail"]) == ("dzgrant", {"table": "a.b"})


# Publishing


@pytest.mark.parametrize("role", [PRODUCER_ROLE])
def test_a_published_table_is_in_glue_through_the_producer_role(cloud: LocalCloud, client: Client, role: str) -> None:
    made = published(cloud, view=True, parameters={"UPDATED_BY_CRAWLER": None, "classification": "PostgreSQL"})
    form = json.loads(
        client("datazone").get_listing(domainIdentifier=DOMAIN, identifier=made.listing)["item"]["assetListing"]["forms"]
    )["GlueTableForm"]
    glue = client("glue", PRODUCER, role)
    table = glue.get_table(DatabaseName=form["databaseName"], Name=form["tableName"])["Table"]
    assert table["StorageDescriptor"]["Location"] == "shop.public.Orders"
    assert table["Parameters"]["connectionName"] == made.connection
    assert table["Parameters"]["typeOfData"] == "view"
    assert table["Parameters"]["classification"] == "PostgreSQL"
    assert "UPDATED_BY_CRAWLER" not in table["Parameters"]
    secret = client("secretsmanager", PRODUCER, role).get_secret_value(SecretId=made.secret_arn)
    assert json.loads(secret["SecretString"]) == {"username": "admin", "password": "secret"}


def test_each_form_of_connection_is_as_glue_gives_it(cloud: LocalCloud, client: Client) -> None:
    glue = client("glue", PRODUCER)

    def connection(**more: Any) -> dict[str, Any]:
        name = published(cloud, **more).connection
        got: dict[str, Any] = glue.get_connection(Name=name, HidePassword=True)["Connection"]
        assert got["ConnectionType"] == "JDBC"
        return got

    by_url = connection(connection="url", url="jdbc:postgresql://LOCALHOST/shop?ssl=true")
    assert by_url["ConnectionProperties"]["JDBC_CONNECTION_URL"] == "jdbc:postgresql://LOCALHOST/shop?ssl=true"
    assert by_url["ConnectionProperties"]["SECRET_ID"].startswith("arn:aws:secretsmanager:")
    by_parts = connection(connection="parts", form="properties", credentials="secret_arn")
    assert by_parts["ConnectionProperties"] == {"HOST": "localhost", "PORT": "5432", "DATABASE": "shop"}
    assert by_parts["AuthenticationConfiguration"]["SecretArn"].startswith("arn:aws:secretsmanager:")
    assert by_parts["ConnectionSchemaVersion"] == 2
    inline = connection(connection="inline", credentials="inline")
    assert "PASSWORD" not in inline["ConnectionProperties"]
    open_inline = glue.get_connection(Name="inline")["Connection"]["ConnectionProperties"]
    assert (open_inline["USERNAME"], open_inline["PASSWORD"]) == ("admin", "secret")
    glue.delete_connection(ConnectionName="inline")
    assert refused(glue.get_connection, Name="inline") == "EntityNotFoundException"


# Accounts


def test_a_role_is_assumed_only_where_it_is_and_by_whom_it_trusts(cloud: LocalCloud, client: Client) -> None:
    assume = client("sts").assume_role
    there = f"arn:aws:iam::{CONSUMER}:role/{CONSUMER_ROLE}"
    for arn in (
        f"arn:aws:iam::{PRODUCER}:role/{CONSUMER_ROLE}",
        "arn:aws:iam::444444444444:role/dzgrant-consumer",
        "nonsense" * 3,
    ):
        assert refused(assume, RoleArn=arn, RoleSessionName="test") == "AccessDenied"
    assert refused(client("sts", PRODUCER).assume_role, RoleArn=there, RoleSessionName="test") == "AccessDenied"
    assert client("sts", CONSUMER, CONSUMER_ROLE).get_caller_identity()["Account"] == CONSUMER
    assert cloud.control.calls()[-1].caller == there


def test_an_external_id_is_asked_for_where_the_trust_policy_says_so(client: Client) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": GOVERNANCE},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "shibboleth"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = client("iam", CONSUMER).create_role(RoleName="guarded", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    assume = client("sts").assume_role
    assert refused(assume, RoleArn=arn, RoleSessionName="test") == "AccessDenied"
    assert refused(assume, RoleArn=arn, RoleSessionName="test", ExternalId="wrong") == "AccessDenied"
    assert assume(RoleArn=arn, RoleSessionName="test", ExternalId="shibboleth")["Credentials"]["AccessKeyId"]


# Secrets Manager


def share(arn: str) -> dict[str, Any]:
    principal = {"AWS": f"arn:aws:iam::{CONSUMER}:role/{CONSUMER_ROLE}"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return {"SecretId": arn, "ResourcePolicy": policy, "BlockPublicPolicy": True}


def test_a_secret_is_read_across_accounts_only_by_policy_and_customer_key(client: Client) -> None:
    owner, reader = client("secretsmanager", PRODUCER, PRODUCER_ROLE), client("secretsmanager", CONSUMER, CONSUMER_ROLE)
    arn = owner.create_secret(Name="shared", SecretString="s", KmsKeyId=KMS_KEY_ALIAS)["ARN"]
    read = reader.get_secret_value
    assert refused(read, SecretId=arn) == "AccessDeniedException"
    owner.put_resource_policy(**share(arn))
    assert read(SecretId=arn)["SecretString"] == "s"
    assert refused(read, SecretId="shared") == "ResourceNotFoundException"
    assert refused(read, SecretId=arn[:-7]) == "AccessDeniedException"
    assert refused(reader.describe_secret, SecretId=arn) == "AccessDeniedException"
    assert refused(reader.put_secret_value, SecretId=arn, SecretString="x") == "AccessDeniedException"
    assert refused(client("secretsmanager", CONSUMER).get_secret_value, SecretId=arn) == "AccessDeniedException"
    owner.delete_resource_policy(SecretId=arn)
    assert refused(read, SecretId=arn) == "AccessDeniedException"


def test_the_default_key_opens_nothing_across_accounts(client: Client) -> None:
    owner = client("secretsmanager", PRODUCER)
    arn = owner.create_secret(Name="default-key", SecretString="s")["ARN"]
    owner.put_resource_policy(**share(arn))
    assert refused(client("secretsmanager", CONSUMER, CONSUMER_ROLE).get_secret_value, SecretId=arn) == "AccessDeniedException"


def test_a_secret_scheduled_for_deletion_is_closed_until_it_is_restored(client: Client) -> None:
    secrets = client("secretsmanager", PRODUCER)
    arn = secrets.create_secret(Name="going", SecretString="old")["ARN"]
    assert refused(secrets.create_secret, Name="going", SecretString="new") == "ResourceExistsException"
    secrets.delete_secret(SecretId="going", RecoveryWindowInDays=7)
    assert refused(secrets.create_secret, Name="going", SecretString="new") == "InvalidRequestException"
    assert refused(secrets.get_secret_value, SecretId="going") == "InvalidRequestException"
    assert refused(secrets.put_secret_value, SecretId=arn, SecretString="new") == "InvalidRequestException"
    assert refused(secrets.put_resource_policy, **share(arn)) == "InvalidRequestException"
    assert refused(secrets.tag_resource, SecretId=arn, Tags=[{"Key": "k", "Value": "v"}]) == "InvalidRequestException"
    assert "DeletedDate" in secrets.describe_secret(SecretId=arn)
    assert secrets.restore_secret(SecretId="going")["ARN"] == arn
    secrets.put_secret_value(SecretId="going", SecretString="new")
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "new"
    secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    assert refused(secrets.get_secret_value, SecretId="going") == "ResourceNotFoundException"
    assert secrets.create_secret(Name="going", SecretString="again")["ARN"] != arn


def test_create_secret_is_idempotent_by_its_token(client: Client) -> None:
    create = client("secretsmanager", PRODUCER).create_secret
    asked = {"Name": "token", "SecretString": "s", "ClientRequestToken": "t" * 32}
    assert create(**asked)["ARN"] == create(**asked)["ARN"]
    assert refused(create, **{**asked, "SecretString": "other"}) == "ResourceExistsException"


def test_a_key_must_be_there_and_a_policy_not_public(client: Client) -> None:
    secrets = client("secretsmanager", CONSUMER)
    assert refused(secrets.create_secret, Name="k", SecretString="s", KmsKeyId=KMS_KEY_ALIAS) == "EncryptionFailure"
    arn = secrets.create_secret(Name="open", SecretString="s", KmsKeyId="alias/aws/secretsmanager")["ARN"]
    asked = share(arn)
    asked["ResourcePolicy"] = asked["ResourcePolicy"].replace(f"arn:aws:iam::{CONSUMER}:role/{CONSUMER_ROLE}", "*")
    assert refused(secrets.put_resource_policy, **asked) == "PublicPolicyException"
    secrets.put_resource_policy(**{**asked, "BlockPublicPolicy": False})


# DynamoDB


def key(pk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": "x"}}


def add_one(pk: str, known: int) -> dict[str, Any]:
    """Counts up if the counter is what we know."""
    condition = "n = :known" if known else "attribute_not_exists(pk)"
    return {
        "Update": {
            "TableName": TABLE,
            "Key": key(pk),
            "UpdateExpression": "SET n = :next",
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {":next": {"N": str(known + 1)}} | ({":known": {"N": str(known)}} if known else {}),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def test_transactions_are_isolated_under_eight_threads(client: Client) -> None:
    dynamodb = client("dynamodb")

    def win(_: int) -> int:
        wins = 0
        known = 0
        while wins < 10:
            try:
                log = {"Put": {"TableName": TABLE, "Item": key(f"log{known}")}}
                dynamodb.transact_write_items(TransactItems=[add_one("counter", known), log])
                wins += 1
                known += 1
            except dynamodb.exceptions.TransactionCanceledException as error:
                reason = error.response["CancellationReasons"][0]
                assert reason["Code"] == "ConditionalCheckFailed"
                known = int(reason["Item"]["n"]["N"]) if "Item" in reason else 0
        return wins

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(win, range(8))) == 80
    assert dynamodb.get_item(TableName=TABLE, Key=key("counter"))["Item"]["n"] == {"N": "80"}


def test_a_cancelled_transaction_leaves_nothing(client: Client) -> None:
    dynamodb = client("dynamodb")
    dynamodb.put_item(TableName=TABLE, Item={**key("kept"), "v": {"S": "old"}})
    update = {
        "TableName": TABLE,
        "Key": key("kept"),
        "UpdateExpression": "SET v = :v",
        "ExpressionAttributeValues": {":v": {"S": "new"}},
    }
    items = [
        {"Update": update},
        {"Put": {"TableName": TABLE, "Item": key("new")}},
        {"ConditionCheck": {"TableName": TABLE, "Key": key("none"), "ConditionExpression": "attribute_exists(pk)"}},
    ]
    with pytest.raises(ClientError) as caught:
        dynamodb.transact_write_items(TransactItems=items)
    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == [
        "None",
        "None",
        "ConditionalCheckFailed",
    ]
    assert dynamodb.get_item(TableName=TABLE, Key=key("kept"))["Item"]["v"] == {"S": "old"}
    assert "Item" not in dynamodb.get_item(TableName=TABLE, Key=key("new"))
    twice = [{"Put": {"TableName": TABLE, "Item": key("twice")}}] * 2
    assert refused(dynamodb.transact_write_items, TransactItems=twice) == "ValidationException"


def test_a_transactions_token_makes_its_retry_harmless(client: Client) -> None:
    write = client("dynamodb").transact_write_items
    asked = {"TransactItems": [add_one("retried", 0)], "ClientRequestToken": "token-1"}
    write(**asked)
    write(**asked)
    assert refused(write, **{**asked, "ClientRequestToken": "token-2"}) == "TransactionCanceledException"
    other = {"TransactItems": [add_one("other", 0)], "ClientRequestToken": "token-1"}
    assert refused(write, **other) == "IdempotentParameterMismatchException"


def test_a_partition_is_queried_in_pages_and_through_an_index(client: Client) -> None:
    dynamodb = client("dynamodb")
    for number in range(7):
        item = {"pk": {"S": "part"}, "sk": {"S": f"GRANT#{number}"}, "project": {"S": "p-query"}}
        dynamodb.put_item(TableName=TABLE, Item=item)
    asked = {
        "TableName": TABLE,
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
        "ExpressionAttributeValues": {":pk": {"S": "part"}, ":sk": {"S": "GRANT#"}},
        "ConsistentRead": True,
    }
    pages = dynamodb.get_paginator("query").paginate(**asked, PaginationConfig={"PageSize": 3})
    assert [item["sk"]["S"][-1] for page in pages for item in page["Items"]] == list("0123456")
    by_index = {"IndexName": "by-project", "KeyConditionExpression": "#p = :p", "ExpressionAttributeNames": {"#p": "project"}}
    found = dynamodb.query(TableName=TABLE, **by_index, ExpressionAttributeValues={":p": {"S": "p-query"}})
    assert found["Count"] == 7


# SQS


@pytest.fixture
def box(client: Client) -> str:
    """A queue of this test's own, with a dead-letter queue after two receives."""
    sqs, name = client("sqs"), f"box-{time.monotonic_ns()}"
    sqs.create_queue(QueueName=f"{name}-dlq")
    redrive = {"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{GOVERNANCE}:{name}-dlq", "maxReceiveCount": 2}
    attributes = {"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": "5"}
    url: str = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    return url


def test_a_long_poll_wakes_at_once_and_holds_nobody_up(client: Client, box: str) -> None:
    sqs = client("sqs")
    with ThreadPoolExecutor(1) as threads:
        poll = threads.submit(sqs.receive_message, QueueUrl=box, WaitTimeSeconds=20)
        started = time.monotonic()
        for _ in range(20):
            sqs.get_queue_attributes(QueueUrl=box, AttributeNames=["All"])
        sqs.send_message(QueueUrl=box, MessageBody="x")
        assert poll.result(timeout=10)["Messages"][0]["Body"] == "x"
        assert time.monotonic() - started < 10


def test_each_message_goes_to_one_receiver(client: Client, box: str) -> None:
    sqs = client("sqs")
    entries = [[{"Id": str(n), "MessageBody": f"{batch}-{n}"} for n in range(10)] for batch in range(10)]
    for batch in entries:
        assert len(sqs.send_message_batch(QueueUrl=box, Entries=batch)["Successful"]) == 10

    def drain(_: int) -> list[str]:
        bodies = []
        while got := sqs.receive_message(QueueUrl=box, MaxNumberOfMessages=10, VisibilityTimeout=60).get("Messages"):
            done = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(got)]
            assert len(sqs.delete_message_batch(QueueUrl=box, Entries=done)["Successful"]) == len(got)
            bodies += [message["Body"] for message in got]
        return bodies

    with ThreadPoolExecutor(8) as threads:
        received = [body for bodies in threads.map(drain, range(8)) for body in bodies]
    assert sorted(received) == sorted(entry["MessageBody"] for batch in entries for entry in batch)


def test_visibility_and_receipt_handles(client: Client, box: str) -> None:
    sqs = client("sqs")
    sqs.send_message(QueueUrl=box, MessageBody="x", MessageAttributes={"why": {"DataType": "String", "StringValue": "y"}})

    def receive() -> Any:
        got = sqs.receive_message(
            QueueUrl=box, MessageSystemAttributeNames=["ApproximateReceiveCount"], MessageAttributeNames=["All"]
        )
        return got.get("Messages", [None])[0]

    first = receive()
    assert (first["Attributes"]["ApproximateReceiveCount"], first["MessageAttributes"]["why"]["StringValue"]) == ("1", "y")
    assert receive() is None
    hide = {"Id": "a", "ReceiptHandle": first["ReceiptHandle"], "VisibilityTimeout": 0}
    assert sqs.change_message_visibility_batch(QueueUrl=box, Entries=[hide])["Successful"] == [{"Id": "a"}]
    assert sqs.change_message_visibility_batch(QueueUrl=box, Entries=[hide])["Failed"][0]["Code"].endswith("MessageNotInflight")
    second = receive()
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    sqs.delete_message(QueueUrl=box, ReceiptHandle=first["ReceiptHandle"])
    counted = sqs.get_queue_attributes(QueueUrl=box, AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
    assert counted["Attributes"] == {"ApproximateNumberOfMessagesNotVisible": "1"}
    sqs.delete_message(QueueUrl=box, ReceiptHandle=second["ReceiptHandle"])
    late = {"QueueUrl": box, "ReceiptHandle": second["ReceiptHandle"], "VisibilityTimeout": 5}
    assert refused(sqs.change_message_visibility, **late) == "InvalidParameterValue"
    assert refused(sqs.delete_message, QueueUrl=box, ReceiptHandle="nonsense") == "ReceiptHandleIsInvalid"
    assert refused(sqs.get_queue_url, QueueName="unknown") == "AWS.SimpleQueueService.NonExistentQueue"


def test_a_message_received_too_often_goes_to_the_dead_letter_queue(client: Client, box: str) -> None:
    sqs = client("sqs")
    sqs.send_message(QueueUrl=box, MessageBody="poison")
    for _ in range(2):
        assert sqs.receive_message(QueueUrl=box, VisibilityTimeout=0)["Messages"]
    assert "Messages" not in sqs.receive_message(QueueUrl=box)
    assert sqs.receive_message(QueueUrl=f"{box}-dlq")["Messages"][0]["Body"] == "poison"


def test_any_text_can_be_put_on_the_queue(cloud: LocalCloud, client: Client, queue: object) -> None:
    cloud.control.send("{ not json \u00fc")
    (message,) = client("sqs").receive_message(QueueUrl=cloud.environment["DZGRANT_QUEUE_URL"])["Messages"]
    assert message["Body"] == "{ not json \u00fc"


# Faults


def victim(cloud: LocalCloud, service: str, call: str) -> subprocess.Popen[bytes]:
    """A process of its own that waits for a line, then makes this one call and writes that it lived."""
    program = textwrap.dedent(f"""
        import sys, boto3
        client = boto3.client("{service}")
        sys.stdin.readline()
        client.{call}
        print("lived", flush=True)
    """)
    environment = {**os.environ, **cloud.environment, "AWS_DEFAULT_REGION": REGION}
    command = [sys.executable, "-W", "ignore", "-c", program]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.parametrize(("when", "carried_out"), [("before", False), ("after", True)])
def test_a_process_is_killed_at_its_call(healed: LocalCloud, client: Client, when: Any, *, carried_out: bool) -> None:
    item = f'{{"pk": {{"S": "killed-{when}"}}, "sk": {{"S": "x"}}}}'
    with victim(healed, "dynamodb", f'put_item(TableName="{TABLE}", Item={item})') as process:
        match = c.Match(services=("dynamodb",), operations=("PutItem",))
        healed.control.do(c.Kill(pid=process.pid, call=1, when=when, match=match))
        output, _ = process.communicate(b"go\n", timeout=30)
    assert (process.returncode, output) == (-signal.SIGKILL, b"")
    got = client("dynamodb").get_item(TableName=TABLE, Key=key(f"killed-{when}"))
    assert ("Item" in got) is carried_out
    assert next(call for call in reversed(healed.control.calls()) if call.operation == "PutItem").status is None


def test_a_killed_poller_takes_no_message_along(cloud: LocalCloud, client: Client, box: str) -> None:
    with victim(cloud, "sqs", f'receive_message(QueueUrl="{box}", WaitTimeSeconds=20)') as process:
        assert process.stdin
        process.stdin.write(b"go\n")
        process.stdin.flush()
        known = len(cloud.control.calls())
        wait_for(lambda: any(call.operation == "ReceiveMessage" for call in cloud.control.calls()[known:]))
        process.kill()
    client("sqs").send_message(QueueUrl=box, MessageBody="x")
    assert client("sqs").receive_message(QueueUrl=box)["Messages"][0]["Body"] == "x"


def test_calls_fail_as_often_as_asked(healed: LocalCloud, client: Client) -> None:
    datazone, sts = client("datazone"), client("sts")
    match = c.Match(services=("datazone",), operations=("GetDomain",))
    healed.control.do(c.Fail(times=2, status=429, code="ThrottlingException", match=match))
    healed.control.do(c.Fail(status=500, code="InternalFailure", match=c.Match(services=("sts",))))
    assert refused(datazone.get_domain, identifier=DOMAIN) == "ThrottlingException"
    assert datazone.get_project(domainIdentifier=DOMAIN, identifier="consumer")["id"] == "consumer"
    assert refused(datazone.get_domain, identifier=DOMAIN) == "ThrottlingException"
    assert datazone.get_domain(identifier=DOMAIN)["id"] == DOMAIN
    assert refused(sts.get_caller_identity) == "InternalFailure"
    assert sts.get_caller_identity()["Account"] == GOVERNANCE


def test_latency_is_added_to_calls_side_by_side(healed: LocalCloud, client: Client) -> None:
    dynamodb = client("dynamodb")
    healed.control.do(c.Latency(milliseconds=200))
    started = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: dynamodb.describe_table(TableName=TABLE), range(8)))
    assert 0.2 <= time.monotonic() - started < 1.6


def test_calls_are_counted_from_outside(cloud: LocalCloud, client: Client) -> None:
    dynamodb, glue = client("dynamodb"), client("glue", PRODUCER, PRODUCER_ROLE)
    cloud.control.forget_calls()
    published(cloud)
    dynamodb.describe_table(TableName=TABLE)
    assert refused(glue.get_table, DatabaseName="sales", Name="none") == "EntityNotFoundException"
    seen = [(call.service, call.operation, call.account, call.status) for call in cloud.control.calls()]
    assert seen == [("dynamodb", "DescribeTable", GOVERNANCE, 200), ("glue", "GetTable", PRODUCER, 400)]


# Process


def test_the_control_api_says_what_is_wrong(cloud: LocalCloud) -> None:
    with pytest.raises(Refused, match="Listing unknown does not exist"):
        cloud.control.do(c.Subscribe(listing="unknown"))
    with urlopen(f"{cloud.endpoint}/_local/") as answer:
        overview = json.load(answer)
    assert overview["accounts"]["producer"] == PRODUCER
    assert "listing" in overview["commands"]["subscribe"]["fields"]


def test_the_cloud_dies_with_its_parent() -> None:
    program = textwrap.dedent("""
        import time
        from dzgrant.localcloud.process import running
        with running() as cloud:
            print(cloud.pid, flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        child.wait(timeout=60)


def test_the_port_can_be_chosen_and_its_loss_is_one_line(cloud: LocalCloud) -> None:
    port = cloud.endpoint.rpartition(":")[2]
    command = [sys.executable, "-m", "dzgrant.localcloud", "--port", port]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines()[-1].startswith(f"the local cloud can't listen on 127.0.0.1:{port}")


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    turn = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        turn.wait(0.02)
