"""What dzgrant relies on of AWS, asked of the fakes and of the local cloud alike.

Where one of the two is not as AWS is, `OTHERWISE` says which, how, and by what source AWS is known; the test then asks for
just that, so that the list can't grow old unseen. moto alone would be in it more often: the local cloud corrects its receipt
handles, transaction tokens, secrets that are to be deleted and reads across accounts, and these tests keep both to AWS there.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Sequence
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from dzgrant.ledger import GrantOutcome, Ledger, Settlement
from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import (
    BUS,
    CONSUMER,
    CONSUMER_ROLE,
    DOMAIN,
    GOVERNANCE,
    KMS_KEY_ALIAS,
    PRODUCER,
    PRODUCER_ROLE,
    REGION,
    TABLE,
)
from dzgrant.model import (
    AccountId,
    Admin,
    Arn,
    Environment,
    GrantState,
    Principal,
    PrincipalState,
    Region,
    Scope,
    Source,
    Spare,
    Table,
    TablePath,
    Wanted,
)
from tests.fakes.conftest import Side

Item = dict[str, Any]
EVERYTHING = Scope()

OTHERWISE = {
    (
        "local cloud",
        "twelve hours",
    ): "takes 43,200 s anew though the message was received before (SQS, ChangeMessageVisibility)",
    ("local cloud", "events of AWS"): "moto takes them; AWS answers NotAuthorizedForSource (EventBridge, PutEvents, Source)",
}
"""By (side, what): how that side differs from AWS, and the source."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


def as_aws(aws: Side, what: str) -> bool:
    return (aws.name, what) not in OTHERWISE


def fresh(word: str) -> str:
    return f"{word}-{uuid4().hex[:12]}"


async def refused(call: Awaitable[object]) -> str:
    """The code that the call is refused with."""
    with pytest.raises(ClientError) as caught:
        await call
    return str(caught.value.response["Error"]["Code"])


# SQS


async def received(aws: Side, url: str, hidden: int = 30) -> dict[str, Any]:
    sqs = await aws.client("sqs")
    got = await sqs.receive_message(
        QueueUrl=url,
        WaitTimeSeconds=5,
        VisibilityTimeout=hidden,
        MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        MessageAttributeNames=["All"],
    )
    (message,) = got["Messages"]
    found: dict[str, Any] = message
    return found


async def changed(aws: Side, url: str, handle: str, seconds: int = 10) -> str | None:
    sqs = await aws.client("sqs")
    entries = [{"Id": "0", "ReceiptHandle": handle, "VisibilityTimeout": seconds}]
    failed = (await sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)).get("Failed", [])
    return str(failed[0]["Code"]).rpartition(".")[2] if failed else None


async def deleted(aws: Side, url: str, handle: str) -> str | None:
    sqs = await aws.client("sqs")
    answer = await sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": "0", "ReceiptHandle": handle}])
    failed = answer.get("Failed", [])
    return str(failed[0]["Code"]).rpartition(".")[2] if failed else None


async def left(aws: Side, url: str) -> int:
    sqs = await aws.client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    got = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(int(got["Attributes"][name]) for name in names)


async def test_a_message_comes_as_it_was_sent_and_stays_hidden_until_it_is_deleted(aws: Side) -> None:
    url, sqs = await aws.queue(fresh("queue")), await aws.client("sqs")
    reason = {"dzgrant.reason": {"DataType": "String", "StringValue": "why"}}
    sent = await sqs.send_message(QueueUrl=url, MessageBody="héllo", MessageAttributes=reason, DelaySeconds=0)
    message = await received(aws, url)
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "héllo")
    assert message["MessageAttributes"] == reason
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert int(message["Attributes"]["SentTimestamp"]) > 1_600_000_000_000
    assert "Messages" not in await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    assert await deleted(aws, url, message["ReceiptHandle"]) is None
    assert await left(aws, url) == 0


async def test_a_handle_whose_visibility_ended_is_of_no_message_in_flight(aws: Side) -> None:
    url, sqs = await aws.queue(fresh("queue")), await aws.client("sqs")
    await sqs.send_message(QueueUrl=url, MessageBody="one")
    message = await received(aws, url, hidden=0)
    assert await changed(aws, url, message["ReceiptHandle"]) == "MessageNotInflight"
    # Nobody has received it since: the handle still deletes it.
    assert await deleted(aws, url, message["ReceiptHandle"]) is None
    assert await left(aws, url) == 0


async def test_only_the_newest_handle_deletes_and_hides(aws: Side) -> None:
    url, sqs = await aws.queue(fresh("queue")), await aws.client("sqs")
    await sqs.send_message(QueueUrl=url, MessageBody="one")
    older = await received(aws, url, hidden=0)
    newer = await received(aws, url)
    assert newer["Attributes"]["ApproximateReceiveCount"] == "2"
    assert await deleted(aws, url, older["ReceiptHandle"]) is None
    assert await left(aws, url) == 1
    assert await changed(aws, url, older["ReceiptHandle"]) == "InvalidParameterValue"
    assert await changed(aws, url, newer["ReceiptHandle"], 0) is None
    assert (await received(aws, url))["Attributes"]["ApproximateReceiveCount"] == "3"


