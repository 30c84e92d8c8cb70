"""A place in a statement's words, and the questions that a recursive-descent parser asks of it."""

from __future__ import annotations

from tests.doubles.oracle.lexer import Token
from tests.doubles.oracle.messages import Fault

# "Oracle SQL Reserved Words", SQL Language Reference: none of these is a name unless it is quoted.
_RESERVED_WORDS = """
    ACCESS ADD ALL ALTER AND ANY AS ASC AUDIT BETWEEN BY CHAR CHECK CLUSTER COLUMN COMMENT COMPRESS CONNECT CREATE
    CURRENT DATE DECIMAL DEFAULT DELETE DESC DISTINCT DROP ELSE EXCLUSIVE EXISTS FILE FLOAT FOR FROM GRANT GROUP HAVING
    IDENTIFIED IMMEDIATE IN INCREMENT INDEX INITIAL INSERT INTEGER INTERSECT INTO IS LEVEL LIKE LOCK LONG MAXEXTENTS
    MINUS MLSLABEL MODE MODIFY NOAUDIT NOCOMPRESS NOT NOWAIT NULL NUMBER OF OFFLINE ON ONLINE OPTION OR ORDER PCTFREE
    PRIOR PUBLIC RAW RENAME RESOURCE REVOKE ROW ROWID ROWNUM ROWS SELECT SESSION SET SHARE SIZE SMALLINT START
    SUCCESSFUL SYNONYM SYSDATE TABLE THEN TO TRIGGER UID UNION UNIQUE UPDATE USER VALIDATE VALUES VARCHAR VARCHAR2 VIEW
    WHENEVER WHERE WITH
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())


class Cursor:
    """Reads words one after the other."""

    def __init__(self, words: list[Token]) -> None:
        self._words = words
        self._places = {word.offset: place for place, word in enumerate(w for w in words if w.kind == "bind")}
        self.at = 0

    @property
    def word(self) -> Token:
        return self._words[self.at]

    @property
    def done(self) -> bool:
        return self.word.kind == "end"

    def sees(self, *texts: str) -> bool:
        """Whether these keywords or operators come next."""
        ahead = self._words[self.at : self.at + len(texts)]
        return len(ahead) == len(texts) and all(
            word.kind in ("name", "operator") and word.text == text for word, text in zip(ahead, texts, strict=True)
        )

    def take(self, *texts: str) -> bool:
        """Passes over these words if they come next."""
        if not self.sees(*texts):
            return False
        self.at += len(texts)
        return True

    def one_of(self, *texts: str) -> str | None:
        """The one of these that comes next, passed over."""
        return next((text for text in texts if self.take(text)), None)

    def need(self, *texts: str, code: int = 905) -> None:
        if not self.take(*texts):
            raise self.fault(code)

    def next(self) -> Token:
        word = self.word
        self.at = min(self.at + 1, len(self._words) - 1)
        return word

    def follows(self, text: str) -> bool:
        """Whether the word after this one is that operator."""
        return self._words[min(self.at + 1, len(self._words) - 1)].raw == text

    def since(self, start: int) -> list[Token]:
        """The words from there to here."""
        return self._words[start : self.at]

    def placed(self, word: Token) -> int:
        """Which of the statement's placeholders this one is, from 0."""
        return self._places[word.offset]

    def fault(self, code: int, *values: object) -> Fault:
        return Fault(code, *values, offset=self.word.offset)

    @property
    def at_name(self) -> bool:
        return self.word.kind == "quoted" or (self.word.kind == "name" and self.word.text not in _RESERVED)

    def name(self, code: int) -> str:
        """An identifier; raises `code` where there is none."""
        if not self.at_name:
            raise self.fault(code)
        return self.next().text

    def path(self, code: int) -> tuple[str, ...]:
        """`a`, `a.b` or longer."""
        parts = [self.name(code)]
        while self.take("."):
            parts.append(self.name(code))
        return tuple(parts)

    def string(self, code: int = 1756) -> str:
        if self.word.kind != "string":
            raise self.fault(code)
        return self.next().text

    def number(self, code: int) -> int:
        if self.word.kind != "number" or not self.word.text.isdigit():
            raise self.fault(code)
        return int(self.next().text)

    def end(self, code: int = 933) -> None:
        if not self.done:
            raise self.fault(911 if self.sees(";") else code)
