"""What stands behind FROM: a catalogue view, a table, a user's view, a query; and the permissions that reading it asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.doubles.sqlserver.engine.views import VIEWS
from tests.doubles.sqlserver.model import rights
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.model.rows import Database, Thing
from tests.doubles.sqlserver.sql.syntax import Path
from tests.doubles.sqlserver.sql.types import Type, Value

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.session import Session


@dataclass(slots=True, eq=False)
class Source:
    """One name in a FROM; its columns are `c0`, `c1`, ... in SQLite, which folds the case of names."""

    alias: str
    """In SQLite."""
    names: tuple[str, ...]
    """That a column may be qualified with: the alias, or the name and its schema."""
    columns: list[tuple[str, Type | None]]
    collation: str
    """`ci` or `cs`: how its texts compare."""
    fold_names: bool
    used: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Read:
    """A table or view that a query reads, and which of its columns."""

    database: Database
    thing: Thing
    source: Source
    chained: bool
    """Reached through a view of the same owner, so nobody is asked."""


@dataclass(frozen=True, slots=True)
class Content:
    """Rows to be put into SQLite."""

    columns: list[tuple[str, Type]]
    rows: list[tuple[Value, ...]]


def database_of(session: Session, path: Path) -> Database:
    """The database that a name of three parts names, or the current one. Raises 911, 916 or 942."""
    if len(path) < 3:
        return session.database
    return session.entered(path[-3])


def system_view(session: Session, path: Path) -> tuple[Content, Database] | None:
    """A catalogue view's content, or None where the path names none."""
    if len(path) < 2 or path[-2].lower() not in ("sys", "information_schema"):
        return None
    database = database_of(session, path)
    schema = "sys" if path[-2].lower() == "sys" else "INFORMATION_SCHEMA"
    found = VIEWS.get(f"{schema}.{path[-1].lower() if schema == 'sys' else path[-1].upper()}")
    if found is None or (database.sensitive and schema == "sys" and path[-1] != path[-1].lower()):
        raise SqlError(208, ".".join(path))
    return Content(list(found.columns), list(found.rows(session, database))), database


def thing_at(session: Session, path: Path) -> tuple[Database, Thing]:
    """Raises 208."""
    database = database_of(session, path)
    schema = path[-2] if len(path) > 1 and path[-2] else None
    thing = lookup(session, database, schema, path[-1])
    if thing is None:
        raise SqlError(208, ".".join(path))
    return database, thing


def lookup(session: Session, database: Database, schema: str | None, name: str) -> Thing | None:
    """Without a schema: the user's default schema, then dbo."""
    if schema is not None:
        return database.thing(schema, name)
    default = session.user_in(database).schema or "dbo"
    return database.thing(default, name) or database.thing("dbo", name)


def check(session: Session, reads: list[Read]) -> None:
    """Raises 229 where the object is closed to the session, 230 where one of the columns is."""
    for read in reads:
        if read.chained:
            continue
        user = session.user_in(read.database)
        session.settled(read.database, read.thing, user)
        allowed = rights.columns_open(read.database, user, read.thing, "SELECT")
        schema = read.database.schemas[read.thing.schema].name
        place = (read.thing.name, read.database.name, schema)
        if not allowed:
            raise SqlError(229, "SELECT", *place)
        for number in sorted(read.source.used):
            if number + 1 not in allowed:
                raise SqlError(230, "SELECT", read.thing.columns[number].name, *place)
