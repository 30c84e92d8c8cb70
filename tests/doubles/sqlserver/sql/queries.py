"""The grammar of queries, conditions and expressions: "SELECT", "Search condition" and "Expressions" of the T-SQL reference.

A condition is no value and a value is no condition, as in T-SQL: `SELECT 1 = 1` and `WHERE 1` are refused.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.sql.cursor import Cursor
from tests.doubles.sqlserver.sql.syntax import (
    Between,
    Binary,
    Call,
    Case,
    Cast,
    Collated,
    Column,
    Compared,
    Condition,
    Derived,
    Exists,
    Expression,
    From,
    In,
    IsNull,
    Item,
    Join,
    Like,
    Literal,
    Logic,
    Named,
    Order,
    Query,
    Rows,
    Scalar,
    Select,
    Star,
    Unary,
    Variable,
)

_COMPARISONS = ("=", "<>", "!=", "<=", ">=", "<", ">")
# Functions whose names are reserved words.
_WORD_FUNCTIONS = ("COALESCE", "NULLIF", "LEFT", "RIGHT")
_BARE_FUNCTIONS = ("CURRENT_USER", "SESSION_USER", "SYSTEM_USER", "USER", "CURRENT_TIMESTAMP")


def query(at: Cursor) -> Query:
    named = at.several(lambda: _common(at)) if at.accept("WITH") else ()
    selects, operators = [_select(at)], []
    while at.sees("UNION") or at.sees("EXCEPT") or at.sees("INTERSECT"):
        word = at.one_of("UNION", "EXCEPT", "INTERSECT")
        operators.append("UNION ALL" if word == "UNION" and at.accept("ALL") else word)
        selects.append(_select(at))
    order: tuple[Order, ...] = ()
    offset = fetch = None
    if at.accept("ORDER", "BY"):
        order = at.several(lambda: ordering(at))
        if at.accept("OFFSET"):
            offset = expression(at)
            at.one_of("ROW", "ROWS")
            if at.accept("FETCH"):
                at.one_of("FIRST", "NEXT")
                fetch = expression(at)
                at.one_of("ROW", "ROWS")
                at.expect("ONLY")
    return Query(tuple(selects), tuple(operators), order, offset, fetch, named)


def _common(at: Cursor) -> tuple[str, Query]:
    name = at.name()
    at.expect("AS")
    return name, at.within(lambda: query(at))


def ordering(at: Cursor) -> Order:
    by = expression(at)
    descending = at.accept("DESC")
    if not descending:
        at.accept("ASC")
    return Order(by, descending)


def _select(at: Cursor) -> Select:
    at.expect("SELECT")
    distinct = at.accept("DISTINCT")
    if not distinct:
        at.accept("ALL")
    top = None
    if at.accept("TOP"):
        top = at.within(lambda: expression(at)) if at.sees("(") else Literal(at.number())
    items = at.several(lambda: _item(at))
    sources = at.several(lambda: _source(at)) if at.accept("FROM") else ()
    where = condition(at) if at.accept("WHERE") else None
    group = at.several(lambda: expression(at)) if at.accept("GROUP", "BY") else ()
    having = condition(at) if at.accept("HAVING") else None
    return Select(items, distinct, top, sources, where, group, having)


def _item(at: Cursor) -> Item:
    if at.accept("*"):
        return Item(Star(()), None)
    if at.here.kind == "variable" and at.ahead().text == "=":
        variable = at.variable()
        at.expect("=")
        return Item(expression(at), None, variable)
    if at.here.kind in ("name", "quoted") and at.ahead().text == "=" and at.ahead().kind == "operator":
        alias = at.name()
        at.expect("=")
        return Item(expression(at), alias)
    found = expression(at, star=True)
    if at.accept("AS"):
        return Item(found, at.string() if at.here.kind == "string" else at.name())
    return Item(found, at.name() if at.name_follows else None)


def _source(at: Cursor) -> From:
    left = _primary_source(at)
    while True:
        if at.accept("CROSS", "JOIN"):
            left = Join("CROSS", left, _primary_source(at), None)
        elif at.accept("JOIN") or at.accept("INNER", "JOIN"):
            left = _joined(at, "INNER", left)
        elif at.accept("LEFT", "JOIN") or at.accept("LEFT", "OUTER", "JOIN"):
            left = _joined(at, "LEFT", left)
        else:
            return left


def _joined(at: Cursor, kind: str, left: From) -> Join:
    right = _primary_source(at)
    at.expect("ON")
    return Join(kind, left, right, condition(at))


def _primary_source(at: Cursor) -> From:
    if at.accept("("):
        return _bracketed_source(at)
    path = at.path()
    alias = _alias(at)
    if at.accept("WITH"):
        at.within(lambda: at.several(lambda: at.one_of("NOLOCK", "READPAST", "UPDLOCK", "HOLDLOCK", "ROWLOCK", "TABLOCKX")))
    return Named(path, alias)


def _bracketed_source(at: Cursor) -> From:
    if at.accept("VALUES"):
        rows = at.several(lambda: at.within(lambda: at.several(lambda: expression(at))))
        at.expect(")")
        at.accept("AS")
        return Rows(rows, at.name(), at.within(lambda: at.several(at.name)))
    if at.sees("SELECT"):
        found = query(at)
        at.expect(")")
        alias = _alias(at)
        if alias is None:
            raise at.wrong()
        return Derived(found, alias)
    inner = _source(at)
    at.expect(")")
    return inner


def _alias(at: Cursor) -> str | None:
    if at.accept("AS"):
        return at.name()
    return at.name() if at.name_follows else None


def condition(at: Cursor) -> Condition:
    return _chain(at, "OR", lambda: _chain(at, "AND", lambda: _negation(at)))


def _chain(at: Cursor, word: str, rule: Callable[[], Condition]) -> Condition:
    parts = [rule()]
    while at.accept(word):
        parts.append(rule())
    return parts[0] if len(parts) == 1 else Logic(word, tuple(parts))


def _negation(at: Cursor) -> Condition:
    if at.accept("NOT"):
        return Logic("NOT", (_negation(at),))
    if at.accept("EXISTS"):
        return Exists(at.within(lambda: query(at)))
    if at.sees("(") and _holds_condition(at):
        return at.within(lambda: condition(at))
    return _predicate(at)


def _holds_condition(at: Cursor) -> bool:
    """Whether the parentheses that open here hold a condition, not a value: tried, since only the end tells."""
    start = at.place()
    try:
        at.within(lambda: condition(at))
    except SqlError:
        return False
    else:
        # `(1 = 1)` is one; in `(1) + 1 = 2` the parentheses hold a value, and are read as such.
        return True
    finally:
        at.back_to(start)


def _predicate(at: Cursor) -> Condition:
    left = expression(at)
    if at.accept("IS"):
        negated = at.accept("NOT")
        at.expect("NULL")
        return IsNull(left, negated)
    negated = at.accept("NOT")
    if at.accept("IN"):
        at.expect("(")
        items = query(at) if at.sees("SELECT") else at.several(lambda: expression(at))
        at.expect(")")
        return In(left, items, negated)
    if at.accept("LIKE"):
        pattern = expression(at)
        return Like(left, pattern, expression(at) if at.accept("ESCAPE") else None, negated)
    if at.accept("BETWEEN"):
        low = expression(at)
        at.expect("AND")
        return Between(left, low, expression(at), negated)
    if negated:
        raise at.wrong()
    if at.here.text not in _COMPARISONS:
        shown = at.here.text or str(at.before.text)
        raise SqlError(
            4145, f"An expression of non-boolean type specified in a context where a condition is expected, near '{shown}'."
        )
    operator = at.one_of(*_COMPARISONS)
    return Compared(operator, left, expression(at))


def expression(at: Cursor, *, star: bool = False) -> Expression:
    left = _product(at, star)
    while at.here.kind == "operator" and at.here.text in "+-&|^":
        left = Binary(at.step().text, left, _product(at, False))
    return left


def _product(at: Cursor, star: bool) -> Expression:
    left = _collated(at, star)
    while at.here.kind == "operator" and at.here.text in "*/%":
        left = Binary(at.step().text, left, _collated(at, False))
    return left


def _collated(at: Cursor, star: bool) -> Expression:
    found = _primary(at, star)
    return Collated(found, at.name()) if at.accept("COLLATE") else found


def _primary(at: Cursor, star: bool) -> Expression:
    token = at.here
    if token.kind in ("string", "binary", "number"):
        return Literal(at.step().value)
    if token.kind == "variable":
        return Variable(at.step().text)
    if token.text in ("-", "+", "~") and token.kind == "operator":
        return Unary(at.step().text, _primary(at, False))
    if at.accept("("):
        found: Expression = Scalar(query(at)) if at.sees("SELECT") else expression(at)
        at.expect(")")
        return found
    if at.accept("NULL"):
        return Literal(None)
    if at.accept("CASE"):
        return _case(at)
    if at.ahead().text == "(" and at.ahead().kind == "operator" and token.kind == "name":
        return _call(at)
    if token.word in _BARE_FUNCTIONS:
        return Call(at.step().word, ())
    return _column(at, star)


def _column(at: Cursor, star: bool) -> Expression:
    parts = [at.name()]
    while at.accept("."):
        if star and at.accept("*"):
            return Star(tuple(parts))
        parts.append("" if at.sees(".") else at.name())
    if at.sees("(") and [part.lower() for part in parts[:-1]] == ["sys"]:
        return Call("SYS." + parts[-1].upper(), _arguments(at))
    return Column(tuple(parts))


def _case(at: Cursor) -> Case:
    subject = None if at.sees("WHEN") else expression(at)
    branches: list[tuple[Condition, Expression]] = []
    while at.accept("WHEN"):
        when = condition(at) if subject is None else Compared("=", subject, expression(at))
        at.expect("THEN")
        branches.append((when, expression(at)))
    if not branches:
        raise at.wrong()
    otherwise = expression(at) if at.accept("ELSE") else Literal(None)
    at.expect("END")
    return Case(tuple(branches), otherwise)


def _call(at: Cursor) -> Expression:
    word = at.here.word
    if word in ("CAST", "TRY_CAST"):
        at.step()
        at.expect("(")
        operand = expression(at)
        at.expect("AS")
        kind = at.type()
        at.expect(")")
        return Cast(operand, kind)
    if word == "CONVERT":
        at.step()
        return at.within(lambda: _converted(at))
    name = at.step().word if word in _WORD_FUNCTIONS else at.name().upper()
    distinct = at.ahead().word == "DISTINCT"
    arguments = _arguments(at)
    within: tuple[Order, ...] = ()
    if name == "STRING_AGG" and at.accept("WITHIN", "GROUP"):
        at.expect("(", "ORDER", "BY")
        within = at.several(lambda: ordering(at))
        at.expect(")")
    return Call(name, arguments, distinct, within)


def _converted(at: Cursor) -> Cast:
    kind = at.type()
    at.expect(",")
    operand = expression(at)
    return Cast(operand, kind, at.number() if at.accept(",") else 0)


def _arguments(at: Cursor) -> tuple[Expression, ...]:
    at.expect("(")
    at.accept("DISTINCT")
    if at.accept("*"):
        at.expect(")")
        return (Star(()),)
    found = () if at.sees(")") else at.several(lambda: expression(at))
    at.expect(")")
    return found
