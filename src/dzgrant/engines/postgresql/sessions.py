"""Ending sessions: a login's own, and those of whoever stands in the way of dzgrant's work.

Advisory locks ask for no privilege, so every login of the database can hold dzgrant's. A worker's session is the
admin's; whoever else is at such a lock loses the session, but for superusers. Should it be a worker after all, with
another admin's name, its transaction is rolled back and done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dzgrant.engines.contract import Permit
from dzgrant.engines.postgresql import catalogue
from dzgrant.engines.postgresql.connections import Connections
from dzgrant.engines.postgresql.failures import Blocked
from dzgrant.errors import Misconfigured, Transient

T = TypeVar("T")
_POLL_SECONDS = 0.02
_UNBLOCKINGS = 3


async def unblocked(work: Callable[[], Awaitable[T]], clear: Callable[[], Awaitable[None]], *past: type[Misconfigured]) -> T:
    """Does the work; when it waits for a lock in vain, clears the way, and does it again, a few times.

    `past`: other obstacles that clearing the way may take away.
    """
    for _ in range(_UNBLOCKINGS):
        try:
            return await work()
        except (Blocked, *past):  # type: ignore[misc]  # mypy 2.3 takes no star here
            await clear()
    return await work()


async def evict(connections: Connections, permit: Permit, *keys: str) -> None:
    """Ends the sessions that hold these locks, or stand in line for them, and are no worker's."""
    permit.check(connections.limits.statement_timeout)
    await connections.fetch(catalogue.INTRUDERS_ENDED, list(keys))


async def end_sessions(connections: Connections, login: str, permit: Permit, *, newcomers: bool) -> None:
    """Ends every session of the login on the server, and waits until it is gone: its temporary tables are gone then.

    With `newcomers`, until the login has none at all; else a consumer that comes back at once gets what it has then.
    """
    seconds = connections.limits.statement_timeout
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    found: list[int] | None = None
    while True:
        permit.check(seconds)
        open_still = [row["pid"] for row in await connections.fetch(catalogue.SESSIONS_ENDED, login, found)]
        if not open_still:
            return
        if clock() > deadline:
            raise Transient(f"{len(open_still)} sessions of {login} do not end").about(source=connections.source)
        if not newcomers:
            found = open_still
        await asyncio.sleep(_POLL_SECONDS)
