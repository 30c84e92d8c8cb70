"""What of a table scopes let be read: all of it, some columns, or what a view shows; shared by the adapters.

Scopes add up cell by cell, since each is an approval of its own: a row is shown when one of them shows it, and a cell of
it only when one of those that show the row has the column too. The view is built by SQLAlchemy for the adapter's dialect,
never from strings glued together: names are always quoted, values are parsed as what their column holds and written
as a literal of that type. A comparison that a column can't have fails closed: `Unsupported`.

Comparisons are the engine's own: a NULL is neither equal nor unequal to a value, so that its row is not shown, and the
column's collation decides about case. In LIKE `%` and `_` are the only wildcards, and nothing escapes them.

In Oracle texts are compared byte by byte. There the session's NLS_COMP and NLS_SORT decide about `=`, `<`, IN and LIKE, in
a view too, so that a reader could make 'Paris' match 'PARIS'; not so about NLSSORT with a collation of its own, nor about
REGEXP_LIKE with the flag c, which tells case and accents apart whatever the collation (SQL Language Reference 19c).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import TypeEngine

from dzgrant.errors import Unsupported
from dzgrant.model import AllOf, Comparison, Operator, RowFilter, Scope, Table

Columns = Mapping[str, TypeEngine[Any]]
"""A table's columns in order: each name as the engine spells it, and its type; one that SQLAlchemy lacks is `NullType`."""

