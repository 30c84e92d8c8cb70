"""TNS packets: framing, and what the listener says before a session is there (the driver's packet.pyx and connect.pyx)."""

from __future__ import annotations

import asyncio
import re
import struct
from dataclasses import dataclass
from enum import IntEnum

_VERSION = 318  # the newest without the end-of-response flag of 23ai
_SDU = 8192
_LARGEST = _SDU - 10  # bytes of a data packet behind its header and flags
_END_OF_FILE = 0x0040


class Kind(IntEnum):
    CONNECT = 1
    ACCEPT = 2
    REFUSE = 4
    DATA = 6
    MARKER = 12


class Marker(IntEnum):
    BREAK = 1
    RESET = 2
    INTERRUPT = 3


@dataclass(frozen=True)
class Packet:
    kind: int
    body: bytes
    """All behind the header of eight bytes."""

    @property
    def data(self) -> bytes:
        return self.body[2:]

    @property
    def last(self) -> bool:
        """Whether the client says goodbye with it."""
        return self.kind == Kind.DATA and bool(struct.unpack(">H", self.body[:2])[0] & _END_OF_FILE)

    @property
    def marker(self) -> int | None:
        return self.body[2] if self.kind == Kind.MARKER else None


class Line:
    """One connection's packets. Their length is of two bytes until the connection is accepted, of four afterwards."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._accepted = False

    async def receive(self) -> Packet:
        """The next packet. Raises asyncio.IncompleteReadError or OSError when the client is gone."""
        header = await self._reader.readexactly(8)
        length = struct.unpack(">I", header[:4])[0] if self._accepted else struct.unpack(">H", header[:2])[0]
        return Packet(header[4], await self._reader.readexactly(length - 8))

    async def send(self, kind: Kind, body: bytes) -> None:
        length = len(body) + 8
        size = struct.pack(">I", length) if self._accepted else struct.pack(">HH", length, 0)
        self._writer.write(size + bytes([kind, 0, 0, 0]) + body)
        await self._writer.drain()

    async def accept(self) -> None:
        options_to_flags = struct.pack(">HH10xB9xI5xI", _VERSION, 0, 0, _SDU, 0)
        await self.send(Kind.ACCEPT, options_to_flags)
        self._accepted = True

    async def refuse(self, code: int) -> None:
        """As the listener does: `code` is 12514 for an unknown service, 12505 for an unknown SID."""
        reason = f"(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR={code})(ERROR_STACK=(ERROR=(CODE={code})(EMFI=4))))".encode()
        await self.send(Kind.REFUSE, struct.pack(">BBH", 34, 0, len(reason)) + reason)

    async def mark(self, marker: Marker) -> None:
        await self.send(Kind.MARKER, bytes([1, 0, marker]))

    async def answer(self, message: bytes) -> None:
        """A whole message, in as many data packets as it needs."""
        for start in range(0, len(message), _LARGEST):
            await self.send(Kind.DATA, b"\0\0" + message[start : start + _LARGEST])

    def hang_up(self) -> None:
        self._writer.close()


@dataclass(frozen=True)
class Wanted:
    """What a connect descriptor asks the listener for."""

    service: str | None
    sid: str | None


async def wanted(line: Line) -> Wanted:
    """Read the connect packet. A descriptor too long for it comes in a data packet of its own."""
    packet = await line.receive()
    if packet.kind != Kind.CONNECT:
        raise ConnectionError(f"a packet of kind {packet.kind} before CONNECT")
    length, offset = struct.unpack(">HH", packet.body[16:20])
    descriptor = packet.body[offset - 8 :] if len(packet.body) > offset - 8 else b""
    while len(descriptor) < length:
        descriptor += (await line.receive()).data
    return Wanted(_in(descriptor, "SERVICE_NAME"), _in(descriptor, "SID"))


def _in(descriptor: bytes, key: str) -> str | None:
    found = re.search(rf"\({key}=([^()]*)\)", descriptor.decode(), re.IGNORECASE)
    return found[1] if found else None
