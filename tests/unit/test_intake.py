"""The parts of the intake that need no queue: backoff and batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dzgrant.batch import Batch
from dzgrant.errors import LeaseHeld, Misconfigured, Transient
from dzgrant.intake.backoff import backoff
from dzgrant.intake.events import Place
from dzgrant.intake.queue import DeadLetters, Delivery, Queue
from dzgrant.model import AccountId, Region

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

TRANSIENT = Transient("not now")
MISCONFIGURED = Misconfigured("no right", do="give it")


@given(receives=st.integers(1, 100_000), first=st.floats(0.01, 900), cap=st.floats(1, 36_000))
def test_backoff_stays_between_a_second_and_its_cap(receives: int, first: float, cap: float) -> None:
    for error in (TRANSIENT, MISCONFIGURED, ValueError("a bug")):
        assert 1 <= backoff(error, receives, first=first, cap=cap) <= cap


def spread(error: Exception, receives: int) -> tuple[float, float]:
    seen = [backoff(error, receives, first=5, cap=900) for _ in range(2000)]
    return min(seen), max(seen)


def test_backoff_doubles_with_full_jitter() -> None:
    for receives, ceiling in ((1, 5), (2, 10), (4, 40), (50, 900)):
        low, high = spread(TRANSIENT, receives)
        assert low < ceiling * 0.3
        assert ceiling * 0.9 < high <= ceiling


def test_what_a_person_must_fix_is_tried_more_slowly() -> None:
    assert 54 < spread(MISCONFIGURED, 1)[1] <= 60


def test_an_error_that_knows_when_to_come_back_is_believed_however_often_it_came() -> None:
    for receives in (1, 50):
        low, high = spread(LeaseHeld("held", retry_after=20), receives)
        assert 20 <= low < 22
        assert 38 < high <= 40


class Server:
    """Answers each item with itself doubled, when it is let; notes the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.under_way = 0
        self.let = asyncio.Event()
        self.fail: list[Exception] = []

    async def send(self, items: Sequence[int]) -> Sequence[int]:
        assert self.under_way == 0, "one request at a time"
        self.under_way += 1
        self.batches.append(list(items))
        try:
            await self.let.wait()
            if self.fail:
                raise self.fail.pop()
        finally:
            self.under_way -= 1
        return [item * 2 for item in items]


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_calls_of_one_moment_share_a_request_and_later_ones_the_next() -> None:
    server = Server()
    batch = Batch(server.send)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        calls = [group.create_task(batch(n)) for n in range(3)]
        await settled()
        calls += [group.create_task(batch(n)) for n in range(3, 16)]
        await settled()
        assert server.batches == [[0, 1, 2]]
        server.let.set()
    assert [call.result() for call in calls] == [n * 2 for n in range(16)]
    assert server.batches == [[0, 1, 2], list(range(3, 13)), [13, 14, 15]]


@pytest.mark.parametrize("victim", [0, 1])
async def test_a_cancelled_call_takes_no_other_with_it(victim: int) -> None:
    server = Server()
    batch = Batch(server.send)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        calls = [group.create_task(batch(n)) for n in range(3)]
        await settled()
        calls[victim].cancel()
        await settled()
        server.let.set()
    assert [call.result() for call in calls if not call.cancelled()] == [n * 2 for n in range(3) if n != victim]
    assert calls[victim].cancelled()


async def test_a_call_that_is_cancelled_before_its_turn_is_not_sent() -> None:
    server = Server()
    batch = Batch(server.send)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(batch(0))
        await settled()
        late = group.create_task(batch(1))
        await settled()
        late.cancel()
        await settled()
        server.let.set()
    assert server.batches == [[0]]
    assert await batch(2) == 4


async def test_what_send_raises_goes_to_one_caller_and_the_others_are_sent_again() -> None:
    server = Server()
    server.fail = [ValueError("a bug")]
    server.let.set()
    batch = Batch(server.send)
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(batch(n) for n in range(3)), return_exceptions=True)
    assert isinstance(answers[0], ValueError)
    assert answers[1:] == [2, 4]
    assert server.batches == [[0, 1, 2], [1, 2]]


@pytest.mark.parametrize(
    ("days", "receives", "worn"),
    [(0, 1, False), (6.9, 1, False), (7.1, 1, True), (0, 499, False), (0, 500, True)],
)
def test_what_waits_is_sent_anew_before_sqs_would_drop_or_move_it(days: float, receives: int, worn: bool) -> None:
    dead_letters = DeadLetters(url="dead", after_receives=1000)
    place = Place(account=AccountId("111111111111"), region=Region("eu-west-1"))
    client = cast("SQSClient", None)
    queue = Queue(client, "queue", dead_letters, retention=timedelta(days=14).total_seconds(), place=place)
    sent_at = datetime.now(UTC) - timedelta(days=days)
    delivery = Delivery(
        id="id", handle="handle", body="", attributes={}, receives=receives, sent_at=sent_at, received_at=0, hide_for=0
    )
    assert queue.wears_out(delivery) is worn