async def test_a_handle_of_a_message_that_is_gone_or_never_was(aws: Side) -> None:
    url, sqs = await aws.queue(fresh("queue")), await aws.client("sqs")
    await sqs.send_message(QueueUrl=url, MessageBody="one")
    message = await received(aws, url)
    assert await deleted(aws, url, message["ReceiptHandle"]) is None
    assert await deleted(aws, url, message["ReceiptHandle"]) is None
    assert await changed(aws, url, message["ReceiptHandle"]) == "InvalidParameterValue"
    assert await changed(aws, url, "no handle") == "ReceiptHandleIsInvalid"
    assert await deleted(aws, url, "no handle") == "ReceiptHandleIsInvalid"


async def test_nothing_is_hidden_for_more_than_twelve_hours(aws: Side) -> None:
    url, sqs = await aws.queue(fresh("queue")), await aws.client("sqs")
    await sqs.send_message(QueueUrl=url, MessageBody="one")
    handle = (await received(aws, url))["ReceiptHandle"]
    found = await changed(aws, url, handle, 43_200)
    assert (found == "InvalidParameterValue") is as_aws(aws, "twelve hours")
    assert await changed(aws, url, handle, 43_100) is None


async def test_a_long_poll_wakes_for_a_message(aws: Side) -> None:
    url, sqs = await aws.queue(fresh("queue")), await aws.client("sqs")
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(4):
        waiting = tasks.create_task(received(aws, url))
        await sqs.send_message(QueueUrl=url, MessageBody="one")
    assert waiting.result()["Body"] == "one"


async def test_what_is_received_too_often_goes_to_the_dead_letters(aws: Side) -> None:
    dead, sqs = fresh("dead"), await aws.client("sqs")
    dead_url = await aws.queue(dead)
    arn = f"arn:aws:sqs:{REGION}:{GOVERNANCE}:{dead}"
    url = await aws.queue(fresh("queue"), json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1}))
    attributes = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"]))["Attributes"]
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"] == arn
    assert (await sqs.get_queue_url(QueueName=dead, QueueOwnerAWSAccountId=GOVERNANCE))["QueueUrl"] == dead_url
    await sqs.send_message(QueueUrl=url, MessageBody="poison")
    await received(aws, url, hidden=0)
    assert "Messages" not in await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)
    assert (await received(aws, dead_url))["Body"] == "poison"


async def test_a_queue_that_is_not_there(aws: Side) -> None:
    sqs = await aws.client("sqs")
    nowhere = f"{aws.queue_url}-nowhere"
    assert await refused(sqs.send_message(QueueUrl=nowhere, MessageBody="x")) == "AWS.SimpleQueueService.NonExistentQueue"


# DynamoDB


def key(pk: str, sk: str = "sk") -> Item:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


async def update(aws: Side, pk: str, expression: str, *, where: str | None = None, **values: Any) -> Item:
    """`expression` names attributes `#name` and values `:name`."""
    dynamodb = await aws.client("dynamodb")
    names = {f"#{name}": name for name in re.findall(r"#(\w+)", f"{expression} {where}")}
    given: Item = {"ExpressionAttributeNames": names} if names else {}
    if values:
        given["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    if where:
        given["ConditionExpression"] = where
    answer = await dynamodb.update_item(
        TableName=TABLE, Key=key(pk), UpdateExpression=expression, ReturnValues="ALL_NEW", **given
    )
    found: Item = answer["Attributes"]
    return found


async def test_an_update_sets_adds_takes_away_and_tells_all(aws: Side) -> None:
    pk = fresh("item")
    first = await update(
        aws,
        pk,
        "SET #a = :a, #b = if_not_exists(#b, :b) ADD #n :n, #s :s",
        a={"S": "1"},
        b={"S": "x"},
        n={"N": "1"},
        s={"SS": ["q", "p"]},
    )
    assert first == key(pk) | {"a": {"S": "1"}, "b": {"S": "x"}, "n": {"N": "1"}, "s": first["s"]}
    assert sorted(first["s"]["SS"]) == ["p", "q"]
    second = await update(
        aws,
        pk,
        "SET #b = if_not_exists(#b, :b) REMOVE #a, #never ADD #n :n DELETE #s :s",
        b={"S": "y"},
        n={"N": "2"},
        s={"SS": ["p", "r"]},
    )
    assert second == key(pk) | {"b": {"S": "x"}, "n": {"N": "3"}, "s": {"SS": ["q"]}}
    # A set is never empty: the attribute goes.
    assert await update(aws, pk, "DELETE #s :s, #never :s", s={"SS": ["q"]}) == key(pk) | {"b": {"S": "x"}, "n": {"N": "3"}}


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("attribute_exists(#pk)", True),
        ("attribute_not_exists(#pk)", False),
        ("attribute_not_exists(#other)", True),
        ("#n = :n", True),
        ("#n <> :n", False),
        ("#n < :more AND NOT #n > :more", True),
        ("#n >= :more OR (#t = :t AND attribute_exists(#n))", True),
        ("#other = :n", False),
        ("#other < :n", False),
        ("#n BETWEEN :n AND :more", True),
        ("#n IN (:more, :t)", False),
        ("begins_with(#t, :t)", True),
        ("contains(#s, :t)", True),
    ],
)
async def test_conditions(aws: Side, where: str, holds: bool) -> None:
    pk, dynamodb = fresh("item"), await aws.client("dynamodb")
    await update(aws, pk, "SET #n = :n, #t = :t, #s = :s", n={"N": "2.0"}, t={"S": "text"}, s={"SS": ["text", "b"]})
    values = {"n": {"N": "2"}, "more": {"N": "10"}, "t": {"S": "text"}}
    wanted = {f":{name}": values[name] for name in re.findall(r":(\w+)", where)}
    names = {f"#{name}": name for name in re.findall(r"#(\w+)", where)}
    given: Item = {"ExpressionAttributeNames": names} | ({"ExpressionAttributeValues": wanted} if wanted else {})
    check = {"ConditionCheck": {"TableName": TABLE, "Key": key(pk), "ConditionExpression": where, **given}}
    call = dynamodb.transact_write_items(TransactItems=[check])
    if holds:
        await call
    else:
        assert await refused(call) == "TransactionCanceledException"


