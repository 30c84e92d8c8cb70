"""Giving a part of a table: columns as such, rows by a view; what was more is taken in the same transaction.

So nobody sees too much, or nothing, in between. A view's columns can't shrink in place, so it is dropped and made anew;
a reader that comes meanwhile waits for the commit and finds the new one under its name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import structlog

from dzgrant.engines.contract import Permit, Reach
from dzgrant.engines.filters import Reading, reading
from dzgrant.engines.marker import admitted
from dzgrant.engines.postgresql import statements, views
from dzgrant.engines.postgresql.catalogue import Holdings, Way, holdings
from dzgrant.engines.postgresql.connections import Connections
from dzgrant.engines.postgresql.failures import DependedOn
from dzgrant.engines.postgresql.giving import look, marking, needed
from dzgrant.engines.postgresql.removal import revocations
from dzgrant.engines.postgresql.sessions import end_sessions, evict, unblocked
from dzgrant.engines.postgresql.shape import Shape, shape
from dzgrant.errors import Misconfigured
from dzgrant.model import Scope, Table

log = structlog.get_logger(__name__)


async def give_part(
    connections: Connections, login: str, table: Table, permit: Permit, scopes: Collection[Scope], *, settled: bool
) -> Reach:
    keys = statements.login_key(login), statements.table_key(table)

    async def change() -> tuple[Way, Shape, Reading]:
        async with connections.transaction(permit, *keys) as transaction:
            way = await look(transaction, login, table)
            marker = admitted(login, way.marker, permit)
            before = await shape(transaction, login, table)
            part = reading(table, before.columns, scopes, statements.DIALECT)
            if before.shows(part):
                return way, before, part
            held = await holdings(transaction.fetch, login)
            await transaction.run(*_changes(way, before, part, held), *marking(way, login, marker))
            if not (await shape(transaction, login, table)).shows(part):
                raise Misconfigured(
                    f"{login} may read more or less of {table} than was granted", do="revoke what others granted to it"
                )
            await transaction.commit()
            return way, before, part

    async def clear() -> None:
        for one in views.pair(login):
            await end_sessions(connections, one, permit, newcomers=False)
        await evict(connections, permit, *keys, statements.PARENTS_KEY)

    try:
        way, before, part = await unblocked(change, clear, DependedOn)
    except DependedOn:
        await _take(connections, login, table, permit)
        raise
    for one in () if settled and before.shows(part) else before.loses(part):
        await end_sessions(connections, one, permit, newcomers=False)
    if before.view_exists and not part.by_rows:
        await views.sweep(connections, login, permit)
    readable = before.readable(part)
    log.info("part_granted", login=login, table=str(table), readable=str(readable.table), source=connections.source.key)
    return Reach(readable=readable, public=way.through is not None, through=way.through)


async def _take(connections: Connections, login: str, table: Table, permit: Permit) -> None:
    """Somebody else's view stands on dzgrant's, so that it can't change: better nothing than too much."""
    view = views.view_of(login, table)
    for one in views.pair(login):
        async with connections.transaction(permit, statements.login_key(login), statements.table_key(table)) as transaction:
            if held := await holdings(transaction.fetch, one):
                going = [privilege for privilege in held.privileges if privilege.table in {table, view}]
                await transaction.commit(*revocations(one, going), statements.mark(one, admitted(one, held.marker, permit)))
        await end_sessions(connections, one, permit, newcomers=False)


def _changes(way: Way, before: Shape, part: Reading, held: Holdings | None) -> Iterable[str]:
    connect, _ = way.parents
    login = before.login
    yield from needed(way, (connect,) if part.by_rows else way.parents, login)
    if part.by_rows:
        yield from _viewed(before, part)
    elif login in before.readers:
        yield statements.revoke_table(before.view, login)
    yield from revocations(login, [one for one in held.privileges if one.table == before.table] if held else ())
    if part.columns and not part.by_rows:
        yield statements.grant_columns(before.table, part.columns, login)


def _viewed(before: Shape, part: Reading) -> Iterable[str]:
    before.check_viewable()
    view, login = before.view, before.login
    if not before.place_exists:
        yield statements.create_place(view.schema, views.MARKER)
    readers = {login}
    if before.view_comment != views.comment(part.select):
        if before.view_exists:
            yield statements.drop_view(view)
        yield statements.create_view(view, part.select, views.comment(part.select))
        readers |= set(before.readers)
    for reader in sorted(readers):
        yield statements.grant_select(view, reader)
    yield statements.grant_usage(view.schema, login)
