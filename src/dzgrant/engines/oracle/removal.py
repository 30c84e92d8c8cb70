"""Taking tables away from a login, and the login itself.

Only a grantor revokes, or one with GRANT ANY OBJECT PRIVILEGE what the owner granted; what is left is told with the statement
that takes it. No user is dropped with CASCADE.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from dzgrant.engines.contract import Dropped
from dzgrant.engines.oracle import catalogue, statements, views
from dzgrant.engines.oracle.catalogue import Account, Held
from dzgrant.engines.oracle.failures import CONNECTED, NO_LOGIN, NO_RIGHT, NO_TABLE, NOT_GRANTED_BY_ONE, OWNS_OBJECTS
from dzgrant.engines.oracle.session import LockedSession
from dzgrant.engines.oracle.statements import More, Statement
from dzgrant.errors import Misconfigured, Transient
from dzgrant.model import LoginOutcome, Table

_DROPS = 3


async def revoke(session: LockedSession, held: Held) -> None:
    """If the admin may; `none_left` is to be asked afterwards."""
    statement = statements.revoke(held.privilege, held.table, session.login, held.grantor)
    await session.run(statement, expected={NO_TABLE, NO_RIGHT, NOT_GRANTED_BY_ONE})


def none_left(held: Collection[Held | More], login: str) -> None:
    """Raises `Misconfigured` for what only its grantors can take away."""
    if held:
        cures = dict.fromkeys(_revocation(one, login).cure for one in held)
        raise Misconfigured(f"{login} holds what others granted", do="; ".join(cures))


def _revocation(one: Held | More, login: str) -> Statement:
    if isinstance(one, More):
        return statements.revoke_more(one, login)
    return statements.revoke(one.privilege, one.table, login, one.grantor)


async def take_away(session: LockedSession, found: Account, keep: Collection[Table]) -> None:
    """Takes all but READ of the tables to keep and of their views, and ends the login's sessions."""
    kept = {*keep, *(views.view_of(session.login, table) for table in keep)}
    for held in found.held:
        if held.table not in kept:
            await revoke(session, held)
    for more in found.more:
        # Whatever is answered, what is left then is told with the statement that takes it.
        with suppress(Misconfigured):
            await session.run(statements.revoke_more(more, session.login))
            if more.right == "CREATE SESSION":
                # No option is revoked alone.
                await session.run(statements.grant_session(session.login))
    await session.end_sessions()
    # The admin may have lost the right to give; what was taken has no session any more then.
    for table in sorted(kept.intersection(found.tables)):
        await _leave_read(session, table, [held for held in found.held if held.table == table])
    await views.sweep(session)
    if left := await catalogue.account(session, session.login):
        if keep and not left.may_connect:
            # Taken above, or by a worker that ended before it gave it back.
            await session.run(statements.grant_session(session.login))
        others = [held for held in left.held if held.table not in kept or not held.plain]
        none_left([*others, *left.more], session.login)


async def _leave_read(session: LockedSession, table: Table, given: Collection[Held]) -> None:
    """Takes SELECT, and the right to give READ on.

    To take that, READ must go and come. SELECT stands in for it meanwhile, where the admin can give that: not of a view of
    dzgrant's, whose owner has no more than READ to pass on.
    """
    selects = [held for held in given if held.privilege == "SELECT"]
    reads = [held for held in given if held.privilege == "READ"]
    if any(held.grantable for held in reads):
        if not selects:
            with suppress(Misconfigured):
                await session.run(statements.grant_select(table, session.login))
                selects = [Held(table=table, privilege="SELECT", grantor=table.schema)]
        await revoke(session, reads[0])
        reads = []
    if not reads:
        await session.run(statements.grant_read(table, session.login))
    if selects:
        await revoke(session, selects[0])


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