async def test_an_update_whose_condition_does_not_hold_writes_nothing(aws: Side) -> None:
    pk, dynamodb = fresh("item"), await aws.client("dynamodb")
    assert await refused(update(aws, pk, "SET #a = :a", where="attribute_exists(#pk)", a={"S": "1"})) == (
        "ConditionalCheckFailedException"
    )
    assert "Item" not in await dynamodb.get_item(TableName=TABLE, Key=key(pk), ConsistentRead=True)


@pytest.mark.parametrize(
    ("expression", "names", "values"),
    [
        ("SET #a = :a", {"#a": "a", "#b": "b"}, {":a": {"S": "1"}}),
        ("SET #a = :a", {"#a": "a"}, {":a": {"S": "1"}, ":b": {"S": "1"}}),
        ("SET #a = :a REMOVE #a", {"#a": "a"}, {":a": {"S": "1"}}),
        ("ADD #a :a", {"#a": "a"}, {":a": {"SS": []}}),
        ("SET #a = :a", {"#a": "a"}, {}),
        ("SET #a :a", {"#a": "a"}, {":a": {"S": "1"}}),
        ("SET #a = :a, state = :a", {"#a": "a"}, {":a": {"S": "1"}}),
    ],
    ids=[
        "a name too many",
        "a value too many",
        "one attribute twice",
        "an empty set",
        "no value",
        "no sense",
        "a reserved word",
    ],
)
async def test_a_request_that_makes_no_sense_is_refused(aws: Side, expression: str, names: Item, values: Item) -> None:
    dynamodb = await aws.client("dynamodb")
    given = {"ExpressionAttributeNames": names} | ({"ExpressionAttributeValues": values} if values else {})
    call = dynamodb.update_item(TableName=TABLE, Key=key(fresh("item")), UpdateExpression=expression, **given)
    assert await refused(call) == "ValidationException"


def put(pk: str, value: str, where: str | None = None) -> Item:
    condition = {"ConditionExpression": where} if where else {}
    return {
        "Update": {
            "TableName": TABLE,
            "Key": key(pk),
            "UpdateExpression": "SET a = :a",
            "ExpressionAttributeValues": {":a": {"S": value}},
            **condition,
        }
    }


