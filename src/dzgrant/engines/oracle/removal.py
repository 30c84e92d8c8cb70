"""Taking tables away from a login, and the login itself.

Only a grantor revokes, or one with GRANT ANY OBJECT PRIVILEGE what the owner granted; what is left is told with the statement
that takes it. No user is dropped with CASCADE.
"""

from __future__ import annotations

from collections.abc import Collection

from dzgrant.engines.contract import Dropped
from dzgrant.engines.oracle import catalogue, statements, views
from dzgrant.engines.oracle.catalogue import Account, Held
from dzgrant.engines.oracle.failures import CONNECTED, NO_LOGIN, NO_RIGHT, NO_TABLE, NOT_GRANTED_BY_ONE, OWNS_OBJECTS
from dzgrant.engines.oracle.session import LockedSession
from dzgrant.errors import Misconfigured, Transient
from dzgrant.model import LoginOutcome, Table

_DROPS = 3


async def revoke(session: LockedSession, held: Held) -> None:
    """If the admin may; `none_left` is to be asked afterwards."""
    statement = statements.revoke(held.privilege, held.table, session.login, held.grantor)
    await session.run(statement, expected={NO_TABLE, NO_RIGHT, NOT_GRANTED_BY_ONE})


def none_left(held: Collection[Held], login: str) -> None:
    """Raises `Misconfigured` for what only its grantors can take away."""
    if held:
        cures = (statements.revoke(one.privilege, one.table, login, one.grantor).cure for one in held)
        raise Misconfigured(f"{login} holds what others granted", do="; ".join(cures))


async def take_away(session: LockedSession, found: Account, keep: Collection[Table]) -> None:
    """Takes all but the tables to keep and their views, and ends the login's sessions."""
    kept = {*keep, *(views.view_of(session.login, table) for table in keep)}
    for held in found.held:
        if held.table not in kept:
            await revoke(session, held)
    await session.end_sessions()
    await views.sweep(session)
    if left := await catalogue.account(session, session.login):
        none_left([held for held in left.held if held.table not in kept], session.login)


async def drop(session: LockedSession, found: Account) -> Dropped:
    """Locks the login, so that none of its sessions comes back, and drops it; one that owns something stays locked."""
    await session.run(statements.disable(session.login))
    for _ in range(_DROPS):
        await session.end_sessions()
        answer = await session.run(statements.drop_login(session.login), expected={NO_LOGIN, OWNS_OBJECTS, CONNECTED})
        if answer == OWNS_OBJECTS:
            return await _disabled(session, found)
        if answer != CONNECTED:
            await views.sweep(session)
            return Dropped(outcome=LoginOutcome.DROPPED)
    raise Transient(f"sessions of {session.login} were killed, and are still there")


async def _disabled(session: LockedSession, found: Account) -> Dropped:
    obstacles = [f"it owns {one}" for one in await catalogue.owned(session, session.login)]
    try:
        await take_away(session, found, ())
    except Misconfigured as error:
        obstacles.append(f"{error.what} ({error.do})")
    return Dropped(outcome=LoginOutcome.DISABLED, detail="; ".join(obstacles))
