"""What a filter must know of a table, and of dzgrant's view over it: in one query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.types import TIMESTAMP, NullType, TypeEngine

from dzgrant.engines.contract import Readable
from dzgrant.engines.filters import Reading
from dzgrant.engines.postgresql import statements, views
from dzgrant.engines.postgresql.connections import Transaction
from dzgrant.errors import Misconfigured, Refused, Unsupported
from dzgrant.model import Table

# One row. A domain counts as the type that it stands on.
_SHAPE = """
SELECT current_user::text AS admin, current_database()::text AS database,
  array(SELECT ARRAY[a.attname::text, format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL)]
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
  array(SELECT a.attname::text FROM pg_attribute a, aclexplode(a.attacl) x
        WHERE a.attrelid = c.oid AND x.grantee = r.oid AND x.privilege_type = 'SELECT' ORDER BY a.attnum) AS given_columns,
  EXISTS (SELECT FROM aclexplode(c.relacl) x WHERE x.grantee = r.oid AND x.privilege_type = 'SELECT') AS given_whole,
  has_table_privilege(c.oid, 'SELECT') AS admin_reads,
  c.relrowsecurity OR coalesce(c.reloptions::text ~* 'security_invoker=(true|on|yes|1)', false) AS reader_counts,
  has_database_privilege(current_database(), 'CREATE') AS may_create,
  obj_description(p.oid, 'pg_namespace') AS place_comment, p.oid IS NOT NULL AS place_exists,
  has_schema_privilege(r.oid, p.oid, 'USAGE') AS uses_place,
  obj_description(v.oid, 'pg_class') AS view_comment, v.oid IS NOT NULL AS view_exists,
  array(SELECT l.rolname::text FROM aclexplode(v.relacl) x JOIN pg_roles l ON l.oid = x.grantee
        WHERE x.privilege_type = 'SELECT' AND l.rolname IN ($6, $7) ORDER BY 1) AS readers
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.rolname = $1
LEFT JOIN pg_namespace p ON p.nspname = $4 LEFT JOIN pg_class v ON v.relnamespace = p.oid AND v.relname = $5
WHERE n.nspname = $2::text AND c.relname = $3::text
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    login: str
    table: Table
    view: Table
    admin: str
    database: str
    columns: dict[str, TypeEngine[Any]]
    given_columns: frozenset[str]
    given_whole: bool
    admin_reads: bool
    reader_counts: bool
    """What it shows depends on who reads it: row security, or a view with its invoker's rights."""
    may_create: bool
    place_marked: bool
    place_exists: bool
    uses_place: bool
    view_exists: bool
    view_comment: str | None
    readers: tuple[str, ...]
    """Those of the principal's logins that may read the view."""

    def loses(self, part: Reading) -> frozenset[str]:
        """In whose sessions something may still be open that this part leaves out: only what could be read before can be.

        After a crash nothing may be left to change, and sessions be open still.
        """
        given = self.given_whole or self.given_columns or self.login in self.readers
        changes = part.by_rows and self.view_exists and self.view_comment != views.comment(part.select)
        others = self.readers if changes or self.login in self.readers else ()
        return frozenset({self.login} if given else ()) | frozenset(others)

    def readable(self, part: Reading) -> Readable:
        return Readable(table=self.view if part.by_rows else self.table, columns=part.columns)

    def shows(self, part: Reading) -> bool:
        """The login may read this part, and no more."""
        if not part.by_rows:
            return not self.given_whole and self.given_columns == set(part.columns or ()) and self.login not in self.readers
        # Row security may have come after the view: then the view shows too much.
        bare = not self.given_whole and not self.given_columns and not self.reader_counts
        return bare and self.uses_place and self.login in self.readers and self.view_comment == views.comment(part.select)

    def check_viewable(self) -> None:
        """Raises why dzgrant can't have a view over the table; its owner, the admin, is who reads through it."""
        if self.reader_counts:
            raise Unsupported(
                f"what {self.table} shows depends on who reads it (row security, or security_invoker): through a view it"
                " would be what the admin sees",
                do="filter its columns alone, or put the rows into the table's own policies",
            )
        if self.place_exists and not self.place_marked:
            raise Refused(f"a schema {self.view.schema} exists that dzgrant did not make", do="rename or drop it")
        if not self.admin_reads:
            cure = statements.grant_select(self.table, self.admin)
            raise Misconfigured(
                f"the admin login {self.admin} can't read {self.table} for a view", do=f"run as its owner: {cure}"
            )
        if not self.place_exists and not self.may_create:
            cure = statements.grant_create(self.database, self.admin)
            raise Misconfigured(
                f"the admin login {self.admin} can't make a schema for its views", do=f"run as its owner: {cure}"
            )


async def shape(transaction: Transaction, login: str, table: Table) -> Shape:
    """Of a table and a login that are there."""
    view = views.view_of(login, table)
    values = login, table.schema, table.name, view.schema, view.name, *views.pair(login)
    [row] = await transaction.fetch(_SHAPE, *values)
    return Shape(
        login=login,
        table=table,
        view=view,
        admin=row["admin"],
        database=row["database"],
        columns={name: _type(kind) for name, kind in row["columns"]},
        given_columns=frozenset(row["given_columns"]),
        given_whole=row["given_whole"],
        admin_reads=row["admin_reads"],
        reader_counts=row["reader_counts"],
        may_create=row["may_create"],
        place_marked=row["place_comment"] == views.MARKER,
        place_exists=row["place_exists"],
        uses_place=bool(row["uses_place"]),
        view_exists=row["view_exists"],
        view_comment=row["view_comment"],
        readers=tuple(row["readers"]),
    )


def _type(kind: str) -> TypeEngine[Any]:
    """By the server's name for it; `NullType` for what SQLAlchemy doesn't know."""
    known: type[TypeEngine[Any]] = statements.DIALECT.ischema_names.get(kind, NullType)
    return TIMESTAMP(timezone=True) if kind == "timestamp with time zone" else known()
