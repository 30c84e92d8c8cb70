"""The statements that change access, as text for the server.

T-SQL binds no values in these, so names and literals are quoted here: always, and by the dialect's own rules. `_sql` is the
only place where a name becomes a part of a statement.

A password goes in clear text, inside TLS: Microsoft asks that HASHED be used to copy logins between servers only ("ALTER
LOGIN", Remarks), it passes the server's password policy by, and Babelfish refuses it. The server writes no text of a
CREATE or ALTER LOGIN with a password to its traces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256

from pydantic import SecretStr
from sqlalchemy import Unicode
from sqlalchemy.dialects.mssql.pyodbc import dialect as mssql

from dzgrant.engines.marker import Marker
from dzgrant.errors import Unsupported
from dzgrant.model import Table

# Nothing here goes through the driver's own formatting, so that no `%` may be doubled.
dialect = mssql(paramstyle="named")  # type: ignore[no-untyped-call]
_identifier = dialect.identifier_preparer.quote_identifier
# The dialect's own form, N'...': without the N the server makes quotes of what looks like one in the database's code page.
_literal: Callable[[str], str] = Unicode().dialect_impl(dialect).literal_processor(dialect)  # type: ignore[assignment]

_PERMISSION = re.compile(r"[A-Z][A-Z ]*", re.ASCII)
COMMIT = "COMMIT TRANSACTION"
ROLLBACK = "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"


@dataclass(frozen=True, slots=True)
class _Literal:
    text: str


_Part = str | Table | _Literal | bytes | int | list[str]


def _quoted(part: _Part) -> str:
    match part:
        case Table():
            return f"{_identifier(part.schema)}.{_identifier(part.name)}"
        case _Literal():
            return _literal(part.text)
        case bytes():
            return f"0x{part.hex().upper()}"
        case int():
            return str(part)
        case list():
            return ", ".join(map(_identifier, part))
        case _:
            return _identifier(part)


def _sql(words: str, **parts: _Part) -> str:
    """The words, with each `{part}` quoted: a string as an identifier, a table as two, a list as several."""
    return words.format_map({name: _quoted(part) for name, part in parts.items()})


def check_names(*names: str) -> None:
    """Raises `Unsupported` for a name that Babelfish can't parse: it does not know `]]`."""
    for name in names:
        if "]" in name:
            raise Unsupported(f"Babelfish can't parse the name {name!r}", do="rename it without a closing bracket")


def session_settings(lock_seconds: float) -> str:
    """What every statement relies on: an error rolls its transaction back, and no lock is waited for without end."""
    return _sql("SET NOCOUNT ON;\nSET XACT_ABORT ON;\nSET LOCK_TIMEOUT {ms}", ms=round(lock_seconds * 1000))


def begin(login: str, lock_seconds: float) -> str:
    """A transaction with the lock of this login; answers with what sp_getapplock returned.

    A lock of `dbo` is for dbo and the members of db_owner ("sp_getapplock"), so that no consumer can hold it.
    """
    words = (
        "BEGIN TRANSACTION;\nDECLARE @got int;\n"
        "EXEC @got = sys.sp_getapplock @Resource = {resource}, @LockMode = N'Exclusive', @LockOwner = N'Transaction',"
        " @LockTimeout = {ms}, @DbPrincipal = N'dbo';\nSELECT @got"
    )
    return _sql(words, resource=_Literal(f"dzgrant login {login}"), ms=round(lock_seconds * 1000))


def join_owners(admin: str) -> str:
    return _sql("ALTER ROLE db_owner ADD MEMBER {admin}", admin=admin)


def let_see_sessions(admin: str) -> str:
    return _sql("GRANT VIEW SERVER STATE TO {admin}", admin=admin)


def let_end_sessions(admin: str) -> str:
    return _sql("GRANT ALTER ANY CONNECTION TO {admin}", admin=admin)


def let_change_logins(admin: str) -> str:
    return _sql("GRANT ALTER ANY LOGIN TO {admin}", admin=admin)


def sid(login: str) -> bytes:
    """16 bytes: the same on every replica of an availability group, where users come with the database and logins don't."""
    return sha256(f"dzgrant login {login}".encode()).digest()[:16]


def create_login(login: str, password: SecretStr, database: str, *, babelfish: bool) -> str:
    words = "CREATE LOGIN {login} WITH PASSWORD = {password}, DEFAULT_DATABASE = {database}"
    if not babelfish:
        words += ", SID = {sid}, CHECK_POLICY = ON, CHECK_EXPIRATION = OFF"
    secret = _Literal(password.get_secret_value())
    return _sql(words, login=login, password=secret, database=database, sid=sid(login))


def set_password(login: str, password: SecretStr, *, babelfish: bool) -> str:
    words = "ALTER LOGIN {login} WITH PASSWORD = {password}" + ("" if babelfish else " UNLOCK")
    return _sql(words, login=login, password=_Literal(password.get_secret_value()))


def enable(login: str) -> str:
    return _sql("ALTER LOGIN {login} ENABLE", login=login)


def disable(login: str) -> str:
    return _sql("ALTER LOGIN {login} DISABLE", login=login)


def drop_login(login: str) -> str:
    return _sql("DROP LOGIN {login}", login=login)


def create_user(login: str) -> str:
    """It may connect from the start."""
    return _sql("CREATE USER {login} FOR LOGIN {login}", login=login)


def adopt_user(login: str) -> str:
    """Maps a user that was restored with its database to the login as it is now."""
    return _sql("ALTER USER {login} WITH LOGIN = {login}", login=login)


def drop_user(user: str) -> str:
    """Takes all away that it was given, too."""
    return _sql("DROP USER {user}", user=user)


def grant_connect(login: str) -> str:
    return _sql("GRANT CONNECT TO {login}", login=login)


