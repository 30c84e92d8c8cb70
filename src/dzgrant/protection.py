"""Scale-in protection: while anything is in work, ECS must not end this task to have fewer of them.

The agent's endpoint is in every task (Amazon ECS developer guide, "Task scale-in protection endpoint"). Losing a task loses
nothing; protection only spares the work of beginning anew. So nothing here stops the worker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp
import structlog

log = structlog.stdlib.get_logger(__name__)

LOOK_SECONDS = 5.0
MINUTES = 10
_RENEW_SECONDS = MINUTES * 60 / 2
_TIMEOUT = aiohttp.ClientTimeout(total=5)


async def protect(agent: str, busy: Callable[[], bool], *, look_seconds: float = LOOK_SECONDS) -> None:
    """Until it is cancelled. `agent`: ECS_AGENT_URI; `busy`: whether anything is in work.

    A protection that is left behind ends by itself after some minutes.
    """
    until = 0.0
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        while True:
            wanted, now = busy(), time.monotonic()
            if wanted and now > until - _RENEW_SECONDS:
                until = now + MINUTES * 60 if await _put(session, agent, enabled=True) else 0.0
            elif not wanted and until and await _put(session, agent, enabled=False):
                until = 0.0
            await asyncio.sleep(look_seconds)


async def _put(session: aiohttp.ClientSession, agent: str, *, enabled: bool) -> bool:
    """Whether ECS took it; it answers a failure with status 200, too."""
    state = {"ProtectionEnabled": enabled} | ({"ExpiresInMinutes": MINUTES} if enabled else {})
    try:
        async with session.put(f"{agent}/task-protection/v1/state", json=state) as answer:
            said = await answer.json(content_type=None)
            if isinstance(said, dict) and "protection" in said:
                return True
            reason = str(said)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        reason = str(error) or type(error).__name__
    log.warning("task_protection_failed", enabled=enabled, reason=reason[:300])
    return False
