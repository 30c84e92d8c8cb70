"""The consumer against a real queue over HTTP: what becomes of each message, and how it stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from dzgrant.accounts import Accounts
from dzgrant.errors import LeaseHeld, Misconfigured, Refused, Transient, Unsupported
from dzgrant.intake.consumer import Consumer, Handle
from dzgrant.intake.events import Hint, SubscriptionHint
from dzgrant.intake.queue import LARGEST, Lost, open_queue
from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import GOVERNANCE, REGION
from dzgrant.localcloud.process import LocalCloud, running
from dzgrant.metrics import Metrics
from dzgrant.settings import Settings, load
from tests.envelopes import VERBATIM, body, subscription

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sqs.type_defs import MessageTypeDef

DEADLINE = 60.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with running() as cloud:
        yield cloud


async def until(true: Callable[[], bool]) -> None:
    """Waits for a condition, but not for ever."""
    async with asyncio.timeout(DEADLINE):
        while not true():  # noqa: ASYNC110  # what is waited for is no event, but a count or a list
            await asyncio.sleep(0.01)


@dataclass
class Handler:
    """Notes what it is given; holds each hint until it is let go, and raises what it was told to, once for each."""

    started: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    most: int = 0
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    raises: dict[str, list[Exception]] = field(default_factory=dict)

    async def __call__(self, hint: Hint) -> None:
        assert isinstance(hint, SubscriptionHint)
        name = str(hint.subscription)
        self.started.append(name)
        self.most = max(self.most, len(self.started) - len(self.ended) - len(self.cancelled))
        try:
            await self.held[name].wait() if name in self.held else await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        self.ended.append(name)
        if self.raises.get(name):
            raise self.raises[name].pop(0)

    def hold(self, name: str) -> asyncio.Event:
        self.held[name] = asyncio.Event()
        return self.held[name]


@dataclass
class World:
    client: SQSClient
    queue: str
    dead_letters: str
    settings: Settings
    metrics: Metrics = field(default_factory=Metrics)

    async def send(self, *bodies: str) -> None:
        for text in bodies:
            await self.client.send_message(QueueUrl=self.queue, MessageBody=text)

    async def receive(self, url: str, wait: int = 0) -> list[MessageTypeDef]:
        """What is visible now, or within the wait; it is hidden by looking."""
        answer = await self.client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=wait,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        return answer.get("Messages", [])

    async def left(self) -> int:
        """Messages in the queue, visible or not."""
        answer = await self.client.get_queue_attributes(
            QueueUrl=self.queue, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        )
        return sum(int(count) for count in answer["Attributes"].values())

    def counted(self, outcome: str, kind: str = "Subscription Created") -> float:
        return self.metrics.registry.get_sample_value("dzgrant_events_total", {"kind": kind, "outcome": outcome}) or 0

    @asynccontextmanager
    async def consuming(self, handle: Handle, poll_seconds: int = 1, **changes: Any) -> AsyncIterator[Consumer]:
        """A running consumer; it is stopped in the end, and must leave no task behind."""
        before = asyncio.all_tasks()
        queue = await open_queue(self.client, self.queue, poll_seconds=poll_seconds)
        # `model_copy` does not validate: tests use shorter times than people may.
        consumer = Consumer(queue, handle, self.settings.model_copy(update=changes), self.metrics)
        async with asyncio.timeout(3 * DEADLINE), asyncio.TaskGroup() as group:
            running = group.create_task(consumer.run())
            try:
                yield consumer
            finally:
                consumer.stop()
                await running
        assert asyncio.all_tasks() == before


@asynccontextmanager
async def living_in(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A new queue and dead-letter queue in this cloud."""
    for variable, value in cloud.environment.items():
        monkeypatch.setenv(variable, value)
    settings = load().model_copy(update={"concurrency": 4, "backoff_seconds": 0.01, "drain_seconds": 10})
    name = uuid4().hex
    async with Accounts(settings) as accounts:
        client = await accounts.sqs()
        dead_letters = (await client.create_queue(QueueName=f"{name}-dead"))["QueueUrl"]
        arn = (await client.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1000})
        queue = (await client.create_queue(QueueName=name, Attributes={"RedrivePolicy": redrive}))["QueueUrl"]
        yield World(client, queue, dead_letters, settings)


