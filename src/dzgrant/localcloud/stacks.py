"""What moto's CloudFormation and EventBridge take for SQS, and the way of an event on the default bus.

Our queues are not moto's, so whoever makes or fills one there is led to ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.events.models import EventBus, events_backends
from moto.iam.models import Role
from moto.sqs.models import sqs_backends

from dzgrant.localcloud.places import GOVERNANCE, REGION
from dzgrant.localcloud.sqs import Sqs

_cleaned, _put_policy = parsing.clean_json, Role.put_policy


def _without_no_value(node: Any, resources: Any) -> Any:
    """In a list, moto keeps what `AWS::NoValue` is to leave out, as None."""
    cleaned = _cleaned(node, resources)
    return [item for item in cleaned if item is not None] if isinstance(cleaned, list) else cleaned


def _put_policy_as_text(role: Role, name: str, document: Any) -> None:
    """A stack's inline policy is no text yet, and moto would give Python's notation for it."""
    _put_policy(role, name, document if isinstance(document, str) else json.dumps(document))


parsing.clean_json = _without_no_value  # type: ignore[assignment]  # the same but for its names
Role.put_policy = _put_policy_as_text  # type: ignore[assignment,method-assign]
# A template refers to a bus by its name (Ref); moto gives the object.
setattr(EventBus, "physical_resource_id", property(lambda bus: bus.name))  # noqa: B010  # no such attribute is declared

MayPut = Callable[[str, str, str, str], bool]
"""Whether EventBridge may put a message into a queue: by account, Region, the queue's name and the rule's ARN."""


class SqsOfStacks:
    """All that others of moto use of its SQS backend."""

    def __init__(self, sqs: Sqs, region: str, *, account_id: str) -> None:
        self._sqs, self._account, self._region = sqs, account_id, region

    def send_message(self, *, queue_name: str, message_body: str, group_id: str | None) -> None:  # noqa: ARG002  # moto's call
        self._sqs.fill(self._account, self._region, queue_name, message_body)

    def create_queue(self, *, name: str, tags: object, region: str, **properties: Any) -> StackQueue:  # noqa: ARG002  # moto's call
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in properties.items()}
        self._sqs.make(self._account, self._region, name, texts)
        return StackQueue(name=name, account=self._account, region=self._region)

    def set_policy(self, name: str, document: Mapping[str, Any]) -> None:
        self._sqs.set_policy(self._account, self._region, name, json.dumps(document))


@dataclass(slots=True, kw_only=True)
class StackQueue:
    """A queue as a stack refers to it. Its URL names no host: a stack does not know under which one it is called."""

    name: str
    account: str
    region: str
    # moto writes these to every resource.
    cf_resource_type: str = ""
    logical_resource_id: str = ""

    def is_created(self) -> bool:
        return True

    @property
    def physical_resource_id(self) -> str:
        return f"https://sqs.{self.region}.amazonaws.com/{self.account}/{self.name}"

    def get_cfn_attribute(self, name: str) -> str:
        return {"Arn": f"arn:aws:sqs:{self.region}:{self.account}:{self.name}", "QueueName": self.name}[name]


class QueuePolicy(CloudFormationModel):
    """`AWS::SQS::QueuePolicy`, which moto's CloudFormation lacks; it finds this class by its base."""

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::SQS::QueuePolicy"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:  # noqa: ARG003  # it has none
        return False

    @property
    def physical_resource_id(self) -> str:
        return "policy"

    def is_created(self) -> bool:
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **_: object
    ) -> QueuePolicy:
        del resource_name
        properties = cloudformation_json["Properties"]
        for url in properties["Queues"]:
            queues: Any = sqs_backends[account_id][region_name]
            queues.set_policy(url.rpartition("/")[2], properties["PolicyDocument"])
        return cls()


def deliver(sqs: Sqs, may_put: MayPut, envelope: str) -> None:
    """As EventBridge: to every queue that a rule of the default bus names, where the queue's policy admits the rule.

    What the queue does not admit goes to the target's own dead-letter queue, on the same condition.
    """
    for rule in list(events_backends[GOVERNANCE][REGION].event_buses["default"].rules.values()):
        if not rule.event_pattern.matches_event(json.loads(envelope)):
            continue
        for target in rule.targets:
            instead = target.get("DeadLetterConfig", {}).get("Arn")
            for arn in (target["Arn"], instead):
                name = arn.rpartition(":")[2] if arn else ""
                if name and may_put(GOVERNANCE, REGION, name, rule.arn):
                    sqs.fill(GOVERNANCE, REGION, name, envelope)
                    break
