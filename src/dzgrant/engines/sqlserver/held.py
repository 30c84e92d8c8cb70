"""What a login was given, in the source's database and on its server: of dzgrant, and by hand."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from dzgrant.engines.sqlserver import statements
from dzgrant.engines.sqlserver.catalogue import Reader, recorded
from dzgrant.engines.sqlserver.session import Row
from dzgrant.engines.sqlserver.statements import Named
from dzgrant.model import Table

# The login's user's permissions in this database, and its roles; the login's own on the server, and its roles there. That it
# may connect is no more than dzgrant gives. ALTER ANY LOGIN shows the server's permissions, and the members of its fixed roles.
_HELD = """
SELECT CASE p.class WHEN 0 THEN NULL WHEN 1 THEN 'OBJECT' WHEN 3 THEN 'SCHEMA'
    ELSE CASE w.type WHEN 'R' THEN 'ROLE' WHEN 'A' THEN 'APPLICATION ROLE' ELSE 'USER' END END,
  COALESCE(s.name, w.name), o.name, c.name, p.permission_name, p.state,
  CASE WHEN p.grantor_principal_id = COALESCE(o.principal_id, s.principal_id, 1) THEN NULL ELSE g.name END
FROM sys.database_permissions AS p
JOIN sys.database_principals AS u ON u.principal_id = p.grantee_principal_id
JOIN sys.database_principals AS g ON g.principal_id = p.grantor_principal_id
LEFT JOIN sys.objects AS o ON p.class = 1 AND o.object_id = p.major_id
LEFT JOIN sys.schemas AS s ON (p.class = 1 AND s.schema_id = o.schema_id) OR (p.class = 3 AND s.schema_id = p.major_id)
LEFT JOIN sys.columns AS c ON p.class = 1 AND c.object_id = p.major_id AND c.column_id = p.minor_id
LEFT JOIN sys.database_principals AS w ON p.class = 4 AND w.principal_id = p.major_id
WHERE u.name = ? AND (p.state = 'W' OR (p.state = 'G' AND p.permission_name <> 'CONNECT'))
  AND (p.class IN (0, 3, 4) OR o.object_id IS NOT NULL)
ORDER BY p.class, s.name, o.name, c.name, p.permission_name;
SELECT r.name FROM sys.database_role_members AS m
JOIN sys.database_principals AS r ON r.principal_id = m.role_principal_id
JOIN sys.database_principals AS u ON u.principal_id = m.member_principal_id WHERE u.name = ? ORDER BY r.name;
SELECT CASE WHEN p.class = 100 THEN NULL WHEN w.type = 'R' THEN 'SERVER ROLE' ELSE 'LOGIN' END, w.name, NULL, NULL,
  p.permission_name, p.state, CASE WHEN g.name = SUSER_SNAME() THEN NULL ELSE g.name END
