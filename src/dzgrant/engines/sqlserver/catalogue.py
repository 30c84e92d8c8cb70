"""What the server's own catalogue says: one batch each, so that one round trip brings all that a decision needs.

A member of db_owner sees all of its database; ALTER ANY LOGIN shows the logins. Names are bound as values here. Babelfish
leaves sys.database_permissions empty, so that there dzgrant's own records stand for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from dzgrant.engines.contract import Marked
from dzgrant.engines.marker import Marker
from dzgrant.engines.sqlserver import babelfish as babelfish_records
from dzgrant.engines.sqlserver.session import Row
from dzgrant.engines.sqlserver.statements import SCHEMA_MARKER, marker_name, sid
from dzgrant.model import ALTERNATE, Table, TablePath

_PUBLIC = 0
# As `filters.view_name` makes them.
_VIEW_NAME = re.compile(r".*_[0-9a-f]{8}", re.DOTALL)
_GRANTED = "GW"


class Reader(Protocol):
    def fetch(self, batch: str, *values: str | int) -> list[list[Row]]: ...


# Tables whose path is as long as this one; which of them are the same in another case is not for a collation to say.
_TABLES = """
SELECT s.name, o.name FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0 AND LEN(s.name) + 1 + LEN(o.name) = LEN(?) ORDER BY s.name, o.name
"""

_EVERYTHING = """
SELECT s.name, o.name FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0 ORDER BY s.name, o.name
"""

_ACCOUNT = """
SELECT sid, is_disabled FROM sys.server_principals WHERE name = ?;
SELECT sid FROM sys.database_principals WHERE name = ?;
SELECT CAST(value AS nvarchar(4000)) FROM sys.extended_properties WHERE class = 0 AND name = ?
"""

# What there is on the table itself, on its schema, and on the database, whoever holds it.
_ACCESS = """
SELECT o.type, w.name FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
JOIN sys.database_principals AS w ON w.principal_id = COALESCE(o.principal_id, s.principal_id)
WHERE s.name = ? AND o.name = ? AND o.type IN ('U', 'V');
SELECT p.class, c.name, p.permission_name, p.state, p.grantee_principal_id, g.name
FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
JOIN sys.database_permissions AS p
  ON (p.class = 1 AND p.major_id = o.object_id) OR (p.class = 3 AND p.major_id = s.schema_id) OR p.class = 0
