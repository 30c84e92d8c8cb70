"""The SQLite database of one query: its tables, its bound values, and T-SQL's functions and collations in it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tests.doubles.sqlserver.engine.functions import FUNCTIONS, Function
from tests.doubles.sqlserver.engine.sources import Content
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.sql.types import Type, Value

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.session import Session

Plain = None | int | float | str | bytes
_INTS = ("tinyint", "smallint", "int", "bigint", "bit")


class Store:
    """A context manager; leaving it forgets everything."""

    def __init__(self, session: Session) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._session = session
        self._values: dict[str, Plain] = {}
        self._names = 0
        self._raised: SqlError | None = None
        self._connection.create_collation("ci", lambda first, second: _order(_folded(first), _folded(second)))
        self._connection.create_collation("cs", lambda first, second: _order(first.rstrip(" "), second.rstrip(" ")))
        for name, body in _BODIES.items():
            self._connection.create_function(name, -1, self._guarded(body))
        for name, (function, _) in FUNCTIONS.items():
            self._connection.create_function(f"tsql_f_{name.lower()}", -1, self._guarded(self._with_session(function)))
        self._connection.create_aggregate("tsql_string_agg", 3, _StringAgg)  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def new_name(self) -> str:
        self._names += 1
        return f"s{self._names}"

    def bind(self, value: Value) -> str:
        name = f"v{len(self._values)}"
        self._values[name] = plain(value)
        return f":{name}"

    def load(self, content: Content, collation: str) -> str:
        """Puts rows into a new table; returns its name."""
        table = self.new_name()
        columns = ", ".join(f"c{place} COLLATE {collation}" for place in range(len(content.columns)))
        self._connection.execute(f"CREATE TABLE {table} ({columns})")
        slots = ", ".join("?" * len(content.columns))
        rows = ([plain(value) for value in row] for row in content.rows)
        self._connection.executemany(f"INSERT INTO {table} VALUES ({slots})", rows)
        return table

    def rows(self, text: str, types: list[Type | None]) -> list[tuple[Value, ...]]:
        try:
            found = self._connection.execute(text, self._values).fetchall()
        except sqlite3.Error as error:
            raise self._raised or SqlError(8180, f"The double can't answer this: {error}") from None
        return [tuple(typed(value, kind) for value, kind in zip(row, types, strict=True)) for row in found]

    def _with_session(self, function: Function) -> Callable[..., Value]:
        return lambda *arguments: function(self._session, *arguments)

    def _guarded(self, body: Callable[..., Value]) -> Callable[..., Plain]:
        """SQLite tells only that a function failed: the error itself is kept here."""

        def call(*arguments: Plain) -> Plain:
            try:
                return plain(body(*arguments))
            except SqlError as error:
                self._raised = error
                raise
            except TypeError:
                self._raised = SqlError(174, "A function requires a different number or kind of arguments.")
                raise

        return call


def plain(value: Value) -> Plain:
    """As SQLite keeps it. Dates are ISO text, so that they compare in order."""
    match value:
        case bool():
            return int(value)
        case Decimal():
            return float(value)
        case datetime():
            return value.isoformat(sep=" ", timespec="microseconds")
        case date():
            return value.isoformat()
    return value


def typed(value: Any, kind: Type | None) -> Value:
    """Back again."""
    if value is None or kind is None:
        found: Value = value
        return found
    match kind.name:
        case "bit":
            return bool(value)
        case "datetime2":
            return datetime.fromisoformat(value)
        case "date":
            return date.fromisoformat(value[:10])
        case "decimal":
            return Decimal(str(value)).quantize(Decimal(1).scaleb(-kind.scale))
        case name if name in _INTS:
            return int(value)
        case name if name.endswith("char"):
            return value if isinstance(value, str) else str(value)
    same: Value = value
    return same


def cast(value: Value, name: str, length: int, scale: int, style: int = 0) -> Value:
    """CAST and CONVERT; style 1 and 2: binary as hexadecimal digits. Raises 245."""
    if value is None:
        return None
    try:
        if name in _INTS:
            return int(value) if not isinstance(value, bytes) else int.from_bytes(value, "big")  # type: ignore[arg-type]
        if name in ("float", "decimal"):
            return float(value)  # type: ignore[arg-type]
        if name == "datetime2":
            return datetime.fromisoformat(str(value).rstrip("Z"))
        if name == "date":
            return date.fromisoformat(str(value)[:10])
    except (ValueError, InvalidOperation):
        raise SqlError(245, "nvarchar", value, name) from None
    if name in ("varbinary", "binary"):
        return _binary(value, style)
    if name == "sql_variant":
        return value
    text = ("0x" if style == 1 else "") + value.hex().upper() if isinstance(value, bytes) and style else value
    text = text.decode("utf-16-le") if isinstance(text, bytes) else str(text)
    return text if length < 0 else text[:length]


def _binary(value: Value, style: int) -> Value:
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return value.to_bytes(4, "big", signed=True)
    return bytes.fromhex(str(value).removeprefix("0x")) if style else str(value).encode("utf-16-le")


def add(first: Value, second: Value) -> Value:
    """Texts are joined; a text beside a number is made a number, or that is error 245."""
    if first is None or second is None:
        return None
    if (isinstance(first, str) and isinstance(second, str)) or (isinstance(first, bytes) and isinstance(second, bytes)):
        return first + second  # type: ignore[operator]
    numbers = [part if isinstance(part, int | float) else cast(part, "int", -1, 0) for part in (first, second)]
    return numbers[0] + numbers[1]  # type: ignore[operator]


def like(value: Value, pattern: str | None, escape: str | None, collation: str) -> Value:
    """`%`, `_`, `[a-z]` and `[^a]`."""
    if value is None or pattern is None:
        return None
    parts, at = [], 0
    while at < len(pattern):
        letter = pattern[at]
        end = pattern.find("]", at + 1)
        if escape and letter == escape and at + 1 < len(pattern):
            at += 1
            parts.append(re.escape(pattern[at]))
        elif letter == "[" and end > 0:
            inner = pattern[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"[{inner}]")
            at = end
        else:
            parts.append({"%": ".*", "_": "."}.get(letter, re.escape(letter)))
        at += 1
    flags = re.DOTALL | (re.IGNORECASE if collation == "ci" else 0)
    return int(re.fullmatch("".join(parts), str(value), flags) is not None)


class _StringAgg:
    def __init__(self) -> None:
        self._parts: list[tuple[Any, str]] = []
        self._separator = ""

    def step(self, value: Plain, separator: str, key: Any) -> None:
        if value is not None:
            self._parts.append((key, str(value)))
            self._separator = separator

    def finalize(self) -> str | None:
        ordered = (
            sorted(self._parts, key=lambda part: part[0]) if self._parts and self._parts[0][0] is not None else self._parts
        )
        return self._separator.join(text for _, text in ordered) if ordered else None


def _folded(text: str) -> str:
    return text.rstrip(" ").casefold()


def _order(first: str, second: str) -> int:
    return (first > second) - (first < second)


def _in_text(needle: str, text: str, start: int = 1) -> int:
    return text.casefold().find(needle.casefold(), start - 1) + 1


_BODIES: dict[str, Callable[..., Value]] = {
    "tsql_cast": cast,
    "tsql_add": add,
    "tsql_like": like,
    "tsql_upper": lambda text: None if text is None else str(text).upper(),
    "tsql_lower": lambda text: None if text is None else str(text).lower(),
    "tsql_left": lambda text, count: None if text is None else str(text)[:count],
    "tsql_right": lambda text, count: None if text is None else str(text)[-count:] if count else "",
    "tsql_charindex": lambda needle, text, start=1: None if text is None else _in_text(needle, text, start),
    "tsql_replicate": lambda text, count: None if text is None else str(text) * count,
}
