"""Parses datatypes: "Data Types", SQL Language Reference 19c. Large objects are kept like short ones."""

from __future__ import annotations

from tests.doubles.oracle.cursor import Cursor
from tests.doubles.oracle.syntax import Type

_CHARACTERS = ("VARCHAR2", "NVARCHAR2", "CHAR", "NCHAR", "VARCHAR")
_WHOLE = ("INTEGER", "INT", "SMALLINT")
_PLAIN: dict[str, Type] = {
    "FLOAT": Type("FLOAT", "number", 22, precision=126),
    "BINARY_FLOAT": Type("BINARY_FLOAT", "number", 4),
    "BINARY_DOUBLE": Type("BINARY_DOUBLE", "number", 8),
    "DATE": Type("DATE", "date", 7),
    "CLOB": Type("CLOB", "varchar2", 4000),
    "NCLOB": Type("NCLOB", "varchar2", 4000),
    "BLOB": Type("BLOB", "raw", 4000),
}


def data_type(at: Cursor) -> Type:
    """`VARCHAR2(30 CHAR)`, `NUMBER(10, 2)`, `TIMESTAMP(6) WITH TIME ZONE`. Raises `Fault` 902, 906."""
    name = at.word.text if at.word.kind == "name" else ""
    if name in _PLAIN:
        at.next()
        return _PLAIN[name]
    if name in _WHOLE:
        at.next()
        return Type("NUMBER", "number", 22, scale=0)
    if at.one_of(*_CHARACTERS):
        sizes = _sizes(at)
        if not sizes and name not in ("CHAR", "NCHAR"):
            raise at.fault(906)
        return Type("VARCHAR2" if name == "VARCHAR" else name, "varchar2", sizes[0] if sizes else 1)
    if at.one_of("NUMBER", "DECIMAL", "NUMERIC"):
        precision, scale = (*_sizes(at), None, None)[:2]
        return Type("NUMBER", "number", 22, precision, 0 if precision and scale is None else scale)
    if at.take("RAW"):
        return Type("RAW", "raw", next(iter(_sizes(at)), 2000))
    if at.take("TIMESTAMP"):
        return _timestamp(at)
    raise at.fault(902)


def _timestamp(at: Cursor) -> Type:
    digits = next(iter(_sizes(at)), 6)
    name = f"TIMESTAMP({digits})"
    if at.take("WITH"):
        local = at.take("LOCAL")
        at.need("TIME", "ZONE")
        name += " WITH LOCAL TIME ZONE" if local else " WITH TIME ZONE"
    return Type(name, "timestamp", 11, scale=digits)


def _sizes(at: Cursor) -> list[int]:
    """`(10)`, `(10, -2)`, `(30 CHAR)`, or nothing."""
    if not at.take("("):
        return []
    found = [at.number(910)]
    if at.take(","):
        sign = -1 if at.take("-") else 1
        found.append(sign * at.number(910))
    at.one_of("CHAR", "BYTE")
    at.need(")", code=907)
    return found