JOIN sys.database_principals AS g ON g.principal_id = p.grantee_principal_id
LEFT JOIN sys.columns AS c ON p.class = 1 AND c.object_id = p.major_id AND c.column_id = p.minor_id
WHERE s.name = ? AND o.name = ? AND p.permission_name IN ('SELECT', 'CONTROL', 'CONNECT');
SELECT m.member_principal_id, m.role_principal_id, r.name
FROM sys.database_role_members AS m JOIN sys.database_principals AS r ON r.principal_id = m.role_principal_id;
SELECT principal_id FROM sys.database_principals WHERE name = ?
"""

# Other properties than markers are of no form of theirs.
_MARKERS = """
SELECT name, CAST(value AS nvarchar(4000)) FROM sys.extended_properties WHERE class = 0
"""

_COLUMNS = """
SELECT c.name, t.name FROM sys.columns AS c JOIN sys.objects AS o ON o.object_id = c.object_id
JOIN sys.schemas AS s ON s.schema_id = o.schema_id
LEFT JOIN sys.types AS t ON t.user_type_id = c.system_type_id
WHERE s.name = ? AND o.name = ? ORDER BY c.column_id
"""

_OWNED = """
SELECT 'schema ' + s.name FROM sys.schemas AS s JOIN sys.database_principals AS u ON u.principal_id = s.principal_id
WHERE u.name = ?
UNION ALL
SELECT 'role ' + r.name FROM sys.database_principals AS r
JOIN sys.database_principals AS u ON u.principal_id = r.owning_principal_id WHERE u.name = ?
UNION ALL
SELECT 'object ' + o.name FROM sys.objects AS o JOIN sys.database_principals AS u ON u.principal_id = o.principal_id
WHERE u.name = ?
"""

_VIEWS = """
SELECT s.name, o.name, o.type, d.definition, g.name FROM sys.schemas AS s
JOIN sys.extended_properties AS e ON e.class = 3 AND e.major_id = s.schema_id
LEFT JOIN sys.objects AS o ON o.schema_id = s.schema_id
LEFT JOIN sys.sql_modules AS d ON d.object_id = o.object_id
LEFT JOIN sys.database_permissions AS p ON p.class = 1 AND p.major_id = o.object_id
LEFT JOIN sys.database_principals AS g ON g.principal_id = p.grantee_principal_id
WHERE e.name = ? AND CAST(e.value AS nvarchar(128)) = ? ORDER BY s.name, o.name;
SELECT name FROM sys.database_principals WHERE name IN (?, ?)
"""

SESSIONS = """
SELECT session_id, login_time FROM sys.dm_exec_sessions WHERE login_name = ? OR original_login_name = ?;
SELECT HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER STATE')
"""

DATABASES = """
SELECT name FROM sys.databases WHERE state = 0 AND is_read_only = 0 AND HAS_DBACCESS(name) = 1 AND name <> DB_NAME()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A login, its user in the source's database, and dzgrant's marker, as far as they are there."""

    sid: bytes | None
    """None: no login."""
    enabled: bool
    user: bytes | None
    """The SID of the user; None: no user."""
    marker: Marker | None
    own: bool
    """dzgrant made what is there: it is marked, and the login has the SID that dzgrant gives it."""

    @property
    def present(self) -> bool:
        return self.sid is not None or self.user is not None or self.marker is not None


def account(reader: Reader, login: str, *, babelfish: bool) -> Account:
    logins, users, markers = reader.fetch(_ACCOUNT, login, login, marker_name(login))
    found = bytes(logins[0][0]) if logins else None
    marker = Marker.read(markers[0][0]) if markers else None
    return Account(
        sid=found,
        enabled=bool(logins) and not logins[0][1],
        user=bytes(users[0][0] or b"") if users else None,
        marker=marker,
        own=marker is not None and (babelfish or found in {None, sid(login)}),
    )


def marked(reader: Reader) -> tuple[Marked, ...]:
    """The logins that have a marker in this database."""
    [rows] = reader.fetch(_MARKERS)
    found = ((name.removeprefix(marker_name("")), Marker.read(value)) for name, value in rows)
    return tuple(Marked(login=login, owner=marker.owner) for login, marker in found if marker)


def tables(reader: Reader, path: TablePath) -> list[Table]:
    """The tables and views that the path may mean: their names differ from it in case only; a partitioned table is one."""
    [rows] = reader.fetch(_TABLES, path.name)
    found = (Table(schema=schema, name=name) for schema, name in rows)
    return [table for table in found if TablePath(name=str(table)).key == path.key]


def everything(reader: Reader) -> list[Table]:
    """All tables and views of the database: where nothing says what a login was given."""
    [rows] = reader.fetch(_EVERYTHING)
    return [Table(schema=schema, name=name) for schema, name in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """A row of sys.database_permissions on the way to a table."""

    column: str | None
    level: str
    name: str
    state: str
    """G granted, W with grant option, D denied, R the column's exception from what the table's row grants."""
    grantee: int
    grantee_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A table, and who may read it by the catalogue."""

    owner: str
    user: int | None
    permissions: tuple[Permission, ...]
    roles: dict[int, str]
    """Those that the user is a member of, directly or not."""

    @property
    def selects(self) -> bool:
        """The login was given the table, if perhaps with exceptions."""
        return None in self._columns(_GRANTED)

    @property
    def excepted(self) -> frozenset[str | None]:
        """Columns that the grant of the table leaves out."""
        return self._columns("R")

    @property
    def columns(self) -> frozenset[str]:
        """The columns that the login was given."""
        return frozenset(column for column in self._columns(_GRANTED) if column is not None)

    @property
    def connects(self) -> bool:
        return any(one.name == "CONNECT" and one.grantee == self.user and one.state in _GRANTED for one in self.permissions)

    def _columns(self, states: str) -> frozenset[str | None]:
        return frozenset(
            one.column
            for one in self.permissions
            if one.level == "table" and one.name == "SELECT" and one.grantee == self.user and one.state in states
        )

    def through(self) -> str | None:
        """By what else the login can read the table: `PUBLIC`, `role analysts`, `its own SELECT on the schema`."""
        found = {self._by(one) for one in self.permissions if one.state in _GRANTED and one.name != "CONNECT"} - {None}
        found |= {f"role {name}" for name in self.roles.values() if name in {"db_datareader", "db_owner"}}
        return ", ".join(sorted(map(str, found))) or None

    def denials(self) -> list[str]:
        """What is denied to the login or to somebody whose permissions it shares, as a person would take it back."""
        return [
            f"{one.name} to {one.grantee_name} on the {one.level}" + (f"'s column {one.column}" if one.column else "")
            for one in self.permissions
            if one.state == "D" and one.name != "CONNECT" and (one.grantee == self.user or self._shared(one))
        ]

    def _by(self, one: Permission) -> str | None:
        if one.grantee == self.user:
            own = one.level == "table" and one.name == "SELECT"
            return None if own else f"its own {one.name} on the {one.level}"
        if not self._shared(one):
            return None
        return "PUBLIC" if one.grantee == _PUBLIC else f"role {one.grantee_name}"

    def _shared(self, one: Permission) -> bool:
        return one.grantee == _PUBLIC or one.grantee in self.roles


