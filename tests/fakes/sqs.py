"""SQS: standard queues.

Receipt handles are AWS's, not moto's: of several receipts only the newest handle deletes; a message that is visible again is
not in flight, and its visibility can't be changed (SQS API reference, ChangeMessageVisibility, MessageNotInflight).
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import md5
from random import Random
from typing import Any
from uuid import UUID

from tests.fakes.answers import Caller, Members, Refusal

_LONGEST_HIDDEN = 43_200
_LONGEST_BODY = 1_048_576


@dataclass(slots=True)
class Message:
    """Times are seconds since 1970."""

    id: str
    body: str
    attributes: Members
    sent: float
    visible: float
    received: int = 0
    first_received: float = 0.0
    last_received: float = 0.0
    handle: str = ""


@dataclass(slots=True, eq=False)
class Queue:
    """`order`: when each message becomes visible, the earliest first; an entry that no longer holds is passed over."""

    name: str
    url: str
    arn: str
    attributes: dict[str, str]
    messages: dict[str, Message] = field(default_factory=dict)
    order: list[tuple[float, int, str]] = field(default_factory=list)
    listeners: list[Callable[[], None]] = field(default_factory=list)
    """Called once each when something may have become visible earlier than was thought."""
    turns: int = 0

    def show(self, message: Message, at: float) -> None:
        message.visible = at
        self.turns += 1
        heapq.heappush(self.order, (at, self.turns, message.id))
        listeners, self.listeners = self.listeners, []
        for listener in listeners:
            listener()

    def next_visible(self) -> float | None:
        while self.order:
            at, _, key = self.order[0]
            if (message := self.messages.get(key)) is not None and message.visible == at:
                return at
            heapq.heappop(self.order)
        return None


class Sqs:
    """One account's queues, by URL."""

    def __init__(self, clock: Callable[[], float], rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self.queues: dict[str, Queue] = {}

    def create(self, url: str, arn: str, **attributes: str) -> Queue:
        queue = Queue(arn.rpartition(":")[2], url, arn, {"MessageRetentionPeriod": "345600", "VisibilityTimeout": "30"})
        queue.attributes |= attributes
        self.queues[url] = queue
        return queue

    def send(self, queue: Queue, body: str, attributes: Members | None = None, delay: float = 0.0) -> Message:
        now = self._clock()
        message = Message(str(UUID(int=self._rng.getrandbits(128), version=4)), body, attributes or {}, now, now)
        queue.messages[message.id] = message
        queue.show(message, now + delay)
        return message

    def send_message(self, given: Members, caller: Caller) -> Members:
        body = given["MessageBody"]
        if not body or len(body.encode()) > _LONGEST_BODY:
            raise Refusal("InvalidParameterValue", "One or more parameters are invalid: the body is empty or too long")
        if len(given.get("MessageAttributes", {})) > 10:
            raise Refusal("InvalidParameterValue", "Number of message attributes exceeds the allowed maximum [10]")
        delay = given.get("DelaySeconds", 0)
        if not 0 <= delay <= 900:
            raise Refusal("InvalidParameterValue", f"Value {delay} for parameter DelaySeconds is invalid")
        sent = self.send(self._queue(given), body, given.get("MessageAttributes"), delay)
        return {"MessageId": sent.id, "MD5OfMessageBody": _digest(body)}

    def receive_message(self, given: Members, caller: Caller) -> Members:
        """What is visible now; waiting is for whoever calls."""
        most = given.get("MaxNumberOfMessages", 1)
        if not 1 <= most <= 10:
            raise Refusal("InvalidParameterValue", f"Value {most} for parameter MaxNumberOfMessages is invalid")
        queue, now = self._queue(given), self._clock()
        hidden = float(given.get("VisibilityTimeout", queue.attributes["VisibilityTimeout"]))
        taken = [message for _ in range(most) if (message := self._take(queue, now))]
        for message in taken:
            queue.show(message, now + hidden)
        return {"Messages": [_received(message, given) for message in taken]} if taken else {}

    def _take(self, queue: Queue, now: float) -> Message | None:
        while (at := queue.next_visible()) is not None and at <= now:
            message = queue.messages[heapq.heappop(queue.order)[2]]
            if now - message.sent >= float(queue.attributes["MessageRetentionPeriod"]):
                del queue.messages[message.id]
                continue
            if (policy := queue.attributes.get("RedrivePolicy")) and self._moved(queue, message, json.loads(policy)):
                continue
            message.received += 1
            message.first_received, message.last_received = message.first_received or now, now
            message.handle = f"{message.id}.{self._rng.getrandbits(64):016x}"
            message.visible = float("inf")
            return message
        return None

    def _moved(self, queue: Queue, message: Message, policy: Members) -> bool:
        """Whether it was received so often that it goes to the dead-letter queue (SQS developer guide, "maxReceiveCount")."""
        if message.received < int(policy["maxReceiveCount"]):
            return False
        del queue.messages[message.id]
        target = next(one for one in self.queues.values() if one.arn == policy["deadLetterTargetArn"])
        target.messages[message.id] = message
        target.show(message, self._clock())
        return True

    def delete_message_batch(self, given: Members, caller: Caller) -> Members:
        return self._each(given, self._delete)

    def change_message_visibility_batch(self, given: Members, caller: Caller) -> Members:
        return self._each(given, self._change)

    def get_queue_url(self, given: Members, caller: Caller) -> Members:
        wanted = (given.get("QueueOwnerAWSAccountId", caller.account), given["QueueName"])
        for queue in self.queues.values():
            if (queue.arn.split(":")[4], queue.name) == wanted:
                return {"QueueUrl": queue.url}
        raise _no_queue()

    def get_queue_attributes(self, given: Members, caller: Caller) -> Members:
        queue, wanted = self._queue(given), given.get("AttributeNames", [])
        known = queue.attributes | {"QueueArn": queue.arn}
        if any(name.startswith("Approximate") for name in wanted) or "All" in wanted:
            visible = sum(message.visible <= self._clock() for message in queue.messages.values())
            known["ApproximateNumberOfMessages"] = str(visible)
            known["ApproximateNumberOfMessagesNotVisible"] = str(len(queue.messages) - visible)
        return {"Attributes": {name: value for name, value in known.items() if name in wanted or "All" in wanted}}

    def _each(self, given: Members, one: Callable[[Queue, Members], str | None]) -> Members:
        queue, entries = self._queue(given), given["Entries"]
        if not entries:
            raise Refusal("AWS.SimpleQueueService.EmptyBatchRequest", "There should be at least one entry in the request.")
        if len(entries) > 10:
            raise Refusal(
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10."
            )
        answers: Members = {"Successful": [], "Failed": []}
        for entry in entries:
            problem = one(queue, entry)
            if problem is None:
                answers["Successful"].append({"Id": entry["Id"]})
            else:
                answers["Failed"].append({"Id": entry["Id"], "Code": problem, "SenderFault": True})
        return answers

    def _delete(self, queue: Queue, entry: Members) -> str | None:
        handle: str = entry["ReceiptHandle"]
        if not _wellformed(handle):
            return "ReceiptHandleIsInvalid"
        message = queue.messages.get(handle.partition(".")[0])
        # An older handle "succeeds, but the message might not be deleted" (DeleteMessage).
        if message is not None and message.handle == handle:
            del queue.messages[message.id]
        return None

    def _change(self, queue: Queue, entry: Members) -> str | None:
        handle, seconds = entry["ReceiptHandle"], entry.get("VisibilityTimeout", 0)
        if not _wellformed(handle):
            return "ReceiptHandleIsInvalid"
        now = self._clock()
        message = queue.messages.get(handle.partition(".")[0])
        if message is None or message.handle != handle:
            return "InvalidParameterValue"
        if message.visible <= now:
            return "AWS.SimpleQueueService.MessageNotInflight"
        # "A message's total visibility timeout can be at most 12 hours from when it is received" (ChangeMessageVisibility).
        if not 0 <= seconds <= _LONGEST_HIDDEN - (now - message.last_received):
            return "InvalidParameterValue"
        queue.show(message, now + seconds)
        return None

    def _queue(self, given: Members) -> Queue:
        if (queue := self.queues.get(given["QueueUrl"])) is None:
            raise _no_queue()
        return queue


def _no_queue() -> Refusal:
    return Refusal("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")


def _wellformed(handle: str) -> bool:
    return len(handle) == 53 and handle[36] == "."


def _digest(body: str) -> str:
    return md5(body.encode(), usedforsecurity=False).hexdigest()


def _received(message: Message, given: Members) -> Members:
    system = {
        "ApproximateReceiveCount": str(message.received),
        "ApproximateFirstReceiveTimestamp": str(round(message.first_received * 1000)),
        "SentTimestamp": str(round(message.sent * 1000)),
    }
    names = [*given.get("AttributeNames", ()), *given.get("MessageSystemAttributeNames", ())]
    members: dict[str, Any] = {
        "Attributes": {name: value for name, value in system.items() if name in names or "All" in names},
        "MessageAttributes": message.attributes if given.get("MessageAttributeNames") else {},
    }
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.handle,
        "Body": message.body,
        "MD5OfBody": _digest(message.body),
        **{name: value for name, value in members.items() if value},
    }
