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


async def give(
    session: LockedSession, before: Account | None, table: Table, scopes: Collection[Scope], *, settled: bool
) -> Reach:
    """Gives what the scopes together let be read of the table, and takes what is more; `before` is the login as it was."""
    login, view = session.login, views.view_of(session.login, table)
    if is_whole(scopes):
        readable = await _give_whole(session, before, table)
    else:
        readable = await _give_part(session, before, table, scopes, settled=settled)
    whole, through = await catalogue.reach(session, login, table)
    if whole is not is_whole(scopes):
        raise _meddled(login, readable)
    if before and view in before.tables and readable.table != view:
        await views.sweep(session)
    return Reach(readable=readable, public=through is not None, through=through)


async def _give_whole(session: LockedSession, before: Account | None, table: Table) -> Readable:
    login, view = session.login, views.view_of(session.login, table)
    await _given(session, statements.grant_select(table, login))
    if before and table in before.columns:
        # The table's own grant covers them; to revoke them leaves it.
        columns = tuple(sorted(before.columns[table]))
        await session.run(statements.revoke_columns(table, columns, login), expected=NO_GRANT)
    if before and view in before.tables:
        await session.run(statements.revoke_select(view, login), expected=NO_GRANT)
    await _reach(session, before, table, frozenset())
    return Readable(table=table)


async def _give_part(
    session: LockedSession, before: Account | None, table: Table, scopes: Collection[Scope], *, settled: bool
) -> Readable:
    columns = await _columns(session, table)
    part = reading(table, columns, scopes, statements.DIALECT)
    view = views.view_of(session.login, table)
    readable = Readable(table=view if part.by_rows else table, columns=part.columns)
    changed = False
    if part.by_rows:
        changed = await _give_view(session, before, table, part)
        await _reach(session, before, table, frozenset(part.columns or columns))
    else:
        await _give_columns(session, before, table, part)
        await _reach(session, before, table, frozenset())
    after = await catalogue.account(session, session.login)
    if changed or not (settled and _holds(before, table, readable)):
        await _end_sessions(session, before, table, changed=changed)
    if not _holds(after, table, readable):
        raise _meddled(session.login, readable)
    return readable


def _meddled(login: str, readable: Readable) -> Transient:
    return Transient(f"{login} was granted {readable.table}, and somebody changed it at once")


async def _end_sessions(session: LockedSession, before: Account | None, table: Table, *, changed: bool) -> None:
    """Those in which something of the table may still be open: only what could be read before can be.

    After a crash nothing may be left to change, and sessions be open still.
    """
    viewed = before is not None and views.view_of(session.login, table) in before.tables
    if viewed or (before and before.holds(table)):
        await session.end_sessions()
    if viewed or changed:
        (other,) = set(views.pair(session.login)) - {session.login}
        await session.end_sessions(other)


async def _give_view(session: LockedSession, before: Account | None, table: Table, part: Reading) -> bool:
    """Whether it changed what another login of the principal reads."""
    login = session.login
    view = views.view_of(login, table)
    changed = await views.make(session, view, part.select)
    await _given(session, statements.grant_select(view, login))
    if before and before.holds(table):
        await session.run(statements.revoke_select(table, login), expected=NO_GRANT)
    return changed


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


async def _reach(session: LockedSession, before: Account | None, table: Table, columns: frozenset[str]) -> None:
    """A login that reads nothing but views can open the database that its secret names, as if it read the table itself."""
    had = before.reaching.get(table, frozenset()) if before else frozenset()
    if new := columns - had:
        await _given(session, statements.grant_reach(table, tuple(sorted(new)), session.login))
    if more := had - columns:
        await session.run(statements.revoke_reach(table, tuple(sorted(more)), session.login), expected=NO_GRANT)


async def _given(session: LockedSession, statement: Statement) -> None:
    if await session.run(statement, expected=NO_LOGIN):
        raise ConsumerRejected(f"the login {session.login} is gone")


def _holds(account: Account | None, table: Table, readable: Readable) -> bool:
    """The login was given this, and no more of the table."""
    if account is None:
        return False
    if readable.table == table:
        return table not in account.tables and account.columns.get(table) == frozenset(readable.columns or ())
    return readable.table in account.tables and not account.holds(table)


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
