"""What the server answers: TTC messages, field by field as the driver reads them (the driver's messages/base.pyx)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from tests.doubles.oracle.seam import Column, OracleError, Value
from tests.doubles.oracle.wire.values import counted, date, number, oracle_number, text, timestamp

_NO_DATA_FOUND = 1403
_IN_TRANSACTION = 2
_UTF8, _UTF16 = 873, 2000
_FIELD_VERSION_19C = 13
_INPUT = 32
# The driver's ORA_TYPE_NUM, and the bytes of a value where a column does not say.
_TYPES = {"varchar2": (1, 0), "number": (2, 22), "date": (12, 7), "timestamp": (180, 11), "raw": (23, 0)}


def protocol() -> bytes:
    """The server's version of the protocol, its character sets and what it can."""
    compile_time = bytearray(53)
    compile_time[7] = _FIELD_VERSION_19C
    run_time = bytearray(7)
    run_time[6] = 0x04  # texts of 32767 bytes
    form = bytes(9) + struct.pack(">H", _UTF16)
    return (
        bytes([1, 6, 0])
        + b"Linux x86-64/Linux-2.4.xx\0"
        + struct.pack("<HBH", _UTF8, 1, 0)
        + struct.pack(">H", len(form))
        + form
        + text(bytes(compile_time))
        + text(bytes(run_time))
    )


def data_types() -> bytes:
    """The client takes any answer, even one that names no type."""
    return bytes([2, 0, 0])


def status(*, in_transaction: bool) -> bytes:
    """The end of a call that has nothing to say."""
    return b"\x09" + number(_IN_TRANSACTION if in_transaction else 0) + number(0)


def parameters(pairs: Mapping[str, str], verifier: int = 0) -> bytes:
    """The pairs of a logon; `verifier` says of which type AUTH_VFR_DATA is."""
    message = b"\x08" + number(len(pairs))
    for key, value in pairs.items():
        message += counted(key.encode()) + counted(value.encode()) + number(verifier if key == "AUTH_VFR_DATA" else 0)
    return message


def nothing_returned() -> bytes:
    """The return parameters of an execution: none."""
    return b"\x08" + number(0) * 4


def input_binds(count: int) -> bytes:
    """PL/SQL says of each bind which way it goes: here all go in."""
    return b"\x0b\0" + number(count) + number(0) * 5 + bytes([_INPUT]) * count


def describe(columns: Sequence[Column]) -> bytes:
    fields = b"".join(_column(place, column) for place, column in enumerate(columns, start=1))
    return b"\x10" + text(b"") + number(0) + number(len(columns)) + b"\0" + fields + number(0) * 6


def _column(place: int, column: Column) -> bytes:
    kind, size = _TYPES[column.kind]
    size = size or column.size
    is_text = column.kind == "varchar2"
    scale = -127 if column.kind == "number" else 0
    name = column.name.encode()
    return (
        struct.pack(">BBbb", kind, 0, 0, scale)
        + number(size)
        + number(0) * 4  # elements of an array, flags, object id and its version
        + number(_UTF8 if is_text else 0)
        + bytes([is_text])
        + number(size if is_text else 0)
        + number(0)
        + bytes([1, min(len(name), 255)])
        + counted(name)
        + number(0) * 2  # schema and name of an object's type
        + number(place)
        + number(0)
    )


def rows(columns: Sequence[Column], values: Sequence[Sequence[Value]]) -> bytes:
    """A header, and the rows of one fetch."""
    message = [b"\x06\0" + number(0) * 6]
    for row in values:
        message.append(b"\x07")
        message += [text(_encoded(column, value)) for column, value in zip(columns, row, strict=True)]
    return b"".join(message)


def _encoded(column: Column, value: Value) -> bytes:
    """NULL is no bytes; so is the empty text, as in Oracle."""
    match column.kind, value:
        case _, None:
            return b""
        case "varchar2", str():
            return value.encode()
        case "number", int() | float() | Decimal():
            return oracle_number(Decimal(str(value)))
        case "date", datetime():
            return date(value)
        case "timestamp", datetime():
            return timestamp(value)
        case "raw", bytes():
            return value
    raise TypeError(f"{value!r} in column {column.name} of kind {column.kind}")


def end(*, cursor: int, count: int, in_transaction: bool, exhausted: bool = False) -> bytes:
    """The end of a call on a cursor: `count` rows touched, or fetched so far; `exhausted` when there are no more."""
    code = _NO_DATA_FOUND if exhausted else 0
    return _ending(code, "no data found", cursor=cursor, count=count, in_transaction=in_transaction)


def failure(error: OracleError, *, cursor: int, in_transaction: bool) -> bytes:
    """The end of a call that failed; `cursor` is 0 where none was opened."""
    return _ending(error.code, error.message, cursor=cursor, count=0, offset=error.offset, in_transaction=in_transaction)


def _ending(code: int, message: str, *, cursor: int, count: int, in_transaction: bool, offset: int = 0) -> bytes:
    return (
        b"\x04"
        + number(_IN_TRANSACTION if in_transaction else 0)
        + number(0) * 2
        + number(min(code, 0xFFFF))
        + number(0) * 2
        + number(cursor)
        + number(min(offset, 0x7FFF))
        + bytes(6)
        + number(0) * 2  # row id: file and partition
        + b"\0"
        + number(0) * 3  # row id: block and slot; error of the operating system
        + b"\0\0"
        + number(0) * 3
        + number(0) * 3  # errors of a batch: codes, offsets, messages
        + number(code)
        + number(count)
        + (text(f"ORA-{code:05d}: {message}\n".encode()) if code else b"")
    )
