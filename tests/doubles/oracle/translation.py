"""Says Oracle's expressions and conditions in SQLite's SQL, and what kind of value each has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from tests.doubles.oracle.functions import FUNCTIONS, MOMENT
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.seam import Value
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
    Kind,
    Like,
    Not,
    Operation,
    Placeholder,
    Prior,
    Query,
    Ref,
    RegexpLike,
    Row,
    Scalar,
)

Stored = str | int | float | bytes | None
Said = tuple[str, Kind]
_AGGREGATES: dict[str, Kind | None] = {"COUNT": "number", "SUM": "number", "AVG": "number", "MIN": None, "MAX": None}
_MOMENTS = {"date", "timestamp"}


@dataclass(frozen=True, slots=True)
class Scope:
    """The relations that a name may mean, each with the kinds of its columns; then those of the query around it."""

    relations: Mapping[str, Mapping[str, Kind]]
    outer: Scope | None = None
    prior: Scope | None = None
    """What PRIOR refers to, in CONNECT BY."""

    def column(self, ref: Ref) -> Said | None:
        """Raises `Fault` 918 where two relations have it."""
        qualifier, name = (ref.parts[-2] if len(ref.parts) > 1 else None), ref.parts[-1]
        found = [alias for alias, columns in self.relations.items() if name in columns and qualifier in (None, alias)]
        if len(found) > 1:
            raise Fault(918, offset=ref.offset)
        if found:
            return f"{quoted(found[0])}.{quoted(name)}", self.relations[found[0]][name]
        return self.outer.column(ref) if self.outer else None


@dataclass(slots=True)
class Translator:
    """`values` are the statement's binds; `names` are PL/SQL's variables, or what USER and SYSDATE are."""

    values: Sequence[Value]
    names: Mapping[str, Value]
    context: Callable[[str, str], str | None]
    """SYS_CONTEXT"""
    subquery: Callable[[Query, Scope], tuple[str, Kind]]
    folding: bool
    """The session compares texts without case."""
    used: list[Stored] = field(default_factory=list)
    """The values of `?1`, `?2`.. in the text that was made."""

    def expression(self, it: Expression, scope: Scope) -> Said:
        match it:
            case Constant(value, kind):
                return self._value(value), kind
            case Placeholder(_, place):
                if place >= len(self.values):
                    raise Fault(1008)
                return self._value(self.values[place]), kind_of(self.values[place])
            case Ref():
                return self._ref(it, scope)
            case Cast(value, kind):
                return self._cast(self.expression(value, scope), kind)
            case Scalar(query):
                text, kind = self.subquery(query, scope)
                return f"({text})", kind
            case _:
                return self._composed(it, scope)

    def _composed(self, it: Call | Case | Operation | Prior | Row, scope: Scope) -> Said:
        match it:
            case Call():
                return self._call(it, scope)
            case Case():
                return self._case(it, scope)
            case Operation():
                return self._operation(it, scope)
            case Prior(value):
                if scope.prior is None:
                    raise Fault(976, offset=value.offset)
                return self.expression(replace(value, parts=value.parts[-1:]), scope.prior)
            case Row(items):
                return f"({', '.join(self.expression(item, scope)[0] for item in items)})", "varchar2"

    def condition(self, it: Condition, scope: Scope) -> str:
        match it:
            case Compare(operator, left, right):
                return self._compared(operator, left, right, scope)
            case In():
                return self._membership(it, scope)
            case Like(left, pattern, escape, negated):
                sign = self.expression(escape, scope)[0] if escape else "NULL"
                like = f"ora_like({sign}, {self.expression(left, scope)[0]}, {self.expression(pattern, scope)[0]})"
                return f"{'NOT ' if negated else ''}{like}"
            case RegexpLike():
                texts = [self.expression(part, scope)[0] for part in (it.value, it.pattern, it.flags)]
                return f"{sqlite_name('REGEXP_LIKE')}({', '.join(texts)})"
            case Between(value, low, high, negated):
                both = Both("AND", Compare(">=", value, low), Compare("<=", value, high))
                return self.condition(Not(both) if negated else both, scope)
            case IsNull(value, negated):
                return f"{self.expression(value, scope)[0]} IS {'NOT ' if negated else ''}NULL"
            case Exists(query):
                return f"EXISTS ({self.subquery(query, scope)[0]})"
            case Not(inner):
                return f"NOT ({self.condition(inner, scope)})"
            case Both(operator, one, other):
                return f"({self.condition(one, scope)} {operator} {self.condition(other, scope)})"

    def _value(self, value: Value) -> str:
        self.used.append(stored(value))
        return f"?{len(self.used)}"

    def _ref(self, it: Ref, scope: Scope) -> Said:
        if found := scope.column(it):
            return found
        if (name := ".".join(it.parts)) in self.names:
            value = self.names[name]
            return self._value(value), "date" if name == "SYSDATE" else kind_of(value)
        if it.parts == ("ROWNUM",):
            return "row_number() OVER ()", "number"
        raise Fault(904, ".".join(f'"{part}"' for part in it.parts), offset=it.offset)

    def _call(self, it: Call, scope: Scope) -> Said:
        name = ".".join(it.path).removeprefix("SYS.")
        if it.named:
            raise Fault(904, f'"{name}"', offset=it.offset)
        if name == "SYS_CONTEXT":
            return self._sys_context(it)
        if name == "LISTAGG" and it.within:
            if len(it.within) > 1 or it.within[0].descending or it.distinct:
                raise Fault(3001, offset=it.offset)
            arguments = (*it.arguments, Constant(None, "varchar2"))[:2]
            texts = [self.expression(argument, scope)[0] for argument in (*arguments, it.within[0].by)]
            return f"ora_listagg({', '.join(texts)})", "varchar2"
        said = [self.expression(argument, scope) for argument in it.arguments]
        texts = [text for text, _ in said]
        if name in _AGGREGATES:
            inner = "*" if it.star else ("DISTINCT " if it.distinct else "") + ", ".join(texts)
            return f"{name}({inner})", _AGGREGATES[name] or said[0][1]
        if name not in FUNCTIONS:
            raise Fault(904, f'"{name}"', offset=it.offset)
        kind = FUNCTIONS[name][1]
        if isinstance(kind, int) and kind >= len(said):
            raise Fault(909, offset=it.offset)
        return f"{sqlite_name(name)}({', '.join(texts)})", said[kind][1] if isinstance(kind, int) else kind

    def _sys_context(self, it: Call) -> Said:
        match it.arguments:
            case (Constant(str(space), _), Constant(str(name), _)):
                return self._value(self.context(space.upper(), name.upper())), "varchar2"
            case _:
                raise Fault(909, offset=it.offset)

    def _case(self, it: Case, scope: Scope) -> Said:
        parts: list[str] = []
        kinds: list[Kind] = []
        for when, then in it.branches:
            wanted = Compare("=", it.subject, when) if it.subject else when  # type: ignore[arg-type]  # an expression then
            parts.append(f"WHEN {self.condition(wanted, scope)}")  # type: ignore[arg-type]  # a condition otherwise
            text, kind = self.expression(then, scope)
            kinds += [] if then == Constant(None, "varchar2") else [kind]
            parts.append(f"THEN {text}")
        if it.otherwise:
            text, kind = self.expression(it.otherwise, scope)
            kinds += [] if it.otherwise == Constant(None, "varchar2") else [kind]
            parts.append(f"ELSE {text}")
        for kind in kinds:
            if kind != kinds[0] and not {kind, kinds[0]} <= _MOMENTS:
                raise Fault(932, kinds[0].upper(), kind.upper())
        return f"CASE {' '.join(parts)} END", kinds[0] if kinds else "varchar2"

    def _cast(self, said: Said, kind: Kind) -> Said:
        text, from_kind = said
        if kind == "number" and from_kind == "varchar2":
            return f"{sqlite_name('TO_NUMBER')}({text})", kind
        if kind == "varchar2" and from_kind == "number":
            return f"{sqlite_name('TO_CHAR')}({text})", kind
        if kind != from_kind and not {kind, from_kind} <= _MOMENTS:
            raise Fault(932, kind.upper(), from_kind.upper())
        return text, kind

    def _operation(self, it: Operation, scope: Scope) -> Said:
        left, left_kind = self.expression(it.left, scope)
        right, right_kind = self.expression(it.right, scope)
        if it.operator == "||":
            return f"{sqlite_name('CONCAT')}({left}, {right})", "varchar2"
        if {left_kind, right_kind} & _MOMENTS:
            raise Fault(3001)
        left, right = (
            text if kind == "number" else f"{sqlite_name('TO_NUMBER')}({text})"
            for text, kind in ((left, left_kind), (right, right_kind))
        )
        return (f"({left} * 1.0 / {right})" if it.operator == "/" else f"({left} {it.operator} {right})"), "number"

    def _compared(self, operator: str, left: Expression, right: Expression, scope: Scope) -> str:
        if isinstance(left, Row) != isinstance(right, Row | Scalar) and isinstance(left, Row):
            raise Fault(920)
        first, first_kind = self.expression(left, scope)
        second, second_kind = self.expression(right, scope)
        collated = self._collated(_brought(first, first_kind, second_kind, left), first_kind, left)
        return f"{collated} {operator} {_brought(second, second_kind, first_kind, right)}"

    def _collated(self, text: str, kind: Kind, it: Expression) -> str:
        """SQLite goes by the collation of what is on the left."""
        if not self.folding or kind != "varchar2":
            return text
        if isinstance(it, Row):
            raise Fault(3001)
        return f"{text} COLLATE BINARY_CI"

    def _membership(self, it: In, scope: Scope) -> str:
        left, kind = self.expression(it.left, scope)
        if isinstance(it.right, Query):
            inner = self.subquery(it.right, scope)[0]
        elif isinstance(it.left, Row):
            inner = "VALUES " + ", ".join(self.expression(item, scope)[0] for item in it.right)
        else:
            said = [(*self.expression(item, scope), item) for item in it.right]
            inner = ", ".join(_brought(text, its, kind, item) for text, its, item in said)
        return f"{self._collated(left, kind, it.left)} {'NOT ' if it.negated else ''}IN ({inner})"


def _brought(text: str, kind: Kind, other: Kind, it: Expression) -> str:
    """Compared with a number, a text is a number; a text is no date, since that would hang on the session's NLS settings."""
    if kind == "varchar2" and other == "number":
        return f"{sqlite_name('TO_NUMBER')}({text})"
    if kind == "varchar2" and other in _MOMENTS and it != Constant(None, "varchar2"):
        raise Fault(1861)
    if kind == "number" and other in _MOMENTS:
        raise Fault(932, other.upper(), "NUMBER")
    return text


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def sqlite_name(function: str) -> str:
    return "ora_" + function.replace(".", "_").lower()


def kind_of(value: Value) -> Kind:
    match value:
        case int() | float() | Decimal():
            return "number"
        case datetime():
            return "timestamp"
        case bytes():
            return "raw"
        case _:
            return "varchar2"


def stored(value: Value) -> Stored:
    """As SQLite keeps it. A Decimal with a fraction becomes a float: the double is no judge of digits."""
    match value:
        case "":
            return None
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime():
            return value.replace(tzinfo=None).strftime(MOMENT)
        case _:
            return value
