"""Expressions and conditions as SQLite's text, each with its type where it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.doubles.sqlserver.engine.functions import FUNCTIONS
from tests.doubles.sqlserver.engine.sources import Source
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.sql.syntax import (
    At,
    Between,
    Binary,
    Call,
    Case,
    Cast,
    Collated,
    Column,
    Compared,
    Condition,
    Exists,
    Expression,
    In,
    IsNull,
    Like,
    Literal,
    Logic,
    Query,
    Scalar,
    Star,
    Unary,
    Variable,
)
from tests.doubles.sqlserver.sql.types import BIGINT, INT, NVARCHAR, NVARCHAR_MAX, Type

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.query import Reading

# What SQLite has under the same meaning; the type is the first argument's, or stated.
_SAME: dict[str, tuple[str, Type | None]] = {
    "COALESCE": ("coalesce", None), "ISNULL": ("coalesce", None), "NULLIF": ("nullif", None), "ABS": ("abs", None),
    "MIN": ("min", None), "MAX": ("max", None), "SUM": ("sum", None), "AVG": ("avg", None),
    "COUNT": ("count", INT), "COUNT_BIG": ("count", BIGINT),
    "UPPER": ("tsql_upper", NVARCHAR), "LOWER": ("tsql_lower", NVARCHAR), "LTRIM": ("ltrim", NVARCHAR),
    "RTRIM": ("rtrim", NVARCHAR),
    "TRIM": ("trim", NVARCHAR), "REPLACE": ("replace", NVARCHAR), "SUBSTRING": ("substr", NVARCHAR),
}  # fmt: skip


class Translator:
    """`scope`: the sources of the SELECT itself; `visible`: those and the outer ones, for a correlated query."""

    def __init__(self, reading: Reading, scope: tuple[Source, ...], visible: tuple[Source, ...]) -> None:
        self._reading, self._scope, self._visible = reading, scope, visible

    def value(self, expression: Expression) -> tuple[str, Type | None]:  # noqa: C901 - one arm for each kind of node
        store = self._reading.store
        match expression:
            case Literal(value):
                return store.bind(value), None
            case Variable(name):
                found, declared = self._reading.session.variable(name)
                return store.bind(found), declared
            case Column(path):
                return self._column(path)
            case Call():
                return self._call(expression)
            case Unary(operator, operand):
                text, kind = self.value(operand)
                return f"({operator}{text})", kind
            case Binary(operator, left, right):
                return self._binary(operator, left, right)
            case Case(branches, otherwise):
                whens = " ".join(f"WHEN {self.condition(when)} THEN {self.value(then)[0]}" for when, then in branches)
                kinds = [self.value(then)[1] for then in (*(then for _, then in branches), otherwise)]
                return f"(CASE {whens} ELSE {self.value(otherwise)[0]} END)", next((kind for kind in kinds if kind), None)
            case Cast(operand, to, style):
                length = -1 if to.length is None else to.length
                arguments = f"{self.value(operand)[0]}, '{to.name}', {length}, {to.scale}, {style}"
                return f"tsql_cast({arguments})", to
            case Collated(operand, collation):
                text, kind = self.value(operand)
                return f"({text} COLLATE {_collation(collation)})", kind
            case Scalar(query):
                text, columns = self._reading.query(query, self._visible)
                return f"({text})", columns[0][1]
            case Star():
                raise SqlError(102, "*")
            case At(alias, place):
                source = next(source for source in self._scope if source.alias == alias)
                source.used.add(place)
                return f"{alias}.c{place}", source.columns[place][1]

    def _column(self, path: tuple[str, ...]) -> tuple[str, Type | None]:
        for sources in (self._scope, self._visible[len(self._scope) :]):
            hits = [
                (source, place)
                for source in sources
                if len(path) == 1 or self._reading.fits(source, path[:-1])
                for place, (name, _) in enumerate(source.columns)
                if name == path[-1] or (source.fold_names and name.casefold() == path[-1].casefold())
            ]
            if len(hits) > 1:
                raise SqlError(209, path[-1])
            if hits:
                source, place = hits[0]
                source.used.add(place)
                return f"{source.alias}.c{place}", source.columns[place][1]
        if len(path) > 1 and not any(self._reading.fits(source, path[:-1]) for source in self._visible):
            raise SqlError(4104, f'The multi-part identifier "{".".join(path)}" could not be bound.')
        raise SqlError(207, path[-1])

    def _binary(self, operator: str, left: Expression, right: Expression) -> tuple[str, Type | None]:
        (first, kind), (second, other) = self.value(left), self.value(right)
        if operator == "+":
            return f"tsql_add({first}, {second})", kind or other
        return f"({first} {operator} {second})", kind or other

    def _call(self, call: Call) -> tuple[str, Type | None]:
        if call.name == "STRING_AGG":
            key = self.value(call.within[0].expression)[0] if call.within else "NULL"
            value, separator = (self.value(argument)[0] for argument in call.arguments)
            return f"tsql_string_agg({value}, {separator}, {key})", NVARCHAR_MAX
        if call.arguments and isinstance(call.arguments[0], Star):
            if call.name not in ("COUNT", "COUNT_BIG"):
                raise SqlError(102, "*")
            return "count(*)", _SAME[call.name][1]
        arguments = [self.value(argument) for argument in call.arguments]
        inner = ", ".join(text for text, _ in arguments)
        if call.name in _SAME:
            name, kind = _SAME[call.name]
            known = kind or next((found for _, found in arguments if found), None)
            return f"{name}({'DISTINCT ' if call.distinct else ''}{inner})", known
        if call.name in ("LEFT", "RIGHT", "CHARINDEX", "REPLICATE"):
            return f"tsql_{call.name.lower()}({inner})", INT if call.name == "CHARINDEX" else NVARCHAR
        if call.name not in FUNCTIONS:
            raise SqlError(195, call.name)
        return f"tsql_f_{call.name.lower()}({inner})", FUNCTIONS[call.name][1]

    def condition(self, condition: Condition) -> str:
        match condition:
            case Compared(operator, left, right):
                return f"({self._compared(left)} {'<>' if operator == '!=' else operator} {self.value(right)[0]})"
            case Logic("NOT", parts):
                return f"(NOT {self.condition(parts[0])})"
            case Logic(operator, parts):
                return "(" + f" {operator} ".join(self.condition(part) for part in parts) + ")"
            case IsNull(operand, negated):
                return f"({self.value(operand)[0]} IS {'NOT ' if negated else ''}NULL)"
            case In(operand, items, negated):
                return f"({self._compared(operand)} {'NOT ' if negated else ''}IN ({self._items(items)}))"
            case Like(operand, pattern, escape, negated):
                parts_ = [self.value(part)[0] for part in (operand, pattern)] + [self.value(escape)[0] if escape else "NULL"]
                like = f"tsql_like({', '.join(parts_)}, '{self._collation(operand)}')"
                return f"({'NOT ' if negated else ''}{like})"
            case Between(operand, low, high, negated):
                bounds = f"{self.value(low)[0]} AND {self.value(high)[0]}"
                return f"({self._compared(operand)} {'NOT ' if negated else ''}BETWEEN {bounds})"
            case Exists(query):
                return f"EXISTS ({self._reading.query(query, self._visible)[0]})"

    def _items(self, items: tuple[Expression, ...] | Query) -> str:
        if isinstance(items, Query):
            return self._reading.query(items, self._visible)[0]
        return ", ".join(self.value(item)[0] for item in items)

    def _compared(self, operand: Expression) -> str:
        """The left side, with the collation that both sides then have: SQLite takes the left one's."""
        return f"{self.value(operand)[0]} COLLATE {self._collation(operand)}"

    def _collation(self, operand: Expression) -> str:
        if isinstance(operand, Collated):
            return _collation(operand.collation)
        if isinstance(operand, Column):
            text = self._column(operand.path)[0]
            found = next(source for source in self._visible if text.startswith(f"{source.alias}."))
            return found.collation
        return "cs" if self._reading.session.database.sensitive else "ci"


def _collation(name: str) -> str:
    if name.upper() == "DATABASE_DEFAULT" or "_CI" in name.upper():
        return "ci"
    if "_CS" in name.upper() or "_BIN" in name.upper():
        return "cs"
    raise SqlError(448, f"Invalid collation '{name}'.")
