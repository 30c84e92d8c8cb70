"""INSERT, UPDATE, DELETE and LOCK TABLE, which a ROLLBACK undoes. Other sessions see changes before they are committed:
the double keeps one version of a row.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.doubles.oracle import queries
from tests.doubles.oracle.acting import Acting
from tests.doubles.oracle.cursor import Cursor
from tests.doubles.oracle.expressions import condition, expression, listed
from tests.doubles.oracle.functions import to_number
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.objects import need_quota
from tests.doubles.oracle.rights import holds, privileges_on, reads, sees
from tests.doubles.oracle.seam import Column, Result, Value
from tests.doubles.oracle.state import Thing
from tests.doubles.oracle.syntax import Condition, Expression, From, Item, Query, Select, Star
from tests.doubles.oracle.translation import stored

_LOCKS = ("ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE", "SHARE ROW EXCLUSIVE", "SHARE", "EXCLUSIVE")


def evaluate(acting: Acting, values: Sequence[Expression]) -> tuple[Value, ...]:
    """The values of expressions that name no column."""
    items = tuple(Item(value, str(place), aliased=True) for place, value in enumerate(values))
    query = Query(Select(items, False, (From(("DUAL",), None, 0),), None, (), None))
    return acting.reader.read(query).rows[0]


def insert(acting: Acting, at: Cursor) -> Result:
    at.need("INTO", code=925)
    path = at.path(903)
    names: tuple[str, ...] | None = None
    if at.take("("):
        names = listed(at, lambda at: at.name(904))
        at.need(")", code=907)
    values: tuple[Expression, ...] = ()
    query: Query | None = None
    if at.take("VALUES"):
        at.need("(", code=906)
        values = listed(at, expression)
        at.need(")", code=907)
    else:
        if not (at.sees("SELECT") or at.sees("WITH") or at.sees("(")):
            raise at.fault(926)
        query = queries.query(at)
    at.end()
    thing = _changeable(acting, path, "INSERT")
    rows = acting.reader.read(query).rows if query else [evaluate(acting, values)]
    need_quota(acting, thing)
    new = [_row(thing, names, row) for row in rows]
    _keep(acting, thing)
    thing.rows = thing.rows + new
    return Result(affected=len(new))


def delete(acting: Acting, at: Cursor) -> Result:
    at.take("FROM")
    path = at.path(903)
    where = condition(at) if at.take("WHERE") else None
    at.end()
    thing = _changeable(acting, path, "DELETE")
    going = {key for key, _ in _matching(acting, path, where, ())}
    left = [row for row in thing.rows if _key(row) not in going]
    _keep(acting, thing)
    affected, thing.rows = len(thing.rows) - len(left), left
    return Result(affected=affected)


def update(acting: Acting, at: Cursor) -> Result:
    path = at.path(903)
    at.need("SET", code=971)
    assignments = listed(at, _assignment)
    where = condition(at) if at.take("WHERE") else None
    at.end()
    thing = _changeable(acting, path, "UPDATE")
    places = [_place(thing, name) for name, _ in assignments]
    new = dict(_matching(acting, path, where, tuple(value for _, value in assignments)))
    _keep(acting, thing)
    rows = []
    for row in thing.rows:
        changed = list(row)
        for place, value in zip(places, new.get(_key(row), ()), strict=False):
            changed[place] = _fitted(thing.columns[place], value)
        rows.append(tuple(changed))
    affected, thing.rows = sum(_key(row) in new for row in thing.rows), rows
    return Result(affected=affected)


def lock_table(acting: Acting, at: Cursor) -> None:
    """Refused to one who may only READ: LOCK TABLE asks for SELECT, INSERT, UPDATE or DELETE."""
    at.need("TABLE")
    path = at.path(903)
    at.need("IN")
    if not any(at.take(*mode.split(), "MODE") for mode in _LOCKS):
        raise at.fault(905)
    at.take("NOWAIT")
    at.end()
    thing = acting.reader.thing(path)
    mine = privileges_on(acting.database, acting.who, thing) & {"SELECT", "INSERT", "UPDATE", "DELETE"}
    if not mine and not holds(acting.database, acting.who, "LOCK ANY TABLE"):
        raise Fault(1031)
    acting.lock(thing)


def _assignment(at: Cursor) -> tuple[str, Expression]:
    name = at.name(904)
    at.need("=", code=927)
    return name, expression(at)


def _matching(
    acting: Acting, path: tuple[str, ...], where: Condition | None, more: tuple[Expression, ...]
) -> list[tuple[tuple[object, ...], tuple[Value, ...]]]:
    """The rows that the condition holds for, each with the values of more expressions."""
    items = (
        Item(Star(None), "*", aliased=False),
        *(Item(value, f" {place}", aliased=True) for place, value in enumerate(more)),
    )
    query = Query(Select(items, False, (From(path, None, 0),), where, (), None))
    width = len(more)
    rows = acting.reader.read(query).rows
    return [(_key(row[: len(row) - width]), row[len(row) - width :]) for row in rows]


def _key(row: tuple[Value, ...]) -> tuple[object, ...]:
    return tuple(map(stored, row))


def _changeable(acting: Acting, path: tuple[str, ...], privilege: str) -> Thing:
    database = acting.database
    if database.read_only:
        raise Fault(16000)
    thing = database.find(path, acting.presence.schema)
    if thing is None or not sees(database, acting.who, thing):
        raise Fault(942)
    theirs = privilege in privileges_on(database, acting.who, thing) or holds(database, acting.who, f"{privilege} ANY TABLE")
    if not theirs or thing.of_dictionary or (privilege != "INSERT" and not reads(database, acting.who, thing)):
        raise Fault(1031)
    if thing.kind != "TABLE":
        raise Fault(3001)
    return thing


def _keep(acting: Acting, thing: Thing) -> None:
    """What there was comes back at ROLLBACK."""
    before = thing.rows

    def restore() -> None:
        thing.rows = before

    acting.presence.undo.append(restore)
    acting.lock(thing)


def _row(thing: Thing, names: tuple[str, ...] | None, values: Sequence[Value]) -> tuple[Value, ...]:
    places = range(len(thing.columns)) if names is None else [_place(thing, name) for name in names]
    if len(values) != len(places):
        raise Fault(913 if len(values) > len(places) else 947)
    given = dict(zip(places, values, strict=True))
    return tuple(_fitted(column, given.get(place)) for place, column in enumerate(thing.columns))


def _place(thing: Thing, name: str) -> int:
    for place, column in enumerate(thing.columns):
        if column.name == name:
            return place
    raise Fault(904, f'"{name}"')


def _fitted(column: Column, value: Value) -> Value:
    if value is None or value == "":
        return None
    if column.kind == "number" and isinstance(value, str):
        return to_number(value)
    if column.kind == "varchar2" and not isinstance(value, str):
        value = str(value)
    if isinstance(value, str) and column.kind == "varchar2" and len(value.encode()) > column.size:
        raise Fault(12899)
    if isinstance(value, str) and column.kind in ("date", "timestamp"):
        raise Fault(1861)
    return value
