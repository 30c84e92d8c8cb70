"""Keeps messages hidden while their work runs: one task for all of them, a beat for each at a third of the visibility."""

from __future__ import annotations

import asyncio
import time

import structlog

from dzgrant.errors import DzgrantError
from dzgrant.intake.queue import Delivery, Lost, Queue
from dzgrant.metrics import Metrics

log = structlog.stdlib.get_logger(__name__)


class Heartbeat:
    """Tasks share it.

    A message that is lost nevertheless (a beat came too late, or twelve hours are over) is only noted. Its work goes on,
    since another worker that receives it waits for the same lease and then finds nothing left to do; but this worker
    neither deletes nor delays the message any more.
    """

    def __init__(self, queue: Queue, visibility: int, metrics: Metrics) -> None:
        self._queue = queue
        self._visibility = visibility
        self._metrics = metrics
        self._hidden_at: dict[Delivery, float] = {}

    def start(self, delivery: Delivery) -> None:
        self._hidden_at[delivery] = delivery.received_at

    def stop(self, delivery: Delivery) -> bool:
        """No beat for this message from here on. False: it was lost."""
        return self._hidden_at.pop(delivery, None) is not None

    async def run(self) -> None:
        """Beats until it is cancelled."""
        tick = self._visibility / 12
        while True:
            await asyncio.sleep(tick)
            late = time.monotonic() - (self._visibility / 3 - tick)
            async with asyncio.TaskGroup() as beats:
                for delivery, hidden_at in self._hidden_at.items():
                    if hidden_at <= late:
                        beats.create_task(self._beat(delivery))

    async def _beat(self, delivery: Delivery) -> None:
        if delivery not in self._hidden_at:
            return
        asked_at = time.monotonic()
        try:
            await self._queue.hide(delivery, self._visibility)
        except Lost:
            # One that was stopped meanwhile has been deleted or delayed on purpose.
            if self.stop(delivery):
                self._metrics.lost.inc()
                log.warning("message_lost", message=delivery.id, receives=delivery.receives)
        except DzgrantError as error:
            log.warning("heartbeat_failed", message=delivery.id, error=str(error))
        else:
            if delivery in self._hidden_at:
                self._hidden_at[delivery] = asked_at
