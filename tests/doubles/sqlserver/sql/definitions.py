"""The grammar of CREATE, ALTER and DROP, other than of who may what, and of INSERT, UPDATE, DELETE."""

from __future__ import annotations

from tests.doubles.sqlserver.sql import security
from tests.doubles.sqlserver.sql.cursor import Cursor
from tests.doubles.sqlserver.sql.queries import condition, expression, query
from tests.doubles.sqlserver.sql.statements import (
    AlterDatabase,
    CreateDatabase,
    CreatePartition,
    CreateSchema,
    CreateTable,
    CreateView,
    Delete,
    Drop,
    Insert,
    Statement,
    Update,
)
from tests.doubles.sqlserver.sql.syntax import Expression
from tests.doubles.sqlserver.sql.types import Type

_DATABASE_OPTIONS = (
    ("SET", "READ_ONLY"),
    ("SET", "READ_WRITE"),
    ("SET", "OFFLINE"),
    ("SET", "ONLINE"),
    ("SET", "SINGLE_USER"),
    ("SET", "MULTI_USER"),
)


def create(at: Cursor) -> Statement:
    """After CREATE."""
    or_alter = at.accept("OR", "ALTER")
    kinds = ("VIEW",) if or_alter else ("LOGIN", "USER", "ROLE", "SCHEMA", "VIEW", "TABLE", "DATABASE", "PARTITION")
    match at.one_of(*kinds):
        case "LOGIN":
            return security.login(at, "CREATE")
        case "USER":
            return security.user(at, "CREATE")
        case "ROLE":
            return security.role(at, "CREATE")
        case "SCHEMA":
            return _schema(at)
        case "VIEW":
            return _view(at, or_alter=or_alter)
        case "TABLE":
            return _table(at)
        case "DATABASE":
            return CreateDatabase(at.name(), at.name() if at.accept("COLLATE") else None)
        case _:
            return _partition(at)


def alter(at: Cursor) -> Statement:
    """After ALTER."""
    match at.one_of("LOGIN", "USER", "ROLE", "SERVER", "VIEW", "DATABASE", "AUTHORIZATION"):
        case "LOGIN":
            return security.login(at, "ALTER")
        case "USER":
            return security.user(at, "ALTER")
        case "ROLE":
            return security.role(at, "ALTER")
        case "SERVER":
            at.expect("ROLE")
            return security.role(at, "ALTER", server=True)
        case "VIEW":
            return _view(at, or_alter=False, alter=True)
        case "DATABASE":
            return _database(at)
        case _:
            return security.authorization(at)


def drop(at: Cursor) -> Drop:
    """After DROP."""
    kind = at.one_of("LOGIN", "USER", "ROLE", "SCHEMA", "VIEW", "TABLE", "DATABASE")
    # There is no DROP LOGIN IF EXISTS.
    if_exists = kind != "LOGIN" and at.accept("IF", "EXISTS")
    return Drop(kind, at.path(3 if kind == "TABLE" else 2 if kind == "VIEW" else 1), if_exists)


def _schema(at: Cursor) -> CreateSchema:
    if at.accept("AUTHORIZATION"):
        owner = at.name()
        return CreateSchema(owner, owner)
    name = at.name()
    return CreateSchema(name, at.name() if at.accept("AUTHORIZATION") else None)


def _view(at: Cursor, *, or_alter: bool, alter: bool = False) -> CreateView:
    path = at.path(2)
    columns = at.within(lambda: at.several(at.name)) if at.sees("(") else ()
    if at.accept("WITH"):
        at.one_of("SCHEMABINDING", "VIEW_METADATA")
    at.expect("AS")
    found = query(at)
    if at.accept("WITH"):
        at.expect("CHECK", "OPTION")
    return CreateView(path, columns, found, at.batch.strip(), or_alter, alter)


def _table(at: Cursor) -> CreateTable:
    path = at.path(3)
    columns = at.within(lambda: at.several(lambda: _column(at)))
    scheme = None
    if at.accept("ON"):
        scheme = at.name()
        at.within(at.name)
    return CreateTable(path, columns, scheme)


def _column(at: Cursor) -> tuple[str, Type, bool]:
    name, kind = at.name(), at.type()
    if at.accept("COLLATE"):
        at.name()
    nullable = True
    while at.sees("NOT") or at.sees("NULL") or at.sees("PRIMARY"):
        if at.accept("PRIMARY", "KEY") or at.accept("NOT", "NULL"):
            nullable = False
        else:
            at.expect("NULL")
    return name, kind, nullable


def _partition(at: Cursor) -> CreatePartition:
    kind = at.one_of("FUNCTION", "SCHEME")
    name = at.name()
    if kind == "FUNCTION":
        at.within(at.type)
        at.expect("AS", "RANGE")
        at.one_of("LEFT", "RIGHT")
        at.expect("FOR", "VALUES")
        at.within(lambda: at.several(lambda: expression(at)))
        return CreatePartition(kind, name)
    at.expect("AS", "PARTITION")
    at.name()
    at.expect("ALL", "TO")
    at.within(at.name)
    return CreatePartition(kind, name)


def _database(at: Cursor) -> AlterDatabase:
    name = at.name()
    for words in _DATABASE_OPTIONS:
        if at.accept(*words):
            return AlterDatabase(name, words[1], at.accept("WITH", "ROLLBACK", "IMMEDIATE"))
    raise at.wrong()


def insert(at: Cursor) -> Insert:
    """After INSERT."""
    at.accept("INTO")
    path = at.path(3)
    columns = at.within(lambda: at.several(at.name)) if at.sees("(") else ()
    if at.accept("VALUES"):
        return Insert(path, columns, at.several(lambda: at.within(lambda: at.several(lambda: expression(at)))), None)
    return Insert(path, columns, (), query(at))


def update(at: Cursor) -> Update:
    """After UPDATE."""
    path = at.path(3)
    at.expect("SET")
    changes = at.several(lambda: _change(at))
    return Update(path, changes, condition(at) if at.accept("WHERE") else None)


def _change(at: Cursor) -> tuple[str, Expression]:
    name = at.name()
    at.expect("=")
    return name, expression(at)


def delete(at: Cursor) -> Delete:
    """After DELETE."""
    at.accept("FROM")
    return Delete(at.path(3), condition(at) if at.accept("WHERE") else None)
