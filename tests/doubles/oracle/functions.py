"""Oracle's SQL functions as Python functions for SQLite, with the kind of what they return. The empty string is NULL."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.syntax import Kind

MOMENT = "%Y-%m-%d %H:%M:%S.%f"
"""How dates and timestamps are kept, so that they compare as texts."""

# Longest first: HH24 before HH.
_FORMATS = {
    "YYYY": "%Y", "MM": "%m", "DD": "%d", "HH24": "%H", "HH12": "%I", "HH": "%I", "MI": "%M", "SS": "%S",
    "FF9": "%f", "FF6": "%f", "FF3": "%f", "FF": "%f", "AM": "%p", "MON": "%b", "RR": "%y", "TZH:TZM": "%z",
}  # fmt: skip
_PIECE = re.compile("|".join(sorted(_FORMATS, key=len, reverse=True)) + r'|"[^"]*"|.', re.IGNORECASE | re.DOTALL)


def _strict(function: Callable[..., Any]) -> Callable[..., Any]:
    """NULL in, NULL out; and an empty string out is NULL."""

    @wraps(function)
    def called(*arguments: Any) -> Any:
        if any(argument is None for argument in arguments):
            return None
        found = function(*arguments)
        return None if found == "" else found

    return called


def strptime_form(form: str) -> str:
    """`YYYY-MM-DD HH24:MI:SS` as Python says it. Raises `Fault` 1821 for an element that is not modelled."""
    pieces = []
    for piece in _PIECE.findall(form):
        if piece.upper() in _FORMATS:
            pieces.append(_FORMATS[piece.upper()])
        elif piece.isalpha():
            raise Fault(1821)
        else:
            pieces.append(piece.strip('"').replace("%", "%%"))
    return "".join(pieces)


def to_moment(text: str, form: str) -> str:
    try:
        return datetime.strptime(text, strptime_form(form)).replace(tzinfo=None).strftime(MOMENT)
    except ValueError:
        raise Fault(1861) from None


def to_char(value: Any, form: str | None = None) -> str:
    if form is None:
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return datetime.strptime(value, MOMENT).strftime(strptime_form(form))


def to_number(value: Any) -> int | float:
    if isinstance(value, int | float):
        return value
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        raise Fault(1722) from None


def like(value: Any, pattern: str, escape: str | None) -> int:
    parts, at = [], 0
    while at < len(pattern):
        character = pattern[at]
        if escape and character == escape:
            at += 1
            if pattern[at : at + 1] not in {"%", "_", escape}:
                raise Fault(1424)
            parts.append(re.escape(pattern[at]))
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
        at += 1
    return int(re.fullmatch("".join(parts), str(value), re.DOTALL) is not None)


_SPECIAL = re.escape(r".[\()*+?{|^$")
_ERE = re.compile(rf"\\([{_SPECIAL}])|(\.\*?)|([^{_SPECIAL}])", re.DOTALL)


@_strict
def regexp_like(value: str, pattern: str, flags: str) -> int:
    """Of `^..$` with dots, `.*` and escaped characters only. "REGEXP_LIKE Condition", SQL Language Reference 19c."""
    if len(pattern.encode()) > 512:
        raise Fault(12733)
    if flags not in ("c", "cn") or not re.fullmatch(rf"\^({_ERE.pattern})*\$", pattern, re.DOTALL):
        raise Fault(3001)
    dot = r"[^\0]" if "n" in flags else r"[^\0\n]"
    parts = (
        dots.replace(".", dot) if dots else re.escape(escaped or plain) for escaped, dots, plain in _ERE.findall(pattern[1:-1])
    )
    return int(re.fullmatch("".join(parts), value) is not None)


def regexp_replace(value: str, pattern: str, *rest: object) -> str:
    """Of blanks at the end only."""
    if (pattern, *rest) != (" +$", None, 1, 0, "c"):
        raise Fault(3001)
    return value.rstrip(" ")


def nlssort(value: str, parameter: str = "") -> bytes:
    """Of BINARY and BINARY_CI; without the parameter it would go by the session's NLS_SORT. Its RAW is cut at 2000 bytes."""
    match re.sub(r"\s", "", parameter).upper():
        case "NLS_SORT=BINARY":
            return value.encode()[:2000]
        case "NLS_SORT=BINARY_CI":
            return value.lower().encode()[:2000]
        case _:
            raise Fault(3001)


def substr(text: Any, start: int, length: int | None = None) -> str | None:
    text = str(text)
    begin = start - 1 if start > 0 else len(text) + start if start < 0 else 0
    return text[begin : len(text) if length is None else begin + length] or None


