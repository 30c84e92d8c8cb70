"""A place in the tokens of a batch, and the small steps that every rule of the grammar takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.sql.lexer import RESERVED, Token, tokens
from tests.doubles.sqlserver.sql.types import Type

T = TypeVar("T")
_TYPES = {
    "INT": "int", "INTEGER": "int", "BIGINT": "bigint", "SMALLINT": "smallint", "TINYINT": "tinyint", "BIT": "bit",
    "SYSNAME": "sysname", "NVARCHAR": "nvarchar", "VARCHAR": "varchar", "NCHAR": "nchar", "CHAR": "char",
    "VARBINARY": "varbinary", "BINARY": "binary", "DATETIME2": "datetime2", "DATETIME": "datetime2", "DATE": "date",
    "DECIMAL": "decimal", "NUMERIC": "decimal", "FLOAT": "float", "SQL_VARIANT": "sql_variant", "UNIQUEIDENTIFIER": "nvarchar",
}  # fmt: skip


class Cursor:
    def __init__(self, batch: str) -> None:
        self.batch = batch
        self._tokens = list(tokens(batch))
        self._at = 0

    @property
    def here(self) -> Token:
        return self._tokens[self._at]

    @property
    def before(self) -> Token:
        return self._tokens[max(self._at - 1, 0)]

    def ahead(self, steps: int = 1) -> Token:
        return self._tokens[min(self._at + steps, len(self._tokens) - 1)]

    def place(self) -> int:
        return self._at

    def back_to(self, place: int) -> None:
        self._at = place

    @property
    def has_doubled_bracket(self) -> bool:
        return any(
            token.kind == "quoted" and self.batch.startswith("[", token.start) and "]" in token.text for token in self._tokens
        )

    @property
    def at_end(self) -> bool:
        return self.here.kind == "end"

    def step(self) -> Token:
        token = self.here
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def wrong(self, token: Token | None = None) -> SqlError:
        """102, or 156 where a reserved word stands in the wrong place."""
        found = token or self.here
        if found.kind == "end" and self._at:
            found = self.before
        return SqlError(156 if found.word in RESERVED else 102, found.text, line=found.line)

    def sees(self, *words: str) -> bool:
        return all(self._fits(self.ahead(place), word) for place, word in enumerate(words))

    def _fits(self, token: Token, word: str) -> bool:
        return token.word == word or (token.kind == "operator" and token.text == word)

    def accept(self, *words: str) -> bool:
        """Goes past these words if all of them come next."""
        if not self.sees(*words):
            return False
        self._at += len(words)
        return True

    def expect(self, *words: str) -> None:
        for word in words:
            if not self.accept(word):
                raise self.wrong()

    def one_of(self, *words: str) -> str:
        for word in words:
            if self.accept(word):
                return word
        raise self.wrong()

    def name(self) -> str:
        """An identifier: quoted, or not reserved."""
        token = self.here
        if token.kind == "quoted" or (token.kind == "name" and token.word not in RESERVED):
            return self.step().text
        raise self.wrong()

    def path(self, most: int = 4) -> tuple[str, ...]:
        """`a`, `a.b`, `a..b` (with an empty part) and so on."""
        parts = [self.name()]
        while self.accept("."):
            parts.append("" if self.sees(".") else self.name())
        if len(parts) > most:
            raise SqlError(117, "The object name contains more than the maximum number of prefixes.")
        return tuple(parts)

    def string(self) -> str:
        if self.here.kind != "string":
            raise self.wrong()
        return self.step().text

    def number(self) -> int:
        if self.here.kind != "number" or not isinstance(self.here.value, int):
            raise self.wrong()
        value = self.step().value
        assert isinstance(value, int)
        return value

    def variable(self) -> str:
        if self.here.kind != "variable":
            raise self.wrong()
        return self.step().text

    @property
    def name_follows(self) -> bool:
        """Whether an alias may stand here: these words begin what comes after it instead."""
        token = self.here
        words = RESERVED | {"OFFSET", "THROW"}
        return token.kind == "quoted" or (token.kind == "name" and token.word not in words)

    def several(self, rule: Callable[[], T]) -> tuple[T, ...]:
        """One or more, with commas between them."""
        found = [rule()]
        while self.accept(","):
            found.append(rule())
        return tuple(found)

    def within(self, rule: Callable[[], T]) -> T:
        """In parentheses."""
        self.expect("(")
        found = rule()
        self.expect(")")
        return found

    def type(self) -> Type:
        word = self.path(2)[-1].upper()
        if word not in _TYPES:
            raise SqlError(2715, f"Cannot find data type {word}.", line=self.here.line)
        name = _TYPES[word]
        if name == "sysname":
            return Type("nvarchar", 128)
        sizes = self.within(lambda: self.several(self._size)) if self.sees("(") else ()
        return _sized(name, sizes)

    def _size(self) -> int | None:
        return None if self.accept("MAX") else self.number()


def _sized(name: str, sizes: tuple[int | None, ...]) -> Type:
    if name == "decimal":
        precision, scale = (*sizes, 18, 0)[:2] if len(sizes) != 1 else (sizes[0], 0)
        return Type(name, precision=precision or 18, scale=scale or 0)
    if name == "datetime2":
        return Type(name, scale=7)
    if name.endswith(("char", "binary")):
        return Type(name, sizes[0] if sizes else 1)
    return Type(name)
