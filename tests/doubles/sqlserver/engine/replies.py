"""What a batch answers, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.sql.types import Type, Value


@dataclass(frozen=True, slots=True)
class Columns:
    """The head of a result."""

    names: tuple[str, ...]
    types: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Row:
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a statement; `count`: the rows it returned or changed."""

    count: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    error: SqlError


@dataclass(frozen=True, slots=True)
class Noted:
    """A message below error: PRINT's, say."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The session is in another database now."""

    new: str
    old: str


@dataclass(frozen=True, slots=True)
class Began:
    transaction: int


@dataclass(frozen=True, slots=True)
class Ended:
    transaction: int
    committed: bool


Reply = Columns | Row | Done | Failed | Noted | Moved | Began | Ended