_DEEPEST = 20
_ESCAPE = "!"
_LONGEST_KEY = 900
"""Bytes in UTF-8, at most twice as many in NCHAR's UTF-16: NLSSORT's RAW is cut at 2000, where two texts would be one."""
_LONGEST_REGEXP = 512
"""Bytes that a pattern of REGEXP_LIKE may have."""
_PADDED = (sa.CHAR, sa.NCHAR)
_NATIONAL = (sa.NCHAR, sa.NVARCHAR)
_IN_REGEXP = {"%": ".*", "_": "."} | {char: f"\\{char}" for char in r".[\()*+?{|^$"}
_NUMBER = re.compile(r"[+-]?\d{1,60}(\.\d{1,60})?([eE][+-]?\d{1,2})?", re.ASCII)
_BEYOND_MICROSECONDS = re.compile(r"[.,]\d{7}", re.ASCII)
_TRUTH = {"true": True, "false": False, "1": True, "0": False}
_COMPARE = {
    Operator.EQUAL_TO: ColumnElement.__eq__,
    Operator.NOT_EQUAL_TO: ColumnElement.__ne__,
    Operator.GREATER_THAN: ColumnElement.__gt__,
    Operator.LESS_THAN: ColumnElement.__lt__,
    Operator.GREATER_THAN_OR_EQUAL_TO: ColumnElement.__ge__,
    Operator.LESS_THAN_OR_EQUAL_TO: ColumnElement.__le__,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EQUALITY = {Operator.EQUAL_TO, Operator.NOT_EQUAL_TO, Operator.IN, Operator.NOT_IN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the scopes together let be read, where that is not the whole table."""

    columns: tuple[str, ...] | None
    """In the table's order; None: all that it has now."""
    by_rows: bool
    """Rows or single cells are hidden, which only a view can do; else the columns say all."""
    select: str
    """The SELECT of a view that shows just this."""


def is_whole(scopes: Collection[Scope]) -> bool:
    """One of them is the whole table, so that the others add nothing."""
    return Scope() in scopes


def reading(table: Table, columns: Columns, scopes: Collection[Scope], dialect: sa.Dialect) -> Reading:
    """What the scopes, none of them whole, let be read of a table with these columns.

    Raises `Unsupported` for a column that is not there, or is ambiguous, for a value that is none of its column's type,
    and for a type that can't be compared.
    """
    return _Compiler(table=table, columns=columns, dialect=dialect).reading(scopes)


def view_name(table: Table, limit_bytes: int) -> str:
    """The name of the view over a table: its own name's letters and digits, cut to the limit in UTF-8, and a digest."""
    digest = sha256(f"{table.schema}\x1f{table.name}".encode()).hexdigest()[:8]
    readable = re.sub(r"\W", "_", table.name).encode()[: limit_bytes - len(digest) - 1].decode(errors="ignore")
    return f"{readable}_{digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A scope with its columns as the engine spells them, and its rows as SQL; None: all rows."""

    columns: frozenset[str]
    rows: ColumnElement[bool] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiler:
    table: Table
    columns: Columns
    dialect: sa.Dialect

    def reading(self, scopes: Collection[Scope]) -> Reading:
        parts = [self._part(scope) for scope in dict.fromkeys(scopes)]
        if not any(part.columns for part in parts):
            raise self._unsupported("no column is left to read")
        freely = frozenset[str]().union(*(part.columns for part in parts if part.rows is None))
        # Rows add nothing where all their columns are free.
        parts = [part for part in parts if part.rows is None or not part.columns <= freely]
        union = frozenset[str]().union(*(part.columns for part in parts))
        seen = tuple(name for name in self.columns if name in union)
        by_rows = any(part.rows is not None for part in parts)
        everything = by_rows and any(scope.columns is None for scope in scopes)
        return Reading(
            columns=None if everything else seen,
            by_rows=by_rows,
            select=self._select(seen, parts),
        )

    def _part(self, scope: Scope) -> _Part:
        names = self.columns if scope.columns is None else (self._named(name) for name in scope.columns)
        return _Part(columns=frozenset(names), rows=self._condition(scope.rows, 1) if scope.rows else None)

    def _select(self, seen: Sequence[str], parts: Sequence[_Part]) -> str:
        base = sa.table(
            quoted_name(self.table.name, quote=True),
            *(self._column(name) for name in self.columns),
            schema=quoted_name(self.table.schema, quote=True),
        )
        shown = sa.select(*(self._cell(name, parts) for name in seen)).select_from(base)
        if (rows := _any_of(parts)) is not None:
            shown = shown.where(rows)
        return str(shown.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True}))

    def _cell(self, name: str, parts: Sequence[_Part]) -> ColumnElement[Any]:
        having = [part for part in parts if name in part.columns]
        shown = _any_of(having)
        if shown is None or len(having) == len(parts):
            return self._column(name)
        return sa.case((shown, self._column(name))).label(quoted_name(name, quote=True))

    def _condition(self, rows: RowFilter, depth: int) -> ColumnElement[bool]:
        if depth > _DEEPEST:
            raise self._unsupported(f"a row filter is nested more than {_DEEPEST} deep")
        if isinstance(rows, Comparison):
            return self._comparison(rows)
        if not rows.parts:
            raise self._unsupported("a row filter has an empty list of conditions")
        join = sa.and_ if isinstance(rows, AllOf) else sa.or_
        return join(*(self._condition(part, depth + 1) for part in rows.parts))

    def _comparison(self, comparison: Comparison) -> ColumnElement[bool]:
        name, operator, values = self._named(comparison.column), comparison.operator, comparison.values
        column = self._column(name)
        if not _takes(operator, len(values)):
            raise self._unsupported(f"a row filter compares the column {name} by {operator} with {len(values)} values")
        match operator:
            case Operator.IS_NULL:
                return column.is_(None)
            case Operator.IS_NOT_NULL:
                return column.is_not(None)
            case Operator.LIKE | Operator.NOT_LIKE:
                like = self._like(name, values[0])
                return like if operator is Operator.LIKE else sa.not_(like)
        if isinstance(self.columns[name], sa.Boolean) and operator not in _EQUALITY:
            raise self._unsupported(f"the column {name} is true or false, which {operator} does not compare")
        literals = [self._literal(name, value) for value in values]
        left = self._comparable(name)
        match operator:
            case Operator.IN:
                return left.in_(literals)
            case Operator.NOT_IN:
                return left.not_in(literals)
            case _:
                compared: ColumnElement[bool] = _COMPARE[operator](left, literals[0])
                return compared

    def _like(self, name: str, value: str) -> ColumnElement[bool]:
        if not _is_text(self.columns[name]):
            raise self._unsupported(f"the column {name} holds no text, which LIKE compares")
        if self.dialect.name == "oracle":
            regexp = f"^{''.join(_IN_REGEXP.get(char, char) for char in value)}$"
            # n: the dot is a newline, too.
            return self._column(name).regexp_match(self._text(name, regexp, _LONGEST_REGEXP), flags="cn")
        # SQL Server alone has sets of characters.
        special = f"{_ESCAPE}[" if self.dialect.name == "mssql" else _ESCAPE
        pattern = "".join(_ESCAPE + char if char in special else char for char in value)
        return self._comparable(name).like(self._text(name, pattern), escape=_ESCAPE)

    def _literal(self, name: str, value: str) -> ColumnElement[Any]:
        """The value as a literal of its column's type."""
        match self.columns[name]:
            case sa.Boolean() if (truth := _TRUTH.get(value.strip().lower())) is not None:
                return sa.literal(truth, sa.Boolean())
            case sa.Numeric() | sa.Float() | sa.Integer() if _NUMBER.fullmatch(value):
                # Digits, a point and a sign: nothing that could be more than a number.
                return sa.literal_column(format(Decimal(value), "f"))
            case sa.DateTime() as kind if (moment := _moment(value, with_zone=kind.timezone)) is not None:
                return sa.literal_column(self._timestamp(moment))
            case sa.Date() if (day := _day(value)) is not None:
                return sa.literal_column(f"CAST('{day}' AS date)" if self.dialect.name == "mssql" else f"DATE '{day}'")
            case kind if _is_text(kind):
                return self._oracle_literal(name, value) if self.dialect.name == "oracle" else self._text(name, value)
            case sa.Boolean() | sa.Numeric() | sa.Float() | sa.Integer() | sa.DateTime() | sa.Date() as kind:
                raise self._unsupported(f"a value of its row filter for the column {name} is no {kind.__visit_name__.lower()}")
            case _:
                raise self._unsupported(f"the column {name} is of a type that a row filter can't compare")

    def _text(self, name: str, value: str, longest: int | None = None) -> ColumnElement[str]:
        """As a literal, of so many bytes in UTF-8 at most."""
        if "\0" in value:
            raise self._unsupported(f"a value of its row filter for the column {name} holds the character NUL")
        if longest is not None and len(value.encode()) > longest:
            raise self._unsupported(f"a value of its row filter for the column {name} has more than {longest} bytes")
        return sa.literal(value, sa.Unicode())

    def _oracle_literal(self, name: str, value: str) -> ColumnElement[Any]:
        kind = self.columns[name]
        text = self._text(name, value.rstrip(" ") if isinstance(kind, _PADDED) else value, _LONGEST_KEY)
        # A plain literal is in the database's character set, and so would its bytes be.
        return _oracle_key(sa.func.to_nchar(text) if isinstance(kind, _NATIONAL) else text)

    def _timestamp(self, moment: datetime) -> str:
        if moment.tzinfo is None:
            words = "CAST('{}' AS datetime2)" if self.dialect.name == "mssql" else "TIMESTAMP '{}'"
            # SQL Server reads this form whatever the session's language.
            return words.format(moment.isoformat("T" if self.dialect.name == "mssql" else " "))
        match self.dialect.name:
            case "mysql":
                return format(Decimal((moment - _EPOCH) // _MICROSECOND).scaleb(-6), "f")
            case "mssql":
                return f"CAST('{moment.isoformat()}' AS datetimeoffset)"
            case "postgresql":
                return f"TIMESTAMP WITH TIME ZONE '{moment.isoformat(' ')}'"
            case _:
                return f"TIMESTAMP '{moment.isoformat(' ')}'"

    def _comparable(self, name: str) -> ColumnElement[Any]:
        """What no setting of the consumer's session changes: in MySQL a TIMESTAMP is shown in its time zone, and a CHAR
        with its padding under PAD_CHAR_TO_FULL_LENGTH; in Oracle it decides how texts are compared."""
        kind, column = self.columns[name], self._column(name)
        if self.dialect.name == "oracle" and _is_text(kind):
            # RTRIM can't be told whose collation it goes by.
            trimmed = sa.func.regexp_replace(column, " +$", "", 1, 0, "c")
            return _oracle_key(trimmed if isinstance(kind, _PADDED) else column)
        if self.dialect.name == "mysql" and isinstance(kind, sa.DateTime) and kind.timezone:
            return sa.func.unix_timestamp(column)
        if self.dialect.name == "mysql" and isinstance(kind, sa.CHAR):
            return sa.func.rtrim(column)
        return column

    def _column(self, name: str) -> sa.ColumnClause[Any]:
        return sa.column(quoted_name(name, quote=True), self.columns[name])

    def _named(self, name: str) -> str:
        match [column for column in self.columns if column.casefold() == name.casefold()]:
            case [column]:
                return column
            case []:
                raise self._unsupported(f"there is no column {name!r}, in any case")
            case several:
                raise self._unsupported(f"the column {name!r} is ambiguous: {', '.join(several)}")

    def _unsupported(self, what: str) -> Unsupported:
        return Unsupported(
            f"the filter can't be applied: {what}",
            do="correct the asset's filter in DataZone, and approve the subscription again",
        ).about(table=self.table)


def _any_of(parts: Sequence[_Part]) -> ColumnElement[bool] | None:
    """The rows that one of them shows; None: all."""
    conditions = [part.rows for part in parts if part.rows is not None]
    return sa.or_(*conditions) if len(conditions) == len(parts) else None


def _takes(operator: Operator, values: int) -> bool:
    match operator:
        case Operator.IS_NULL | Operator.IS_NOT_NULL:
            return values == 0
        case Operator.IN | Operator.NOT_IN:
            return values > 0
        case _:
            return values == 1


def _oracle_key(text: ColumnElement[Any]) -> ColumnElement[bytes]:
    """The text's own bytes, as a RAW."""
    return sa.func.nlssort(text, "NLS_SORT=BINARY")


def _is_text(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind, sa.String)


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _moment(value: str, *, with_zone: bool) -> datetime | None:
    """None: it is no timestamp, is finer than a microsecond, or has an offset where the column has none.

    One without an offset, for a column with time zone, is in UTC: the zone of whoever reads must not decide.
    """
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if _BEYOND_MICROSECONDS.search(value) or (moment.tzinfo and not with_zone):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) if with_zone else moment