_LEVELS = {0: "database", 1: "table", 3: "schema"}


def access(reader: Reader, login: str, table: Table, *, babelfish: bool) -> Access | None:
    """None: there is no such table or view."""
    place = table.schema, table.name
    found, permissions, edges, users = reader.fetch(_ACCESS, *place, *place, login)
    if not found:
        return None
    user = int(users[0][0]) if users else None
    if babelfish:
        permissions = [(1, column, "SELECT", "G", user, login) for column in recorded(reader, login).get(table, ())]
    return Access(
        owner=found[0][1],
        user=user,
        permissions=tuple(
            Permission(level=_LEVELS[level], column=column, name=name, state=state, grantee=grantee, grantee_name=grantee_name)
            for level, column, name, state, grantee, grantee_name in permissions
        ),
        roles=_roles(edges, user),
    )


def _roles(edges: Iterable[Row], user: int | None) -> dict[int, str]:
    found: dict[int, str] = {}
    members: set[int | None] = {user}
    known = list(edges)
    while more := {role: name for member, role, name in known if member in members and role not in found}:
        found |= more
        members |= set(more)
    return found


def columns(reader: Reader, table: Table) -> list[tuple[str, str]]:
    """Each column and the name of its type, in the table's order."""
    [rows] = reader.fetch(_COLUMNS, table.schema, table.name)
    return [(name, kind or "") for name, kind in rows]


def recorded(reader: Reader, login: str) -> dict[Table, frozenset[str | None]]:
    """On Babelfish, what dzgrant granted: each table with its columns, None among them for the whole."""
    prefix = babelfish_records.prefix(login)
    [rows] = reader.fetch(babelfish_records.RECORDS, len(prefix), prefix)
    return dict(babelfish_records.read(value) for (value,) in rows)


def owned(reader: Reader, login: str) -> list[str]:
    """What the login's user owns in this database: `schema sales`."""
    [rows] = reader.fetch(_OWNED, login, login, login)
    return [str(name) for (name,) in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One in a schema that dzgrant made for a principal."""

    table: Table
    definition: str
    readers: frozenset[str]
    """Who was given it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    schemas: frozenset[str]
    """Those that dzgrant made for a principal."""
    views: tuple[View, ...]
    shared: frozenset[str]
    """Schemas that hold what is somebody else's, too."""

    def named(self, table: Table) -> View | None:
        return next((view for view in self.views if view.table == table), None)


def has_schema(reader: Reader, name: str) -> bool:
    [rows] = reader.fetch("SELECT schema_id FROM sys.schemas WHERE name = ?", name)
    return bool(rows)


def views(reader: Reader, place: str, *, babelfish: bool) -> Views:
    """`place`: `views_in` of the login. On Babelfish each login of the principal that is there passes for a reader."""
    first = place.removesuffix("_views")
    rows, users = reader.fetch(_VIEWS, SCHEMA_MARKER, place, first, first + ALTERNATE)
    everyone = frozenset(str(user) for (user,) in users) if babelfish else frozenset[str]()
    found: dict[Table, View] = {}
    for schema, name, kind, definition, grantee in rows:
        if _is_ours(name, kind):
            table = Table(schema=schema, name=name)
            readers = found[table].readers if table in found else everyone
            found[table] = View(
                table=table, definition=definition or "", readers=readers | ({grantee} if grantee else frozenset())
            )
    return Views(
        schemas=frozenset(schema for schema, *_ in rows),
        views=tuple(found.values()),
        shared=frozenset(schema for schema, name, kind, *_ in rows if name is not None and not _is_ours(name, kind)),
    )


def _is_ours(name: str | None, kind: str | None) -> bool:
    return name is not None and kind is not None and kind.strip() == "V" and _VIEW_NAME.fullmatch(name) is not None
