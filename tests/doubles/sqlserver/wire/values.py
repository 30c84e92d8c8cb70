"""Values on the wire: TYPE_INFO and TYPE_VARBYTE of [MS-TDS] 2.2.5.4 to 2.2.5.6, both ways."""

from __future__ import annotations

import struct
from datetime import date, datetime, timedelta
from decimal import Decimal

from tests.doubles.sqlserver.sql.types import BIGINT, BIT, DATE, FLOAT, INT, SMALLINT, TINYINT, Type, Value

_COLLATION = bytes([0x09, 0x04, 0xD0, 0x00, 0x34])
_INTN, _BITN, _FLTN, _DECIMALN, _NUMERICN, _DATEN, _DATETIME2N = 0x26, 0x68, 0x6D, 0x6A, 0x6C, 0x28, 0x2A
_VARBINARY, _VARCHAR, _BINARY, _CHAR, _NVARCHAR, _NCHAR = 0xA5, 0xA7, 0xAD, 0xAF, 0xE7, 0xEF
_NTEXT = 0x63
_INTS = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}
_MAX = 0xFFFF
_PLP_NULL = b"\xff" * 8
_EPOCH = date(1, 1, 1)


class Unknown(Exception):
    """A type that the double does not have."""


def type_info(kind: Type) -> bytes:
    match kind.name:
        case "tinyint" | "smallint" | "int" | "bigint":
            return bytes([_INTN, _INTS[kind.name]])
        case "bit":
            return bytes([_BITN, 1])
        case "float":
            return bytes([_FLTN, 8])
        case "decimal":
            return bytes([_DECIMALN, 17, kind.precision, kind.scale])
        case "date":
            return bytes([_DATEN])
        case "datetime2":
            return bytes([_DATETIME2N, 7])
        case "varbinary" | "binary":
            return bytes([_VARBINARY]) + struct.pack("<H", kind.length or _MAX)
        case _:
            return bytes([_NVARCHAR]) + struct.pack("<H", 2 * kind.length if kind.length else _MAX) + _COLLATION


def encode(value: Value, kind: Type) -> bytes:
    if kind.name in ("varbinary", "binary") or kind.name.endswith("char"):
        return _encode_long(value, kind)
    if value is None:
        return b"\0"
    data = _encode_fixed(value, kind)
    return bytes([len(data)]) + data


def _encode_long(value: Value, kind: Type) -> bytes:
    if value is None:
        return struct.pack("<H", _MAX) if kind.length else _PLP_NULL
    data = value if isinstance(value, bytes) else str(value).encode("utf-16-le")
    if kind.length:
        return struct.pack("<H", len(data)) + data
    chunk = struct.pack("<I", len(data)) + data if data else b""
    return struct.pack("<Q", len(data)) + chunk + struct.pack("<I", 0)


def _encode_fixed(value: Value, kind: Type) -> bytes:
    if kind.name in _INTS:
        assert isinstance(value, int)
        return value.to_bytes(_INTS[kind.name], "little", signed=kind.name != "tinyint")
    match kind.name, value:
        case "bit", _:
            return bytes([bool(value)])
        case "float", int() | float() | Decimal():
            return struct.pack("<d", float(value))
        case "decimal", int() | float() | Decimal():
            scaled = int(Decimal(str(value)).scaleb(kind.scale).to_integral_value())
            return bytes([scaled >= 0]) + abs(scaled).to_bytes(16, "little")
        case "datetime2", datetime():
            since = value - datetime.combine(value.date(), datetime.min.time())
            ticks = (since // timedelta(microseconds=1)) * 10
            return ticks.to_bytes(5, "little") + _days(value.date())
        case "date", date():
            return _days(value)
    raise Unknown(f"{value!r} is no {kind}")


def _days(value: date) -> bytes:
    return (value - _EPOCH).days.to_bytes(3, "little")


class Reader:
    """Reads a request from front to back."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise Unknown("the request ends too soon")
        self._at += count
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self, size: int = 1) -> str:
        """A string after its length in UTF-16 units, which takes `size` bytes."""
        return self.take(2 * self.number(size)).decode("utf-16-le")

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def skip_headers(self) -> None:
        """ALL_HEADERS: its whole length comes first."""
        self.take(self.number(4) - 4)

    def value(self) -> tuple[Type, Value]:
        """One parameter: its TYPE_INFO, then its value."""
        code = self.number(1)
        if code in (_VARBINARY, _BINARY, _VARCHAR, _CHAR, _NVARCHAR, _NCHAR):
            return self._long(code)
        if code in (_INTN, _BITN, _FLTN, _DECIMALN, _NUMERICN, _DATEN, _DATETIME2N):
            return self._fixed(code)
        if code == _NTEXT:
            return self._ntext()
        raise Unknown(f"a parameter of type 0x{code:02x}")

    def _ntext(self) -> tuple[Type, Value]:
        """How FreeTDS sends the text of a statement."""
        self.take(4 + len(_COLLATION))
        length = self.number(4)
        return Type("nvarchar", None), None if length == 0xFFFFFFFF else self.take(length).decode("utf-16-le")

    def _long(self, code: int) -> tuple[Type, Value]:
        length = self.number(2)
        if code not in (_VARBINARY, _BINARY):
            self.take(5)
        data = self._chunks() if length == _MAX else self._counted()
        if code in (_VARBINARY, _BINARY):
            return Type("varbinary", None if length == _MAX else length), data
        wide = code in (_NVARCHAR, _NCHAR)
        kind = Type("nvarchar", None if length == _MAX else length // (2 if wide else 1))
        return kind, data if data is None else data.decode("utf-16-le" if wide else "cp1252")

    def _counted(self) -> bytes | None:
        length = self.number(2)
        return None if length == _MAX else self.take(length)

    def _chunks(self) -> bytes | None:
        if self.take(8) == _PLP_NULL:
            return None
        data = b""
        while length := self.number(4):
            data += self.take(length)
        return data

    def _fixed(self, code: int) -> tuple[Type, Value]:
        size = 3 if code == _DATEN else self.number(1)
        kind = {
            _INTN: {1: TINYINT, 2: SMALLINT, 4: INT}.get(size, BIGINT),
            _BITN: BIT,
            _FLTN: FLOAT,
            _DATEN: DATE,
            _DATETIME2N: Type("datetime2", scale=7),
        }.get(code) or Type("decimal", precision=self.number(1), scale=self.number(1))
        data = self.take(self.number(1))
        return kind, _decode(code, data, size, kind) if data else None


def _decode(code: int, data: bytes, size: int, kind: Type) -> Value:
    # `size` is the scale where the type is datetime2.
    match code:
        case 0x26:  # INTN
            return int.from_bytes(data, "little", signed=len(data) > 1)
        case 0x68:  # BITN
            return bool(data[0])
        case 0x6D:  # FLTN
            return float(struct.unpack("<d" if len(data) == 8 else "<f", data)[0])
        case 0x28:  # DATEN
            return _EPOCH + timedelta(days=int.from_bytes(data, "little"))
        case 0x2A:  # DATETIME2N
            day = _EPOCH + timedelta(days=int.from_bytes(data[-3:], "little"))
            ticks = int.from_bytes(data[:-3], "little") * 10 ** (7 - size)
            return datetime.combine(day, datetime.min.time()) + timedelta(microseconds=ticks // 10)
        case _:
            magnitude = Decimal(int.from_bytes(data[1:], "little")).scaleb(-kind.scale)
            return magnitude if data[0] else -magnitude
