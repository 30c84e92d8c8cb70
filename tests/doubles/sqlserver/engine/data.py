"""INSERT, UPDATE and DELETE."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.doubles.sqlserver.engine.sources import thing_at
from tests.doubles.sqlserver.engine.sqlite import cast, typed
from tests.doubles.sqlserver.model import rights
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.model.rows import Database, TableColumn, Thing, Transaction
from tests.doubles.sqlserver.sql import statements as s
from tests.doubles.sqlserver.sql.syntax import Case, Expression, Item, Literal, Named, Query, Rows, Select, Star
from tests.doubles.sqlserver.sql.types import Value

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.session import Session

Table = list[tuple[Value, ...]]


def query_of(session: Session, statement: s.Statement) -> Query | None:
    """The rows to insert; or, for each row of the table in order, whether it is meant and its new values."""
    match statement:
        case s.Insert(query=Query() as query):
            return query
        case s.Insert(rows=rows):
            names = tuple(f"c{place}" for place in range(len(rows[0])))
            return _query(Rows(rows, "v", names), (Star(()),))
        case s.Update(path, changes, where):
            meant: Expression = Case(((where, Literal(1)),), Literal(0)) if where else Literal(1)
            return _query(Named(path, None), (meant, *(value for _, value in changes)))
        case s.Delete(path, where):
            meant = Case(((where, Literal(1)),), Literal(0)) if where else Literal(1)
            return _query(Named(path, None), (meant,))
    return None


def _query(source: Named | Rows, values: tuple[Expression, ...]) -> Query:
    items = tuple(Item(value, None) for value in values)
    return Query((Select(items, False, None, (source,), None, (), None),), (), ())


def change(session: Session, transaction: Transaction, statement: s.Insert | s.Update | s.Delete, rows: Table) -> int:
    database, thing = thing_at(session, statement.path)
    if database.read_only:
        raise SqlError(3906, database.name)
    verb = type(statement).__name__.upper()
    if not rights.on_thing(database, session.user_in(database), thing, verb):
        raise SqlError(229, verb, thing.name, database.name, database.schemas[thing.schema].name)
    match statement:
        case s.Insert(columns=columns):
            new = [_inserted(database, thing, columns, row) for row in rows]
            after, touched = [*thing.rows, *new], len(new)
        case s.Update(changes=changes):
            places = [_place(database, thing, name) for name, _ in changes]
            pairs = list(zip(thing.rows, rows, strict=True))
            after = [_updated(thing, row, places, found[1:]) if found[0] else row for row, found in pairs]
            touched = sum(bool(found[0]) for found in rows)
        case _:
            after = [row for row, found in zip(thing.rows, rows, strict=True) if not found[0]]
            touched = len(thing.rows) - len(after)
    transaction.put(database.things, thing.id, replace(thing, rows=tuple(after)))
    return touched


def _place(database: Database, thing: Thing, name: str) -> int:
    for place, column in enumerate(thing.columns):
        if database.same(column.name, name):
            return place
    raise SqlError(207, name)


def _inserted(database: Database, thing: Thing, columns: tuple[str, ...], row: tuple[Value, ...]) -> tuple[Value, ...]:
    places = [_place(database, thing, name) for name in columns] or list(range(len(thing.columns)))
    if len(places) != len(row):
        raise SqlError(213)
    return _updated(thing, (None,) * len(thing.columns), places, row)


def _updated(thing: Thing, row: tuple[Value, ...], places: list[int], values: tuple[Value, ...]) -> tuple[Value, ...]:
    new = list(row)
    for place, value in zip(places, values, strict=True):
        new[place] = _stored(thing.columns[place], value)
    for column, value in zip(thing.columns, new, strict=True):
        if value is None and not column.nullable:
            raise SqlError(515, f"Cannot insert the value NULL into column '{column.name}', table '{thing.name}'.")
    return tuple(new)


def _stored(column: TableColumn, value: Value) -> Value:
    kind = column.type
    found = cast(value, kind.name, -1 if kind.length is None else kind.length, kind.scale)
    return typed(found, kind) if isinstance(found, int | float) else found
