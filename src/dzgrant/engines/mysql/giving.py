"""Giving a table, or a part of it: columns as such, rows by a view.

Nothing is transactional here, so the order decides what is seen in between. A view is there before the table is taken, and
columns are added before others go. Only from the whole table to columns nothing can be read for one statement's time: to
revoke the table revokes its columns too, and the servers have no other way.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Boolean, String
from sqlalchemy.types import TIMESTAMP, NullType, TypeEngine

from dzgrant.engines.contract import Reach, Readable
from dzgrant.engines.filters import Columns, Reading, is_whole, reading
from dzgrant.engines.mysql import catalogue, statements, views
from dzgrant.engines.mysql.catalogue import Account
from dzgrant.engines.mysql.failures import NO_GRANT, NO_LOGIN
from dzgrant.engines.mysql.session import LockedSession
from dzgrant.engines.mysql.statements import Statement
from dzgrant.errors import ConsumerRejected, Refused, Transient
from dzgrant.model import Scope, Table


async def give(session: LockedSession, before: Account | None, table: Table, scopes: Collection[Scope]) -> Reach:
    """Gives what the scopes together let be read of the table, and takes what is more; `before` is the login as it was."""
    login = session.login
    view = views.view_of(login, table)
    if is_whole(scopes):
        await _given(session, statements.grant_select(table, login))
        held, through = await catalogue.reach(session, login, table)
        readable = Readable(table=table)
        if before and table in before.columns:
            # The table's own grant covers them; to revoke them leaves it.
            columns = tuple(sorted(before.columns[table]))
            await session.run(statements.revoke_columns(table, columns, login), expected=NO_GRANT)
        if before and view in before.tables:
            await session.run(statements.revoke_select(view, login), expected=NO_GRANT)
    else:
        part = reading(table, await _columns(session, table), scopes, statements.DIALECT)
        readable = Readable(table=view if part.by_rows else table, columns=part.columns)
        await (_give_view(session, before, table, part) if part.by_rows else _give_columns(session, before, table, part))
        held = _holds(await catalogue.account(session, login), table, readable)
        _, through = await catalogue.reach(session, login, table)
    if not held:
        raise Transient(f"{login} was granted {readable.table}, and somebody changed it at once")
    if before and view in before.tables and readable.table != view:
        await views.sweep(session)
    return Reach(readable=readable, public=through is not None, through=through)


async def end_readers(session: LockedSession, before: Account | None, table: Table) -> None:
    """Ends the sessions in which something of the table may still be open: only what could be read before can be."""
    view = views.view_of(session.login, table)
    if before and before.holds(table):
        await session.end_sessions()
    if before and before.has_place and (await views.place(session)).views.get(view.name):
        for login in views.pair(session.login):
            await session.end_sessions(login)


async def _give_view(session: LockedSession, before: Account | None, table: Table, part: Reading) -> None:
    login = session.login
    view = views.view_of(login, table)
    await views.make(session, view, part.select)
    await _given(session, statements.grant_select(view, login))
    if before and before.holds(table):
        await session.run(statements.revoke_select(table, login), expected=NO_GRANT)


async def _give_columns(session: LockedSession, before: Account | None, table: Table, part: Reading) -> None:
    login, columns = session.login, part.columns or ()
    view = views.view_of(login, table)
    if before and table in before.tables:
        await session.run(statements.revoke_select(table, login), expected=NO_GRANT)
    await _given(session, statements.grant_columns(table, columns, login))
    more = (before.columns.get(table, frozenset()) if before and table not in before.tables else frozenset()) - set(columns)
    if more:
        await session.run(statements.revoke_columns(table, tuple(sorted(more)), login), expected=NO_GRANT)
    if before and view in before.tables:
        await session.run(statements.revoke_select(view, login), expected=NO_GRANT)


async def _given(session: LockedSession, statement: Statement) -> None:
    if await session.run(statement, expected=NO_LOGIN):
        raise ConsumerRejected(f"the login {session.login} is gone")


def _holds(after: Account | None, table: Table, readable: Readable) -> bool:
    """The login was given this, and no more of the table."""
    if after is None:
        return False
    if readable.table == table:
        return table not in after.tables and after.columns.get(table) == frozenset(readable.columns or ())
    return readable.table in after.tables and not after.holds(table)


async def _columns(session: LockedSession, table: Table) -> Columns:
    rows = await catalogue.columns(session, table)
    if not rows:
        raise Refused(f"no table {table} that the admin login may see", do="publish it again under its new name")
    return {name: _type(kind, spelled) for name, kind, spelled in rows}


def _type(kind: str, spelled: str) -> TypeEngine[Any]:
    """By the server's names for it: `tinyint`, `tinyint(1)`."""
    if spelled == "tinyint(1)":
        return Boolean()
    if kind in {"enum", "set"}:
        return String()
    if kind == "timestamp":
        return TIMESTAMP(timezone=True)
    known: type[TypeEngine[Any]] = statements.DIALECT.ischema_names.get(kind, NullType)
    return known()
