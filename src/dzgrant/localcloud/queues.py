"""SQS: standard queues in memory.

moto's own walks the whole queue for each call (a receive took 17 ms at 200 messages), counts receives wrongly under
threads, and holds its waiters up. Here one condition guards all queues: a send or a change of visibility wakes the long
polls, and a receive takes from a heap by the time at which messages become visible.

As AWS warns, only the newest receipt handle deletes a message; an older one is accepted and does nothing.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import md5
from threading import Condition
from typing import Any
from uuid import uuid4


@dataclass(slots=True)
class Message:
    """`visible` is on the monotonic clock; `sent` and `first_received` are milliseconds since the epoch."""

    id: str
    body: str
    attributes: dict[str, Any]
    visible: float
    sent: int
    received: int = 0
    first_received: int = 0
    handle: str = ""

    @property
    def digest(self) -> str:
        return md5(self.body.encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Queue:
    """`dead_letters` and `max_receives` follow from its RedrivePolicy."""

    name: str
    attributes: dict[str, str]
    dead_letters: Queue | None = None
    max_receives: int = 0
    messages: dict[str, Message] = field(default_factory=dict)
    # Entries are (visible, id); an entry whose time is no longer its message's is stale and skipped.
    order: list[tuple[float, str]] = field(default_factory=list)

    def put(self, message: Message) -> None:
        self.messages[message.id] = message
        heapq.heappush(self.order, (message.visible, message.id))

    def show(self, message: Message, at: float) -> None:
        message.visible = at
        heapq.heappush(self.order, (at, message.id))

    def next_visible(self) -> float | None:
        while self.order:
            at, key = self.order[0]
            message = self.messages.get(key)
            if message is not None and message.visible == at:
                return at
            heapq.heappop(self.order)
        return None

    def take(self, now: float) -> Message | None:
        """The next visible message, hidden until it is shown again; those received too often go to the dead-letter queue."""
        while (at := self.next_visible()) is not None and at <= now:
            message = self.messages[heapq.heappop(self.order)[1]]
            if self.dead_letters is not None and message.received >= self.max_receives:
                del self.messages[message.id]
                message.visible = now
                self.dead_letters.put(message)
                continue
            message.received += 1
            message.first_received = message.first_received or _milliseconds()
            message.handle = f"{message.id}.{uuid4().hex}"
            message.visible = math.inf
            return message
        return None


class Queues:
    """Every queue, by account, Region and name. Threads share it."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str, str], Queue] = {}
        self.changed = Condition()

    def create(self, place: tuple[str, str], name: str) -> Queue:
        with self.changed:
            return self._queues.setdefault((*place, name), Queue(name, {}))

    def find(self, place: tuple[str, str], name: str) -> Queue | None:
        return self._queues.get((*place, name))

    def forget(self, place: tuple[str, str], name: str) -> None:
        with self.changed:
            self._queues.pop((*place, name), None)
            self.changed.notify_all()

    def send(self, queue: Queue, body: str, attributes: dict[str, Any], delay: float) -> Message:
        message = Message(str(uuid4()), body, attributes, time.monotonic() + delay, _milliseconds())
        with self.changed:
            queue.put(message)
            self.changed.notify_all()
        return message

    def receive(self, queue: Queue, *, most: int, wait: float, hidden: float, gone: Callable[[], bool]) -> list[Message]:
        """Up to `most` messages; waits up to `wait` seconds for the first. A poller that is `gone` takes nothing."""
        deadline = time.monotonic() + wait
        with self.changed:
            while True:
                now = time.monotonic()
                if gone():
                    return []
                taken = [message for _ in range(most) if (message := queue.take(now))]
                for message in taken:
                    queue.show(message, now + hidden)
                if taken or now >= deadline:
                    return taken
                upcoming = queue.next_visible()
                self.changed.wait(min(deadline, upcoming or deadline) - now)

    def change(self, queue: Queue, handle: str, seconds: float) -> str | None:
        """Sets how long the message stays hidden from now on; an error code when the handle is of no message in flight."""
        with self.changed:
            now = time.monotonic()
            key = handle.partition(".")[0]
            if not _wellformed(handle):
                return "ReceiptHandleIsInvalid"
            message = queue.messages.get(key)
            if message is None or message.handle != handle:
                return "InvalidParameterValue"
            if message.visible <= now:
                return "AWS.SimpleQueueService.MessageNotInflight"
            queue.show(message, now + seconds)
            self.changed.notify_all()
            return None

    def delete(self, queue: Queue, handle: str) -> str | None:
        with self.changed:
            if not _wellformed(handle):
                return "ReceiptHandleIsInvalid"
            message = queue.messages.get(handle.partition(".")[0])
            if message is not None and message.handle == handle:
                del queue.messages[message.id]
            return None

    def counts(self, queue: Queue) -> tuple[int, int]:
        """How many messages are visible, and how many are not."""
        with self.changed:
            now = time.monotonic()
            visible = sum(message.visible <= now for message in queue.messages.values())
            return visible, len(queue.messages) - visible

    def purge(self, queue: Queue) -> None:
        with self.changed:
            queue.messages.clear()
            queue.order.clear()


def _wellformed(handle: str) -> bool:
    return len(handle) == 69 and handle[36] == "."


def _milliseconds() -> int:
    return int(time.time() * 1000)
