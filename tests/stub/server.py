"""HTTP in front of the fakes: AWS calls, and below `/_local/` what the local cloud's control API has and the bench needs."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web

from dzgrant.localcloud import commands as c
from tests.fakes.answers import Caller, Members, Refusal
from tests.fakes.cloud import HOME, Cloud
from tests.fakes.sqs import Queue
from tests.stub import wire
from tests.stub.crowd import Crowd

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/")
_RECORDED = 100
_COMMANDS: dict[str, type[c.Command[Any]]] = {
    it.path(): it for it in vars(c).values() if isinstance(it, type) and issubclass(it, c.Command)
}


async def ring(queue: Queue, seconds: float) -> None:
    """How a long poll waits."""
    bell: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def struck() -> None:
        if not bell.done():
            bell.set_result(None)

    queue.listeners.append(struck)
    await asyncio.wait([bell], timeout=seconds)


class Recorded(NamedTuple):
    """A call, and whose resources it was about."""

    service: str
    operation: str
    given: Members
    account: str


class Front:
    def __init__(self, endpoint: str) -> None:
        self.cloud = Cloud(time.time, wait=ring, endpoint=endpoint)
        self.calls: Counter[str] = Counter()
        self.recorded: list[Recorded] = []
        self._rest = wire.Rest()
        self._seconds = 0.0
        self._local: dict[str, Callable[[bytes], object]] = {
            "events": lambda body: self.cloud.sqs.send(self.cloud.queue, body.decode()),
            "latency": self._latency,
            "calls": lambda _: dict(self.calls),
            "recorded": lambda _: [one._asdict() for one in self.recorded],
            "forget": self._forget,
            "waiting": lambda _: len(self.cloud.queue.messages),
            "crowd": lambda body: Crowd.model_validate_json(body).join(self.cloud),
        }

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        path = request.raw_path
        if path.startswith("/_local/"):
            return web.Response(body=self._control(path.removeprefix("/_local/"), body), content_type="application/json")
        status, headers, answer = await self._serve(request, path, body)
        return web.Response(status=status, headers=headers, body=answer)

    def _control(self, name: str, body: bytes) -> bytes:
        if (local := self._local.get(name)) is not None:
            told = local(body)
            return json.dumps(told if isinstance(told, (dict, int, list)) else {}).encode()
        done: c.Message = self.cloud.people.do(_COMMANDS[name].model_validate_json(body))
        return done.model_dump_json().encode()

    def _forget(self, _body: bytes) -> None:
        self.calls.clear()
        self.recorded.clear()

    def _latency(self, body: bytes) -> None:
        self._seconds = c.Latency.model_validate_json(body).milliseconds / 1000

    async def _serve(self, request: web.BaseRequest, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        signed = _CREDENTIAL.search(request.headers.get("Authorization", ""))
        caller = self.cloud.sts.caller(signed[1], signed[2]) if signed else HOME
        service = "unknown"
        try:
            service, operation, given = self._asked(request, path, body)
            self.calls[f"{service}:{operation}"] += 1
            if len(self.recorded) < _RECORDED and caller:
                self.recorded.append(Recorded(service, operation, given, caller.account))
            if self._seconds and service != "sqs":
                await asyncio.sleep(self._seconds)
            return wire.answered(service, operation, await self._carried_out(service, operation, given, caller))
        except Refusal as no:
            return wire.refused(service, no)

    def _asked(self, request: web.BaseRequest, path: str, body: bytes) -> tuple[str, str, Members]:
        if target := request.headers.get("X-Amz-Target"):
            return wire.of_json(target, body)
        if body.startswith(b"Action="):
            return "sts", *wire.of_query(body)
        return "datazone", *self._rest.read(request.method, path, body)

    async def _carried_out(self, service: str, operation: str, given: Members, caller: Caller | None) -> Members:
        if caller is None:
            raise Refusal("ExpiredTokenException", "The security token included in the request is expired", status=403)
        if operation == "ReceiveMessage":
            return await self.cloud.poll(given, caller)
        return self.cloud.answer(service, operation, given, caller)


@asynccontextmanager
async def serve() -> AsyncIterator[str]:
    """The endpoint, while the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        runner = web.ServerRunner(web.Server(Front(endpoint), access_log=None))
        await runner.setup()
        await web.SockSite(runner, listener).start()
        yield endpoint
        await runner.cleanup()
