"""What the data dictionary says: of a login, of a table. The admin reads it by SELECT_CATALOG_ROLE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import NullType, TypeEngine

from dzgrant.engines.contract import Marked
from dzgrant.engines.filters import Columns
from dzgrant.engines.oracle.failures import gone
from dzgrant.engines.oracle.session import Session
from dzgrant.engines.oracle.statements import PROFILE, More, spelled
from dzgrant.model import Table, TablePath


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Held:
    """A privilege by which a table can be read: READ or SELECT."""

    table: Table
    privilege: str
    grantor: str
    grantable: bool = False

    @property
    def plain(self) -> bool:
        """As dzgrant gives it to a login."""
        return self.privilege == "READ" and not self.grantable

    def __str__(self) -> str:
        return f"{self.privilege}{' WITH GRANT OPTION' if self.grantable else ''} on the table {self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user as the dictionary has it, with what it was given itself."""

    marked: bool
    enabled: bool
    two_passwords: bool
    """A rollover is under way: the password before the newest opens still."""
    may_connect: bool
    held: tuple[Held, ...]
    """In order."""
    more: tuple[More, ...]
    """In order: what dzgrant gives to nobody, and lets no table be read as `held` does."""

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(sorted({one.table for one in self.held}))

    @property
    def beyond(self) -> tuple[str, ...]:
        """What else a login was given than it gets from dzgrant."""
        return tuple(sorted({*(str(one) for one in self.held if not one.plain), *map(str, self.more)}))


# A column's right is revoked with the table's.
_ACCOUNT = """
SELECT 'account', profile, account_status, NULL, NULL, NULL, NULL FROM dba_users WHERE username = :login
UNION ALL
SELECT 'system', privilege, admin_option, NULL, NULL, NULL, NULL FROM dba_sys_privs WHERE grantee = :login
UNION ALL
SELECT 'role', granted_role, NULL, NULL, NULL, NULL, NULL FROM dba_role_privs WHERE grantee = :login
UNION ALL
SELECT type, owner, table_name, privilege, grantor, grantable, NULL FROM dba_tab_privs WHERE grantee = :login
UNION ALL
SELECT 'TABLE', owner, table_name, privilege, grantor, grantable, column_name FROM dba_col_privs WHERE grantee = :login
"""
# READ on a directory is of files, SELECT on a sequence of numbers.
_UNREADABLE = frozenset({"DIRECTORY", "SEQUENCE"})


async def account(session: Session, login: str) -> Account | None:
    """None when there is no such user."""
    rows = await session.fetch(_ACCOUNT, login=spelled(login))
    users = [(profile, status) for kind, profile, status, *_ in rows if kind == "account"]
    if not users:
        return None
    [(profile, status)] = users
    given = [one for row in rows if (one := _given(row)) is not None]
    return Account(
        marked=profile == PROFILE,
        enabled="LOCKED" not in status,
        two_passwords="IN ROLLOVER" in status,
        may_connect=any((kind, privilege) == ("system", "CREATE SESSION") for kind, privilege, *_ in rows),
        held=tuple(sorted(one for one in given if isinstance(one, Held))),
        more=tuple(sorted((one for one in given if isinstance(one, More)), key=str)),
    )


def _given(row: tuple[Any, ...]) -> Held | More | None:
    """None for what is no privilege, and for CREATE SESSION as dzgrant gives it."""
    kind, first, second, privilege, grantor, grantable, column = row
    match kind:
        case "account":
            return None
        case "role":
            return More(kind=kind, right=first)
        case "system":
            option = second == "YES"
            return More(kind=kind, right=first, option=option) if option or first != "CREATE SESSION" else None
    table, option = Table(schema=first, name=second), grantable == "YES"
    if privilege in {"READ", "SELECT"} and kind not in _UNREADABLE:
        return Held(table=table, privilege=privilege, grantor=grantor, grantable=option)
    return More(kind=kind, right=privilege, on=table, column=column, grantor=grantor, option=option)


_MARKED = "SELECT username FROM dba_users WHERE profile = :profile"


async def marked(session: Session) -> tuple[Marked, ...]:
    """The users in the marker's profile, but for those that hold views. It does not say whose they are."""
    names = [str(name).lower() for (name,) in await session.fetch(_MARKED, profile=PROFILE)]
    return tuple(Marked(login=name, owner=None) for name in names if name.removesuffix("_views") == name)


_ROLLOVER = """
SELECT limit FROM dba_profiles WHERE profile = :profile AND resource_name = 'PASSWORD_ROLLOVER_TIME'
"""


async def rolls_over(session: Session) -> bool:
    """A password before the newest opens for a time, as the marker's profile says; older servers have no such limit."""
    return any(limit not in {"0", "DEFAULT"} for (limit,) in await session.fetch(_ROLLOVER, profile=PROFILE))


