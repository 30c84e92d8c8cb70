"""Every service of the fakes together, in the local cloud's geography, and the one way in."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import (
    BUS,
    CONSUMER,
    CONSUMER_ROLE,
    DEAD_LETTERS,
    DOMAIN,
    GOVERNANCE,
    KMS_KEY_ALIAS,
    PRODUCER,
    PRODUCER_ROLE,
    QUEUE,
    REGION,
    TABLE,
    queue_url,
)
from tests.fakes.answers import Caller, Members, Refusal
from tests.fakes.datazone import DataZone
from tests.fakes.dynamodb import DynamoDB
from tests.fakes.events import EventBridge
from tests.fakes.glue import Glue
from tests.fakes.people import People
from tests.fakes.secretsmanager import SecretsManager
from tests.fakes.sqs import Queue, Sqs
from tests.fakes.sts import Sts

HOME = Caller(GOVERNANCE, REGION)
_MAX_RECEIVES = 1000

Wait = Callable[[Queue, float], Awaitable[None]]
"""Waits until something may have changed in the queue, or for so many seconds."""


class Cloud:
    """As `dzgrant.localcloud.provision` makes it. `clock`: seconds since 1970; `wait`: how a long poll waits.

    `endpoint`: what the queues' URLs begin with.
    """

    def __init__(
        self, clock: Callable[[], float], *, wait: Wait, rng: Random | None = None, endpoint: str = "https://sqs.fake"
    ) -> None:
        rng = rng or Random(0)
        self.clock = clock
        self._wait = wait
        self.sqs = Sqs(clock, rng)
        self.dynamodb = DynamoDB(clock)
        self.secrets = SecretsManager(clock, rng)
        self.sts = Sts(clock, rng)
        self.datazone = DataZone(clock, rng)
        self.glue = Glue()
        self.events = EventBridge(rng)
        arn = f"arn:aws:sqs:{REGION}:{GOVERNANCE}:"
        self.dead_letters = self.sqs.create(queue_url(endpoint, DEAD_LETTERS), arn + DEAD_LETTERS)
        redrive = json.dumps({"deadLetterTargetArn": self.dead_letters.arn, "maxReceiveCount": _MAX_RECEIVES})
        self.queue = self.sqs.create(queue_url(endpoint, QUEUE), arn + QUEUE, RedrivePolicy=redrive)
        indexes = {f"by-{name}": name for name in ("project", "source", "state", "subscription")}
        self.ledger = self.dynamodb.create(TABLE, indexes)
        self.events.names.add(BUS)
        self.secrets.keys[PRODUCER].add(KMS_KEY_ALIAS)
        for account, role in ((PRODUCER, PRODUCER_ROLE), (CONSUMER, CONSUMER_ROLE)):
            self.sts.add_role(account, role, trusted=GOVERNANCE)
        self.people = People(
            self.datazone,
            self.glue,
            self.secrets,
            send=self._deliver,
            clock=clock,
            rng=rng,
        )
        self.people.do(c.AddDomain(id=DOMAIN))
        self._services: dict[str, Any] = {
            "sqs": self.sqs,
            "dynamodb": self.dynamodb,
            "secretsmanager": self.secrets,
            "sts": self.sts,
            "datazone": self.datazone,
            "glue": self.glue,
            "events": self.events,
        }
        self._operations: dict[tuple[str, str], Callable[[Members, Caller], Members]] = {}

    def _deliver(self, body: str) -> None:
        self.sqs.send(self.queue, body)

    async def call(self, service: str, operation: str, params: Members, caller: Caller = HOME) -> Members:
        """One request: carried out at once, but for a long poll that finds nothing. Raises botocore's ClientError."""
        try:
            if operation == "ReceiveMessage":
                return await self.poll(params, caller)
            return self.answer(service, operation, params, caller)
        except Refusal as refusal:
            raise refusal.error(operation) from None

    def answer(self, service: str, operation: str, params: Members, caller: Caller = HOME) -> Members:
        """As `call`, without waiting; raises `Refusal`."""
        key = (service, operation)
        if (known := self._operations.get(key)) is None:
            known = getattr(self._services[service], snake(operation), None)
            if known is None:
                raise NotImplementedError(f"the fake {service} has no {operation}")
            self._operations[key] = known
        return known(params, caller)

    async def poll(self, params: Members, caller: Caller) -> Members:
        """ReceiveMessage. Raises `Refusal`."""
        deadline = self.clock() + params.get("WaitTimeSeconds", 0)
        while True:
            found = self.sqs.receive_message(params, caller)
            now = self.clock()
            if found or now >= deadline:
                return found
            queue = self.sqs.queues[params["QueueUrl"]]
            upcoming = queue.next_visible()
            await self._wait(queue, min(deadline, deadline if upcoming is None else upcoming) - now)


def snake(operation: str) -> str:
    """`GetSecretValue` as botocore's clients name it."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).removeprefix("_")
