"""dzgrant's views: one schema for the logins of a principal, owned by the admin and marked, one view for each table.

The name of a view follows from its table's, so that nothing need be kept to find it. Its comment holds a digest of its
SELECT: the server prints a definition in its own words.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256

import structlog

from dzgrant.engines.contract import Permit, views_in
from dzgrant.engines.filters import view_name
from dzgrant.engines.postgresql import statements
from dzgrant.engines.postgresql.connections import Connections
from dzgrant.engines.postgresql.failures import Blocked, DependedOn
from dzgrant.model import ALTERNATE, Table

log = structlog.get_logger(__name__)

MARKER = "managed-by=dzgrant"
_NAME_BYTES = 63

# What neither login of the principal may read, in a schema that is dzgrant's.
_UNREAD = """
SELECT v.relname AS name FROM pg_namespace p LEFT JOIN (
  SELECT c.relname, c.relnamespace FROM pg_class c WHERE c.relkind = 'v' AND NOT EXISTS (
    SELECT FROM aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
    WHERE a.privilege_type = 'SELECT' AND r.rolname IN ($2, $3))
) v ON v.relnamespace = p.oid
WHERE p.nspname = $1 AND obj_description(p.oid, 'pg_namespace') = $4
ORDER BY 1
"""
_READ = """
SELECT count(*) FROM pg_class c JOIN pg_namespace p ON p.oid = c.relnamespace WHERE p.nspname = $1
"""


def view_of(login: str, table: Table) -> Table:
    """The view that stands for the table, for both logins of a principal."""
    return Table(schema=views_in(login), name=view_name(table, _NAME_BYTES))


def comment(select: str) -> str:
    return f"{MARKER};select={sha256(select.encode()).hexdigest()[:32]}"


def pair(login: str) -> tuple[str, str]:
    """Both logins of this login's principal."""
    first = login.removesuffix(ALTERNATE)
    return first, first + ALTERNATE


def with_views(login: str, tables: Collection[Table]) -> frozenset[Table]:
    return frozenset(tables) | {view_of(login, table) for table in tables}


async def sweep(connections: Connections, login: str, permit: Permit) -> None:
    """Drops the views that no login may read any more, and the schema when it is empty.

    What somebody's own view stands on stays: nobody may read it.
    """
    place = views_in(login)
    try:
        async with connections.transaction(permit, statements.login_key(login)) as transaction:
            rows = await transaction.fetch(_UNREAD, place, *pair(login), MARKER)
            if not rows:
                return
            views = [Table(schema=place, name=row["name"]) for row in rows if row["name"] is not None]
            [(present,)] = await transaction.fetch(_READ, place)
            drops = [statements.drop_view(view) for view in views]
            if present == len(views):
                drops.append(statements.drop_place(place))
            if drops:
                await transaction.commit(*drops)
    except (Blocked, DependedOn) as error:
        log.warning("views_left", login=login, source=connections.source.key, reason=error.what)
