"""Tokens of T-SQL: "Identifiers", "Constants" and "Comments" of the T-SQL reference.

QUOTED_IDENTIFIER is ON, as ODBC sets it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.sql.types import Value

_WORDS = """
    ADD ALL ALTER AND ANY AS ASC AUTHORIZATION BEGIN BETWEEN BREAK BY CASCADE CASE CHECK CLOSE CLUSTERED COALESCE COLLATE
    COLUMN COMMIT CONSTRAINT CONTINUE CONVERT CREATE CROSS CURRENT CURSOR DATABASE DEALLOCATE DECLARE DEFAULT DELETE DENY DESC
    DISTINCT DROP ELSE END ESCAPE EXCEPT EXEC EXECUTE EXISTS EXTERNAL FETCH FOR FOREIGN FROM FULL FUNCTION GRANT GROUP HAVING
    IDENTITY IF IN INDEX INNER INSERT INTERSECT INTO IS JOIN KEY KILL LEFT LIKE MERGE NOT NULL NULLIF OF OFF ON OPEN OPTION OR
    ORDER OUTER OVER PERCENT PLAN PRIMARY PRINT PROC PROCEDURE PUBLIC RAISERROR REFERENCES RETURN REVOKE RIGHT ROLLBACK SAVE
    SCHEMA SELECT SESSION_USER SET SOME STATISTICS SYSTEM_USER TABLE THEN TO TOP TRAN TRANSACTION TRIGGER TRUNCATE UNION UNIQUE
    UPDATE USE USER VALUES VIEW WAITFOR WHEN WHERE WHILE WITH
"""
RESERVED = frozenset(_WORDS.split())

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | (?P<comment>/\*)
      | (?P<string>[Nn]?'(?:[^']|'')*')
      | (?P<bracket>\[(?:[^\]]|\]\])*\])
      | (?P<double>"(?:[^"]|"")*")
      | (?P<binary>0[xX][0-9A-Fa-f]*)
      | (?P<number>\d+\.\d*(?:[eE][+-]?\d+)?|\.\d+|\d+(?:[eE][+-]?\d+)?)
      | (?P<variable>@@?[\w$#@]+)
      | (?P<name>[^\W\d][\w$#@]*|\#[\w$#@]+)
      | (?P<operator><>|<=|>=|!=|::|\+=|[-+*/%=<>(),.;&|^~:?])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    """name, quoted, string, binary, number, variable, operator or end."""
    text: str
    """As an error message shows it."""
    value: Value
    line: int
    start: int
    end: int

    @property
    def word(self) -> str:
        """A keyword as the grammar names it; '' for a quoted name."""
        return self.text.upper() if self.kind == "name" else ""


def tokens(batch: str) -> Iterator[Token]:
    """Raises 102, 103 or 105, as the server does for the whole batch."""
    at, line = 0, 1
    while at < len(batch):
        found = _TOKEN.match(batch, at)
        if found is None or not found.lastgroup:
            raise (
                SqlError(105, batch[at + 1 :][:128], line=line)
                if batch[at] in "'\"[nN"
                else SqlError(102, batch[at], line=line)
            )
        end = _end_of_comment(batch, at, line) if found.lastgroup == "comment" else found.end()
        if found.lastgroup not in ("space", "comment"):
            yield _token(found.lastgroup, found[0], line, at, end)
        line += batch.count("\n", at, end)
        at = end
    yield Token("end", "", None, line, at, at)


def _token(kind: str, text: str, line: int, start: int, end: int) -> Token:
    match kind:
        case "string":
            value = text[text.index("'") + 1 : -1].replace("''", "'")
            return Token("string", value, value, line, start, end)
        case "bracket" | "double":
            name = text[1:-1].replace("]]", "]") if kind == "bracket" else text[1:-1].replace('""', '"')
            return Token("quoted", _checked(name, line), name, line, start, end)
        case "binary":
            digits = text[2:]
            return Token("binary", text, bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits), line, start, end)
        case "number":
            number = int(text) if text.isdigit() else float(text)
            return Token("number", text, number, line, start, end)
        case "name":
            return Token("name", _checked(text, line), text, line, start, end)
    return Token(kind, text, text, line, start, end)


def _checked(name: str, line: int) -> str:
    if len(name.encode("utf-16-le")) // 2 > 128:
        raise SqlError(103, name[:128], line=line)
    if not name:
        raise SqlError(1038, "An object or column name is missing or empty.", line=line)
    return name


def _end_of_comment(batch: str, at: int, line: int) -> int:
    """Comments nest."""
    depth = 0
    for found in re.compile(r"/\*|\*/").finditer(batch, at):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    raise SqlError(113, "Missing end comment mark '*/'.", line=line)
