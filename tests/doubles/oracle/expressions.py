"""Parses expressions and conditions, which Oracle keeps apart: `SELECT a = 1` is an error."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from tests.doubles.oracle import queries
from tests.doubles.oracle.cursor import Cursor
from tests.doubles.oracle.datatypes import data_type
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.syntax import (
    Between,
    Both,
    Call,
    Case,
    Cast,
    Compare,
    Condition,
    Constant,
    Exists,
    Expression,
    In,
    IsNull,
    Like,
    Not,
    Operation,
    Placeholder,
    Prior,
    Ref,
    RegexpLike,
    Row,
    Scalar,
    Sort,
)

_T = TypeVar("_T")
_COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "^=": "<>", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
_BARE = ("ROWNUM", "USER", "SYSDATE", "UID", "LEVEL")
"""Reserved words that are values."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?( ?[+-]\d\d:\d\d)?")


def condition(at: Cursor) -> Condition:
    left = _conjunction(at)
    while at.take("OR"):
        left = Both("OR", left, _conjunction(at))
    return left


def expression(at: Cursor) -> Expression:
    left = _term(at)
    while operator := at.one_of("+", "-", "||"):
        left = Operation(operator, left, _term(at))  # type: ignore[arg-type]  # one of the three
    return left


def listed(at: Cursor, one: Callable[[Cursor], _T]) -> tuple[_T, ...]:
    """One or more, with commas between."""
    found = [one(at)]
    while at.take(","):
        found.append(one(at))
    return tuple(found)


def sort(at: Cursor) -> Sort:
    by = expression(at)
    descending = at.one_of("ASC", "DESC") == "DESC"
    nulls: str | None = None
    if at.take("NULLS"):
        nulls = at.one_of("FIRST", "LAST")
        if nulls is None:
            raise at.fault(905)
    return Sort(by, descending, nulls)  # type: ignore[arg-type]  # one of the two


def _conjunction(at: Cursor) -> Condition:
    left = _negation(at)
    while at.take("AND"):
        left = Both("AND", left, _negation(at))
    return left


def _negation(at: Cursor) -> Condition:
    if at.take("NOT"):
        return Not(_negation(at))
    if at.take("EXISTS"):
        at.need("(", code=906)
        return Exists(queries.enclosed(at))
    if at.sees("("):
        start = at.at
        with suppress(Fault):
            return _comparison(at)
        at.at = start + 1
        inner = condition(at)
        at.need(")", code=907)
        return inner
    return _comparison(at)


def _comparison(at: Cursor) -> Condition:
    if at.take("REGEXP_LIKE", "("):
        return _regexp_like(at)
    left = expression(at)
    if operator := at.one_of(*_COMPARISONS):
        return Compare(_COMPARISONS[operator], left, expression(at))
    if at.take("IS"):
        negated = at.take("NOT")
        at.need("NULL", code=908)
        return IsNull(left, negated)
    negated = at.take("NOT")
    if at.take("IN"):
        return _membership(at, left, negated)
    if at.take("LIKE"):
        pattern = expression(at)
        return Like(left, pattern, expression(at) if at.take("ESCAPE") else None, negated)
    if at.take("BETWEEN"):
        low = expression(at)
        at.need("AND")
        return Between(left, low, expression(at), negated)
    raise at.fault(920)


def _regexp_like(at: Cursor) -> RegexpLike:
    """Without its third argument it would go by the collation, which is not modelled."""
    arguments = listed(at, expression)
    if len(arguments) != 3:
        raise at.fault(3001)
    at.need(")", code=907)
    return RegexpLike(*arguments)


def _membership(at: Cursor, left: Expression, negated: bool) -> Condition:
    at.need("(", code=906)
    if at.sees("SELECT") or at.sees("WITH"):
        return In(left, queries.enclosed(at), negated)
    items = listed(at, expression)
    at.need(")", code=907)
    return In(left, items, negated)


