"""The first messages of a connection: PRELOGIN ([MS-TDS] 2.2.6.5) and LOGIN7 (2.2.6.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_VERSION, _ENCRYPTION, _INSTANCE, _THREAD, _MARS = range(5)
_TERMINATOR = 0xFF
DEFAULT_PACKET_SIZE = 4096  # for a client that asks for 0
ENCRYPT_ON, ENCRYPT_REQUIRED = 1, 3
# HostName, UserName, Password, AppName, ServerName, Extension, CltIntName, Language, Database: an offset and a length each.
_FIELDS = 36


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str
    host: str
    program: str
    database: str
    packet_size: int

    def __repr__(self) -> str:
        return f"Login({self.user!r}, {self.database!r})"


def prelogin_answer(request: bytes) -> bytes:
    """Version 16.0.1000, TLS for the whole connection, no MARS."""
    encryption = ENCRYPT_ON if options(request).get(_ENCRYPTION, b"\0")[0] == ENCRYPT_ON else ENCRYPT_REQUIRED
    answers = {
        _VERSION: bytes([16, 0, 0x03, 0xE8, 0, 0]),
        _ENCRYPTION: bytes([encryption]),
        _INSTANCE: b"\0",
        _THREAD: b"",
        _MARS: b"\0",
    }
    start = 5 * len(answers) + 1
    head, body = b"", b""
    for option, data in answers.items():
        head += struct.pack(">BHH", option, start + len(body), len(data))
        body += data
    return head + bytes([_TERMINATOR]) + body


def options(request: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while request[at] != _TERMINATOR:
        option, offset, length = struct.unpack_from(">BHH", request, at)
        found[option] = request[offset : offset + length]
        at += 5
    return found


def parse_login(payload: bytes) -> Login:
    def field(index: int) -> bytes:
        offset, length = struct.unpack_from("<HH", payload, _FIELDS + 4 * index)
        return payload[offset : offset + 2 * length]

    return Login(
        host=field(0).decode("utf-16-le"),
        user=field(1).decode("utf-16-le"),
        password=_clear(field(2)).decode("utf-16-le"),
        program=field(3).decode("utf-16-le"),
        database=field(8).decode("utf-16-le"),
        packet_size=struct.unpack_from("<I", payload, 8)[0] or DEFAULT_PACKET_SIZE,
    )


def _clear(obscured: bytes) -> bytes:
    """LOGIN7 swaps the halves of each byte of the password and XORs it with 0xA5."""
    return bytes(((byte ^ 0xA5) & 0x0F) << 4 | ((byte ^ 0xA5) >> 4) for byte in obscured)
