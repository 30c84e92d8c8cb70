"""dzgrant's views: one user without authentication for the logins of a principal, one view for each table.

Oracle grants READ on whole tables only, so columns are given by a view, as rows are. The view's owner holds READ on the table
itself and WITH GRANT OPTION, since a view passes on no more than its owner may pass on. The optimizer evaluates no condition
of a reader's before the view's own, where it could tell what is hidden (OPTIMIZER_SECURE_VIEW_MERGING, on by default).
"""

from __future__ import annotations

from dzgrant.engines.contract import views_in
from dzgrant.engines.filters import view_name
from dzgrant.engines.oracle import catalogue, statements
from dzgrant.engines.oracle.failures import NO_LOGIN, NO_TABLE, NOT_GRANTED_BY_ONE, OWNS_OBJECTS
from dzgrant.engines.oracle.session import LockedSession
from dzgrant.engines.oracle.statements import NAME_BYTES, spelled
from dzgrant.errors import Refused
from dzgrant.model import ALTERNATE, Table


def view_of(login: str, table: Table) -> Table:
    """The view that stands for the table, for both logins of a principal."""
    return Table(schema=spelled(views_in(login)), name=view_name(table, NAME_BYTES))


def pair(login: str) -> tuple[str, str]:
    """Both logins of this login's principal."""
    first = login.removesuffix(ALTERNATE)
    return first, first + ALTERNATE


async def make(session: LockedSession, view: Table, table: Table, select: str) -> bool:
    """Makes the view, or replaces it; whether it showed something else before.

    Raises `Refused` where a user of that name is not dzgrant's.
    """
    place = await catalogue.account(session, view.schema)
    if place and not place.marked:
        raise Refused(f"the user {view.schema} was not made by dzgrant", do="rename or drop it")
    before = await catalogue.view_text(session, view)
    # A table that was dropped and made again has forgotten who may read it.
    if place and before == select and table in place.tables:
        return False
    if place is None:
        await session.run(statements.create_place(view.schema))
    await session.run(statements.grant_read(table, view.schema, grantable=True))
    await session.run(statements.create_view(view, select))
    return before not in {None, select}


async def sweep(session: LockedSession) -> None:
    """Drops the views that no login may read any more, and their owner when it owns nothing."""
    name = spelled(views_in(session.login))
    place = await catalogue.account(session, name)
    if place is None or not place.marked:
        return
    found = await catalogue.content(session, name)
    for view, may_go in sorted(found.items()):
        if may_go:
            await session.run(statements.drop_view(view), expected={NO_TABLE})
    left = {view for view, may_go in found.items() if not may_go}
    if not left:
        await session.run(statements.drop_login(name), expected={OWNS_OBJECTS, NO_LOGIN})
        return
    for held in place.held:
        if view_of(session.login, held.table) not in left:
            revoke = statements.revoke(held.privilege, held.table, name, held.grantor)
            await session.run(revoke, expected={NO_TABLE, NOT_GRANTED_BY_ONE})
