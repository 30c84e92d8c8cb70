"""The tree of expressions, conditions and queries. Names are as they were written, without their quotes."""

from __future__ import annotations

from dataclasses import dataclass

from tests.doubles.sqlserver.sql.types import Type, Value

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    value: Value


@dataclass(frozen=True, slots=True)
class Variable:
    name: str


@dataclass(frozen=True, slots=True)
class Column:
    path: Path


@dataclass(frozen=True, slots=True)
class Star:
    path: Path


@dataclass(frozen=True, slots=True)
class At:
    """A column that `*` stood for: the source's name in the translation, and the place."""

    source: str
    place: int


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Expression, ...]
    distinct: bool = False
    within: tuple[Order, ...] = ()


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Case:
    branches: tuple[tuple[Condition, Expression], ...]
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Cast:
    operand: Expression
    type: Type
    style: int = 0


@dataclass(frozen=True, slots=True)
class Collated:
    operand: Expression
    collation: str


@dataclass(frozen=True, slots=True)
class Scalar:
    query: Query


Expression = Literal | Variable | Column | Star | At | Call | Unary | Binary | Case | Cast | Collated | Scalar


@dataclass(frozen=True, slots=True)
class Compared:
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Logic:
    operator: str
    """AND, OR; NOT with one part."""
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class IsNull:
    operand: Expression
    negated: bool


@dataclass(frozen=True, slots=True)
class In:
    operand: Expression
    items: tuple[Expression, ...] | Query
    negated: bool


@dataclass(frozen=True, slots=True)
class Like:
    operand: Expression
    pattern: Expression
    escape: Expression | None
    negated: bool


@dataclass(frozen=True, slots=True)
class Between:
    operand: Expression
    low: Expression
    high: Expression
    negated: bool


@dataclass(frozen=True, slots=True)
class Exists:
    query: Query


Condition = Compared | Logic | IsNull | In | Like | Between | Exists


@dataclass(frozen=True, slots=True)
class Order:
    expression: Expression
    descending: bool


@dataclass(frozen=True, slots=True)
class Item:
    expression: Expression
    alias: str | None
    variable: str | None = None
    """`SELECT @x = ...`"""


@dataclass(frozen=True, slots=True)
class Named:
    path: Path
    alias: str | None


@dataclass(frozen=True, slots=True)
class Derived:
    query: Query
    alias: str


@dataclass(frozen=True, slots=True)
class Rows:
    """`(VALUES (1), (2)) AS v(a)`"""

    rows: tuple[tuple[Expression, ...], ...]
    alias: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Join:
    kind: str
    """INNER, LEFT or CROSS."""
    left: From
    right: From
    on: Condition | None


From = Named | Derived | Rows | Join


@dataclass(frozen=True, slots=True)
class Select:
    items: tuple[Item, ...]
    distinct: bool
    top: Expression | None
    sources: tuple[From, ...]
    where: Condition | None
    group: tuple[Expression, ...]
    having: Condition | None


@dataclass(frozen=True, slots=True)
class Query:
    """One SELECT or several set together; `operators` stand between them."""

    selects: tuple[Select, ...]
    operators: tuple[str, ...]
    order: tuple[Order, ...]
    offset: Expression | None = None
    fetch: Expression | None = None
    named: tuple[tuple[str, Query], ...] = ()
    """WITH name AS (query)."""
