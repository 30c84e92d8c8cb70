"""Scale-in protection, against an agent that answers as ECS's does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from dzgrant.errors import Misconfigured
from dzgrant.protection import MINUTES, protect
from dzgrant.worker import _agent

ON, OFF = {"ProtectionEnabled": True, "ExpiresInMinutes": MINUTES}, {"ProtectionEnabled": False}


@dataclass
class Agent:
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=lambda: {"protection": {}})
    busy: bool = False

    async def put(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        return web.json_response(self.answer)

    async def until(self, asked: list[dict[str, Any]]) -> None:
        async with asyncio.timeout(30):
            while self.asked[-len(asked) :] != asked:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    agent = Agent()
    app = web.Application()
    app.add_routes([web.put("/api/task-protection/v1/state", agent.put)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    agent.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    protecting = asyncio.create_task(protect(agent.url, lambda: agent.busy, look_seconds=0.01))
    yield agent
    protecting.cancel()
    await asyncio.wait([protecting])
    await runner.cleanup()


async def test_a_task_is_protected_while_it_is_busy_and_asks_once_for_it(agent: Agent) -> None:
    agent.busy = True
    await agent.until([ON])
    agent.busy = False
    await agent.until([ON, OFF])
    agent.busy = True
    await agent.until([ON, OFF, ON])
    assert agent.asked == [ON, OFF, ON]


async def test_a_refusal_is_logged_and_asked_again(agent: Agent) -> None:
    agent.answer = {"failure": {"Reason": "DEPLOYMENT_BLOCKED"}}
    with capture_logs() as logs:
        agent.busy = True
        await agent.until([ON, ON])
    assert {line["event"] for line in logs} == {"task_protection_failed"}
    assert "DEPLOYMENT_BLOCKED" in logs[0]["reason"]
    agent.answer = {"protection": {}}
    agent.busy = False


async def test_an_agent_that_is_not_there_stops_nothing() -> None:
    with capture_logs() as logs:
        protecting = asyncio.create_task(protect("http://127.0.0.1:9", lambda: True, look_seconds=0.01))
        async with asyncio.timeout(30):
            while len(logs) < 2:  # noqa: ASYNC110  # a list is no event
                await asyncio.sleep(0.01)
        assert not protecting.done()
        protecting.cancel()
        await asyncio.wait([protecting])


def test_outside_of_ecs_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECS_AGENT_URI", raising=False)
    with pytest.raises(Misconfigured, match="ECS_AGENT_URI is not set"):
        _agent()
    monkeypatch.setenv("ECS_AGENT_URI", "http://169.254.170.2/api/1")
    assert _agent() == "http://169.254.170.2/api/1"
