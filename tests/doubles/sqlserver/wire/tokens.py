"""The tokens of an answer, as bytes: [MS-TDS] 2.2.7."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntFlag

from tests.doubles.sqlserver.sql.types import Type, Value
from tests.doubles.sqlserver.wire.values import encode, type_info

COLLATION = bytes([0x09, 0x04, 0xD0, 0x00, 0x34])  # SQL_Latin1_General_CP1_CI_AS
_DATABASE, _LANGUAGE, _PACKET_SIZE, _COLLATION, _BEGIN, _COMMIT, _ROLLBACK, _RESET = 1, 2, 4, 7, 8, 9, 10, 18


class Status(IntFlag):
    FINAL = 0
    MORE = 0x1
    ERROR = 0x2
    IN_TRANSACTION = 0x4
    COUNT = 0x10
    ATTENTION = 0x20


def login_ack() -> bytes:
    body = b"\x01" + struct.pack(">I", 0x74000004) + _short("Microsoft SQL Server") + bytes([16, 0, 0x03, 0xE8])
    return b"\xad" + struct.pack("<H", len(body)) + body


def database_changed(new: str, old: str) -> bytes:
    return _change(_DATABASE, _short(new) + _short(old))


def language() -> bytes:
    return _change(_LANGUAGE, _short("us_english") + _short(""))


def collation() -> bytes:
    return _change(_COLLATION, bytes([5]) + COLLATION + b"\0")


def packet_size(size: int) -> bytes:
    return _change(_PACKET_SIZE, _short(str(size)) + _short("4096"))


def reset_done() -> bytes:
    return _change(_RESET, b"\0\0")


def transaction_began(number: int) -> bytes:
    return _change(_BEGIN, b"\x08" + struct.pack("<Q", number) + b"\0")


def transaction_ended(number: int, *, committed: bool) -> bytes:
    return _change(_COMMIT if committed else _ROLLBACK, b"\0\x08" + struct.pack("<Q", number))


def message(number: int, severity: int, state: int, text: str, line: int) -> bytes:
    """ERROR where the severity is above 10, INFO else."""
    body = struct.pack("<iBB", number, state, severity) + _long(text) + _short("DOUBLE") + _short("") + struct.pack("<i", line)
    return (b"\xaa" if severity > 10 else b"\xab") + struct.pack("<H", len(body)) + body


def columns(names: Sequence[str], types: Sequence[Type]) -> bytes:
    parts = [b"\x81", struct.pack("<H", len(names))]
    for name, kind in zip(names, types, strict=True):
        # Flags: may be null; not an identity, not computed.
        parts += [struct.pack("<IH", 0, 0x0001), type_info(kind), _short(name[:255])]
    return b"".join(parts)


def row(values: Sequence[Value], types: Sequence[Type]) -> bytes:
    return b"\xd1" + b"".join(encode(value, kind) for value, kind in zip(values, types, strict=True))


def done(status: Status, count: int | None = None) -> bytes:
    return b"\xfd" + _done(status, count)


def done_in_procedure(status: Status, count: int | None = None) -> bytes:
    return b"\xff" + _done(status, count)


def done_procedure(status: Status) -> bytes:
    return b"\xfe" + _done(status, None)


def return_status(code: int) -> bytes:
    return b"\x79" + struct.pack("<i", code)


def return_value(ordinal: int, name: str, value: Value, kind: Type) -> bytes:
    head = struct.pack("<H", ordinal) + _short(name) + b"\x01" + struct.pack("<IH", 0, 0)
    return b"\xac" + head + type_info(kind) + encode(value, kind)


def _done(status: Status, count: int | None) -> bytes:
    flags = status | (Status.COUNT if count is not None else Status.FINAL)
    return struct.pack("<HHQ", flags, 0xC1 if count is not None else 0, count or 0)


def _change(kind: int, body: bytes) -> bytes:
    return b"\xe3" + struct.pack("<HB", len(body) + 1, kind) + body


def _short(text: str) -> bytes:
    return bytes([_units(text)]) + text.encode("utf-16-le")


def _long(text: str) -> bytes:
    return struct.pack("<H", _units(text)) + text.encode("utf-16-le")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