def instr(text: str, part: str, start: int = 1) -> int:
    return text.find(part, start - 1) + 1 if start > 0 else text.rfind(part) + 1


def enquote_name(name: str, capitalise: Any = 1) -> str:
    if '"' in name.strip('"'):
        raise Fault(44003)
    return '"' + (name.upper() if capitalise and not name.startswith('"') else name).strip('"') + '"'


def rounded(value: float, digits: int = 0) -> float:
    return round(value, digits) if digits else int(value + (0.5 if value >= 0 else -0.5))


def decode(value: Any, *rest: Any) -> Any:
    """DECODE holds NULL equal to NULL."""
    pairs = zip(rest[::2], rest[1::2], strict=False)
    return next((found for wanted, found in pairs if wanted == value), rest[-1] if len(rest) % 2 else None)


FUNCTIONS: dict[str, tuple[Callable[..., Any], Kind | int]] = {
    # The kind of what is returned, or the argument that has it.
    "UPPER": (_strict(str.upper), "varchar2"),
    "LOWER": (_strict(str.lower), "varchar2"),
    "INITCAP": (_strict(str.title), "varchar2"),
    "SUBSTR": (_strict(substr), "varchar2"),
    "INSTR": (_strict(instr), "number"),
    "LENGTH": (_strict(lambda text: len(str(text))), "number"),
    "LENGTHB": (_strict(lambda text: len(str(text).encode())), "number"),
    "REGEXP_REPLACE": (lambda value, *rest: None if value is None else regexp_replace(value, *rest) or None, "varchar2"),
    "NLSSORT": (_strict(nlssort), "raw"),
    "TO_NCHAR": (_strict(to_char), "varchar2"),
    "REPLACE": (lambda text, old, new="": None if text is None else text.replace(old, new or "") or None, "varchar2"),
    "TRIM": (_strict(lambda text: text.strip(" ")), "varchar2"),
    "LTRIM": (_strict(lambda text, what=" ": text.lstrip(what)), "varchar2"),
    "RTRIM": (_strict(lambda text, what=" ": text.rstrip(what)), "varchar2"),
    "LPAD": (_strict(lambda text, size, fill=" ": text.rjust(size, fill)[:size]), "varchar2"),
    "CONCAT": (lambda left, right: (str(left or "") + str(right or "")) or None, "varchar2"),
    "CHR": (_strict(chr), "varchar2"),
    "ASCII": (_strict(lambda text: ord(text[0])), "number"),
    "NVL": (lambda value, other: other if value is None else value, 0),
    "NVL2": (lambda value, there, absent: absent if value is None else there, 1),
    "NULLIF": (lambda left, right: None if left == right else left, 0),
    "COALESCE": (lambda *values: next((value for value in values if value is not None), None), 0),
    "DECODE": (decode, 2),
    "GREATEST": (_strict(max), 0),
    "LEAST": (_strict(min), 0),
    "ABS": (_strict(abs), "number"),
    "MOD": (_strict(lambda left, right: left % right if right else left), "number"),
    "ROUND": (_strict(rounded), "number"),
    "TO_CHAR": (_strict(to_char), "varchar2"),
    "TO_NUMBER": (_strict(to_number), "number"),
    "TO_DATE": (_strict(to_moment), "date"),
    "TO_TIMESTAMP": (_strict(to_moment), "timestamp"),
    "TO_TIMESTAMP_TZ": (_strict(to_moment), "timestamp"),
    "RAWTOHEX": (_strict(lambda value: (value if isinstance(value, bytes) else value.encode()).hex().upper()), "varchar2"),
    "HEXTORAW": (_strict(bytes.fromhex), "raw"),
    "STANDARD_HASH": (
        _strict(lambda text, method="SHA1": hashlib.new(method.lower(), text.encode(), usedforsecurity=False).digest()),
        "raw",
    ),
    "DBMS_ASSERT.ENQUOTE_NAME": (_strict(enquote_name), "varchar2"),
    "DBMS_ASSERT.ENQUOTE_LITERAL": (_strict(lambda text: "'" + text.replace("'", "''") + "'"), "varchar2"),
}


class Listagg:
    """LISTAGG(value, separator) WITHIN GROUP (ORDER BY key)."""

    def __init__(self) -> None:
        self._found: list[tuple[Any, str]] = []
        self._separator = ""

    def step(self, value: Any, separator: str | None, key: Any) -> None:
        self._separator = separator or ""
        if value is not None:
            self._found.append((key, to_char(value)))

    def finalize(self) -> str | None:
        return self._separator.join(text for _, text in sorted(self._found, key=lambda pair: pair[0])) or None
