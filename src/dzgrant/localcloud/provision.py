"""What a deployment makes, made in the local cloud: queues, ledger, bus, roles and key. The ledger comes from the template
that production uses; the roles may do everything. Where the stacks' own rights matter, the stacks are deployed
(tests/deploy/test_rights.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlencode

from dzgrant.localcloud import places, templates
from dzgrant.localcloud.aws import Aws
from dzgrant.localcloud.calls import make

# As deploy/ecs sets it: what cannot succeed yet is retried for days before the queue itself gives up.
_MAX_RECEIVES = 1000


def provision(aws: Aws) -> None:
    _queues(aws)
    _bus(aws)
    _ledger(aws)
    _role(aws, places.PRODUCER, places.PRODUCER_ROLE)
    _role(aws, places.CONSUMER, places.CONSUMER_ROLE)
    policy = _document(_allow("kms:*", places.PRODUCER), _allow("kms:Decrypt", places.CONSUMER))
    made = aws.ask(places.PRODUCER, "kms", "TrentService.CreateKey", Description="dzgrant", Policy=policy)
    key = made["KeyMetadata"]["KeyId"]
    aws.ask(places.PRODUCER, "kms", "TrentService.CreateAlias", AliasName=places.KMS_KEY_ALIAS, TargetKeyId=key)


def _queues(aws: Aws) -> None:
    redrive = {"deadLetterTargetArn": _queue_arn(places.DEAD_LETTERS), "maxReceiveCount": _MAX_RECEIVES}
    for name in (places.DEAD_LETTERS, places.OUTCOMES):
        aws.ask(places.GOVERNANCE, "sqs", "AmazonSQS.CreateQueue", QueueName=name)
    # All events of DataZone, those too that the worker does not read.
    rule = f"arn:aws:events:{places.REGION}:{places.GOVERNANCE}:rule/{places.QUEUE}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": _queue_arn(places.QUEUE),
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    attributes = {"RedrivePolicy": json.dumps(redrive), "Policy": _document(statement)}
    aws.ask(places.GOVERNANCE, "sqs", "AmazonSQS.CreateQueue", QueueName=places.QUEUE, Attributes=attributes)


def _queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{places.REGION}:{places.GOVERNANCE}:{name}"


def _bus(aws: Aws) -> None:
    """DataZone's events to the worker; the bus for outcomes, and all of them to a queue, where people and tests read them."""
    aws.ask(places.GOVERNANCE, "events", "AWSEvents.CreateEventBus", Name=places.BUS)
    for bus, source, queue in (("default", "aws.datazone", places.QUEUE), (places.BUS, "dzgrant", places.OUTCOMES)):
        pattern = json.dumps({"source": [source]})
        aws.ask(places.GOVERNANCE, "events", "AWSEvents.PutRule", Name=queue, EventBusName=bus, EventPattern=pattern)
        target = {"Id": "queue", "Arn": _queue_arn(queue)}
        aws.ask(places.GOVERNANCE, "events", "AWSEvents.PutTargets", Rule=queue, EventBusName=bus, Targets=[target])


def _ledger(aws: Aws) -> None:
    parameters = {"Name": places.NAME, "DeletionProtection": "false"}
    listed = {
        f"Parameters.member.{number}.{part}": value
        for number, (name, text) in enumerate(parameters.items(), 1)
        for part, value in (("ParameterKey", name), ("ParameterValue", text))
    }
    _query(
        aws,
        places.GOVERNANCE,
        "cloudformation",
        Action="CreateStack",
        StackName="ledger",
        TemplateBody=templates.ledger(),
        **listed,
    )


def _role(aws: Aws, account: str, name: str) -> None:
    """A role that the governance account, so the worker, may assume."""
    trust = _allow("sts:AssumeRole", places.GOVERNANCE)
    del trust["Resource"]
    _query(aws, account, "iam", Action="CreateRole", RoleName=name, AssumeRolePolicyDocument=_document(trust))
    anything = _document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    _query(aws, account, "iam", Action="PutRolePolicy", RoleName=name, PolicyName="anything", PolicyDocument=anything)


def _allow(action: str, account: str) -> dict[str, object]:
    """To a whole account."""
    principal = {"AWS": f"arn:aws:iam::{account}:root"}
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*"}


def _document(*statements: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _query(aws: Aws, account: str, service: str, **parameters: str) -> None:
    """A call to a service that speaks the query protocol; it succeeds or is a bug."""
    body = urlencode(parameters).encode()
    given = aws.answer(make(account, service, "", body, "application/x-www-form-urlencoded; charset=utf-8"))
    if given.status != 200:
        raise RuntimeError(f"{parameters['Action']}: {given.body.decode()}")
