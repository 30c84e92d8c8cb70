"""Packets on a socket, and TLS within them: [MS-TDS] 2.2.3 (packets) and 2.1 / 3.3.5 (TLS, the handshake inside PRELOGIN).

A message is split into packets of the negotiated size, each with a header of eight bytes. The TLS handshake travels as the
payload of PRELOGIN packets; from then on the TLS records stand alone and hold the packets.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from dataclasses import dataclass
from enum import IntEnum

HEADER = struct.Struct(">BBHHBB")


class Kind(IntEnum):
    BATCH = 0x01
    RPC = 0x03
    RESULT = 0x04
    ATTENTION = 0x06
    TRANSACTION = 0x0E
    LOGIN = 0x10
    PRELOGIN = 0x12


@dataclass(frozen=True, slots=True)
class Message:
    kind: int
    payload: bytes
    reset: bool
    """The client asks for a session as if it had just logged in (RESETCONNECTION)."""


class Stream:
    """One connection's bytes. `spid` goes into each packet's header."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._clear, self._pending = bytearray(), bytearray()
        self._number = 1
        self.packet_size = 4096
        self.spid = 0

    async def receive(self) -> Message:
        """The next whole message. Raises EOFError (IncompleteReadError, say) when the client has gone."""
        payload, reset = bytearray(), False
        while True:
            kind, status, length, _, _, _ = HEADER.unpack(await self._read(HEADER.size))
            if length < HEADER.size:
                raise EOFError(f"a packet of {length} bytes")
            payload += await self._read(length - HEADER.size)
            reset |= bool(status & 0x18)
            if status & 0x01:
                return Message(kind, bytes(payload), reset)

    async def send(self, data: bytes, *, kind: Kind = Kind.RESULT) -> None:
        """Adds to the message under way, and sends the packets that are full. May be cancelled: nothing is sent by halves."""
        self._pending += data
        room = self.packet_size - HEADER.size
        while len(self._pending) > room:
            self._send_packet(kind, room, last=False)
            # The client reads at its own pace: what it has not asked for stays here.
            await self._writer.drain()

    async def finish(self, *, kind: Kind = Kind.RESULT) -> None:
        """Sends the last packet of the message."""
        self._send_packet(kind, len(self._pending), last=True)
        self._number = 1
        await self._writer.drain()

    def _send_packet(self, kind: Kind, size: int, *, last: bool) -> None:
        part = bytes(self._pending[:size])
        del self._pending[:size]
        self._write(HEADER.pack(kind, int(last), size + HEADER.size, self.spid, self._number, 0) + part)
        self._number = (self._number + 1) % 256

    async def shake_hands(self, context: ssl.SSLContext) -> None:
        """TLS from here on. Raises `ssl.SSLError` when the client does not trust us."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush_handshake()
                self._incoming.write((await self.receive()).payload)
            else:
                await self._flush_handshake()
                self._tls = tls
                return

    async def _flush_handshake(self) -> None:
        if ours := self._outgoing.read():
            await self.send(ours, kind=Kind.PRELOGIN)
            await self.finish(kind=Kind.PRELOGIN)

    async def _read(self, count: int) -> bytes:
        if self._tls is None:
            return await self._reader.readexactly(count)
        while len(self._clear) < count:
            try:
                self._clear += self._tls.read(1 << 16)
            except ssl.SSLWantReadError:
                data = await self._reader.read(1 << 16)
                if not data:
                    raise EOFError("the client has gone") from None
                self._incoming.write(data)
            except ssl.SSLError as error:
                raise EOFError(str(error)) from None
        taken = bytes(self._clear[:count])
        del self._clear[:count]
        return taken

    def _write(self, data: bytes) -> None:
        if self._tls is not None:
            self._tls.write(data)
            data = self._outgoing.read()
        self._writer.write(data)

    def abort(self) -> None:
        """Ends the connection at once, as KILL does."""
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return
