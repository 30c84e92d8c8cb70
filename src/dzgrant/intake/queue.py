"""The SQS queue that EventBridge fills, and its dead-letter queue: one method for each thing done with a message.

Deletes and changes of visibility are batched. Each kind has one request under way at a time, in order; so a heartbeat
that was begun can never land after the backoff that was set later, and undo it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dzgrant.accounts import AwsError, AwsFailure, classify
from dzgrant.batch import SIZE, Batch
from dzgrant.errors import DzgrantError, Transient
from dzgrant.intake.events import Place
from dzgrant.model import AccountId, Region

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sqs.literals import QueueAttributeFilterType
    from types_aiobotocore_sqs.type_defs import BatchResultErrorEntryTypeDef, MessageAttributeValueOutputTypeDef, MessageTypeDef

POLL = 5
"""Seconds that a request waits for a message, of SQS's 20 at most: so long may the end of an idle worker take, since a poll
that is cut off may have been given messages, which nobody sees until their visibility ends."""

LONGEST_HIDDEN = 43_200
"""Seconds for which SQS keeps a message invisible, counted from its receipt, however often that is extended."""

_LONGEST_DELAY = 900
# SQS's own, where a queue's attributes do not say.
_RETENTION = 345_600

LARGEST = 1_048_576
"""Bytes of the largest SQS message, its attributes included."""

REASON = "dzgrant.reason"
MESSAGE = "dzgrant.message"
# SQS allows ten message attributes; these two are ours.
_MAX_ATTRIBUTES = 10 - 2
_REASON_LENGTH = 1024

# SQS's reference names the first two; it answers the third for a receipt handle that has expired.
_GONE = frozenset({"ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"})

_Answer = AwsFailure | str | None
"""What became of one entry of a batch: the whole request's error, the entry's own error code, or nothing wrong."""


class Lost(Exception):
    """The message is visible again, or gone, or can't be hidden any longer: it is not this worker's any more."""


@dataclass(slots=True, eq=False, kw_only=True)
class Delivery:
    """One receipt of a message: what came, and until when it stays hidden. Times are seconds of the monotonic clock."""

    id: str
    handle: str
    body: str
    attributes: dict[str, MessageAttributeValueOutputTypeDef] = field(repr=False)
    receives: int
    """How often the message was received so far; 1 at first."""
    sent_at: datetime
    received_at: float
    """When the request was sent: the message is hidden from then on or later, never earlier."""
    hide_for: float
    """Seconds to hide it from the next change of visibility on."""

    @property
    def hideable(self) -> float:
        """Seconds for which it can still be hidden."""
        return LONGEST_HIDDEN - 1 - (time.monotonic() - self.received_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """What a queue's RedrivePolicy says: where SQS moves a message by itself, and when it is received again after how often."""

    url: str
    after_receives: int


class Queue:
    """Tasks share it. Its methods raise `Transient` or `Misconfigured` when AWS does not do as asked."""

    def __init__(
        self,
        client: SQSClient,
        url: str,
        dead_letters: DeadLetters | None,
        *,
        retention: float,
        place: Place,
        poll_seconds: int = POLL,
    ) -> None:
        self._client = client
        self._url = url
        self._dead_letters = dead_letters
        self._retention = retention
        self.place = place
        self._poll_seconds = poll_seconds
        self._delete = Batch(self._delete_all)
        self._change = Batch(self._change_all)

    async def receive(self, most: int, *, visibility: int) -> list[Delivery]:
        """Up to `most` messages (never more than ten), hidden for `visibility` seconds; waits for the first."""
        asked_at = time.monotonic()
        try:
            answer = await self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(most, SIZE),
                WaitTimeSeconds=self._poll_seconds,
                VisibilityTimeout=visibility,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                MessageAttributeNames=["All"],
            )
        except AwsError as error:
            raise classify(
                error, f"the queue {self._url} can't be read", do="check DZGRANT_QUEUE_URL and its policy"
            ) from error
        return [_delivery(message, asked_at, visibility) for message in answer.get("Messages", [])]

    async def delete(self, delivery: Delivery) -> None:
        """The message is done with; should the request fail, it comes again."""
        _check(await self._delete(delivery), "a message can't be deleted", do="give the worker sqs:DeleteMessage")

    async def hide(self, delivery: Delivery, seconds: float) -> None:
        """Hides the message for so long from now, within SQS's bound; 0 gives it back. Raises `Lost` too."""
        if seconds and delivery.hideable < 1:
            raise Lost
        delivery.hide_for = seconds
        _check(await self._change(delivery), "a message can't be hidden", do="give the worker sqs:ChangeMessageVisibility")

    async def bury(self, delivery: Delivery, error: DzgrantError) -> bool:
        """Copies the message to the dead-letter queue: its body as it came, the reason beside it.

        False when the queue has none.
        """
        if self._dead_letters is None:
            return False
        await self._send(self._dead_letters.url, delivery.body, _beside(delivery, str(error)), 0)
        return True

    def letters(self) -> Queue | None:
        """The dead-letter queue, as one to be read and emptied; None: there is none."""
        if self._dead_letters is None:
            return None
        return Queue(self._client, self._dead_letters.url, None, retention=self._retention, place=self.place, poll_seconds=1)

    def wears_out(self, delivery: Delivery) -> bool:
        """Whether SQS would soon drop the message, or move it away by itself, though it only waits."""
        age = (datetime.now(UTC) - delivery.sent_at).total_seconds()
        received_enough = self._dead_letters is not None and delivery.receives >= self._dead_letters.after_receives / 2
        return received_enough or age >= self._retention / 2

    async def send_again(self, delivery: Delivery, seconds: float) -> None:
        """A copy, new to SQS, that becomes visible after so many seconds, 900 at most."""
        await self._send(self._url, delivery.body, delivery.attributes, min(round(seconds), _LONGEST_DELAY))

    async def _send(self, url: str, body: str, attributes: dict[str, MessageAttributeValueOutputTypeDef], delay: int) -> None:
        try:
            await self._client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes, DelaySeconds=delay)
        except AwsError as failed:
            raise classify(failed, f"the queue {url} can't be written", do="give the worker sqs:SendMessage on it") from failed

    async def reachable(self) -> None:
        """Raises unless the queue answers."""
        await _attributes(self._client, self._url)

    async def _delete_all(self, deliveries: Sequence[Delivery]) -> Sequence[_Answer]:
        try:
            answer = await self._client.delete_message_batch(
                QueueUrl=self._url, Entries=[{"Id": str(n), "ReceiptHandle": one.handle} for n, one in enumerate(deliveries)]
            )
        except AwsError as error:
            return [error] * len(deliveries)
        return _codes(deliveries, answer.get("Failed", []))

    async def _change_all(self, deliveries: Sequence[Delivery]) -> Sequence[_Answer]:
        # The seconds are read only now: a delivery that waits here twice gets the later wish both times.
        try:
            answer = await self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(n), "ReceiptHandle": one.handle, "VisibilityTimeout": _whole_seconds(one)}
                    for n, one in enumerate(deliveries)
                ],
            )
        except AwsError as error:
            return [error] * len(deliveries)
        return _codes(deliveries, answer.get("Failed", []))


