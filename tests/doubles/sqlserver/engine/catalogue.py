"""The catalogue views of one database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.doubles.sqlserver.engine.views import CODE, DESCRIPTION, PRINCIPAL, STATES, Rows, view
from tests.doubles.sqlserver.model import rights
from tests.doubles.sqlserver.model.rows import Database, Thing
from tests.doubles.sqlserver.sql.types import BIT, DATETIME2, INT, NVARCHAR, NVARCHAR_MAX, SMALLINT, SYSNAME, TINYINT, Type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.doubles.sqlserver.engine.session import Session

TYPE_IDS = {
    "tinyint": 48, "smallint": 52, "int": 56, "bigint": 127, "bit": 104, "float": 62, "decimal": 106, "date": 40,
    "datetime2": 42, "nvarchar": 231, "varchar": 167, "nchar": 239, "char": 175, "varbinary": 165, "binary": 173,
    "sql_variant": 98, "sysname": 256,
}  # fmt: skip
_SIZES = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8, "bit": 1, "float": 8, "decimal": 9, "date": 3, "datetime2": 8}
_CODES = {
    "SELECT": "SL", "INSERT": "IN", "UPDATE": "UP", "DELETE": "DL", "REFERENCES": "RF", "EXECUTE": "EX", "CONTROL": "CL",
    "ALTER": "AL", "CONNECT": "CO", "VIEW DEFINITION": "VW", "ALTER ANY USER": "ALUS", "CREATE SCHEMA": "CRSM",
    "CREATE VIEW": "CRVW", "CREATE TABLE": "CRTB", "IMPERSONATE": "IM", "TAKE OWNERSHIP": "TO",
}  # fmt: skip
CLASSES = {"DATABASE": 0, "OBJECT_OR_COLUMN": 1, "SCHEMA": 3, "DATABASE_PRINCIPAL": 4}
_KINDS = {"U": "USER_TABLE", "V": "VIEW"}


@view(
    "database_principals",
    **PRINCIPAL,
    default_schema_name=SYSNAME,
    create_date=DATETIME2,
    modify_date=DATETIME2,
    owning_principal_id=INT,
    is_fixed_role=BIT,
    authentication_type=INT,
    authentication_type_desc=DESCRIPTION,
)
def database_principals(session: Session, database: Database) -> Rows:
    me = session.user_in(database)
    for user in database.users.values():
        if rights.sees_user(database, me, user):
            kind = "DATABASE_ROLE" if user.kind == "R" else "SQL_USER"
            authentication = (1, "INSTANCE") if user.sid else (0, "NONE")
            head = (user.name, user.id, user.sid, user.kind, kind, user.schema, user.created, user.created)
            yield (*head, user.owner if user.kind == "R" else None, user.fixed and user.id != 0, *authentication)


@view("database_role_members", role_principal_id=INT, member_principal_id=INT)
def database_role_members(session: Session, database: Database) -> Rows:
    me = session.user_in(database)
    for role, member in database.members:
        if rights.sees_user(database, me, database.users[member]):
            yield role, member


@view(
    "database_permissions",
    **{"class": TINYINT},
    class_desc=DESCRIPTION,
    major_id=INT,
    minor_id=INT,
    grantee_principal_id=INT,
    grantor_principal_id=INT,
    type=CODE,
    permission_name=Type("nvarchar", 128),
    state=CODE,
    state_desc=DESCRIPTION,
)
def database_permissions(session: Session, database: Database) -> Rows:
    me = session.user_in(database)
    if session.instance.babelfish:
        return
    for key, state in database.permissions.items():
        on_seen = key.kind == "OBJECT_OR_COLUMN" and rights.controls(database, me, database.things[key.major])
        if on_seen or rights.sees_user(database, me, database.users[key.grantee]):
            place = (CLASSES[key.kind], key.kind, key.major, key.minor, key.grantee, key.grantor)
            yield (*place, _CODES.get(key.permission, key.permission[:4]), key.permission, state, STATES[state])


@view("schemas", name=SYSNAME, schema_id=INT, principal_id=INT)
def schemas(session: Session, database: Database) -> Rows:
    for schema in database.schemas.values():
        yield schema.name, schema.id, schema.owner


_OBJECT = {
    "name": SYSNAME,
    "object_id": INT,
    "principal_id": INT,
    "schema_id": INT,
    "parent_object_id": INT,
    "type": CODE,
    "type_desc": DESCRIPTION,
    "create_date": DATETIME2,
    "modify_date": DATETIME2,
    "is_ms_shipped": BIT,
}


def _seen(session: Session, database: Database, kinds: str) -> Iterator[Thing]:
    me = session.user_in(database)
    for thing in database.things.values():
        if thing.kind in kinds and rights.sees_thing(database, me, thing):
            yield thing


def _objects(session: Session, database: Database, kinds: str) -> Rows:
    for thing in _seen(session, database, kinds):
        head = (thing.name, thing.id, None, thing.schema, 0, thing.kind, _KINDS[thing.kind])
        yield (*head, thing.created, thing.created, False)


@view("objects", **_OBJECT)
def objects(session: Session, database: Database) -> Rows:
    yield from _objects(session, database, "UV")


@view("all_objects", **_OBJECT)
def all_objects(session: Session, database: Database) -> Rows:
    yield from _objects(session, database, "UV")


@view("views", **_OBJECT)
def views(session: Session, database: Database) -> Rows:
    yield from _objects(session, database, "V")


@view("tables", **_OBJECT, is_external=BIT, temporal_type=TINYINT)
def tables(session: Session, database: Database) -> Rows:
    for row in _objects(session, database, "U"):
        yield (*row, False, 0)


_COLUMN = {
    "object_id": INT,
    "name": SYSNAME,
    "column_id": INT,
    "system_type_id": TINYINT,
    "user_type_id": INT,
    "max_length": SMALLINT,
    "precision": TINYINT,
    "scale": TINYINT,
    "collation_name": SYSNAME,
    "is_nullable": BIT,
    "is_identity": BIT,
    "is_computed": BIT,
}


@view("columns", **_COLUMN)
def columns(session: Session, database: Database) -> Rows:
    for thing in _seen(session, database, "UV"):
        for number, column in enumerate(thing.columns, start=1):
            kind = column.type
            textual = kind.name.endswith("char")
            yield (
                *(thing.id, column.name, number, TYPE_IDS[kind.name], TYPE_IDS[kind.name], _length(kind)),
                *(kind.precision if kind.name == "decimal" else 0, kind.scale, database.collation if textual else None),
                *(column.nullable, False, False),
            )


@view("all_columns", **_COLUMN)
def all_columns(session: Session, database: Database) -> Rows:
    yield from columns(session, database)


def _length(kind: Type) -> int:
    if kind.name in _SIZES:
        return _SIZES[kind.name]
    if kind.length is None:
        return -1
    return kind.length * (2 if kind.name in ("nvarchar", "nchar") else 1)


@view("types", name=SYSNAME, system_type_id=TINYINT, user_type_id=INT, schema_id=INT, max_length=SMALLINT, is_user_defined=BIT)
def types(session: Session, database: Database) -> Rows:
    for name, number in TYPE_IDS.items():
        yield name, 231 if name == "sysname" else number, number, 4, _SIZES.get(name, 8000), False


@view(
    "extended_properties",
    **{"class": TINYINT},
    class_desc=DESCRIPTION,
    major_id=INT,
    minor_id=INT,
    name=SYSNAME,
    value=NVARCHAR,
)
def extended_properties(session: Session, database: Database) -> Rows:
    me = session.user_in(database)
    names = {number: name for name, number in CLASSES.items()}
    for (kind, major, minor, name), value in database.properties.items():
        user = database.users.get(major) if kind == CLASSES["DATABASE_PRINCIPAL"] else None
        if user is None or rights.sees_user(database, me, user):
            yield kind, names[kind], major, minor, name, value


@view("sql_modules", object_id=INT, definition=NVARCHAR_MAX, execute_as_principal_id=INT)
def sql_modules(session: Session, database: Database) -> Rows:
    for thing in _seen(session, database, "V"):
        yield thing.id, thing.text, None


@view("partition_schemes", name=SYSNAME, data_space_id=INT)
def partition_schemes(session: Session, database: Database) -> Rows:
    for number, (kind, name) in enumerate(database.partitioning, start=65601):
        if kind == "SCHEME":
            yield name, number


@view("INFORMATION_SCHEMA.TABLES", TABLE_CATALOG=SYSNAME, TABLE_SCHEMA=SYSNAME, TABLE_NAME=SYSNAME, TABLE_TYPE=SYSNAME)
def information_tables(session: Session, database: Database) -> Rows:
    for thing in _seen(session, database, "UV"):
        kind = "VIEW" if thing.kind == "V" else "BASE TABLE"
        yield database.name, database.schemas[thing.schema].name, thing.name, kind