FROM sys.server_permissions AS p
JOIN sys.server_principals AS u ON u.principal_id = p.grantee_principal_id
JOIN sys.server_principals AS g ON g.principal_id = p.grantor_principal_id
LEFT JOIN sys.server_principals AS w ON p.class = 101 AND w.principal_id = p.major_id
WHERE u.name = ? AND (p.state = 'W' OR (p.state = 'G' AND p.permission_name <> 'CONNECT SQL')) AND p.class IN (100, 101)
ORDER BY p.class, w.name, p.permission_name;
SELECT r.name FROM sys.server_role_members AS m
JOIN sys.server_principals AS r ON r.principal_id = m.role_principal_id
JOIN sys.server_principals AS u ON u.principal_id = m.member_principal_id WHERE u.name = ? ORDER BY r.name
"""
_ROLES_OF_BABELFISH = """
SELECT r.name FROM sys.database_role_members AS m
JOIN sys.database_principals AS r ON r.principal_id = m.role_principal_id
JOIN sys.database_principals AS u ON u.principal_id = m.member_principal_id WHERE u.name = ? ORDER BY r.name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One permission that the login, or its user, was given."""

    on: Table | Named | None
    """An object, something else, or (None) the database or the server."""
    column: str | None
    permission: str
    grantable: bool
    grantor: str | None
    """Who gave it, where REVOKE would not mean them by itself."""

    @property
    def usual(self) -> bool:
        """dzgrant gives the like, if not to give on."""
        return self.permission == "SELECT" if isinstance(self.on, Table) else self.permission in {"CONNECT", "CONNECT SQL"}

    def revoke(self, login: str, *, kept: bool) -> str | None:
        """`kept`: of what is usual the right to give it on goes, at most."""
        option = kept and self.usual
        if option and not self.grantable:
            return None
        return statements.revoke(
            self.permission, self.on, self.column, login, grantor=self.grantor, ever=self.grantable, option=option
        )

    def __str__(self) -> str:
        words = f"GRANT OPTION FOR {self.permission}" if self.usual else self.permission
        return words + (f" ({self.column})" if self.column is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    here: tuple[Held, ...]
    roles: tuple[str, ...]
    on_server: tuple[Held, ...] = ()
    server_roles: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[Table, ...]:
        """Those that it was given SELECT on, wholly or on some columns."""
        return tuple(sorted({one.on for one in self.here if isinstance(one.on, Table) and one.permission == "SELECT"}))

    @property
    def beyond(self) -> tuple[str, ...]:
        """What dzgrant gives to nobody, for a person."""
        return tuple(sorted({*self._beyond()}))

    def _beyond(self) -> Iterator[str]:
        for whole, held in (("database", self.here), ("server", self.on_server)):
            for one in held:
                if one.grantable or not one.usual:
                    yield f"{one} on the {_thing(one.on) or whole}"
        yield from (f"the role {role}" for role in self.roles)
        yield from (f"the server role {role}" for role in self.server_roles)

    def revocations(self, login: str, stays: Collection[Table]) -> Iterator[str]:
        """In the database. A column's that is revoked before the table's would become an exception from it."""
        for role in self.roles:
            yield statements.leave_role(role, login)
        for one in sorted(self.here, key=lambda one: one.column is not None):
            statement = one.revoke(login, kept=one.on in stays if isinstance(one.on, Table) else True)
            if statement:
                yield statement

    def revocations_on_server(self, login: str) -> Iterator[str]:
        """For the database master."""
        for role in self.server_roles:
            yield statements.leave_role(role, login, server=True)
        for one in self.on_server:
            statement = one.revoke(login, kept=True)
            if statement:
                yield statement


def _thing(on: Table | Named | None) -> str | None:
    match on:
        case Table():
            return f"object {on}"
        case Named():
            return f"{on.kind.lower()} {on.name}"
    return None


def holdings(reader: Reader, login: str, *, babelfish: bool) -> Holdings:
    """Of Babelfish dzgrant's own records, which are of SELECT alone, and the roles of the database."""
    if babelfish:
        [roles] = reader.fetch(_ROLES_OF_BABELFISH, login)
        here = tuple(
            Held(on=table, column=column, permission="SELECT", grantable=False, grantor=None)
            for table, columns in recorded(reader, login).items()
            for column in columns
        )
        return Holdings(here=here, roles=_names(roles))
    here_rows, roles, server_rows, server_roles = reader.fetch(_HELD, login, login, login, login)
    return Holdings(
        here=tuple(map(_held, here_rows)),
        roles=_names(roles),
        on_server=tuple(map(_held, server_rows)),
        server_roles=_names(server_roles),
    )


def _names(rows: Collection[Row]) -> tuple[str, ...]:
    return tuple(name for (name,) in rows)


def _held(row: Row) -> Held:
    kind, place, name, column, permission, state, grantor = row
    match kind:
        case None:
            on: Table | Named | None = None
        case "OBJECT":
            on = Table(schema=place, name=name)
        case _:
            on = Named(kind=kind, name=place)
    return Held(on=on, column=column, permission=permission, grantable=state == "W", grantor=grantor)
