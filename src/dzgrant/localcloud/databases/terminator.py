"""Run as a process of its own: TLS in front of a PostgreSQL that is built without it.

Answers the client's SSLRequest as a server would (PostgreSQL documentation, "Message Flow", "SSL Session Encryption"),
refuses whoever goes on without TLS, and pipes the rest to the server's Unix socket. Only the standard library is
imported: this file is run by its path.
"""

import asyncio
import signal
import ssl
import struct
import sys
from contextlib import closing, suppress
from functools import partial

_SSL_REQUEST = 80877103
_GSS_REQUEST = 80877104
# ErrorResponse with severity, SQLSTATE and message, as PostgreSQL answers without a matching line in pg_hba.conf.
_FIELDS = b"SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry for this host, no encryption\0\0"
_REFUSAL = b"E" + struct.pack("!i", len(_FIELDS) + 4) + _FIELDS
_HANDSHAKE = 10.0  # seconds


async def main(port: str, server: str, certificate: str, key: str) -> None:
    """Listens to 127.0.0.1 on the port until SIGQUIT, which is how the guard stops what it guards."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, stop.set)
    async with await asyncio.start_server(partial(_serve, tls, server), "127.0.0.1", int(port)):
        await stop.wait()


async def _serve(tls: ssl.SSLContext, server: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with closing(writer), suppress(OSError, EOFError, TimeoutError):
        async with asyncio.timeout(_HANDSHAKE):
            encrypted = await _encrypt(tls, reader, writer)
        if encrypted:
            from_server, to_server = await asyncio.open_unix_connection(server)
            with closing(to_server):
                await asyncio.gather(_pipe(reader, to_server), _pipe(from_server, writer))


async def _encrypt(tls: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the client asked for TLS, and has it now."""
    request = await _request(reader)
    if request == _GSS_REQUEST:
        writer.write(b"N")
        request = await _request(reader)
    if request != _SSL_REQUEST:
        writer.write(_REFUSAL)
        await writer.drain()
        return False
    writer.write(b"S")
    await writer.start_tls(tls)
    return True


async def _request(reader: asyncio.StreamReader) -> int:
    """The code that every first message has behind its length."""
    _, code = struct.unpack("!ii", await reader.readexactly(8))
    return int(code)


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with closing(target):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