async def test_a_transaction_happens_whole_or_not_at_all_and_says_why(aws: Side) -> None:
    one, two, dynamodb = fresh("one"), fresh("two"), await aws.client("dynamodb")
    await dynamodb.transact_write_items(TransactItems=[put(one, "1")])
    failing = put(one, "2", "attribute_not_exists(pk)")
    failing["Update"]["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    with pytest.raises(ClientError) as caught:
        await dynamodb.transact_write_items(TransactItems=[put(two, "2"), failing])
    assert caught.value.response["Error"]["Code"] == "TransactionCanceledException"
    reasons: Any = caught.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed"]
    assert reasons[1]["Item"] == key(one) | {"a": {"S": "1"}}
    assert "Item" not in await dynamodb.get_item(TableName=TABLE, Key=key(two))
    twice = [put(one, "3"), put(one, "4")]
    assert await refused(dynamodb.transact_write_items(TransactItems=twice)) == "ValidationException"


async def test_a_transaction_with_a_token_happens_once(aws: Side) -> None:
    """TransactWriteItems, ClientRequestToken: for ten minutes, the same request again changes nothing more."""
    pk, token, dynamodb = fresh("item"), uuid4().hex, await aws.client("dynamodb")
    first = [put(pk, "1", "attribute_not_exists(pk)")]
    await dynamodb.transact_write_items(TransactItems=first, ClientRequestToken=token)
    await update(aws, pk, "SET #a = :a", a={"S": "2"})
    await dynamodb.transact_write_items(TransactItems=first, ClientRequestToken=token)
    assert (await dynamodb.get_item(TableName=TABLE, Key=key(pk)))["Item"]["a"] == {"S": "2"}
    other = dynamodb.transact_write_items(TransactItems=[put(pk, "3")], ClientRequestToken=token)
    assert await refused(other) == "IdempotentParameterMismatchException"
    # One that failed is not remembered.
    failed, again = fresh("item"), uuid4().hex
    early = [put(failed, "1", "attribute_exists(pk)")]
    assert await refused(dynamodb.transact_write_items(TransactItems=early, ClientRequestToken=again)) == (
        "TransactionCanceledException"
    )
    await update(aws, failed, "SET #a = :a", a={"S": "0"})
    await dynamodb.transact_write_items(TransactItems=early, ClientRequestToken=again)


async def test_queries_are_in_order_page_by_page_of_table_and_index(aws: Side) -> None:
    pk, project, dynamodb = fresh("part"), fresh("project"), await aws.client("dynamodb")
    for sort in ("B#2", "A#2", "B#1", "C", "A#1"):
        item = put(pk, "x")["Update"] | {"Key": key(pk, sort), "UpdateExpression": "SET a = :a, #p = :p"}
        item["ExpressionAttributeNames"] = {"#p": "project"}
        item["ExpressionAttributeValues"][":p"] = {"S": project}
        await dynamodb.transact_write_items(TransactItems=[{"Update": item}])

    async def sorts(attribute: str, value: str, prefix: str, **more: Any) -> list[str]:
        pages = dynamodb.get_paginator("query").paginate(
            TableName=TABLE,
            KeyConditionExpression="#attribute = :value AND begins_with(sk, :prefix)",
            ExpressionAttributeNames={"#attribute": attribute},
            ExpressionAttributeValues={":value": {"S": value}, ":prefix": {"S": prefix}},
            **more,
        )
        return [item["sk"]["S"] async for page in pages for item in page["Items"]]

    assert await sorts("pk", pk, "B", ConsistentRead=True) == ["B#1", "B#2"]
    assert await sorts("pk", pk, "A", Limit=1) == ["A#1", "A#2"]
    assert await sorts("project", project, "A", IndexName="by-project") == ["A#1", "A#2"]
    assert await sorts("project", project, "B", IndexName="by-project", Limit=1) == ["B#1", "B#2"]
    await dynamodb.delete_item(TableName=TABLE, Key=key(pk, "A#1"))
    await dynamodb.update_item(
        TableName=TABLE, Key=key(pk, "B#1"), UpdateExpression="REMOVE #p", ExpressionAttributeNames={"#p": "project"}
    )
    assert await sorts("project", project, "A", IndexName="by-project") == ["A#2"]
    assert await sorts("project", project, "B", IndexName="by-project") == ["B#2"]
    assert await sorts("pk", pk, "B") == ["B#1", "B#2"]


async def test_a_deletion_tells_what_was_there_and_a_batch_finds_the_rest(aws: Side) -> None:
    one, two, dynamodb = fresh("one"), fresh("two"), await aws.client("dynamodb")
    await dynamodb.transact_write_items(TransactItems=[put(one, "1"), put(two, "2")])
    gone = await dynamodb.delete_item(TableName=TABLE, Key=key(one), ReturnValues="ALL_OLD")
    assert gone["Attributes"] == key(one) | {"a": {"S": "1"}}
    again = await dynamodb.delete_item(TableName=TABLE, Key=key(one), ReturnValues="ALL_OLD")
    assert not again.get("Attributes")
    asked = {TABLE: {"Keys": [key(one), key(two)], "ConsistentRead": True}}
    found = await dynamodb.batch_get_item(RequestItems=asked)
    assert found["Responses"][TABLE] == [key(two) | {"a": {"S": "2"}}]
    assert not found["UnprocessedKeys"]


async def test_the_ledger_leaves_the_same_items(aws: Side) -> None:
    """dzgrant's own writes, all kinds of them, read back by dzgrant."""
    at = 1_700_000_000.0
    ledger = Ledger(await aws.client("dynamodb"), TABLE, owner="test", lease_seconds=60, clock=lambda: at)
    place = Environment(
        domain=DOMAIN, project=fresh("project"), id=fresh("env"), account=AccountId(CONSUMER), region=Region(REGION)
    )
    source = Source(engine="postgresql", host="db", port=5432, database=fresh("shop"))
    principal = Principal(environment=place, source=source)
    admin = Admin(account=AccountId(PRODUCER), region=Region(REGION), connection="c", secret="admin")
    one, two = fresh("sub"), fresh("sub")
    orders, customers = TablePath(name="public.orders"), TablePath(name="public.customers")

    def wanted(path: TablePath, by: str, scope: Scope = EVERYTHING) -> Wanted:
        return Wanted(principal=principal, path=path, subscription=by, listing="l", asset="a", admin=admin, scope=scope)

    narrow = Scope(columns=frozenset({"id"}))
    lease = await ledger.acquire(
        principal, admin, wanted=[wanted(orders, one), wanted(customers, one), wanted(orders, two, narrow)]
    )
    await lease.renew()
    granted = [
        GrantOutcome(
            path=path, state=GrantState.GRANTED, table=Table(schema="public", name=path.name), subscriptions=frozenset({one})
        )
        for path in (orders, customers)
    ]
    settlement = Settlement(
        state=PrincipalState.ACTIVE,
        producer_secret=Arn("arn:p"),
        consumer_secret=Arn("arn:c"),
        login=principal.login,
        password_at=None,
        spare=None,
        grants=tuple(granted),
    )
    await ledger.settle(lease, settlement)
    claims = await ledger.end(one)
    assert {claim.path for claim in claims} == {orders, customers}
    (record,) = await ledger.principals(place.id)
    lease = await ledger.hold(record)
    await ledger.intend(lease, Spare(login=principal.login, until=None))
    await ledger.release(lease)
    lease = await ledger.acquire(principal, admin, unwanted=claims)
    left = {grant.path: grant for grant in await ledger.grants(principal)}
    assert left[orders].subscriptions == {two}
    assert left[orders].allowed == {narrow}
    assert left[customers].subscriptions == frozenset()
    ended = GrantOutcome(path=customers, state=GrantState.REVOKED, ended=frozenset({one}))
    kept = GrantOutcome(path=orders, state=None, ended=frozenset({one}))
    await ledger.settle(lease, Settlement(**{**_fields(settlement), "grants": (ended, kept)}))
    assert [grant.path async for grant in ledger.find(source=source.key)] == [orders]
    assert [grant.path async for grant in ledger.find(subscription=two)] == [orders]
    assert await ledger.claims(one) == ()
    assert {(entry.path, entry.state) async for entry in ledger.history(environment=place.id)} == {
        (orders, GrantState.GRANTED),
        (customers, GrantState.GRANTED),
        (customers, GrantState.REVOKED),
        (orders, GrantState.REVOKED),
    }
    assert {claim.path for claim in await ledger.end_environment(place.id)} == {orders}
    assert await ledger.reopen_environment(place.id)
    assert not await ledger.reopen_environment(place.id)
    await ledger.refuse(domain=DOMAIN, subscription=fresh("sub"), project=place.project, reason="no")
    assert "no" in {refusal.reason async for refusal in ledger.refusals()}


def _fields(settlement: Settlement) -> dict[str, Any]:
    return {name: getattr(settlement, name) for name in Settlement.__dataclass_fields__}


# Secrets Manager


async def labels(secrets: Any, name: str) -> dict[str, str]:
    """The version of each label."""
    told = (await secrets.describe_secret(SecretId=name))["VersionIdsToStages"]
    return {label: version for version, stages in told.items() for label in stages}


async def test_a_secret_is_made_once_and_again_by_the_same_token(aws: Side) -> None:
    name, token, secrets = fresh("secret"), uuid4().hex, await aws.client("secretsmanager", PRODUCER)
    tags = [{"Key": "dzgrant", "Value": "p"}]
    made = await secrets.create_secret(Name=name, SecretString="a", Tags=tags, KmsKeyId=KMS_KEY_ALIAS, ClientRequestToken=token)
    assert made["ARN"].startswith(f"arn:aws:secretsmanager:{REGION}:{PRODUCER}:secret:{name}-")
    assert await refused(secrets.create_secret(Name=name, SecretString="b")) == "ResourceExistsException"
    read = await secrets.get_secret_value(SecretId=name)
    assert (read["SecretString"], read["VersionId"], read["ARN"]) == ("a", token, made["ARN"])
    assert abs(read["CreatedDate"].timestamp() - time.time()) < 60
    described = await secrets.describe_secret(SecretId=made["ARN"])
    assert described["Tags"] == tags
    assert "DeletedDate" not in described
    missing = secrets.create_secret(Name=fresh("secret"), SecretString="a", KmsKeyId="alias/nobody")
    assert await refused(missing) == "EncryptionFailure"


async def test_secrets_are_listed_by_name_and_tag_page_by_page(aws: Side) -> None:
    word, secrets = fresh("listed"), await aws.client("secretsmanager", PRODUCER)
    names = [f"{word}/{number}" for number in range(3)]
    for name in names:
        await secrets.create_secret(Name=name, SecretString="1", Tags=[{"Key": word, "Value": name}])
    await secrets.delete_secret(SecretId=names[2], RecoveryWindowInDays=7)
    for wish in ({"Key": "name", "Values": [word]}, {"Key": "tag-key", "Values": [word]}):
        first = await secrets.list_secrets(Filters=[wish], MaxResults=1)
        second = await secrets.list_secrets(Filters=[wish], MaxResults=1, NextToken=first["NextToken"])
        assert sorted(one["Name"] for one in (*first["SecretList"], *second["SecretList"])) == names[:2]
        assert first["SecretList"][0]["Tags"][0]["Key"] == word
        every = await secrets.list_secrets(Filters=[wish], IncludePlannedDeletion=True)
        assert sorted(one["Name"] for one in every["SecretList"] if "DeletedDate" in one) == names[2:]


async def test_a_new_value_moves_the_labels(aws: Side) -> None:
    name, secrets = fresh("secret"), await aws.client("secretsmanager", PRODUCER)
    first = (await secrets.create_secret(Name=name, SecretString="1"))["VersionId"]
    second = (await secrets.put_secret_value(SecretId=name, SecretString="2"))["VersionId"]
    assert await labels(secrets, name) == {"AWSCURRENT": second, "AWSPREVIOUS": first}
    third = (await secrets.put_secret_value(SecretId=name, SecretString="3", VersionStages=["AWSPENDING"]))["VersionId"]
    assert await labels(secrets, name) == {"AWSCURRENT": second, "AWSPREVIOUS": first, "AWSPENDING": third}
    assert (await secrets.get_secret_value(SecretId=name))["SecretString"] == "2"
    assert (await secrets.get_secret_value(SecretId=name, VersionStage="AWSPENDING"))["SecretString"] == "3"
    move = {"SecretId": name, "VersionStage": "AWSCURRENT", "MoveToVersionId": third, "RemoveFromVersionId": second}
    await secrets.update_secret_version_stage(**move)
    assert await labels(secrets, name) == {"AWSCURRENT": third, "AWSPENDING": third, "AWSPREVIOUS": second}
    assert (await secrets.get_secret_value(SecretId=name))["SecretString"] == "3"
    # The label is not there any more: this very call was carried out before.
    assert await refused(secrets.update_secret_version_stage(**move)) == "InvalidParameterException"
    await secrets.update_secret_version_stage(SecretId=name, VersionStage="AWSPENDING", RemoveFromVersionId=third)
    assert await labels(secrets, name) == {"AWSCURRENT": third, "AWSPREVIOUS": second}
    gone = secrets.get_secret_value(SecretId=name, VersionStage="AWSPENDING")
    assert await refused(gone) == "ResourceNotFoundException"


async def test_one_token_is_one_version(aws: Side) -> None:
    name, token, secrets = fresh("secret"), uuid4().hex, await aws.client("secretsmanager", PRODUCER)
    await secrets.create_secret(Name=name, SecretString="1")
    for _ in range(2):
        put = await secrets.put_secret_value(SecretId=name, SecretString="2", ClientRequestToken=token)
        assert put["VersionId"] == token
    assert (await labels(secrets, name))["AWSCURRENT"] == token
    other = secrets.put_secret_value(SecretId=name, SecretString="3", ClientRequestToken=token)
    assert await refused(other) == "ResourceExistsException"


async def test_a_label_is_only_moved_from_where_it_is(aws: Side) -> None:
    name, secrets = fresh("secret"), await aws.client("secretsmanager", PRODUCER)
    await secrets.create_secret(Name=name, SecretString="1")
    pending = (await secrets.put_secret_value(SecretId=name, SecretString="2", VersionStages=["AWSPENDING"]))["VersionId"]
    moving = secrets.update_secret_version_stage(SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=pending)
    assert await refused(moving) == "InvalidParameterException"


async def test_a_secret_that_is_to_be_deleted_can_only_be_restored(aws: Side) -> None:
    name, secrets = fresh("secret"), await aws.client("secretsmanager", PRODUCER)
    made = await secrets.create_secret(Name=name, SecretString="1")
    await secrets.delete_secret(SecretId=made["ARN"], RecoveryWindowInDays=7)
    assert "DeletedDate" in await secrets.describe_secret(SecretId=name)
    closed: Sequence[Awaitable[object]] = (
        secrets.create_secret(Name=name, SecretString="2"),
        secrets.get_secret_value(SecretId=name),
        secrets.put_secret_value(SecretId=name, SecretString="2"),
        secrets.put_resource_policy(SecretId=name, ResourcePolicy=shared(CONSUMER_ROLE)),
        secrets.delete_resource_policy(SecretId=name),
        secrets.tag_resource(SecretId=name, Tags=[{"Key": "a", "Value": "b"}]),
        secrets.delete_secret(SecretId=name, RecoveryWindowInDays=7),
    )
    assert {await refused(call) for call in closed} == {"InvalidRequestException"}
    await secrets.restore_secret(SecretId=name)
    assert (await secrets.get_secret_value(SecretId=name))["SecretString"] == "1"


async def test_a_deletion_for_ever_asks_for_nothing_to_be_there(aws: Side) -> None:
    name, secrets = fresh("secret"), await aws.client("secretsmanager", PRODUCER)
    assert await refused(secrets.delete_secret(SecretId=name, RecoveryWindowInDays=7)) == "ResourceNotFoundException"
    await secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    made = await secrets.create_secret(Name=name, SecretString="1")
    await secrets.delete_secret(SecretId=made["ARN"], ForceDeleteWithoutRecovery=True)
    assert await refused(secrets.describe_secret(SecretId=name)) == "ResourceNotFoundException"
    assert await refused(secrets.get_secret_value(SecretId=made["ARN"])) == "ResourceNotFoundException"


def shared(role: str) -> str:
    """A policy for one role of the consumer account; `*` for everybody."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": role if role == "*" else f"arn:aws:iam::{CONSUMER}:role/{role}"},
        "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


async def test_another_account_reads_by_policy_and_customer_key_alone(aws: Side) -> None:
    owner = await aws.client("secretsmanager", PRODUCER, PRODUCER_ROLE)
    reader = await aws.client("secretsmanager", CONSUMER, CONSUMER_ROLE)
    made = await owner.create_secret(Name=fresh("secret"), SecretString="1", KmsKeyId=KMS_KEY_ALIAS)
    arn = made["ARN"]
    assert await refused(reader.get_secret_value(SecretId=arn)) == "AccessDeniedException"
    public = owner.put_resource_policy(SecretId=arn, ResourcePolicy=shared("*"), BlockPublicPolicy=True)
    assert await refused(public) == "PublicPolicyException"
    await owner.put_resource_policy(SecretId=arn, ResourcePolicy=shared("somebody"), BlockPublicPolicy=True)
    assert await refused(reader.get_secret_value(SecretId=arn)) == "AccessDeniedException"
    await owner.put_resource_policy(SecretId=arn, ResourcePolicy=shared(CONSUMER_ROLE), BlockPublicPolicy=True)
    assert (await reader.get_secret_value(SecretId=arn))["SecretString"] == "1"
    assert await refused(reader.put_secret_value(SecretId=arn, SecretString="2")) == "AccessDeniedException"
    await owner.delete_resource_policy(SecretId=arn)
    assert await refused(reader.get_secret_value(SecretId=arn)) == "AccessDeniedException"
    plain = (await owner.create_secret(Name=fresh("secret"), SecretString="1"))["ARN"]
    await owner.put_resource_policy(SecretId=plain, ResourcePolicy=shared(CONSUMER_ROLE), BlockPublicPolicy=True)
    assert await refused(reader.get_secret_value(SecretId=plain)) == "AccessDeniedException"


# STS, EventBridge


async def test_a_role_is_assumed_by_whom_it_trusts(aws: Side) -> None:
    sts = await aws.client("sts")
    arn = f"arn:aws:iam::{PRODUCER}:role/{PRODUCER_ROLE}"
    got = await sts.assume_role(RoleArn=arn, RoleSessionName="dzgrant", DurationSeconds=3600)
    assert {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"} <= got["Credentials"].keys()
    assert got["Credentials"]["Expiration"].tzinfo is not None
    assert await refused(sts.assume_role(RoleArn=f"{arn}x", RoleSessionName="dzgrant")) == "AccessDenied"
    stranger = await aws.client("sts", CONSUMER)
    assert await refused(stranger.assume_role(RoleArn=arn, RoleSessionName="dzgrant")) == "AccessDenied"


async def test_a_bus_takes_ten_events_at_most(aws: Side) -> None:
    events = await aws.client("events")
    entry = {"EventBusName": BUS, "Source": "dzgrant", "DetailType": "Access Granted", "Detail": "{}"}
    answer = await events.put_events(Entries=[entry] * 10)
    assert answer["FailedEntryCount"] == 0
    assert all("ErrorCode" not in one for one in answer["Entries"])
    assert await refused(events.put_events(Entries=[entry] * 11)) == "ValidationException"


async def test_a_bus_takes_no_events_in_the_name_of_aws(aws: Side) -> None:
    events = await aws.client("events")
    entry = {"EventBusName": BUS, "Source": "aws.datazone", "DetailType": "Subscription Created", "Detail": "{}"}
    (told,) = (await events.put_events(Entries=[entry]))["Entries"]
    assert ("ErrorCode" in told) is as_aws(aws, "events of AWS")


# DataZone, Glue


def published(aws: Side, **more: Any) -> c.Published:
    plain = {"engine": "postgresql", "host": "db.example", "port": 5432, "database": "shop", "table": "public.Orders"}
    return aws.do(c.Publish.model_validate({**plain, "username": "admin", "password": "secret", **more}))


async def test_a_published_table_is_found_with_its_connection_and_admin(aws: Side) -> None:
    made = published(aws)
    glue = await aws.client("glue", PRODUCER, PRODUCER_ROLE)
    database, name = made.table_arn.rpartition(":table/")[2].split("/")
    table = (await glue.get_table(CatalogId=PRODUCER, DatabaseName=database, Name=name))["Table"]
    assert table["StorageDescriptor"]["Location"] == "shop.public.Orders"
    assert table["Parameters"]["connectionName"] == made.connection
    found = (await glue.get_connection(CatalogId=PRODUCER, Name=made.connection, HidePassword=True))["Connection"]
    assert found["ConnectionType"] == "JDBC"
    assert found["ConnectionProperties"]["JDBC_CONNECTION_URL"] == "jdbc:postgresql://db.example:5432/shop"
    secrets = await aws.client("secretsmanager", PRODUCER, PRODUCER_ROLE)
    read = await secrets.get_secret_value(SecretId=found["ConnectionProperties"]["SECRET_ID"])
    assert json.loads(read["SecretString"]) == {"username": "admin", "password": "secret"}
    assert await refused(glue.get_table(CatalogId=PRODUCER, DatabaseName=database, Name="no")) == "EntityNotFoundException"
    assert await refused(glue.get_connection(CatalogId=PRODUCER, Name="no")) == "EntityNotFoundException"


async def test_a_subscription_is_what_it_was_last_made(aws: Side) -> None:
    datazone, project, made = await aws.client("datazone"), fresh("p"), published(aws)
    if aws.name == "local cloud":
        aws.do(c.AddProject(id=project))
    on = {"domainIdentifier": DOMAIN}
    filtered = await datazone.create_asset_filter(
        **on, assetIdentifier=made.asset, name="rows", configuration={"columnConfiguration": {"includedColumnNames": ["id"]}}
    )
    read = await datazone.get_asset_filter(**on, assetIdentifier=made.asset, identifier=filtered["id"])
    assert (read["status"], read["configuration"]["columnConfiguration"]["includedColumnNames"]) == ("VALID", ["id"])
    request = aws.do(c.Subscribe(listing=made.listing, project=project)).id
    subscribed = aws.do(c.Approve(request=request, filters=(filtered["id"],)))
    found = await datazone.get_subscription(**on, identifier=subscribed.subscription)
    assert (found["status"], found["subscribedPrincipal"]["project"]["id"]) == ("APPROVED", project)
    asset = found["subscribedListing"]["item"]["assetListing"]
    assert asset["entityId"] == made.asset
    assert asset["assetScope"]["filterIds"] == [filtered["id"]]
    assert json.loads(asset["forms"])["GlueTableForm"]["tableArn"] == made.table_arn
    listed = await datazone.list_subscriptions(**on, owningProjectId=project, maxResults=50)
    assert [one["id"] for one in listed["items"]] == [subscribed.subscription]
    aws.do(c.InvalidateFilter(filter=filtered["id"]))
    read = await datazone.get_asset_filter(**on, assetIdentifier=made.asset, identifier=filtered["id"])
    assert (read["status"], bool(read["errorMessage"])) == ("INVALID", True)
    aws.do(c.Revoke(subscription=subscribed.subscription))
    assert (await datazone.get_subscription(**on, identifier=subscribed.subscription))["status"] == "REVOKED"
    named = {"owningProjectId": project, "subscriptionRequestIdentifier": request}
    assert [one["id"] for one in (await datazone.list_subscriptions(**on, status="REVOKED", **named))["items"]] == [
        subscribed.subscription
    ]
    assert (await datazone.list_subscriptions(**on, status="CANCELLED", **named))["items"] == []
    assert await refused(datazone.get_subscription(**on, identifier="nothing")) == "ResourceNotFoundException"


async def test_environments_come_and_go(aws: Side) -> None:
    datazone, project = await aws.client("datazone"), fresh("p")
    if aws.name == "local cloud":
        aws.do(c.AddProject(id=project))
    on = {"domainIdentifier": DOMAIN}
    assert (await datazone.get_domain(identifier=DOMAIN))["domainVersion"] == "V1"
    kinds = (await datazone.list_environment_blueprints(**on, managed=True, maxResults=50))["items"]
    lake = next(one["id"] for one in kinds if one["name"] == "DefaultDataLake")
    made = [aws.do(c.AddEnvironment(project=project, events=False)).id for _ in range(3)]
    aws.do(c.AddEnvironment(project=project, blueprint="DefaultDataWarehouse", events=False))
    query = {**on, "projectIdentifier": project, "environmentBlueprintIdentifier": lake}
    first = await datazone.list_environments(**query, maxResults=2)
    second = await datazone.list_environments(**query, maxResults=2, nextToken=first["nextToken"])
    assert [one["id"] for one in (*first["items"], *second["items"])] == made
    assert not second.get("nextToken")
    assert {one["status"] for one in first["items"]} == {"ACTIVE"}
    there = await datazone.list_environments(**query, awsAccountId=CONSUMER, awsAccountRegion=REGION)
    assert [one["id"] for one in there["items"]] == made
    for elsewhere in ({"awsAccountId": PRODUCER}, {"awsAccountRegion": "us-east-1"}):
        assert (await datazone.list_environments(**query, **elsewhere))["items"] == []
    found = await datazone.get_environment(**on, identifier=made[0])
    assert (found["environmentBlueprintId"], found["awsAccountId"]) == (lake, CONSUMER)
    aws.do(c.DeleteEnvironment(environment=made[0], events=False))
    assert (await datazone.get_environment(**on, identifier=made[0]))["status"] == "DELETING"
    aws.do(c.DeleteEnvironment(environment=made[0], gone=True, events=False))
    assert await refused(datazone.get_environment(**on, identifier=made[0])) == "ResourceNotFoundException"


async def test_a_grant_on_a_custom_target_waits_for_an_answer(aws: Side) -> None:
    datazone, project, made = await aws.client("datazone"), fresh("p"), published(aws)
    if aws.name == "local cloud":
        aws.do(c.AddProject(id=project))
    on = {"domainIdentifier": DOMAIN}
    environment = aws.do(c.AddEnvironment(project=project, events=False)).id
    target = aws.do(c.AddTarget(environment=environment)).id
    subscribed = aws.do(c.Approve(request=aws.do(c.Subscribe(listing=made.listing, project=project)).id))
    (grant,) = subscribed.grants
    listed = (await datazone.list_subscription_grants(**on, subscriptionId=subscribed.subscription))["items"]
    assert [one["id"] for one in listed] == [grant]
    told = await datazone.get_subscription_target(**on, environmentIdentifier=environment, identifier=target)
    assert told["provider"] == "dzgrant"
    answer = {"assetIdentifier": made.asset, "status": "GRANT_FAILED", "failureCause": {"message": "why"}}
    await datazone.update_subscription_grant_status(**on, identifier=grant, **answer)
    (asset,) = (await datazone.get_subscription_grant(**on, identifier=grant))["assets"]
    assert (asset["assetId"], asset["status"], asset["failureCause"]["message"]) == (made.asset, "GRANT_FAILED", "why")
    aws.do(c.DeleteGrant(grant=grant))
    (asset,) = (await datazone.get_subscription_grant(**on, identifier=grant))["assets"]
    assert asset["status"] == "REVOKE_PENDING"


async def test_events_are_in_the_same_words(aws: Side) -> None:
    datazone_of = fresh("p")
    if aws.name == "local cloud":
        aws.do(c.AddProject(id=datazone_of))
    sqs, url = await aws.client("sqs"), aws.queue_url

    async def drained() -> list[Any]:
        found = []
        while messages := (await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
            entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]
            await sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return found

    await drained()
    made = published(aws)
    environment = aws.do(c.AddEnvironment(project=datazone_of)).id
    subscribed = aws.do(c.Approve(request=aws.do(c.Subscribe(listing=made.listing, project=datazone_of)).id))
    aws.do(c.Cancel(subscription=subscribed.subscription))
    aws.do(c.DeleteEnvironment(environment=environment))
    aws.do(c.Repeat(id=subscribed.subscription))
    events = await drained()
    assert [event["detail-type"] for event in events] == [
        "Environment Deployment Completed",
        "Subscription Request Created",
        "Subscription Request Accepted",
        "Subscription Created",
        "Subscription Cancelled",
        "Environment Deletion Started",
        "Subscription Cancelled",
    ]
    assert {event["source"] for event in events} == {"aws.datazone"}
    assert {event["detail"]["metadata"]["owningProjectId"] for event in events} == {datazone_of}
    created = events[3]["detail"]
    assert created["metadata"]["id"] == subscribed.subscription
    assert created["data"]["subscriptionRequestId"] == subscribed.request
    assert created["data"]["subscribedListing"]["item"]["assetListing"]["entityId"] == made.asset
