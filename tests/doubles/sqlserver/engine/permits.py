"""GRANT, REVOKE and DENY, from their pages of the T-SQL reference.

Two of its rules are kept stricter than the reference states them, so that nobody relies on them: a REVOKE on the object leaves
what was given on its columns, and every grantor's permission stands for itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.doubles.sqlserver.engine.sources import lookup
from tests.doubles.sqlserver.model import rights
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.model.instance import DBO, Instance
from tests.doubles.sqlserver.model.rows import (
    DENY,
    EXCEPTION,
    GRANT,
    GRANT_OPTION,
    Database,
    Login,
    PermissionKey,
    Thing,
    Transaction,
    User,
)
from tests.doubles.sqlserver.sql.statements import Permit

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.session import Session

_ON_PRINCIPALS = ("IMPERSONATE", "CONTROL", "ALTER", "TAKE OWNERSHIP", "VIEW DEFINITION")
_ON_COLUMNS = ("SELECT", "UPDATE", "REFERENCES")


def permit(session: Session, transaction: Transaction, statement: Permit) -> None:
    if statement.kind in ("SERVER", "LOGIN"):
        _on_server(session, transaction, statement)
        return
    for permission, columns in statement.permissions:
        kind, major, minors, grantor = _target(session, statement, permission, columns)
        for name in statement.grantees:
            grantee = _grantee(session, name)
            for minor in minors:
                key = PermissionKey(kind, major, minor, grantee.id, permission, grantor)
                _apply(session.database, transaction, statement, key)
                if statement.verb == "REVOKE" and session.instance.babelfish:
                    _revoke_as_postgresql(session.database, transaction, key)


def _grantee(session: Session, name: str) -> User:
    found = session.database.user(name)
    if found is None or not rights.sees_user(session.database, session.user, found):
        raise SqlError(15151, "find", "user", name)
    if found.id in (DBO, session.user.id) or found.id in (3, 4):
        raise SqlError(4624)
    return found


def _target(session: Session, statement: Permit, permission: str, columns: tuple[str, ...]) -> tuple[str, int, list[int], int]:
    """The class, the id, the columns' ids (or 0) and the grantor."""
    database = session.database
    if statement.kind == "OBJECT":
        return _object_target(session, statement, permission, columns)
    if columns:
        raise SqlError(1020, "Sub-entity lists cannot be specified for entity-level permissions.")
    if statement.kind == "SCHEMA":
        schema = database.schema(statement.path[0])
        if schema is None or not rights.on_schema(database, session.user, schema.id, "CONTROL"):
            raise SqlError(15151, "find", "schema", statement.path[0])
        return "SCHEMA", schema.id, [0], _named_grantor(session, statement) or schema.owner
    if statement.kind == "DATABASE":
        named = statement.path[0] if statement.path else database.name
        if session.instance.database(named) is not database or not rights.is_owner(database, session.user):
            raise SqlError(15151, "find", "database", named) if statement.path else SqlError(4613)
        return "DATABASE", 0, [0], _named_grantor(session, statement) or DBO
    if statement.kind in ("USER", "ROLE"):
        return _principal_target(session, statement, permission)
    raise SqlError(4606, permission)


def _principal_target(session: Session, statement: Permit, permission: str) -> tuple[str, int, list[int], int]:
    found = session.database.user(statement.path[0])
    if (
        found is None
        or (found.kind == "R") != (statement.kind == "ROLE")
        or not rights.is_owner(session.database, session.user)
    ):
        raise SqlError(15151, "find", statement.kind.lower(), statement.path[0])
    if permission not in _ON_PRINCIPALS or (permission == "IMPERSONATE" and found.kind == "R"):
        raise SqlError(4606, permission)
    return "DATABASE_PRINCIPAL", found.id, [0], _named_grantor(session, statement) or DBO


def _object_target(
    session: Session, statement: Permit, permission: str, columns: tuple[str, ...]
) -> tuple[str, int, list[int], int]:
    database, path = session.database, statement.path
    thing = lookup(session, database, path[0] if len(path) > 1 else None, path[-1])
    if thing is None or not rights.may_grant(database, session.user, thing, permission):
        raise SqlError(15151, "find", "object", path[-1])
    if permission == "EXECUTE" or (columns and permission not in _ON_COLUMNS):
        raise SqlError(4606, permission)
    grantor = _named_grantor(session, statement) or _own_grantor(session, thing)
    minors = [_column(database, thing, name) for name in columns] or [0]
    return "OBJECT_OR_COLUMN", thing.id, minors, grantor


