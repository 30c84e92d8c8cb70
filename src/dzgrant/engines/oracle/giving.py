"""Giving a table, or a view that stands for a part of it, and taking what was given of it beyond that.

DDL commits by itself, so the order decides what is seen in between: what is given is there before what is more goes.
"""

from __future__ import annotations

from collections.abc import Collection

from dzgrant.engines.contract import Reach, Readable
from dzgrant.engines.filters import is_whole, reading
from dzgrant.engines.oracle import catalogue, failures, removal, statements, views
from dzgrant.engines.oracle.catalogue import Account
from dzgrant.engines.oracle.session import LockedSession
from dzgrant.errors import ConsumerRejected, Transient
from dzgrant.model import Scope, Table


async def give(session: LockedSession, before: Account, table: Table, scopes: Collection[Scope], *, settled: bool) -> Reach:
    """Afterwards the login reads what the scopes together let it of the table; `before` is the login as it was."""
    login, view = session.login, views.view_of(session.login, table)
    whole = is_whole(scopes)
    target, other = (table, view) if whole else (view, table)
    columns, changed = (None, False) if whole else await _view(session, view, table, scopes)
    if target not in before.tables:
        await _grant(session, target)
    for held in before.held:
        if held.table == other:
            await removal.revoke(session, held)
    await _verified(session, target, other)
    if whole and other in before.tables:
        await views.sweep(session)
    # Only what could be read before can still be open; after a crash nothing may be left to change, and it be open still.
    if other in before.tables and not whole:
        await session.end_sessions()
    for reader in views.pair(login) if changed or (target in before.tables and not whole and not settled) else ():
        await session.end_sessions(reader)
    through = await catalogue.through(session, login, table)
    return Reach(readable=Readable(table=target, columns=columns), public=through is not None, through=through)


async def _view(
    session: LockedSession, view: Table, table: Table, scopes: Collection[Scope]
) -> tuple[tuple[str, ...] | None, bool]:
    """The columns that the view has, None for all; and whether it showed something else before."""
    part = reading(table, await catalogue.columns(session, table), scopes, statements.DIALECT)
    return part.columns, await views.make(session, view, table, part.select)


async def _grant(session: LockedSession, target: Table) -> None:
    grant = statements.grant_read(target, session.login)
    match await session.run(grant, expected={failures.NO_GRANTEE, failures.NO_TABLE, failures.NAME_TOO_LONG}):
        case failures.NO_GRANTEE:
            raise ConsumerRejected(f"the login {session.login} is gone")
        case failures.NO_TABLE | failures.NAME_TOO_LONG:
            # The server says the same of a table that is gone and of one that the admin may not give.
            await catalogue.columns(session, target)
            await session.run(grant)


async def _verified(session: LockedSession, target: Table, other: Table) -> None:
    after = await catalogue.account(session, session.login)
    if after is None:
        raise ConsumerRejected(f"the login {session.login} is gone")
    removal.none_left([held for held in after.held if held.table == other], session.login)
    if target not in after.tables:
        raise Transient(f"{session.login} was granted {target}, and somebody took it away at once")
