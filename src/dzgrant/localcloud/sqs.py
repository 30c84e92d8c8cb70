"""The SQS API upon `queues`: the JSON protocol that botocore speaks, its errors, and EventBridge's way in."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_pascal

from dzgrant.localcloud.calls import Answer, Call, answer, error
from dzgrant.localcloud.places import queue_url
from dzgrant.localcloud.queues import Message, Queue, Queues

# Bytes, the attributes included.
_LARGEST = 1_048_576
_DEFAULTS = {"VisibilityTimeout": "30", "DelaySeconds": "0", "ReceiveMessageWaitTimeSeconds": "0"}
# What an awsQueryCompatible service calls its errors: in the body, and in the header that botocore prefers.
_OLD_NAMES = {"QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue"}


class _Request(BaseModel):
    """The members of any SQS request that the local cloud honours, and those of a batch's entry."""

    model_config = ConfigDict(alias_generator=to_pascal)

    queue_url: str = ""
    queue_name: str = ""
    id: str = ""
    attributes: dict[str, str] = {}
    attribute_names: list[str] = []
    message_system_attribute_names: list[str] = []
    message_attribute_names: list[str] = []
    message_body: str = ""
    message_attributes: dict[str, Any] = {}
    delay_seconds: float | None = None
    max_number_of_messages: int = Field(default=1, ge=1, le=10)
    wait_time_seconds: float | None = None
    visibility_timeout: float | None = Field(default=None, ge=0, le=43200)
    receipt_handle: str = ""
    entries: list[_Request] = Field(default=[], max_length=10)


class Sqs:
    """Answers SQS calls; `fill` is how the control API and EventBridge put messages into a queue."""

    def __init__(self) -> None:
        self._queues = Queues()

    def fill(self, account: str, region: str, name: str, body: str) -> None:
        if (queue := self._queues.find((account, region), name)) is not None:
            self._queues.send(queue, body, {}, 0)

    def make(self, account: str, region: str, name: str, attributes: dict[str, str]) -> None:
        """As CreateQueue."""
        _configure(self._queues, (account, region), self._queues.create((account, region), name), attributes)

    def policy(self, account: str, region: str, name: str) -> str | None:
        """The text of the queue's policy."""
        queue = self._queues.find((account, region), name)
        return queue.attributes.get("Policy") if queue is not None else None

    def set_policy(self, account: str, region: str, name: str, text: str) -> None:
        if (queue := self._queues.find((account, region), name)) is not None:
            queue.attributes["Policy"] = text

    def answer(self, call: Call) -> Answer:
        try:
            request = _Request.model_validate_json(call.body)
        except ValidationError as wrong:
            return _error("InvalidParameterValue", wrong.errors()[0]["msg"])
        if call.operation == "CreateQueue":
            return self._create(call, request)
        if (operation := _OPERATIONS.get(call.operation)) is None:
            return _error("InvalidAction", f"the local cloud's SQS has no {call.operation}")
        queue = self._queues.find((call.account, call.region), request.queue_name or request.queue_url.rpartition("/")[2])
        if queue is None:
            return _error("QueueDoesNotExist", "The specified queue does not exist.")
        return operation(self._queues, queue, request, call)

    def _create(self, call: Call, request: _Request) -> Answer:
        self.make(call.account, call.region, request.queue_name, request.attributes)
        return _url(call, request.queue_name)


def _url(call: Call, name: str) -> Answer:
    return answer({"QueueUrl": queue_url(f"http://{call.environ['HTTP_HOST']}", name, call.account)})


def _configure(queues: Queues, place: tuple[str, str], queue: Queue, attributes: dict[str, str]) -> None:
    queue.attributes |= attributes
    if policy := json.loads(queue.attributes.get("RedrivePolicy") or "{}"):
        queue.dead_letters = queues.find(place, policy["deadLetterTargetArn"].rpartition(":")[2])
        queue.max_receives = int(policy["maxReceiveCount"])


def _get_url(_queues: Queues, queue: Queue, _request: _Request, call: Call) -> Answer:
    return _url(call, queue.name)


def _get_attributes(queues: Queues, queue: Queue, request: _Request, call: Call) -> Answer:
    visible, hidden = queues.counts(queue)
    attributes = {
        **_DEFAULTS,
        **queue.attributes,
        "QueueArn": f"arn:aws:sqs:{call.region}:{call.account}:{queue.name}",
        "ApproximateNumberOfMessages": str(visible),
        "ApproximateNumberOfMessagesNotVisible": str(hidden),
    }
    return answer({"Attributes": _chosen(attributes, request.attribute_names)})


def _set_attributes(queues: Queues, queue: Queue, request: _Request, call: Call) -> Answer:
    _configure(queues, (call.account, call.region), queue, request.attributes)
    return answer({})


def _delete_queue(queues: Queues, queue: Queue, _request: _Request, call: Call) -> Answer:
    queues.forget((call.account, call.region), queue.name)
    return answer({})