def marker_name(login: str) -> str:
    """The marker is a property of the database: Babelfish has none of users, and a login's would go with its user."""
    return f"dzgrant {login}"


def mark(login: str, marker: Marker, *, anew: bool) -> str:
    words = "EXEC sys.sp_{verb}extendedproperty @name = {{name}}, @value = {{value}}".format(verb="add" if anew else "update")
    return _sql(words, name=_Literal(marker_name(login)), value=_Literal(str(marker)))


def unmark(login: str) -> str:
    return _sql("EXEC sys.sp_dropextendedproperty @name = {name}", name=_Literal(marker_name(login)))


def set_property(name: str, value: str) -> str:
    words = (
        "IF EXISTS (SELECT 1 FROM sys.extended_properties WHERE class = 0 AND name = {name})"
        " EXEC sys.sp_updateextendedproperty @name = {name}, @value = {value}"
        " ELSE EXEC sys.sp_addextendedproperty @name = {name}, @value = {value}"
    )
    return _sql(words, name=_Literal(name), value=_Literal(value))


def forget_property(name: str) -> str:
    words = (
        "IF EXISTS (SELECT 1 FROM sys.extended_properties WHERE class = 0 AND name = {name})"
        " EXEC sys.sp_dropextendedproperty @name = {name}"
    )
    return _sql(words, name=_Literal(name))


def grant_select(table: Table, login: str, columns: Collection[str] | None = None) -> str:
    which = " ({columns})" if columns else ""
    return _sql(f"GRANT SELECT ON OBJECT::{{table}}{which} TO {{login}}", table=table, login=login, columns=list(columns or ()))


def grantable(table: Table, admin: str) -> str:
    """What lets the admin give the table away."""
    return _sql("GRANT SELECT ON OBJECT::{table} TO {admin} WITH GRANT OPTION", table=table, admin=admin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a permission may be on, beside objects: a `SCHEMA`, `USER`, `ROLE`, `LOGIN`, ... of this name."""

    kind: str
    name: str


def revoke(
    permission: str,
    on: Table | Named | None,
    column: str | None,
    login: str,
    *,
    grantor: str | None,
    ever: bool,
    option: bool = False,
) -> str:
    """Of an object, one of its columns, something else, or the database (in master: the server).

    `ever`: from those it gave it to, as well; `option`: only that it may give it on.
    """
    if not _PERMISSION.fullmatch(permission):
        raise Unsupported(f"{login} holds a permission of an unknown form", do="revoke it, and report this line")
    name: Table | str = ""
    match on:
        case Table():
            place, name = " ON OBJECT::{on}" + (" ({column})" if column is not None else ""), on
        case Named():
            place, name = f" ON {on.kind}::{{on}}", on.name
        case _:
            place = ""
    what = ("GRANT OPTION FOR " if option else "") + permission
    words = f"REVOKE {what}{place} FROM {{login}}" + (" CASCADE" if ever else "") + (" AS {grantor}" if grantor else "")
    return _sql(words, on=name, column=column or "", login=login, grantor=grantor or "")


def leave_role(role: str, login: str, *, server: bool = False) -> str:
    return _sql(f"ALTER {'SERVER ' if server else ''}ROLE {{role}} DROP MEMBER {{login}}", role=role, login=login)


def create_schema(schema: str, owner: str) -> str:
    """Alone in its batch. With the owner of what its views read, ownership chaining lets them read it."""
    return _sql("CREATE SCHEMA {schema} AUTHORIZATION {owner}", schema=schema, owner=owner)


SCHEMA_MARKER = "dzgrant"


def mark_schema(schema: str, place: str) -> str:
    words = "EXEC sys.sp_addextendedproperty @name = {name}, @value = {value}, @level0type = N'SCHEMA', @level0name = {schema}"
    return _sql(words, name=_Literal(SCHEMA_MARKER), value=_Literal(place), schema=_Literal(schema))


def drop_schema(schema: str) -> str:
    """Fails for one that is not empty; there is no CASCADE."""
    return _sql("DROP SCHEMA {schema}", schema=schema)


def whole(select: str) -> str:
    """The SELECT of a view, so that a row is hidden before a reader's own condition meets it: a division by zero, say, would
    tell of it. A condition does not pass a TOP, and this one lets all rows through."""
    return "SELECT TOP (9223372036854775807)" + select.removeprefix("SELECT")


def set_view(view: Table, select: str) -> str:
    """Alone in its batch. Keeps what was granted on the view; `select` is SQL already."""
    return _sql("CREATE OR ALTER VIEW {view} AS\n", view=view) + whole(select)


def drop_view(view: Table) -> str:
    return _sql("DROP VIEW {view}", view=view)


def end_session(session: int, login: str) -> str:
    """Looks once more: the numbers of sessions are used again at once. KILL takes no variable."""
    words = (
        "IF EXISTS (SELECT 1 FROM sys.dm_exec_sessions WHERE session_id = {session}"
        " AND (login_name = {login} OR original_login_name = {login})) KILL {session}"
    )
    return _sql(words, session=session, login=_Literal(login))


def users_in(databases: Collection[str], user_sid: bytes) -> str:
    """The user of this SID in each of the databases: (database, user)."""
    words = "SELECT {literal}, name FROM {database}.sys.database_principals WHERE sid = {sid}"
    return "\nUNION ALL\n".join(_sql(words, literal=_Literal(name), database=name, sid=user_sid) for name in databases)


def read_nothing(table: Table, columns: Collection[str] | None) -> str:
    """Needs SELECT on every column that it names, and fetches no row."""
    words = "SELECT TOP (0) {columns} FROM {table}" if columns else "SELECT TOP (0) * FROM {table}"
    return _sql(words, table=table, columns=list(columns or ()))
