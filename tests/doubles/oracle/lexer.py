"""Oracle's words: "Lexical Elements of Oracle SQL" and "Database Object Names and Qualifiers", SQL Language Reference 19c.

An unquoted name folds to upper case; a quoted one is what it says, and holds neither `"` nor NUL, doubled or not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tests.doubles.oracle.messages import Fault

Kind = Literal["name", "quoted", "string", "number", "bind", "operator", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    """A name folded, a string or a quoted name without its quotes, a bind without its colon; else as it was written."""
    raw: str
    offset: int


_TOKEN = re.compile(
    r"""(?P<string>[nN]?'(?:[^']|'')*')
    |(?P<quoted>"[^"\0]*")
    |(?P<number>(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<name>[^\W\d_][\w$\#]*)
    |(?P<bind>:(?:\w+|"[^"]+"))
    |(?P<operator>:=|=>|\|\||<>|!=|\^=|<=|>=|\.\.|[-+*/()=<>,.;@%])""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(r"\s+|--[^\n]*|/\*.*?\*/", re.DOTALL)
_ALTERNATIVE = re.compile(r"[nN]?[qQ]'(.)", re.DOTALL)
_CLOSING = {"[": "]", "(": ")", "{": "}", "<": ">"}


def tokens(text: str, *, longest_name: int = 128) -> list[Token]:
    """The words of a statement and an end. `longest_name` is in bytes. Raises `Fault`: 911, 972, 1740, 1741, 1756, 3001."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        if space := _SPACE.match(text, at):
            at = space.end()
            continue
        token = _next(text, at)
        at += len(token.raw)
        if token.kind in ("name", "quoted") and len(token.text.encode()) > longest_name:
            raise Fault(972, offset=token.offset)
        found.append(token)
    return [*found, Token("end", "", "", len(text))]


def hidden(text: str) -> str:
    """The statement as the server's audit trail keeps it: `IDENTIFIED BY *`, and no more of one that can't be read."""
    try:
        words = tokens(text, longest_name=len(text) * 4)
    except Fault:
        return re.split(r"(?i)\bidentified\s+by\b", text)[0]
    for before, word, secret in reversed(list(zip(words, words[1:], words[2:], strict=False))):
        if (before.text, word.text) == ("IDENTIFIED", "BY") or (word.text == "REPLACE" and "IDENTIFIED" in text.upper()):
            text = text[: secret.offset] + "*" + text[secret.offset + len(secret.raw) :]
    return text


def _next(text: str, at: int) -> Token:
    if alternative := _ALTERNATIVE.match(text, at):
        closing = _CLOSING.get(alternative[1], alternative[1]) + "'"
        end = text.find(closing, alternative.end())
        if end < 0:
            raise Fault(1756, offset=at)
        return Token("string", text[alternative.end() : end], text[at : end + 2], at)
    match = _TOKEN.match(text, at)
    if match is None:
        raise Fault({"'": 1756, '"': 1740}.get(text[at], 911), offset=at)
    return _token(str(match.lastgroup), match[0], at, followed=text[match.end() : match.end() + 1])


def _token(kind: str, raw: str, at: int, *, followed: str) -> Token:
    match kind:
        case "string":
            return Token("string", raw[raw.index("'") + 1 : -1].replace("''", "'"), raw, at)
        case "quoted" if followed == '"':
            raise Fault(3001, offset=at)
        case "quoted" if raw == '""':
            raise Fault(1741, offset=at)
        case "quoted":
            return Token("quoted", raw[1:-1], raw, at)
        case "name":
            return Token("name", raw.upper(), raw, at)
        case "bind":
            return Token("bind", raw[1:].strip('"').upper(), raw, at)
        case "number":
            return Token("number", raw, raw, at)
        case _:
            return Token("operator", raw, raw, at)