@pytest.fixture
async def world(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with living_in(cloud, monkeypatch) as world:
        yield world
    cloud.control.do(c.Heal())


async def test_handled_messages_are_deleted_and_never_more_are_in_work_than_there_are_slots(world: World) -> None:
    handler = Handler()
    names = {f"sub{n}" for n in range(25)}
    await world.send(*map(body, names))
    async with world.consuming(handler):
        await until(lambda: world.counted("handled") == 25)
    assert set(handler.ended) == names
    assert len(handler.ended) == 25
    assert handler.most <= 4
    assert await world.left() == 0


async def test_a_slow_message_holds_its_own_slot_only(world: World) -> None:
    handler = Handler()
    slow = handler.hold("slow")
    await world.send(body("slow"), *(body(f"sub{n}") for n in range(12)))
    async with world.consuming(handler, concurrency=2):
        await until(lambda: len(handler.ended) == 12)
        assert "slow" not in handler.ended
        slow.set()
    assert handler.most == 2
    assert await world.left() == 0


async def test_a_full_house_asks_for_nothing(world: World) -> None:
    handler = Handler()
    held = [handler.hold(f"sub{n}") for n in range(3)]
    await world.send(*(body(f"sub{n}") for n in range(3)))
    async with world.consuming(handler, concurrency=2) as consumer:
        await until(lambda: len(handler.started) == 2)
        # The third is there for anyone: no worker hoards it.
        assert len(await world.receive(world.queue, wait=1)) == 1
        assert consumer.quiet_seconds == 0
        for event in held:
            event.set()


async def test_duplicates_are_handled_and_deleted_each(world: World) -> None:
    handler = Handler()
    await world.send(body("same"), body("same"))
    async with world.consuming(handler):
        await until(lambda: world.counted("handled") == 2)
    assert handler.ended == ["same", "same"]
    assert await world.left() == 0


async def test_a_message_stays_hidden_while_its_handler_runs_longer_than_the_visibility(world: World) -> None:
    handler = Handler()
    slow = handler.hold("slow")
    await world.send(body("slow"))
    async with world.consuming(handler, visibility_seconds=2):
        await until(lambda: handler.started == ["slow"])
        assert await world.receive(world.queue, wait=5) == []
        slow.set()
        await until(lambda: world.counted("handled") == 1)
    assert handler.started == ["slow"]
    assert await world.left() == 0


@pytest.mark.parametrize(
    "error",
    [
        Transient("the database does not answer"),
        LeaseHeld("held", retry_after=0.1),
        Misconfigured("the role lacks a right", do="give it"),
        RuntimeError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_cannot_succeed_yet_comes_again(world: World, error: Exception) -> None:
    handler = Handler(raises={"sub1": [error]})
    await world.send(body("sub1"))
    async with world.consuming(handler):
        await until(lambda: world.counted("handled") == 1)
    assert handler.ended == ["sub1", "sub1"]
    assert world.counted("delayed") == 1
    assert await world.left() == 0
    conflicts = world.metrics.registry.get_sample_value("dzgrant_retries_total", {"why": "lease_held"})
    assert (conflicts or 0) == (1 if isinstance(error, LeaseHeld) else 0)


async def test_the_log_says_for_how_long_a_message_has_waited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm on a long wait hears of nothing else: SQS's own metric leaves out what was received three times."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(minutes=90)

    monkeypatch.setattr("dzgrant.intake.consumer.datetime", Later)
    handler = Handler(raises={"sub1": [Transient("not now"), Misconfigured("no right", do="give it")]})
    await world.send(body("sub1"))
    with capture_logs() as logs:
        async with world.consuming(handler):
            await until(lambda: world.counted("handled") == 1)
    assert [line["waited_minutes"] for line in logs if line["event"] == "message_delayed"] == [90, 90]


async def test_what_only_waits_outlasts_the_queues_own_limit_of_receives(world: World) -> None:
    policy = {
        "deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{GOVERNANCE}:{world.dead_letters.rsplit('/', 1)[1]}",
        "maxReceiveCount": "2",
    }
    await world.client.set_queue_attributes(QueueUrl=world.queue, Attributes={"RedrivePolicy": json.dumps(policy)})
    handler = Handler(raises={"sub1": [Transient("not now", retry_after=0.1) for _ in range(5)]})
    await world.send(body("sub1"))
    async with world.consuming(handler):
        await until(lambda: world.counted("handled") == 1)
    assert world.counted("delayed") == 5
    assert await world.left() == 0
    assert await world.receive(world.dead_letters) == []


async def test_a_delayed_message_stays_away_although_it_had_a_heartbeat(world: World, cloud: LocalCloud) -> None:
    handler = Handler(raises={"sub1": [Transient("not now", retry_after=2)]})
    slow = handler.hold("sub1")
    await world.send(body("sub1"))
    async with world.consuming(handler, visibility_seconds=1):
        await until(lambda: handler.started == ["sub1"])
        cloud.control.forget_calls()
        await until(lambda: any(call.operation == "ChangeMessageVisibilityBatch" for call in cloud.control.calls()))
        slow.set()
        await until(lambda: world.counted("delayed") == 1)
        delayed_at = time.monotonic()
        await until(lambda: len(handler.started) == 2)
        assert time.monotonic() - delayed_at > 1.5


@pytest.mark.parametrize("error", [Refused("no such table", do="correct it"), Unsupported("a filter", do="remove it")])
async def test_what_never_can_succeed_goes_to_the_dead_letters_with_its_reason(world: World, error: Refused) -> None:
    handler = Handler(raises={"sub1": [error]})
    attributes: Any = {"who": {"DataType": "String", "StringValue": "a person"}}
    await world.client.send_message(QueueUrl=world.queue, MessageBody=body("sub1"), MessageAttributes=attributes)
    async with world.consuming(handler):
        await until(lambda: world.counted("dead_lettered") == 1)
    [dead] = await world.receive(world.dead_letters)
    assert dead["Body"] == body("sub1")
    found = {name: value["StringValue"] for name, value in dead["MessageAttributes"].items()}
    assert found.pop("dzgrant.message")
    assert found == {"who": "a person", "dzgrant.reason": str(error)}
    assert await world.left() == 0


@pytest.mark.parametrize("poison", ["hello", "[" * 100_000, "{}", json.dumps(subscription(entity="sub;1"))])
async def test_poison_goes_to_the_dead_letters_as_it_came_and_stops_nothing(world: World, poison: str) -> None:
    handler = Handler()
    await world.send(poison, body("sub1"))
    with capture_logs() as logs:
        async with world.consuming(handler):
            await until(lambda: world.counted("handled") == 1)
            await until(lambda: world.counted("dead_lettered", "unreadable") + world.counted("dead_lettered") == 1)
    [dead] = await world.receive(world.dead_letters)
    assert dead["Body"] == poison
    [line] = [line for line in logs if line["event"] == "message_refused"]
    assert poison not in line["error"]
    assert await world.left() == 0


# aiohttp's advice for bodies above a MiB, to whoever runs with warnings on.
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
async def test_the_largest_message_there_is_leaves_its_letter_room_for_a_reason_or_goes_without(world: World) -> None:
    exact, nearly = "x" * LARGEST, "y" * (LARGEST - 100)
    await world.send(exact, nearly)
    async with world.consuming(Handler()):
        await until(lambda: world.counted("dead_lettered", "unreadable") == 2)
    letters = {letter["Body"]: letter.get("MessageAttributes", {}) for letter in await world.receive(world.dead_letters)}
    assert letters.keys() == {exact, nearly}
    assert not letters[exact]
    assert "dzgrant.message" in letters[nearly]
    assert await world.left() == 0


async def test_an_event_from_elsewhere_is_acknowledged_and_said(world: World) -> None:
    handler = Handler()
    foreign = [{**subscription(), "account": "999999999999"}, {**subscription(), "region": "us-east-1"}]
    await world.send(*map(json.dumps, foreign), body("sub1"))
    with capture_logs() as logs:
        async with world.consuming(handler):
            await until(lambda: world.counted("ignored") == 2 and world.counted("handled") == 1)
    assert [(line["reason"], line["log_level"]) for line in logs if line["event"] == "event_ignored"] == [
        ("other place", "warning")
    ] * 2
    assert await world.left() == 0


async def test_without_a_dead_letter_queue_a_refused_message_is_kept_away_and_named_in_the_log(world: World) -> None:
    await world.client.set_queue_attributes(QueueUrl=world.queue, Attributes={"RedrivePolicy": ""})
    handler = Handler(raises={"sub1": [Refused("no such table", do="correct it")]})
    await world.send(body("sub1"))
    with capture_logs() as logs:
        async with world.consuming(handler):
            await until(lambda: world.counted("left") == 1)
            assert await world.receive(world.queue, wait=1) == []
    assert [line["dead_lettered"] for line in logs if line["event"] == "message_refused"] == [False]
    assert await world.left() == 1


async def test_what_is_none_of_its_business_is_acknowledged(world: World) -> None:
    handler = Handler()
    await world.send(VERBATIM, body("sub1"))
    async with world.consuming(handler, domain_ids=("dzd_another",)):
        await until(lambda: world.counted("ignored", "other") == 1 and world.counted("ignored") == 1)
    assert handler.started == []
    assert await world.left() == 0


async def test_a_message_that_was_lost_is_noted_and_its_work_goes_on(world: World, cloud: LocalCloud) -> None:
    handler = Handler()
    slow = handler.hold("slow")
    await world.send(body("slow"))
    beats = c.Match(operations=("ChangeMessageVisibilityBatch",))
    cloud.control.do(c.Fail(times=1000, status=403, code="AccessDenied", match=beats))
    with capture_logs() as logs:
        async with world.consuming(handler, concurrency=1, visibility_seconds=1):
            await until(lambda: handler.started == ["slow"])
            # Its heartbeats are refused, so someone else receives it: the test.
            assert len(await world.receive(world.queue, wait=5)) == 1
            cloud.control.do(c.Heal())
            await until(lambda: world.metrics.registry.get_sample_value("dzgrant_messages_lost_total") == 1)
            slow.set()
            await until(lambda: world.counted("lost") == 1)
    assert {"heartbeat_failed", "message_lost"} <= {line["event"] for line in logs}
    assert handler.ended == ["slow"]
    assert await world.left() == 1


async def test_sigterm_lets_work_in_progress_finish_and_takes_nothing_new(world: World) -> None:
    handler = Handler()
    slow = handler.hold("slow")
    await world.send(body("slow"))
    loop = asyncio.get_running_loop()
    with capture_logs() as logs:
        async with world.consuming(handler, visibility_seconds=1) as consumer:
            loop.add_signal_handler(signal.SIGTERM, consumer.stop)
            await until(lambda: handler.started == ["slow"])
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: any(line["event"] == "drain_started" for line in logs))
            await world.send(body("late"))
            # The heartbeat outlives the polling: the slow message stays hidden through the drain.
            [late] = await world.receive(world.queue, wait=1) or await world.receive(world.queue, wait=2)
            assert late["Body"] == body("late")
            assert await world.receive(world.queue, wait=2) == []
            slow.set()
    loop.remove_signal_handler(signal.SIGTERM)
    assert handler.ended == handler.started == ["slow"]
    assert world.counted("handled") == 1
    assert await world.left() == 1


async def test_a_drain_that_runs_out_of_time_cancels_the_work_and_gives_the_message_back(world: World) -> None:
    handler = Handler()
    handler.hold("stuck")
    await world.send(body("stuck"), body("quick"))
    async with world.consuming(handler, drain_seconds=0.2):
        await until(lambda: "stuck" in handler.started and world.counted("handled") == 1)
    assert handler.cancelled == ["stuck"]
    [again] = await world.receive(world.queue)
    assert again["Body"] == body("stuck")


async def test_messages_that_the_open_poll_still_brings_are_given_back(world: World) -> None:
    handler = Handler()
    await world.send(body("first"))
    async with world.consuming(handler, poll_seconds=10) as consumer:
        await until(lambda: world.counted("handled") == 1)
        consumer.stop()
        await world.send(body("second"))
    assert handler.started == ["first"]
    [again] = await world.receive(world.queue)
    assert again["Body"] == body("second")
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


async def test_a_cancelled_consumer_gives_its_messages_back(world: World) -> None:
    handler = Handler()
    handler.hold("stuck")
    await world.send(body("stuck"))
    before = asyncio.all_tasks()
    consumer = Consumer(await open_queue(world.client, world.queue), handler, world.settings, world.metrics)
    running = asyncio.create_task(consumer.run())
    await until(lambda: handler.started == ["stuck"])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert handler.cancelled == ["stuck"]
    assert len(await world.receive(world.queue)) == 1
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(("status", "code", "times"), [(500, "InternalFailure", 4), (403, "AccessDenied", 1)])
async def test_a_queue_that_answers_with_an_error_is_asked_again(
    world: World, cloud: LocalCloud, status: int, code: str, times: int
) -> None:
    handler = Handler()
    cloud.control.do(c.Fail(times=times, status=status, code=code, match=c.Match(operations=("ReceiveMessage",))))
    await world.send(body("sub1"))
    with capture_logs() as logs:
        async with world.consuming(handler):
            await until(lambda: world.counted("handled") == 1)
    [failed] = [line for line in logs if line["event"] == "receive_failed"]
    assert code in failed["error"]
    assert "DZGRANT_QUEUE_URL" in failed["error"] or status == 500


async def test_a_cloud_that_goes_away_is_asked_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = Handler()
    with capture_logs() as logs:
        async with AsyncExitStack() as exits:
            with running() as cloud:
                world = await exits.enter_async_context(living_in(cloud, monkeypatch))
                consumer = await exits.enter_async_context(world.consuming(handler))
                await world.send(body("sub1"))
                await until(lambda: world.counted("handled") == 1)
            await until(lambda: any(line["event"] == "receive_failed" for line in logs))
            assert consumer.quiet_seconds < DEADLINE
            with running(port=int(cloud.endpoint.rpartition(":")[2])):
                await world.client.create_queue(QueueName=world.queue.rpartition("/")[2])
                await world.send(body("sub2"))
                await until(lambda: world.counted("handled") == 2)
                consumer.stop()
    assert handler.ended == ["sub1", "sub2"]


async def test_a_queue_that_is_not_there_stops_the_start_with_one_line(world: World) -> None:
    with pytest.raises(Misconfigured, match=r"does not answer: .*NonExistentQueue.*; check DZGRANT_QUEUE_URL"):
        await open_queue(world.client, world.queue + "-not")


async def test_a_message_is_hidden_for_twelve_hours_at_most(world: World) -> None:
    await world.send(body("sub1"))
    queue = await open_queue(world.client, world.queue)
    [delivery] = await queue.receive(1, visibility=60)
    delivery.received_at -= 43_200 - 3
    await queue.hide(delivery, 60)
    # Only the two whole seconds that are left.
    assert len(await world.receive(world.queue, wait=5)) == 1
    delivery.received_at -= 3
    with pytest.raises(Lost):
        await queue.hide(delivery, 60)


async def test_metrics_tell_what_is_in_work_and_for_how_long(world: World) -> None:
    handler = Handler()
    slow = handler.hold("slow")
    await world.send(body("slow"))
    value = world.metrics.registry.get_sample_value
    async with world.consuming(handler):
        await until(lambda: handler.started == ["slow"])
        assert value("dzgrant_events_in_flight") == 1
        assert value("dzgrant_event_slots") == 4
        assert 0 < (value("dzgrant_lag_seconds") or 0) < DEADLINE
        slow.set()
        await until(lambda: value("dzgrant_events_in_flight") == 0)
        assert value("dzgrant_lag_seconds") == 0
    assert (value("dzgrant_last_poll_timestamp_seconds") or 0) > time.time() - DEADLINE