_THROUGH = """
SELECT grantee, privilege FROM (
  SELECT grantee, 'READ' AS privilege FROM dba_tab_privs
   WHERE owner = :owner AND table_name = :name AND privilege IN ('READ', 'SELECT')
  UNION ALL
  SELECT grantee, privilege FROM dba_sys_privs WHERE privilege IN ('READ ANY TABLE', 'SELECT ANY TABLE')
)
WHERE grantee IN (:login, 'PUBLIC') OR grantee IN (
  SELECT granted_role FROM dba_role_privs START WITH grantee IN (:login, 'PUBLIC') CONNECT BY PRIOR granted_role = grantee
)
"""


async def through(session: Session, login: str, table: Table) -> str | None:
    """By what else than its own READ the login can read the table: `PUBLIC`, `role ANALYSTS`."""
    who = spelled(login)
    rows = await session.fetch(_THROUGH, login=who, owner=table.schema, name=table.name)
    others = {_described(who, grantee, privilege) for grantee, privilege in rows if (grantee, privilege) != (who, "READ")}
    return ", ".join(sorted(others)) or None


def _described(login: str, grantee: str, privilege: str) -> str:
    whose = {login: "its own", "PUBLIC": "PUBLIC"}.get(grantee, f"role {grantee}")
    return whose if privilege == "READ" else f"{whose} {privilege}"


# A materialised view is a table of the same name, too; a partitioned table is one object of type TABLE.
_NAMED = """
SELECT DISTINCT owner, object_name FROM dba_objects
 WHERE UPPER(owner || '.' || object_name) = UPPER(:path)
   AND object_type IN ('TABLE', 'VIEW', 'MATERIALIZED VIEW') AND oracle_maintained = 'N'
"""


async def named(session: Session, path: TablePath) -> list[Table]:
    """The tables and views that the path may mean: their names differ from it in case only."""
    rows = await session.fetch(_NAMED, path=path.name)
    tables = (Table(schema=owner, name=name) for owner, name in rows)
    return sorted(table for table in tables if TablePath(name=str(table)).key == path.key)


_COLUMNS = "SELECT column_name, data_type FROM dba_tab_columns WHERE owner = :owner AND table_name = :name ORDER BY column_id"
_KINDS: dict[str, TypeEngine[Any]] = {
    "VARCHAR2": sa.VARCHAR(),
    "NVARCHAR2": sa.NVARCHAR(),
    "CHAR": sa.CHAR(),
    "NCHAR": sa.NCHAR(),
    **dict.fromkeys(("NUMBER", "FLOAT", "BINARY_FLOAT", "BINARY_DOUBLE"), sa.Numeric()),
    # Oracle's DATE has a time of day.
    "DATE": sa.DateTime(),
    "BOOLEAN": sa.Boolean(),
}


async def columns(session: Session, table: Table) -> Columns:
    """Raises `Refused` for a table without any: it is not there."""
    rows = await session.fetch(_COLUMNS, owner=table.schema, name=table.name)
    if not rows:
        raise gone(table)
    return {name: _kind(spelled_type) for name, spelled_type in rows}


def _kind(name: str) -> TypeEngine[Any]:
    """Of `VARCHAR2`, `TIMESTAMP(6) WITH TIME ZONE`; what can't be compared is `NullType`."""
    if name.startswith("TIMESTAMP"):
        return sa.DateTime(timezone=name.endswith("TIME ZONE"))
    return _KINDS.get(name, NullType())


_OWNED = """
SELECT DISTINCT object_type, object_name FROM dba_objects WHERE owner = :login AND subobject_name IS NULL ORDER BY 1, 2
"""


async def owned(session: Session, login: str) -> list[str]:
    """What the user owns: `TABLE DZ_0A.THEIRS`."""
    who = spelled(login)
    return [f"{kind} {who}.{name}" for kind, name in await session.fetch(_OWNED, login=who)]


# The text is a LONG, which only a plain query reads.
_VIEW = "SELECT text FROM dba_views WHERE owner = :owner AND view_name = :name"


async def view_text(session: Session, view: Table) -> str | None:
    """Its SELECT as it was written; None when there is no such view."""
    for (text,) in await session.fetch(_VIEW, owner=view.schema, name=view.name):
        return str(text)
    return None


_READERS = """
SELECT o.object_name, o.object_type,
  (SELECT COUNT(*) FROM dba_tab_privs p WHERE p.owner = o.owner AND p.table_name = o.object_name) AS readers
FROM dba_objects o WHERE o.owner = :place
"""


async def content(session: Session, place: str) -> dict[Table, bool]:
    """What is in a place of views, and whether it may go: a view that nobody was granted."""
    rows = await session.fetch(_READERS, place=place)
    return {Table(schema=place, name=name): kind == "VIEW" and not readers for name, kind, readers in rows}
