"""Databases, schemas, tables and views: CREATE, ALTER and DROP of each, from their pages of the T-SQL reference."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.doubles.sqlserver.engine.query import shape
from tests.doubles.sqlserver.engine.sources import database_of
from tests.doubles.sqlserver.model import rights
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.model.instance import new_database, now
from tests.doubles.sqlserver.model.rows import Database, Schema, TableColumn, Thing, Transaction
from tests.doubles.sqlserver.sql import statements as s

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.session import Session


def change(session: Session, transaction: Transaction, statement: s.Statement) -> None:  # noqa: C901 - one arm each
    match statement:
        case s.CreateSchema():
            _create_schema(session, transaction, statement)
        case s.CreateView():
            _create_view(session, transaction, statement)
        case s.CreateTable():
            _create_table(session, transaction, statement)
        case s.CreatePartition(kind, name):
            transaction.put(session.database.partitioning, (kind, name), True)
        case s.CreateDatabase():
            _create_database(session, statement)
        case s.AlterDatabase():
            _alter_database(session, statement)
        case s.Authorize():
            _authorize(session, transaction, statement)
        case s.Drop("SCHEMA"):
            _drop_schema(session, transaction, statement)
        case s.Drop("DATABASE"):
            _drop_database(session, statement)
        case s.Drop():
            _drop_thing(session, transaction, statement)
        case _:
            raise SqlError(8180, f"The double does not run {type(statement).__name__}")


def _create_schema(session: Session, transaction: Transaction, statement: s.CreateSchema) -> None:
    database, me = session.database, session.user
    if not rights.in_database(database, me, "CREATE SCHEMA"):
        raise SqlError(262, "CREATE SCHEMA", database.name)
    owner = database.user(statement.owner) if statement.owner is not None else me
    if owner is None:
        raise SqlError(15151, "find", "user", statement.owner)
    if owner.id not in rights.roles_of(database, me) and not rights.is_owner(database, me):
        raise SqlError(15151, "find", "user", statement.owner)
    if database.schema(statement.name) is not None:
        raise SqlError(2759, "CREATE SCHEMA failed due to previous errors.", before=SqlError(2714, statement.name))
    number = next(session.instance.numbers)
    transaction.put(database.schemas, number, Schema(number, statement.name, owner.id))


def _writable_schema(session: Session, database: Database, path: tuple[str, ...], permission: str) -> Schema:
    """Raises 262 or 2760."""
    user = session.user_in(database)
    named = path[-2] if len(path) > 1 and path[-2] else user.schema or "dbo"
    schema = database.schema(named)
    owns = schema is not None and schema.owner in rights.roles_of(database, user)
    if not rights.in_database(database, user, permission):
        raise SqlError(262, permission, database.name)
    if schema is None or not (owns or rights.on_schema(database, user, schema.id, "ALTER")):
        raise SqlError(2760, named)
    return schema


def _create_view(session: Session, transaction: Transaction, statement: s.CreateView) -> None:
    database = session.database
    schema = _writable_schema(session, database, statement.path, "CREATE VIEW")
    before = database.thing(schema.name, statement.path[-1])
    if before is not None and (before.kind != "V" or not (statement.or_alter or statement.alter)):
        raise SqlError(2714, before.name)
    if before is None and statement.alter:
        raise SqlError(208, ".".join(statement.path))
    found = shape(session, statement.query)
    names = statement.columns or tuple(name for name, _ in found)
    for place, name in enumerate(names, start=1):
        if not name:
            raise SqlError(4511, f"Create View or Function failed because no column name was specified for column {place}.")
    if len({database.fold(name) for name in names}) < len(names):
        raise SqlError(4506, "Column names in each view or function must be unique.")
    view = Thing(
        id=before.id if before else next(session.instance.numbers),
        name=statement.path[-1],
        schema=schema.id,
        kind="V",
        columns=tuple(TableColumn(name, kind) for name, (_, kind) in zip(names, found, strict=True)),
        query=statement.query,
        text=statement.text,
        created=now(),
    )
    transaction.put(database.things, view.id, view)


def _create_table(session: Session, transaction: Transaction, statement: s.CreateTable) -> None:
    database = database_of(session, statement.path)
    schema = _writable_schema(session, database, statement.path, "CREATE TABLE")
    if database.thing(schema.name, statement.path[-1]) is not None:
        raise SqlError(2714, statement.path[-1])
    if statement.scheme is not None and ("SCHEME", statement.scheme) not in database.partitioning:
        raise SqlError(1921, f"Invalid partition scheme '{statement.scheme}' specified.")
    table = Thing(
        id=next(session.instance.numbers),
        name=statement.path[-1],
        schema=schema.id,
        kind="U",
        columns=tuple(TableColumn(*column) for column in statement.columns),
        scheme=statement.scheme,
        created=now(),
    )
    transaction.put(database.things, table.id, table)


def _drop_thing(session: Session, transaction: Transaction, statement: s.Drop) -> None:
    database, path = database_of(session, statement.path), statement.path
    schema = path[-2] if len(path) > 1 else session.user_in(database).schema or "dbo"
    thing = database.thing(schema, path[-1])
    if thing is None and statement.if_exists:
        return
    user = session.user_in(database)
    fits = thing is not None and thing.kind == {"TABLE": "U", "VIEW": "V"}[statement.kind]
    if thing is None or not fits or not rights.on_schema(database, user, thing.schema, "ALTER"):
        raise SqlError(3701, statement.kind.lower(), path[-1])
    for key in [key for key in database.permissions if key.kind == rights.OBJECT and key.major == thing.id]:
        transaction.put(database.permissions, key, None)
    for named in [named for named in database.properties if named[:2] == (1, thing.id)]:
        transaction.put(database.properties, named, None)
    transaction.put(database.things, thing.id, None)


def _drop_schema(session: Session, transaction: Transaction, statement: s.Drop) -> None:
    database = session.database
    schema = database.schema(statement.path[0])
    if schema is None and statement.if_exists:
        return
    if schema is None or schema.id <= 4 or not rights.on_schema(database, session.user, schema.id, "CONTROL"):
        raise SqlError(15151, "drop", "schema", statement.path[0])
    within = next((thing for thing in database.things.values() if thing.schema == schema.id), None)
    if within is not None:
        raise SqlError(3729, schema.name, within.name)
    for named in [named for named in database.properties if named[:2] == (3, schema.id)]:
        transaction.put(database.properties, named, None)
    transaction.put(database.schemas, schema.id, None)


def _create_database(session: Session, statement: s.CreateDatabase) -> None:
    instance = session.instance
    if not session.may("CREATE ANY DATABASE"):
        raise SqlError(262, "CREATE DATABASE", "master")
    if instance.database(statement.name) is not None:
        raise SqlError(1801, statement.name)
    collation = (statement.collation or "").upper()
    sensitive = "_CS" in collation or "_BIN" in collation
    number = max(database.id for database in instance.databases.values()) + 1
    made = new_database(number, statement.name, session.client.login.sid, sensitive=sensitive)
    instance.databases[statement.name.casefold()] = made


def _owned(session: Session, name: str) -> Database:
    database = session.instance.database(name)
    owner = database is not None and database.owner == session.client.login.sid
    if database is None or not (owner or session.may("ALTER ANY DATABASE")):
        raise SqlError(5011, f"User does not have permission to alter database '{name}', the database does not exist.")
    return database


def _alter_database(session: Session, statement: s.AlterDatabase) -> None:
    database = _owned(session, statement.name)
    if statement.immediate:
        _end_others(session, database)
    if statement.option in ("READ_ONLY", "READ_WRITE"):
        database.read_only = statement.option == "READ_ONLY"
    elif statement.option in ("ONLINE", "OFFLINE"):
        database.state = statement.option


def _end_others(session: Session, database: Database) -> None:
    """WITH ROLLBACK IMMEDIATE: gone when the statement is done."""
    for client in list(session.instance.clients.values()):
        if client.database is database and client is not session.client:
            client.end()
            del session.instance.clients[client.number]


def _drop_database(session: Session, statement: s.Drop) -> None:
    if session.instance.database(statement.path[0]) is None and statement.if_exists:
        return
    database = _owned(session, statement.path[0])
    if any(client.database is database for client in session.instance.clients.values()):
        raise SqlError(3702, f'Cannot drop database "{database.name}" because it is currently in use.')
    del session.instance.databases[database.name.casefold()]


def _authorize(session: Session, transaction: Transaction, statement: s.Authorize) -> None:
    if statement.kind == "DATABASE":
        database, login = _owned(session, statement.path[0]), session.instance.login(statement.owner)
        if login is None:
            raise SqlError(15151, "find", "principal", statement.owner)
        if database.user_of(login.sid) is not None and database.owner != login.sid:
            raise SqlError(15110, "The proposed new database owner is already a user or aliased in the database.")
        transaction.set(database, "owner", login.sid)
        transaction.put(database.users, 1, replace(database.users[1], sid=login.sid))
        return
    database, owner = session.database, session.database.user(statement.owner)
    schema = database.schema(statement.path[0]) if statement.kind == "SCHEMA" else None
    if owner is None or schema is None or not rights.on_schema(database, session.user, schema.id, "CONTROL"):
        raise SqlError(15151, "find", statement.kind.lower(), statement.path[-1])
    transaction.put(database.schemas, schema.id, replace(schema, owner=owner.id))
