"""The functions of T-SQL that the double knows: "Functions" of the T-SQL reference, its security and metadata functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.doubles.sqlserver.model import rights
from tests.doubles.sqlserver.model.instance import SYSADMIN
from tests.doubles.sqlserver.model.rows import Thing
from tests.doubles.sqlserver.sql.types import INT, SMALLINT, SYSNAME, VARBINARY, Type, Value

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.session import Session

Function = Callable[..., Value]
FUNCTIONS: dict[str, tuple[Function, Type]] = {}


def function(kind: Type, name: str | None = None) -> Callable[[Function], Function]:
    """Registers a function of this type under its own name."""

    def register(body: Function) -> Function:
        FUNCTIONS[name or body.__name__.upper()] = body, kind
        return body

    return register


@function(INT)
def suser_id(session: Session, name: str | None = None) -> Value:
    login = session.client.login if name is None else session.instance.login(name)
    return login.id if login and rights.sees_login(session.instance, session.client, login) else None


@function(VARBINARY)
def suser_sid(session: Session, name: str | None = None) -> Value:
    login = session.client.login if name is None else session.instance.login(name)
    return login.sid if login and rights.sees_login(session.instance, session.client, login) else None


@function(SYSNAME)
def suser_sname(session: Session, sid: bytes | None = None) -> Value:
    login = session.client.login if sid is None else session.instance.login_of(sid)
    return login.name if login else None


@function(SYSNAME)
def suser_name(session: Session, number: int | None = None) -> Value:
    login = session.client.login if number is None else session.instance.logins.get(number)
    return login.name if login else None


@function(SYSNAME)
def original_login(session: Session) -> Value:
    return session.client.login.name


@function(SYSNAME)
def system_user(session: Session) -> Value:
    return session.client.login.name


@function(INT)
def is_srvrolemember(session: Session, role: str, name: str | None = None) -> Value:
    found, login = session.instance.login(role), session.instance.login(name) if name else session.client.login
    if found is None or login is None or found.kind != "R":
        return None
    if session.instance.is_sysadmin(login) and found.id == SYSADMIN:
        return 1
    return int(role.casefold() == "public" or (found.id, login.id) in session.instance.role_members)


@function(INT)
def is_member(session: Session, role: str) -> Value:
    found = session.database.user(role)
    if found is None:
        return None
    me = session.user_in(session.database)
    return int(
        found.id in rights.roles_of(session.database, me) or (rights.is_owner(session.database, me) and role == "db_owner")
    )


@function(INT)
def is_rolemember(session: Session, role: str, name: str | None = None) -> Value:
    found, user = session.database.user(role), session.database.user(name) if name else session.user_in(session.database)
    return int(found.id in rights.roles_of(session.database, user)) if found and user else None


@function(INT)
def database_principal_id(session: Session, name: str | None = None) -> Value:
    me = session.user_in(session.database)
    user = me if name is None else session.database.user(name)
    return user.id if user and rights.sees_user(session.database, me, user) else None


@function(SYSNAME)
def user_name(session: Session, number: int | None = None) -> Value:
    me = session.user_in(session.database)
    user = me if number is None else session.database.users.get(number)
    return user.name if user and rights.sees_user(session.database, me, user) else None


FUNCTIONS["CURRENT_USER"] = FUNCTIONS["SESSION_USER"] = FUNCTIONS["USER"] = (user_name, SYSNAME)


@function(SYSNAME)
def db_name(session: Session, number: int | None = None) -> Value:
    if number is None:
        return session.database.name
    return next((found.name for found in session.instance.databases.values() if found.id == number), None)


@function(SMALLINT)
def db_id(session: Session, name: str | None = None) -> Value:
    found = session.database if name is None else session.instance.database(name)
    return found.id if found else None


@function(INT)
def has_dbaccess(session: Session, name: str) -> Value:
    found = session.instance.database(name)
    if found is None:
        return None
    online = found.state == "ONLINE"
    return int(online and rights.user_in(session.instance, session.client.login, found) is not None)


@function(INT)
def object_id(session: Session, name: str, kind: str | None = None) -> Value:
    thing = session.find(name)
    return thing.id if thing and (kind is None or thing.kind == kind.strip().upper()) else None


@function(SYSNAME)
def object_name(session: Session, number: int) -> Value:
    thing = _thing(session, number)
    return thing.name if thing else None


@function(SYSNAME)
def object_schema_name(session: Session, number: int) -> Value:
    thing = _thing(session, number)
    return session.database.schemas[thing.schema].name if thing else None


@function(SYSNAME)
def col_name(session: Session, number: int, column: int) -> Value:
    thing = _thing(session, number)
    return thing.columns[column - 1].name if thing and 0 < column <= len(thing.columns) else None


def _thing(session: Session, number: int) -> Thing | None:
    thing = session.database.things.get(number)
    return thing if thing and rights.sees_thing(session.database, session.user_in(session.database), thing) else None


@function(SYSNAME)
def schema_name(session: Session, number: int | None = None) -> Value:
    if number is None:
        return session.user_in(session.database).schema or "dbo"
    schema = session.database.schemas.get(number)
    return schema.name if schema else None


@function(INT)
def schema_id(session: Session, name: str | None = None) -> Value:
    schema = session.database.schema(name or "dbo")
    return schema.id if schema else None


@function(INT)
def has_perms_by_name(
    session: Session, securable: str | None, kind: str | None, permission: str, column: str | None = None, _: str | None = None
) -> Value:
    """1 or 0; NULL where the securable is not there, cannot be seen, or the words name no permission."""
    permission, login = permission.upper(), session.client.login
    match (kind or "").upper():
        case "":
            return int(rights.on_server(session.instance, login, permission))
        case "LOGIN":
            target = session.instance.login(session.single(securable))
            return int(rights.on_server(session.instance, login, "ALTER ANY LOGIN")) if target else None
        case "DATABASE":
            found = session.instance.database(session.single(securable)) if securable else session.database
            user = rights.user_in(session.instance, login, found) if found else None
            return int(user is not None and found is not None and rights.in_database(found, user, permission))
        case "OBJECT":
            return _on_object(session, session.find(securable or ""), permission, column)
        case "SCHEMA":
            schema = session.database.schema(session.single(securable))
            me = session.user_in(session.database)
            return int(rights.on_schema(session.database, me, schema.id, permission)) if schema else None
        case "USER" | "ROLE":
            other = session.database.user(session.single(securable))
            me = session.user_in(session.database)
            return int(rights.in_database(session.database, me, "ALTER ANY USER")) if other else None
    return None


def _on_object(session: Session, thing: Thing | None, permission: str, column: str | None) -> Value:
    if thing is None:
        return None
    me = session.user_in(session.database)
    if permission == "ANY":
        return 1
    if permission in ("CONTROL", "ALTER", "TAKE OWNERSHIP", "VIEW DEFINITION"):
        return int(rights.controls(session.database, me, thing))
    allowed = rights.columns_open(session.database, me, thing, permission)
    if column is None:
        return int(len(allowed) == len(thing.columns))
    numbers = [
        number
        for number, found in enumerate(thing.columns, start=1)
        if session.database.same(found.name, session.single(column))
    ]
    return int(numbers[0] in allowed) if numbers else None