def _purge(queues: Queues, queue: Queue, _request: _Request, _call: Call) -> Answer:
    queues.purge(queue)
    return answer({})


def _send(queues: Queues, queue: Queue, request: _Request, _call: Call) -> Answer:
    beside = (f"{name}{one['DataType']}{one.get('StringValue', '')}" for name, one in request.message_attributes.items())
    if len("".join([request.message_body, *beside]).encode()) > _LARGEST:
        return _error("InvalidParameterValue", f"Message must be shorter than {_LARGEST} bytes.")
    return answer(_sent(queues, queue, request))


def _send_batch(queues: Queues, queue: Queue, request: _Request, _call: Call) -> Answer:
    return answer({"Successful": [{"Id": entry.id, **_sent(queues, queue, entry)} for entry in request.entries], "Failed": []})


def _sent(queues: Queues, queue: Queue, entry: _Request) -> dict[str, str]:
    delay = _or(entry.delay_seconds, queue, "DelaySeconds")
    message = queues.send(queue, entry.message_body, entry.message_attributes, delay)
    return {"MessageId": message.id, "MD5OfMessageBody": message.digest}


def _receive(queues: Queues, queue: Queue, request: _Request, call: Call) -> Answer:
    messages = queues.receive(
        queue,
        most=request.max_number_of_messages,
        wait=_or(request.wait_time_seconds, queue, "ReceiveMessageWaitTimeSeconds"),
        hidden=_or(request.visibility_timeout, queue, "VisibilityTimeout"),
        gone=lambda: _hung_up(call.environ.get("werkzeug.socket")),
    )
    return answer({"Messages": [_message(message, request) for message in messages]} if messages else {})


def _message(message: Message, request: _Request) -> dict[str, Any]:
    system = {
        "ApproximateReceiveCount": str(message.received),
        "ApproximateFirstReceiveTimestamp": str(message.first_received),
        "SentTimestamp": str(message.sent),
        "SenderId": "events.amazonaws.com",
    }
    members = {
        "Attributes": _chosen(system, request.attribute_names + request.message_system_attribute_names),
        "MessageAttributes": _chosen(message.attributes, request.message_attribute_names),
    }
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.handle,
        "Body": message.body,
        "MD5OfBody": message.digest,
        **{name: value for name, value in members.items() if value},
    }


def _delete(queues: Queues, queue: Queue, request: _Request, _call: Call) -> Answer:
    return _one(queues.delete(queue, request.receipt_handle))


def _delete_batch(queues: Queues, queue: Queue, request: _Request, _call: Call) -> Answer:
    return _each({entry.id: queues.delete(queue, entry.receipt_handle) for entry in request.entries})


def _change(queues: Queues, queue: Queue, request: _Request, _call: Call) -> Answer:
    return _one(queues.change(queue, request.receipt_handle, request.visibility_timeout or 0))


def _change_batch(queues: Queues, queue: Queue, request: _Request, _call: Call) -> Answer:
    entries = request.entries
    return _each({entry.id: queues.change(queue, entry.receipt_handle, entry.visibility_timeout or 0) for entry in entries})


def _one(problem: str | None) -> Answer:
    return _error(problem, "The receipt handle is not that of a message in flight.") if problem else answer({})


def _each(problems: dict[str, str | None]) -> Answer:
    return answer(
        {
            "Successful": [{"Id": key} for key, problem in problems.items() if problem is None],
            "Failed": [{"Id": key, "Code": problem, "SenderFault": True} for key, problem in problems.items() if problem],
        }
    )


def _error(code: str, message: str) -> Answer:
    return error(f"com.amazonaws.sqs#{code}", message, more=[("x-amzn-query-error", f"{_OLD_NAMES.get(code, code)};Sender")])


def _or(value: float | None, queue: Queue, attribute: str) -> float:
    return value if value is not None else float(queue.attributes.get(attribute, _DEFAULTS[attribute]))


def _chosen(attributes: dict[str, Any], names: list[str]) -> dict[str, Any]:
    everything = "All" in names or ".*" in names
    return {name: value for name, value in attributes.items() if everything or name in names}


def _hung_up(connection: socket.socket | None) -> bool:
    """Whether the poller closed its connection: readable, with nothing to read. A killed worker then takes no message along."""
    if connection is None:
        return False
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


_OPERATIONS: dict[str, Callable[[Queues, Queue, _Request, Call], Answer]] = {
    "GetQueueUrl": _get_url,
    "GetQueueAttributes": _get_attributes,
    "SetQueueAttributes": _set_attributes,
    "DeleteQueue": _delete_queue,
    "PurgeQueue": _purge,
    "SendMessage": _send,
    "SendMessageBatch": _send_batch,
    "ReceiveMessage": _receive,
    "DeleteMessage": _delete,
    "DeleteMessageBatch": _delete_batch,
    "ChangeMessageVisibility": _change,
    "ChangeMessageVisibilityBatch": _change_batch,
}
