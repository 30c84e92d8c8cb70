"""What queries are made of, once parsed: "Expressions", "Conditions" and SELECT of the SQL Language Reference 19c."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Literal

from tests.doubles.oracle.seam import Value

Kind = Literal["varchar2", "number", "date", "timestamp", "raw"]


@dataclass(frozen=True, slots=True)
class Type:
    """A declared datatype, and how its values are kept; `size` is in bytes."""

    name: str
    kind: Kind
    size: int
    precision: int | None = None
    scale: int | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    value: Value
    kind: Kind


@dataclass(frozen=True, slots=True)
class Placeholder:
    name: str
    place: int
    """Which of the statement's placeholders it is, from 0; the same name counts again."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A column, or a function without arguments: `a`, `t.a`, `s.t.a`."""

    parts: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Sort:
    by: Expression
    descending: bool
    nulls: Literal["FIRST", "LAST"] | None


@dataclass(frozen=True, slots=True)
class Call:
    path: tuple[str, ...]
    arguments: tuple[Expression, ...]
    named: tuple[tuple[str, Expression], ...]
    offset: int
    distinct: bool = False
    star: bool = False
    within: tuple[Sort, ...] = ()
    """LISTAGG's WITHIN GROUP (ORDER BY ..)."""


@dataclass(frozen=True, slots=True)
class Case:
    subject: Expression | None
    branches: tuple[tuple[Condition | Expression, Expression], ...]
    otherwise: Expression | None


@dataclass(frozen=True, slots=True)
class Cast:
    value: Expression
    kind: Kind


@dataclass(frozen=True, slots=True)
class Operation:
    operator: Literal["+", "-", "*", "/", "||"]
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Prior:
    """In CONNECT BY: of the row above."""

    value: Ref


@dataclass(frozen=True, slots=True)
class Scalar:
    query: Query


@dataclass(frozen=True, slots=True)
class Row:
    items: tuple[Expression, ...]


Expression = Constant | Placeholder | Ref | Call | Case | Cast | Operation | Prior | Scalar | Row


@dataclass(frozen=True, slots=True)
class Compare:
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class In:
    left: Expression
    right: tuple[Expression, ...] | Query
    negated: bool


@dataclass(frozen=True, slots=True)
class Like:
    left: Expression
    pattern: Expression
    escape: Expression | None
    negated: bool


@dataclass(frozen=True, slots=True)
class RegexpLike:
    value: Expression
    pattern: Expression
    flags: Expression


@dataclass(frozen=True, slots=True)
class Between:
    value: Expression
    low: Expression
    high: Expression
    negated: bool


@dataclass(frozen=True, slots=True)
class IsNull:
    value: Expression
    negated: bool


@dataclass(frozen=True, slots=True)
class Exists:
    query: Query


@dataclass(frozen=True, slots=True)
class Not:
    condition: Condition


@dataclass(frozen=True, slots=True)
class Both:
    operator: Literal["AND", "OR"]
    left: Condition
    right: Condition


Condition = Compare | In | Like | RegexpLike | Between | IsNull | Exists | Not | Both


@dataclass(frozen=True, slots=True)
class From:
    """A table or a subquery, with the name it has in the query."""

    source: tuple[str, ...] | Query
    alias: str | None
    offset: int


@dataclass(frozen=True, slots=True)
class Join:
    left: From | Join
    right: From
    how: Literal["JOIN", "LEFT JOIN", "CROSS JOIN"]
    on: Condition | None


@dataclass(frozen=True, slots=True)
class Star:
    qualifier: str | None


@dataclass(frozen=True, slots=True)
class Item:
    value: Expression | Star
    name: str
    """The alias, or else what Oracle calls the column: its text without spaces."""
    aliased: bool


@dataclass(frozen=True, slots=True)
class Select:
    items: tuple[Item, ...]
    distinct: bool
    sources: tuple[From | Join, ...]
    where: Condition | None
    group: tuple[Expression, ...]
    having: Condition | None
    start: Condition | None = None
    """START WITH"""
    connect: Condition | None = None
    """CONNECT BY"""


@dataclass(frozen=True, slots=True)
class Combined:
    operator: Literal["UNION", "UNION ALL", "INTERSECT", "MINUS"]
    left: Select | Combined
    right: Select | Combined


@dataclass(frozen=True, slots=True)
class Named:
    """WITH name (columns) AS (query)"""

    name: str
    columns: tuple[str, ...]
    query: Query


@dataclass(frozen=True, slots=True)
class Query:
    body: Select | Combined
    named: tuple[Named, ...] = ()
    order: tuple[Sort, ...] = ()
    offset: int = 0
    limit: int | None = None
    locks: bool = False
    """FOR UPDATE"""


def relations(it: object) -> Iterator[tuple[str, ...]]:
    """The names of all tables and views that a parsed query reads."""
    if isinstance(it, From) and not isinstance(it.source, Query):
        yield it.source
    elif isinstance(it, tuple):
        for part in it:
            yield from relations(part)
    elif is_dataclass(it):
        for one in fields(it):
            yield from relations(getattr(it, one.name))