def _own_grantor(session: Session, thing: Thing) -> int:
    """The owner, where the session acts for it; else the session's user."""
    database, user = session.database, session.user
    owner = database.owner_of(thing)
    acts_for_owner = rights.is_owner(database, user) or owner in rights.roles_of(database, user)
    return owner if acts_for_owner else user.id


def _named_grantor(session: Session, statement: Permit) -> int | None:
    if statement.grantor is None:
        return None
    found = session.database.user(statement.grantor)
    if found is None:
        raise SqlError(15151, "find", "user", statement.grantor)
    if found.id not in rights.roles_of(session.database, session.user) and not rights.is_owner(session.database, session.user):
        raise SqlError(4613)
    return found.id


def _column(database: Database, thing: Thing, name: str) -> int:
    for number, column in enumerate(thing.columns, start=1):
        if database.same(column.name, name):
            return number
    raise SqlError(4615, f"Invalid column name '{name}'.")


def _apply(database: Database, transaction: Transaction, statement: Permit, key: PermissionKey) -> None:
    state = database.permissions.get(key)
    match statement.verb:
        case "GRANT":
            transaction.put(database.permissions, key, GRANT_OPTION if statement.option or state == GRANT_OPTION else GRANT)
        case "DENY":
            _check_cascade(statement, state)
            transaction.put(database.permissions, key, DENY)
        case _:
            _check_cascade(statement, state)
            if statement.cascade:
                _take_further(database, transaction, key)
            _revoke(database, transaction, key, keep=statement.option and state in (GRANT, GRANT_OPTION))


def _revoke(database: Database, transaction: Transaction, key: PermissionKey, *, keep: bool) -> None:
    """Of a column of an object that stays granted, it leaves an exception, which goes with the object's own grant."""
    whole = database.permissions.get(replace(key, minor=0))
    if key.minor and whole in (GRANT, GRANT_OPTION):
        transaction.put(database.permissions, key, EXCEPTION)
        return
    transaction.put(database.permissions, key, GRANT if keep else None)
    for other in [
        other for other, state in database.permissions.items() if state == EXCEPTION and replace(other, minor=0) == key
    ]:
        transaction.put(database.permissions, other, None)


def _revoke_as_postgresql(database: Database, transaction: Transaction, key: PermissionKey) -> None:
    """Beneath Babelfish a table's REVOKE takes its columns' grants, and a column's leaves no exception ("REVOKE", Notes)."""
    for other, state in list(database.permissions.items()):
        if state == EXCEPTION or (key.minor == 0 and replace(other, minor=0) == key and state != DENY):
            transaction.put(database.permissions, other, None)


def _check_cascade(statement: Permit, state: str | None) -> None:
    if state == GRANT_OPTION and not statement.cascade:
        raise SqlError(4611)


def _take_further(database: Database, transaction: Transaction, key: PermissionKey) -> None:
    """What the grantee gave to others."""
    further = [
        other
        for other in database.permissions
        if other.grantor == key.grantee and (other.kind, other.major, other.permission) == (key.kind, key.major, key.permission)
    ]
    for other in further:
        transaction.put(database.permissions, other, None)
        _take_further(database, transaction, other)


def _on_server(session: Session, transaction: Transaction, statement: Permit) -> None:
    """A REVOKE is of what its grantor gave: the session's login, or the one that AS names."""
    instance = session.instance
    if session.database.name != "master":
        raise SqlError(4621, "Permissions at the server scope can only be granted when the current database is master.")
    if not session.may("CONTROL SERVER"):
        raise SqlError(4613)
    kind, major = "SERVER", 0
    if statement.kind == "LOGIN":
        kind, major = "SERVER_PRINCIPAL", _login(instance, statement.path[0]).id
    grantor = _login(instance, statement.grantor) if statement.grantor else session.client.login
    for name in statement.grantees:
        grantee = _login(instance, name)
        for permission, _ in statement.permissions:
            key = (kind, major, grantee.id, permission)
            before, by = instance.permissions.get(key, (None, grantor.id))
            state: str | None = GRANT_OPTION if statement.option else GRANT
            if statement.verb == "DENY":
                state = DENY
            elif statement.verb == "REVOKE":
                if by != grantor.id:
                    continue
                _check_cascade(statement, before)
                state = GRANT if statement.option and before else None
            transaction.put(instance.permissions, key, (state, grantor.id) if state else None)


def _login(instance: Instance, name: str) -> Login:
    found = instance.login(name)
    if found is None:
        raise SqlError(15151, "find", "login", name)
    return found
