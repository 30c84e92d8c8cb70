"""From the queue to the handler and back: slots, outcomes, the drain.

A message is asked for only when a slot is free, and it holds its slot until it is deleted, delayed or buried. The class
of the handler's error alone decides which of these it is. Messages on one principal may run side by side here: the saga
serialises them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from structlog.contextvars import bind_contextvars

from dzgrant.errors import DzgrantError, LeaseHeld, Misconfigured, Refused, Transient
from dzgrant.intake.backoff import backoff
from dzgrant.intake.events import Hint, Ignored, parse
from dzgrant.intake.heartbeat import Heartbeat
from dzgrant.intake.queue import LONGEST_HIDDEN, Delivery, Lost, Queue
from dzgrant.metrics import Metrics
from dzgrant.settings import Settings

log = structlog.stdlib.get_logger(__name__)

Handle = Callable[[Hint], Awaitable[None]]
"""Brings what the hint names to its end state, or raises. It may be cancelled at any await when a drain runs out of time."""

_LONGEST_PAUSE = 30.0
_RELEASE_SECONDS = 5.0


class Consumer:
    """One per process: `run` it once, `stop` it from a signal handler."""

    def __init__(self, queue: Queue, handle: Handle, settings: Settings, metrics: Metrics) -> None:
        self._queue = queue
        self._handle = handle
        self._settings = settings
        self._metrics = metrics
        self._heartbeat = Heartbeat(queue, settings.visibility_seconds, metrics)
        self._held: dict[Delivery, asyncio.Task[None]] = {}
        self._handling: set[Delivery] = set()
        self._stopping = False
        self._changed = asyncio.Event()
        self._ticked_at = time.monotonic()
        metrics.slots.set(settings.concurrency)
        metrics.in_flight.set_function(lambda: len(self._held))
        metrics.lag.set_function(self._lag)

    @property
    def busy(self) -> bool:
        """Whether any message is in work."""
        return bool(self._held)

    @property
    def quiet_seconds(self) -> float:
        """Since the poll loop last showed life; 0 while it rightly shows none: no slot is free, or it has been stopped."""
        return time.monotonic() - self._ticked_at if self._free and not self._stopping else 0.0

    def stop(self) -> None:
        """Receive no more, finish what is in work, let `run` return. Again is the same as once."""
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Works until `stop`, then drains: what is in work gets `drain_seconds`, then is cancelled and its messages given back.

        The long poll that is open at `stop` is let return, since SQS may already have given it messages; they are given
        back at once. So it ends within the longer of the drain and the poll.
        """
        async with asyncio.TaskGroup() as around:
            beating = around.create_task(self._heartbeat.run())
            try:
                async with asyncio.TaskGroup() as work:
                    work.create_task(self._poll(work))
                    await self._until(lambda: self._stopping)
                    await self._drain()
            finally:
                beating.cancel()
        log.info("drain_ended")

    async def _drain(self) -> None:
        log.info("drain_started", in_flight=len(self._held), seconds=self._settings.drain_seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._until(lambda: not self._held)
        for delivery in self._handling:
            self._held[delivery].cancel()

    @property
    def _free(self) -> int:
        return self._settings.concurrency - len(self._held)

    def _lag(self) -> float:
        oldest = min((delivery.sent_at for delivery in self._held), default=None)
        return (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._changed.clear()
            await self._changed.wait()

    async def _poll(self, work: asyncio.TaskGroup) -> None:
        failures = 0
        while not self._stopping:
            self._ticked_at = time.monotonic()
            try:
                deliveries = await self._queue.receive(self._free, visibility=self._settings.visibility_seconds)
            except (Transient, Misconfigured) as error:
                failures += 1
                await self._pause(error, failures)
                continue
            failures = 0
            self._metrics.last_poll.set_to_current_time()
            for delivery in deliveries:
                self._take(delivery, work)
            await self._until(lambda: self._stopping or self._free > 0)

    async def _pause(self, error: DzgrantError, failures: int) -> None:
        seconds = min(_LONGEST_PAUSE, backoff(error, failures, first=1.0, cap=_LONGEST_PAUSE))
        log.error("receive_failed", error=str(error), failures=failures, seconds=round(seconds, 1))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._until(lambda: self._stopping)

    def _take(self, delivery: Delivery, work: asyncio.TaskGroup) -> None:
        if self._stopping:
            work.create_task(self._give_back(delivery))
            return
        self._metrics.event_age.observe((datetime.now(UTC) - delivery.sent_at).total_seconds())
        self._heartbeat.start(delivery)
        self._held[delivery] = work.create_task(self._work(delivery))

    async def _work(self, delivery: Delivery) -> None:
        bind_contextvars(message=delivery.id, receives=delivery.receives)
        try:
            kind, outcome = await self._process(delivery)
            self._metrics.events.labels(kind, outcome).inc()
        finally:
            self._heartbeat.stop(delivery)
            del self._held[delivery]
            self._ticked_at = time.monotonic()
            self._changed.set()

    async def _process(self, delivery: Delivery) -> tuple[str, str]:
        """The event's kind and what became of it, as labels of a metric."""
        kind, acknowledged = "unreadable", "handled"
        failure: Exception | None = None
        try:
            found = parse(delivery.body, self._settings.domain_ids, self._queue.place)
            if isinstance(found, Ignored):
                # Kinds that dzgrant does not know are without number, and so are no labels.
                known = found.reason in ("other domain", "other place")
                kind, acknowledged = found.kind if known else "other", "ignored"
                # What is DataZone's and comes from elsewhere is a rule gone astray, or somebody's try.
                level = logging.WARNING if found.reason == "other place" else logging.DEBUG
                log.log(level, "event_ignored", kind=found.kind, reason=found.reason)
            else:
                kind = found.kind
                await self._carry_out(delivery, found)
        except asyncio.CancelledError:
            await self._give_back(delivery)
            raise
        except Exception as error:  # noqa: BLE001  # a bug in the handler must not stop the work on other messages
            failure = error
        try:
            return kind, await self._settle(delivery, failure) or acknowledged
        except Lost:
            return kind, "lost"
        except DzgrantError as error:
            log.warning("message_left", error=str(error))
            return kind, "left"

    async def _carry_out(self, delivery: Delivery, hint: Hint) -> None:
        bind_contextvars(event_id=hint.event, kind=hint.kind, domain=hint.domain)
        self._handling.add(delivery)
        try:
            await self._handle(hint)
        finally:
            self._handling.discard(delivery)

    async def _settle(self, delivery: Delivery, failure: Exception | None) -> str | None:
        """Deletes, buries or delays the message; says which, unless it is simply done."""
        match failure:
            case None:
                await self._delete(delivery)
                return None
            case Refused():
                return await self._bury(delivery, failure)
            case _:
                return await self._delay(delivery, failure)

    async def _delete(self, delivery: Delivery) -> None:
        if not self._heartbeat.stop(delivery):
            raise Lost
        await self._queue.delete(delivery)

    async def _bury(self, delivery: Delivery, refused: Refused) -> str:
        buried = await self._queue.bury(delivery, refused)
        log.error("message_refused", error=str(refused), dead_lettered=buried)
        if buried:
            await self._delete(delivery)
            return "dead_lettered"
        # There is no dead-letter queue: it comes again now and then, and stays for a person to see.
        await self._hide(delivery, LONGEST_HIDDEN)
        return "left"

    async def _delay(self, delivery: Delivery, failure: Exception) -> str:
        first, cap = self._settings.backoff_seconds, self._settings.backoff_cap_seconds
        seconds = backoff(failure, delivery.receives, first=first, cap=cap)
        again, waited = round(seconds, 1), round((datetime.now(UTC) - delivery.sent_at).total_seconds() / 60)
        match failure:
            case Misconfigured():
                log.warning("message_delayed", error=str(failure), seconds=again, waited_minutes=waited)
            case Transient():
                log.info("message_delayed", error=str(failure), seconds=again, waited_minutes=waited)
            case _:
                log.error("handler_failed", exc_info=failure, seconds=again)
        self._metrics.retries.labels(_why(failure)).inc()
        if self._queue.wears_out(delivery):
            # What only waits is tried for ever. A crash between these two makes a duplicate, which changes nothing.
            await self._queue.send_again(delivery, seconds)
            await self._delete(delivery)
        else:
            await self._hide(delivery, seconds)
        return "delayed"

    async def _hide(self, delivery: Delivery, seconds: float) -> None:
        # A heartbeat after this would undo it.
        if not self._heartbeat.stop(delivery):
            raise Lost
        await self._queue.hide(delivery, seconds)

    async def _give_back(self, delivery: Delivery) -> None:
        """Best effort, also while being cancelled: a message that is not given back comes again when its visibility ends."""
        self._heartbeat.stop(delivery)
        self._metrics.released.inc()
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._queue.hide(delivery, 0)
        except (DzgrantError, Lost, TimeoutError) as error:
            log.warning("message_not_given_back", message=delivery.id, error=str(error))


def _why(failure: Exception) -> str:
    match failure:
        case LeaseHeld():
            return "lease_held"
        case Misconfigured():
            return "misconfigured"
        case Transient():
            return "transient"
        case _:
            return "bug"