def _term(at: Cursor) -> Expression:
    left = _factor(at)
    while operator := at.one_of("*", "/"):
        left = Operation(operator, left, _factor(at))  # type: ignore[arg-type]  # one of the two
    return left


def _factor(at: Cursor) -> Expression:
    if at.take("-"):
        return Operation("-", Constant(0, "number"), _factor(at))
    at.take("+")
    word = at.word
    match word.kind:
        case "string":
            return Constant(at.next().text or None, "varchar2")
        case "number":
            at.next()
            return Constant(int(word.text) if word.text.isdigit() else Decimal(word.text), "number")
        case "bind":
            return Placeholder(at.next().text, at.placed(word))
        case "name" | "quoted":
            return _named(at)
        case "operator" if at.take("("):
            return _parenthesised(at)
        case _:
            raise at.fault(936)


def _parenthesised(at: Cursor) -> Expression:
    if at.sees("SELECT") or at.sees("WITH"):
        return Scalar(queries.enclosed(at))
    items = listed(at, expression)
    at.need(")", code=907)
    return items[0] if len(items) == 1 else Row(items)


def _named(at: Cursor) -> Expression:
    offset = at.word.offset
    if at.take("PRIOR"):
        return Prior(Ref(at.path(936), offset))
    if at.take("NULL"):
        return Constant(None, "varchar2")
    if at.take("CASE"):
        return _case(at)
    if at.take("CAST"):
        at.need("(", code=906)
        value = expression(at)
        at.need("AS")
        kind = data_type(at).kind
        at.need(")", code=907)
        return Cast(value, kind)
    if at.word.kind == "name" and (bare := at.one_of(*_BARE)):
        return Ref((bare,), offset)
    literal = at.one_of("DATE", "TIMESTAMP") if at.word.kind == "name" else None
    if literal and at.word.kind == "string":
        return _moment(at, literal)
    if literal == "DATE":
        raise at.fault(936)
    path = (literal,) if literal else at.path(936)
    return _call(at, path, offset) if at.take("(") else Ref(path, offset)


def _moment(at: Cursor, literal: str) -> Constant:
    """`DATE '2026-01-31'`, `TIMESTAMP '2026-01-31 12:00:00.5 +01:00'`: the only forms there are. A zone is brought to UTC."""
    form = _DATE if literal == "DATE" else _TIMESTAMP
    try:
        moment = (
            datetime.fromisoformat(at.word.text.replace(" +", "+").replace(" -", "-")) if form.fullmatch(at.word.text) else None
        )
    except ValueError:
        moment = None
    if moment is None:
        raise at.fault(1861)
    at.next()
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return Constant(moment.replace(tzinfo=None), "date" if literal == "DATE" else "timestamp")


def _case(at: Cursor) -> Case:
    subject = None if at.sees("WHEN") else expression(at)
    branches: list[tuple[Condition | Expression, Expression]] = []
    while at.take("WHEN"):
        when = expression(at) if subject else condition(at)
        at.need("THEN")
        branches.append((when, expression(at)))
    otherwise = expression(at) if at.take("ELSE") else None
    at.need("END")
    if not branches:
        raise at.fault(905)
    return Case(subject, tuple(branches), otherwise)


def _call(at: Cursor, path: tuple[str, ...], offset: int) -> Call:
    distinct = at.take("DISTINCT")
    arguments: list[Expression] = []
    named: list[tuple[str, Expression]] = []
    star = at.take("*")
    while not star and not at.sees(")"):
        if at.word.kind == "name" and at.follows("=>"):
            name = at.next().text
            at.next()
            named.append((name, expression(at)))
        elif named:
            raise at.fault(907)
        else:
            arguments.append(expression(at))
        if not at.take(","):
            break
    at.need(")", code=907)
    within: tuple[Sort, ...] = ()
    if at.take("WITHIN", "GROUP"):
        at.need("(", code=906)
        at.need("ORDER", "BY")
        within = listed(at, sort)
        at.need(")", code=907)
    return Call(path, tuple(arguments), tuple(named), offset, distinct=distinct, star=star, within=within)
