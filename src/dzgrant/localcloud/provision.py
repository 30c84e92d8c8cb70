"""What a deployment makes, made in the local cloud: queues, ledger, bus, roles and key. Nothing here is special to it:
the ledger comes from the template that production uses."""

from __future__ import annotations

import json
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
    key = aws.ask(places.PRODUCER, "kms", "TrentService.CreateKey", Description="dzgrant")["KeyMetadata"]["KeyId"]
    aws.ask(places.PRODUCER, "kms", "TrentService.CreateAlias", AliasName=places.KMS_KEY_ALIAS, TargetKeyId=key)


def _queues(aws: Aws) -> None:
    redrive = {"deadLetterTargetArn": _queue_arn(places.DEAD_LETTERS), "maxReceiveCount": _MAX_RECEIVES}
    for name in (places.DEAD_LETTERS, places.OUTCOMES):
        aws.ask(places.GOVERNANCE, "sqs", "AmazonSQS.CreateQueue", QueueName=name)
    attributes = {"RedrivePolicy": json.dumps(redrive)}
    aws.ask(places.GOVERNANCE, "sqs", "AmazonSQS.CreateQueue", QueueName=places.QUEUE, Attributes=attributes)


def _queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{places.REGION}:{places.GOVERNANCE}:{name}"


def _bus(aws: Aws) -> None:
    """The bus for outcomes, and a rule that puts all of them into a queue, where people and tests can read them."""
    bus, rule = places.BUS, places.OUTCOMES
    aws.ask(places.GOVERNANCE, "events", "AWSEvents.CreateEventBus", Name=bus)
    pattern = json.dumps({"source": ["dzgrant"]})
    aws.ask(places.GOVERNANCE, "events", "AWSEvents.PutRule", Name=rule, EventBusName=bus, EventPattern=pattern)
    target = {"Id": "queue", "Arn": _queue_arn(places.OUTCOMES)}
    aws.ask(places.GOVERNANCE, "events", "AWSEvents.PutTargets", Rule=rule, EventBusName=bus, Targets=[target])


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
    principal = {"AWS": f"arn:aws:iam::{places.GOVERNANCE}:root"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    _query(aws, account, "iam", Action="CreateRole", RoleName=name, AssumeRolePolicyDocument=trust)


def _query(aws: Aws, account: str, service: str, **parameters: str) -> None:
    """A call to a service that speaks the query protocol; it succeeds or is a bug."""
    body = urlencode(parameters).encode()
    given = aws.answer(make(account, service, "", body, "application/x-www-form-urlencoded; charset=utf-8"))
    if given.status != 200:
        raise RuntimeError(f"{parameters['Action']}: {given.body.decode()}")
