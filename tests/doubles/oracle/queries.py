"""Parses SELECT: subqueries, WITH, joins, set operators, FETCH FIRST, FOR UPDATE."""

from __future__ import annotations

from typing import Literal

from tests.doubles.oracle import expressions
from tests.doubles.oracle.cursor import Cursor
from tests.doubles.oracle.syntax import Combined, Condition, Expression, From, Item, Join, Named, Query, Ref, Select, Sort, Star

_AFTER_TABLE = ("LEFT", "RIGHT", "FULL", "INNER", "CROSS", "NATURAL", "JOIN", "OUTER", "OFFSET", "FETCH", "USING", "LIMIT")
"""Keywords that are not reserved, and so could be an alias, but follow a table."""


def query(at: Cursor) -> Query:
    named = expressions.listed(at, _common) if at.take("WITH") else ()
    body = _body(at)
    order: tuple[Sort, ...] = ()
    if at.take("ORDER"):
        at.need("BY", code=924)
        order = expressions.listed(at, expressions.sort)
    offset = 0
    if at.take("OFFSET"):
        offset = at.number(2017)
        if not at.one_of("ROW", "ROWS"):
            raise at.fault(905)
    limit = _fetch(at)
    locks = False
    if at.take("FOR"):
        at.need("UPDATE")
        locks = True
        at.one_of("NOWAIT")
    return Query(body, named, order, offset, limit, locks)


def enclosed(at: Cursor) -> Query:
    """A subquery whose opening parenthesis was read."""
    inner = query(at)
    at.need(")", code=907)
    return inner


def _common(at: Cursor) -> Named:
    name = at.name(903)
    columns: tuple[str, ...] = ()
    if at.take("("):
        columns = expressions.listed(at, lambda at: at.name(904))
        at.need(")", code=907)
    at.need("AS")
    at.need("(", code=906)
    return Named(name, columns, enclosed(at))


def _fetch(at: Cursor) -> int | None:
    if not at.take("FETCH"):
        return None
    if not at.one_of("FIRST", "NEXT"):
        raise at.fault(905)
    limit = at.number(905) if at.word.kind == "number" else 1
    if not at.one_of("ROW", "ROWS"):
        raise at.fault(905)
    at.need("ONLY")
    return limit


def _body(at: Cursor) -> Select | Combined:
    left = _part(at)
    while operator := at.one_of("UNION", "INTERSECT", "MINUS"):
        if operator == "UNION" and at.take("ALL"):
            operator = "UNION ALL"
        left = Combined(operator, left, _part(at))  # type: ignore[arg-type]  # one of the four
    return left


def _part(at: Cursor) -> Select | Combined:
    if at.take("("):
        inner = _body(at)
        at.need(")", code=907)
        return inner
    at.need("SELECT", code=928)
    distinct = at.one_of("DISTINCT", "UNIQUE", "ALL") in ("DISTINCT", "UNIQUE")
    items = expressions.listed(at, _item)
    at.need("FROM", code=923)
    sources = expressions.listed(at, _joined)
    where = expressions.condition(at) if at.take("WHERE") else None
    start = expressions.condition(at) if at.take("START", "WITH") else None
    connect: Condition | None = None
    if at.take("CONNECT", "BY"):
        at.take("NOCYCLE")
        connect = expressions.condition(at)
    elif start:
        raise at.fault(905)
    group: tuple[Expression, ...] = ()
    if at.take("GROUP"):
        at.need("BY")
        group = expressions.listed(at, expressions.expression)
    having = expressions.condition(at) if at.take("HAVING") else None
    return Select(items, distinct, sources, where, group, having, start, connect)


def _item(at: Cursor) -> Item:
    if at.take("*"):
        return Item(Star(None), "*", aliased=False)
    start = at.at
    if at.at_name:
        qualifier = at.next().text
        if at.take(".", "*"):
            return Item(Star(qualifier), "*", aliased=False)
        at.at = start
    value = expressions.expression(at)
    name = value.parts[-1] if isinstance(value, Ref) else "".join(word.raw for word in at.since(start)).upper()
    if at.take("AS"):
        return Item(value, at.name(923), aliased=True)
    if at.at_name:
        return Item(value, at.next().text, aliased=True)
    return Item(value, name, aliased=False)


def _joined(at: Cursor) -> From | Join:
    left: From | Join = _source(at)
    while True:
        how: Literal["JOIN", "LEFT JOIN", "CROSS JOIN"]
        if at.take("CROSS", "JOIN"):
            how = "CROSS JOIN"
        elif at.take("LEFT", "OUTER", "JOIN") or at.take("LEFT", "JOIN"):
            how = "LEFT JOIN"
        elif at.take("INNER", "JOIN") or at.take("JOIN"):
            how = "JOIN"
        else:
            return left
        right = _source(at)
        on: Condition | None = None
        if how != "CROSS JOIN":
            at.need("ON")
            on = expressions.condition(at)
        left = Join(left, right, how, on)


def _source(at: Cursor) -> From:
    offset = at.word.offset
    source: tuple[str, ...] | Query = enclosed(at) if at.take("(") else at.path(903)
    # There is no AS here in Oracle.
    alias = at.next().text if at.at_name and not (at.word.kind == "name" and at.word.text in _AFTER_TABLE) else None
    return From(source, alias, offset)
