"""Who may do what: the server's and a database's permissions, as the engine decides them.

From "Permissions (Database Engine)" and "GRANT object permissions": DENY beats GRANT, except that a column's GRANT beats the
object's DENY; a wider permission, or the owner, covers a narrower one; sysadmin and dbo are asked for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.doubles.sqlserver.model.instance import (
    DB_ACCESSADMIN,
    DB_DATAREADER,
    DB_DATAWRITER,
    DB_DDLADMIN,
    DB_DENYDATAREADER,
    DB_OWNER,
    DB_SECURITYADMIN,
    DBO,
    GUEST,
    PROCESSADMIN,
    PUBLIC,
    Client,
    Instance,
)
from tests.doubles.sqlserver.model.rows import DENY, EXCEPTION, GRANT, GRANT_OPTION, Database, Login, Thing, User

OBJECT, SCHEMA, DATABASE = "OBJECT_OR_COLUMN", "SCHEMA", "DATABASE"
_COVERED_BY = {
    "ALTER ANY USER": ("ALTER", "CONTROL"),
    "VIEW DEFINITION": ("CONTROL",),
}
_ROLES = {
    "ALTER ANY USER": (DB_ACCESSADMIN,),
    "ALTER ANY ROLE": (DB_SECURITYADMIN,),
    "CREATE SCHEMA": (DB_ACCESSADMIN, DB_DDLADMIN),
    "ALTER ANY SCHEMA": (DB_DDLADMIN,),
    "CREATE VIEW": (DB_DDLADMIN,),
    "CREATE TABLE": (DB_DDLADMIN,),
    "VIEW DEFINITION": (DB_SECURITYADMIN,),
    "SELECT": (DB_DATAREADER,),
    "INSERT": (DB_DATAWRITER,),
    "UPDATE": (DB_DATAWRITER,),
    "DELETE": (DB_DATAWRITER,),
}


def on_server(instance: Instance, login: Login, permission: str) -> bool:
    if instance.is_sysadmin(login):
        return True
    if (PROCESSADMIN, login.id) in instance.role_members and permission in ("ALTER ANY CONNECTION", "VIEW SERVER STATE"):
        return True
    if permission == "VIEW ANY DATABASE":
        # The server's public has it from the start.
        return True
    names = {permission, "CONTROL SERVER"}
    if permission == "VIEW ANY DEFINITION":
        names.add("ALTER ANY LOGIN")
    held = {
        name: state
        for (kind, _, grantee, name), (state, _) in instance.permissions.items()
        if kind == "SERVER" and grantee == login.id
    }
    return held.get(permission) != DENY and any(held.get(name, DENY) != DENY for name in names)


def user_in(instance: Instance, login: Login, database: Database) -> User | None:
    """Whom the login is in the database; None: it has no access."""
    if instance.is_sysadmin(login) or login.sid == database.owner:
        return database.users[DBO]
    user = database.user_of(login.sid)
    if user is not None:
        connect = [
            state for key, state in database.permissions.items() if key.permission == "CONNECT" and key.grantee == user.id
        ]
        return user if connect and DENY not in connect else None
    return database.users.get(GUEST)


def roles_of(database: Database, user: User) -> set[int]:
    """The user, its roles and theirs, and public."""
    found, ahead = {PUBLIC}, [user.id]
    while ahead:
        member = ahead.pop()
        if member not in found or member == user.id:
            found.add(member)
            ahead += [role for role, of in database.members if of == member and role not in found]
    return found


def is_owner(database: Database, user: User) -> bool:
    return user.id == DBO or DB_OWNER in roles_of(database, user)


def in_database(database: Database, user: User, permission: str) -> bool:
    """A permission on the database as a whole."""
    if is_owner(database, user):
        return True
    who = roles_of(database, user)
    names = {permission, *_COVERED_BY.get(permission, ("CONTROL",))}
    states = [
        (key.permission, state)
        for key, state in database.permissions.items()
        if key.kind == DATABASE and key.grantee in who and key.permission in names
    ]
    if any(name == permission and state == DENY for name, state in states):
        return False
    return bool(who.intersection(_ROLES.get(permission, ()))) or any(state != DENY for _, state in states)


def on_schema(database: Database, user: User, schema: int, permission: str) -> bool:
    who = roles_of(database, user)
    if is_owner(database, user) or database.schemas[schema].owner in who:
        return True
    states = [
        state
        for key, state in database.permissions.items()
        if key.kind == SCHEMA and key.major == schema and key.grantee in who and key.permission in (permission, "CONTROL")
    ]
    if DENY in states:
        return False
    return bool(states) or in_database(database, user, permission)


def columns_open(database: Database, user: User, thing: Thing, permission: str) -> set[int]:
    """The ids (from 1) of the columns on which the user has the permission."""
    everything = set(range(1, len(thing.columns) + 1))
    who = roles_of(database, user)
    if user.id == DBO or database.owner_of(thing) in who:
        return everything
    states = list(_states(database, thing, permission, who))
    denied = {minor for minor, state in states if state == DENY}
    granted = {minor for minor, state in states if state in (GRANT, GRANT_OPTION)}
    excepted = {minor for minor, state in states if state == EXCEPTION}
    wide = DB_DENYDATAREADER not in who or permission != "SELECT"
    wider = wide and on_schema(database, user, thing.schema, permission)
    whole = everything if wider else everything - excepted if 0 in granted and wide else set()
    return ((whole if 0 not in denied else set()) | (granted - {0})) - denied


def _states(database: Database, thing: Thing, permission: str, who: set[int]) -> Iterator[tuple[int, str]]:
    for key, state in database.permissions.items():
        fits = key.permission == permission or (key.permission == "CONTROL" and state != DENY)
        if key.kind == OBJECT and key.major == thing.id and key.grantee in who and fits:
            yield key.minor, state


def on_thing(database: Database, user: User, thing: Thing, permission: str) -> bool:
    return len(columns_open(database, user, thing, permission)) == len(thing.columns)


def controls(database: Database, user: User, thing: Thing) -> bool:
    return on_schema(database, user, thing.schema, "CONTROL") or (
        GRANT in dict(_states(database, thing, "CONTROL", roles_of(database, user))).values()
    )


def may_grant(database: Database, user: User, thing: Thing, permission: str) -> bool:
    """By CONTROL, or by the grant option."""
    if controls(database, user, thing):
        return True
    return any(state == GRANT_OPTION for _, state in _states(database, thing, permission, roles_of(database, user)))


def sees_thing(database: Database, user: User, thing: Thing) -> bool:
    """Metadata visibility: any permission on the object shows it."""
    who = roles_of(database, user)
    if on_schema(database, user, thing.schema, "VIEW DEFINITION"):
        return True
    any_on_it = any(
        key.kind == OBJECT and key.major == thing.id and key.grantee in who and state != DENY
        for key, state in database.permissions.items()
    )
    return any_on_it or any(on_schema(database, user, thing.schema, name) for name in ("SELECT", "ALTER"))


def sees_user(database: Database, user: User, other: User) -> bool:
    """One's own, the fixed ones, and all with ALTER ANY USER or VIEW DEFINITION."""
    if other.fixed or other.id in roles_of(database, user) or other.id in (DBO, GUEST):
        return True
    return any(in_database(database, user, name) for name in ("ALTER ANY USER", "VIEW DEFINITION"))


def sees_login(instance: Instance, client: Client, login: Login) -> bool:
    if login.kind == "R" or login.id in (client.login.id, 1):
        return True
    return any(on_server(instance, client.login, name) for name in ("ALTER ANY LOGIN", "VIEW ANY DEFINITION"))
