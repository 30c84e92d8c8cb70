"""Integers, texts, numbers and dates, as TTC writes them (the driver's base/buffer.pyx, encoders.pyx, decoders.pyx)."""

from __future__ import annotations

import struct
from datetime import datetime
from decimal import Decimal

_SHORT = 252  # a longer text comes in chunks
_CHUNK = 32767
_LONG = 254
_NULLS = (0, 255)


class Incomplete(Exception):
    """The message goes on in the next packet."""


class Reader:
    """What the client sent, read from its start; `Incomplete` where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def raw(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise Incomplete
        piece, self._at = self._data[self._at : end], end
        return piece

    def byte(self) -> int:
        return self.raw(1)[0]

    def number(self) -> int:
        """Any of the driver's ub2, ub4 and ub8: a length, then as many bytes."""
        return int.from_bytes(self.raw(self.byte()), "big")

    def skip(self, pattern: str) -> None:
        """Fields that say nothing here: `b` for each byte, `n` for each number."""
        for kind in pattern:
            if kind == "b":
                self.byte()
            else:
                self.number()

    def text(self) -> bytes | None:
        """A length of one byte and the bytes; or chunks, each with its length, up to an empty one."""
        length = self.byte()
        if length in _NULLS:
            return None
        if length != _LONG:
            return self.raw(length)
        chunks = []
        while size := self.number():
            chunks.append(self.raw(size))
        return b"".join(chunks)

    def counted(self) -> bytes:
        """The length as a number, and then again in front of the bytes."""
        return (self.text() or b"") if self.number() else b""


def number(value: int) -> bytes:
    """An unsigned integer as ub2, ub4 and ub8 are written: in 0, 1, 2, 4 or 8 bytes, their count first."""
    if value == 0:
        return b"\0"
    size = next(size for size in (1, 2, 4, 8) if value < 1 << 8 * size)
    return bytes([size]) + value.to_bytes(size, "big")


def text(value: bytes) -> bytes:
    if len(value) <= _SHORT:
        return bytes([len(value)]) + value
    chunks = (value[at : at + _CHUNK] for at in range(0, len(value), _CHUNK))
    return bytes([_LONG]) + b"".join(number(len(chunk)) + chunk for chunk in chunks) + b"\0"


def counted(value: bytes) -> bytes:
    return number(len(value)) + (text(value) if value else b"")


def oracle_number(value: Decimal) -> bytes:
    """Base-100 digits behind an exponent, inverted when negative; of more than 40 decimal digits the first 38 are kept."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError(f"{value} is no NUMBER")
    if not any(digits):
        return b"\x80"
    exponent += max(0, len(digits) - 38)
    decimals = list(digits[:38])
    if exponent % 2:
        decimals.append(0)
        exponent -= 1
    if len(decimals) % 2:
        decimals.insert(0, 0)
    pairs = [tens * 10 + ones for tens, ones in zip(decimals[::2], decimals[1::2], strict=True)]
    first = exponent // 2 + len(pairs)
    while not pairs[-1]:
        pairs.pop()
    while not pairs[0]:
        pairs.pop(0)
        first -= 1
    if sign:
        end = [102] if len(pairs) < 20 else []
        return bytes([~(first + 192) & 0xFF, *(101 - pair for pair in pairs), *end])
    return bytes([first + 192, *(pair + 1 for pair in pairs)])


def read_oracle_number(data: bytes) -> int | Decimal:
    positive = bool(data[0] & 0x80)
    exponent = (data[0] if positive else ~data[0] & 0xFF) - 192
    mantissa = data[1:] if positive else data[1:].removesuffix(b"\x66")
    pairs = [pair - 1 if positive else 101 - pair for pair in mantissa]
    digits = tuple(digit for pair in pairs for digit in divmod(pair, 10))
    value = Decimal((not positive, digits, 2 * (exponent - len(pairs))))
    return int(value) if value == value.to_integral_value() else value


def date(value: datetime) -> bytes:
    century, year = divmod(value.year, 100)
    return bytes([century + 100, year + 100, value.month, value.day, value.hour + 1, value.minute + 1, value.second + 1])


def timestamp(value: datetime) -> bytes:
    return date(value) + struct.pack(">I", value.microsecond * 1000)


def read_date(data: bytes) -> datetime:
    year = (data[0] - 100) * 100 + data[1] - 100
    fraction = struct.unpack(">I", data[7:11])[0] // 1000 if len(data) >= 11 else 0
    return datetime(year, data[2], data[3], data[4] - 1, data[5] - 1, data[6] - 1, fraction)
