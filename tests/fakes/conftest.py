"""The two sides that one suite runs upon: the fakes, and the local cloud over HTTP with real aiobotocore clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from random import Random
from typing import Any, Protocol

import pytest
import pytest_asyncio
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import GOVERNANCE, QUEUE, REGION, queue_url
from dzgrant.localcloud.process import LocalCloud, running
from tests.fakes.answers import Caller, Members
from tests.fakes.client import Client
from tests.fakes.cloud import Cloud
from tests.fakes.sqs import Queue


class Side(Protocol):
    """One of the two. `name`: fakes, or local cloud."""

    name: str
    queue_url: str

    async def client(self, service: str, account: str = GOVERNANCE, role: str | None = None) -> Any:
        """A client of the account, or of a role in it."""
        ...

    def do(self, command: c.Command[c.A]) -> c.A: ...

    async def queue(self, name: str, redrive: str | None = None) -> str:
        """A new queue's URL."""
        ...


async def ring(queue: Queue, seconds: float) -> None:
    """How a long poll waits upon asyncio's loop."""
    bell = asyncio.Event()
    queue.listeners.append(bell.set)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await bell.wait()


class Fakes:
    name = "fakes"

    def __init__(self) -> None:
        self._cloud = Cloud(time.time, wait=ring)
        self._rng = Random(1)
        self.queue_url = self._cloud.queue.url
        self.do = self._cloud.people.do

    async def client(self, service: str, account: str = GOVERNANCE, role: str | None = None) -> Any:
        call: Callable[[str, Members], Awaitable[Members]] = partial(self._call, service, Caller(account, REGION, role))
        return Client(call, lambda: f"{self._rng.getrandbits(128):032x}")

    async def _call(self, service: str, caller: Caller, operation: str, params: Members) -> Members:
        return await self._cloud.call(service, operation, params, caller)

    async def queue(self, name: str, redrive: str | None = None) -> str:
        attributes = {"RedrivePolicy": redrive} if redrive else {}
        return self._cloud.sqs.create(
            self.queue_url.replace(QUEUE, name), f"arn:aws:sqs:{REGION}:{GOVERNANCE}:{name}", **attributes
        ).url


class Local:
    name = "local cloud"

    def __init__(self, cloud: LocalCloud, exits: AsyncExitStack) -> None:
        self._cloud = cloud
        self._exits = exits
        self._session = get_session()
        self._clients: dict[tuple[str, str, str | None], Any] = {}
        self.queue_url = queue_url(cloud.endpoint, QUEUE)
        self.do = cloud.control.do

    async def client(self, service: str, account: str = GOVERNANCE, role: str | None = None) -> Any:
        if (service, account, role) not in self._clients:
            self._clients[service, account, role] = await self._made(service, account, role)
        return self._clients[service, account, role]

    async def _made(self, service: str, account: str, role: str | None) -> Any:
        key = {"aws_access_key_id": f"AKIA{account}", "aws_secret_access_key": "local"}
        if role is not None:
            sts = await self.client("sts")
            got = await sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/{role}", RoleSessionName="conformance")
            names = {"aws_access_key_id": "AccessKeyId", "aws_secret_access_key": "SecretAccessKey"}
            names["aws_session_token"] = "SessionToken"
            key = {name: got["Credentials"][member] for name, member in names.items()}
        config = AioConfig(retries={"total_max_attempts": 1}, parameter_validation=False)
        create: Any = self._session.create_client
        made = create(service, region_name=REGION, endpoint_url=self._cloud.endpoint, config=config, **key)
        return await self._exits.enter_async_context(made)

    async def queue(self, name: str, redrive: str | None = None) -> str:
        attributes = {"RedrivePolicy": redrive} if redrive else {}
        made = await (await self.client("sqs")).create_queue(QueueName=name, Attributes=attributes)
        return str(made["QueueUrl"])


@pytest.fixture(scope="session")
def local_cloud() -> Iterator[LocalCloud]:
    with running() as cloud:
        yield cloud


@pytest_asyncio.fixture(params=["fakes", "local cloud"], scope="module", loop_scope="module")
async def aws(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    async with AsyncExitStack() as exits:
        if request.param == "fakes":
            yield Fakes()
        else:
            yield Local(request.getfixturevalue("local_cloud"), exits)