async def open_queue(client: SQSClient, url: str, *, poll_seconds: int = POLL) -> Queue:
    """The queue at this URL, with the dead-letter queue that its own RedrivePolicy names.

    Raises `Misconfigured` when either is not there or must not be used, `Transient` when AWS does not answer.
    """
    attributes = await _attributes(client, url)
    retention = float(attributes.get("MessageRetentionPeriod", _RETENTION))
    dead_letters = None
    if policy := attributes.get("RedrivePolicy"):
        redrive = json.loads(policy)
        where = await _dead_letters(client, url, str(redrive["deadLetterTargetArn"]))
        dead_letters = DeadLetters(url=where, after_receives=int(redrive["maxReceiveCount"]))
    region, account = attributes["QueueArn"].split(":")[3:5]
    place = Place(account=AccountId(account), region=Region(region))
    return Queue(client, url, dead_letters, retention=retention, place=place, poll_seconds=poll_seconds)


async def _dead_letters(client: SQSClient, url: str, arn: str) -> str:
    account, name = arn.split(":")[4:6]
    try:
        found = await client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
    except AwsError as error:
        raise classify(
            error, f"the dead-letter queue {arn} of {url} can't be found", do="let its policy allow the worker sqs:GetQueueUrl"
        ) from error
    return found["QueueUrl"]


async def _attributes(client: SQSClient, url: str) -> dict[str, str]:
    try:
        names: list[QueueAttributeFilterType] = ["QueueArn", "RedrivePolicy", "MessageRetentionPeriod"]
        answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=names)
    except AwsError as error:
        raise classify(error, f"the queue {url} does not answer", do="check DZGRANT_QUEUE_URL and its policy") from error
    return {str(name): value for name, value in answer.get("Attributes", {}).items()}


def _delivery(message: MessageTypeDef, asked_at: float, visibility: int) -> Delivery:
    system = message["Attributes"]
    return Delivery(
        id=message["MessageId"],
        handle=message["ReceiptHandle"],
        body=message["Body"],
        attributes=dict(message.get("MessageAttributes", {})),
        receives=int(system["ApproximateReceiveCount"]),
        sent_at=datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC),
        received_at=asked_at,
        hide_for=visibility,
    )


def _beside(delivery: Delivery, reason: str) -> dict[str, MessageAttributeValueOutputTypeDef]:
    """The attributes of a dead letter, as many as there is room for: they count as its body does, which may be as long as SQS
    allows. The message's id and the reason come before those that it had."""
    room = LARGEST - len(delivery.body.encode())
    kept: dict[str, MessageAttributeValueOutputTypeDef] = {}

    def add(name: str, value: MessageAttributeValueOutputTypeDef) -> None:
        nonlocal room
        size = len(name.encode()) + len(value["DataType"]) + len(value.get("StringValue", "").encode())
        size += len(value.get("BinaryValue", b""))
        if size <= room:
            kept[name] = value
            room -= size

    add(MESSAGE, {"DataType": "String", "StringValue": delivery.id})
    add(REASON, {"DataType": "String", "StringValue": reason[:_REASON_LENGTH]})
    for name, value in [one for one in delivery.attributes.items() if one[0] not in kept][:_MAX_ATTRIBUTES]:
        add(name, value)
    return kept


def _whole_seconds(delivery: Delivery) -> int:
    return max(0, round(min(delivery.hide_for, delivery.hideable)))


def _codes(deliveries: Sequence[Delivery], failed: Sequence[BatchResultErrorEntryTypeDef]) -> Sequence[_Answer]:
    codes = {int(one["Id"]): one["Code"] for one in failed}
    return [codes.get(n) for n in range(len(deliveries))]


def _check(answer: _Answer, what: str, *, do: str) -> None:
    if answer is None:
        return
    if not isinstance(answer, str):
        raise classify(answer, what, do=do) from answer
    # Some codes carry the prefix of the old query protocol, `AWS.SimpleQueueService.`.
    if answer.rpartition(".")[2] in _GONE:
        raise Lost
    raise Transient(f"{what}: {answer}")
