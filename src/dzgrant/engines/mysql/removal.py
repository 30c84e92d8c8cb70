"""Taking tables away from a login, whatever else it was given, and whoever gave it."""

from __future__ import annotations

from collections.abc import Collection

from dzgrant.engines.mysql import statements, views
from dzgrant.engines.mysql.catalogue import Account
from dzgrant.engines.mysql.failures import NO_GRANT, NO_RIGHT, NO_ROLE, NO_TABLE
from dzgrant.engines.mysql.more import more
from dzgrant.engines.mysql.session import LockedSession
from dzgrant.engines.mysql.statements import More
from dzgrant.errors import Misconfigured
from dzgrant.model import Table


async def take_away(session: LockedSession, found: Account, keep: Collection[Table]) -> None:
    """Takes all but the tables to keep and their views, and ends the login's sessions."""
    kept = {*keep, *(views.view_of(session.login, table) for table in keep)}
    beyond = await more(session, session.login)
    roles = [statements.revoke_more(one, session.login) for one in beyond if one.kind == "role"]
    barred = [role.sql for role in roles if await session.run(role, expected=NO_ROLE)]
    left = await _revoke(session, found, [one for one in beyond if one.kind != "role"], kept)
    await session.end_sessions()
    # Last, since the admin may have lost the right to give: what was taken stays taken.
    if left:
        await _give_back(session, left, kept)
    if found.has_place:
        await views.sweep(session)
    if barred:
        raise Misconfigured(
            f"{session.login} has roles that the admin login may not take away",
            do=f"let an administrator of the server run: {'; '.join(barred)}",
        )


async def _revoke(session: LockedSession, found: Account, beyond: Collection[More], kept: set[Table]) -> Account | None:
    """None, or what the login held before all was taken from it, so that what is kept must be given back."""
    login = session.login
    if not kept:
        if found.tables or found.columns or found.reaching or beyond:
            await session.run(statements.revoke_all(login))
        return None
    for one in beyond:
        answer = await session.run(statements.revoke_more(one, login), expected=NO_RIGHT | NO_GRANT)
        if answer in NO_RIGHT:
            return await _revoke_all(session, found)
    for table in sorted({*found.tables, *found.columns} - kept):
        await session.run(statements.revoke_select(table, login), expected=NO_GRANT)
    for table in sorted(found.reaching.keys() - kept):
        columns = tuple(sorted(found.reaching[table]))
        await session.run(statements.revoke_reach(table, columns, login), expected=NO_GRANT)
    return None


async def _revoke_all(session: LockedSession, found: Account) -> Account:
    await session.run(statements.revoke_all(session.login))
    return found


async def _give_back(session: LockedSession, before: Account, kept: set[Table]) -> None:
    login = session.login
    for table in sorted(before.tables & kept):
        await session.run(statements.grant_select(table, login), expected=NO_TABLE)
    for table in sorted(before.columns.keys() & kept):
        columns = tuple(sorted(before.columns[table]))
        await session.run(statements.grant_columns(table, columns, login), expected=NO_TABLE)
    for table in sorted(before.reaching.keys() & kept):
        await session.run(statements.grant_reach(table, tuple(sorted(before.reaching[table])), login), expected=NO_TABLE)
