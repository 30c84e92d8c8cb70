"""dzgrant's views: one database for the logins of a principal, one view for each table, named after it.

These servers keep no comment with a database or a view, so the place is known by its name, a hash, and by holding nothing
but views with such names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pymysql.constants import ER

from dzgrant.engines.contract import views_in
from dzgrant.engines.filters import view_name
from dzgrant.engines.mysql import statements
from dzgrant.engines.mysql.session import LockedSession
from dzgrant.engines.mysql.statements import Statement
from dzgrant.errors import Refused, Transient
from dzgrant.model import ALTERNATE, Table

_NAME_BYTES = 64
_VIEW = re.compile(r".*_[0-9a-f]{8}", re.DOTALL)
_WAITS = 3

_CONTENT = Statement(
    sql="""
SELECT 'view', table_name, EXISTS (
    SELECT 1 FROM mysql.tables_priv AS given
     WHERE given.db = %(place)s AND given.table_name = tables.table_name AND given.user IN (%(first)s, %(second)s))
  FROM information_schema.tables AS tables WHERE table_schema = %(place)s AND table_type = 'VIEW'
UNION ALL
SELECT table_type, table_name, 0 FROM information_schema.tables WHERE table_schema = %(place)s AND table_type <> 'VIEW'
UNION ALL
SELECT routine_type, routine_name, 0 FROM information_schema.routines WHERE routine_schema = %(place)s
UNION ALL
SELECT 'event', event_name, 0 FROM information_schema.events WHERE event_schema = %(place)s
""",
    right="SELECT ON mysql.*",
)


_DEFINITION = Statement(
    sql="SELECT view_definition FROM information_schema.views WHERE table_schema = %(place)s AND table_name = %(name)s",
    right="SELECT ON mysql.*",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is in the database for a principal's views."""

    views: dict[str, bool]
    """Each view, and whether a login of the principal may read it."""
    foreign: tuple[str, ...]
    """What dzgrant did not put there."""


def view_of(login: str, table: Table) -> Table:
    """The view that stands for the table, for both logins of a principal."""
    return Table(schema=views_in(login), name=view_name(table, _NAME_BYTES))


def pair(login: str) -> tuple[str, str]:
    """Both logins of this login's principal."""
    first = login.removesuffix(ALTERNATE)
    return first, first + ALTERNATE


async def place(session: LockedSession) -> Place:
    """Empty where there is no such database."""
    first, second = pair(session.login)
    rows = await session.fetch(_CONTENT, place=views_in(session.login), first=first, second=second)
    ours = {name: bool(int(read)) for kind, name, read in rows if kind == "view" and _VIEW.fullmatch(name)}
    return Place(views=ours, foreign=tuple(f"{kind} {name}" for kind, name, _ in rows if name not in ours))


async def make(session: LockedSession, view: Table, select: str) -> bool:
    """Makes the view, or replaces it; whether it was another, or none, before.

    Raises `Refused` where the database holds what is not dzgrant's.
    """
    before = await _definition(session, view)
    if foreign := (await place(session)).foreign:
        raise Refused(
            f"the database {view.schema} holds what dzgrant did not put there: {', '.join(foreign)}", do="move it elsewhere"
        )
    await _past_readers(session, statements.create_place(view.schema))
    await _past_readers(session, statements.create_view(view, select))
    return not before or before != await _definition(session, view)


async def _definition(session: LockedSession, view: Table) -> str:
    """As the server puts it; empty where there is no view, or where the admin may not see it."""
    rows = await session.fetch(_DEFINITION, place=view.schema, name=view.name)
    return "".join(str(text) for (text,) in rows)


async def sweep(session: LockedSession) -> None:
    """Drops the views that no login may read any more, and their database when it is empty."""
    found = await place(session)
    if found.foreign:
        return
    where = views_in(session.login)
    for name in (name for name, read in found.views.items() if not read):
        await _past_readers(session, statements.drop_view(Table(schema=where, name=name)))
    if not any(found.views.values()):
        await _past_readers(session, statements.drop_place(where))


async def _past_readers(session: LockedSession, statement: Statement) -> None:
    """A reader's open transaction keeps a view, and its database, as it is, so its session ends."""
    for _ in range(_WAITS):
        if not await session.run(statement, expected={ER.LOCK_WAIT_TIMEOUT}):
            return
        for login in pair(session.login):
            await session.end_sessions(login)
    raise Transient(f"{session.what}: readers hold a view, however often their sessions are ended")
