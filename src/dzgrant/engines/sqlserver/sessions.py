"""Ending a login's sessions. KILL is not for transactions, so it has none."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from dzgrant.engines.contract import Permit
from dzgrant.engines.sqlserver import statements
from dzgrant.engines.sqlserver.catalogue import SESSIONS
from dzgrant.engines.sqlserver.connections import Desk
from dzgrant.engines.sqlserver.failures import NoProcess
from dzgrant.errors import Misconfigured, Transient

T = TypeVar("T")
_POLL_SECONDS = 0.02
_UNBLOCKINGS = 3


def unblocked(work: Callable[[], T], clear: Callable[[], None], *, by: type[Transient]) -> T:
    """Does the work; when this is in its way, clears the way and does it again, a few times."""
    for _ in range(_UNBLOCKINGS):
        try:
            return work()
        except by:
            clear()
    return work()


def open_sessions(desk: Desk, login: str) -> frozenset[tuple[int, str]]:
    """The login's sessions, each by its number and when it began. Raises `Misconfigured` where the admin can't see them."""
    with desk.session() as session:
        rows, [(sees,)] = session.fetch(SESSIONS, login, login)
        # Without the right, the list is of the admin's own, and says nothing of it. Babelfish shows all to all.
        if not sees and not session.babelfish:
            raise Misconfigured(
                f"the admin login {desk.admin.username} does not see the server's sessions",
                do=f"run: {statements.let_see_sessions(desk.admin.username)}",
            )
    return frozenset((int(number), str(since)) for number, since in rows)


def end_sessions(desk: Desk, login: str, permit: Permit, *, newcomers: bool) -> int:
    """Ends every session of the login on the server, and waits until it is gone; returns how many there were.

    With `newcomers`, until the login has none at all; else a consumer that comes back at once gets what it has then.
    """
    deadline = time.monotonic() + desk.limits.statement_timeout
    found = left = open_sessions(desk, login)
    while left:
        if time.monotonic() > deadline:
            raise Transient(f"{len(left)} sessions of {login} do not end").about(source=desk.source)
        for number, _ in sorted(left):
            permit.check(desk.limits.statement_timeout)
            try:
                desk.fetch(statements.end_session(number, login), cure=statements.let_end_sessions(desk.admin.username))
            except NoProcess:
                continue
        # A session ends when it notices, and has rolled back.
        time.sleep(_POLL_SECONDS)
        seen = open_sessions(desk, login)
        left = seen if newcomers else seen & found
    return len(found)
