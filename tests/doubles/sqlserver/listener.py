"""The listening thread: its own event loop, a free port of 127.0.0.1, one task for each client."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.doubles.sqlserver.wire.conversation import Host, converse


@contextmanager
def listening(host: Host, certificate: Path, key: Path) -> Iterator[int]:
    """Serves until the block is left; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # TDS 7.4 wraps a handshake that ends where it ends; TLS 1.3 sends tickets after it, and belongs to TDS 8.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    loop = asyncio.new_event_loop()
    clients: set[asyncio.Task[None]] = set()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        clients.add(task)
        try:
            await converse(reader, writer, context, host)
        except asyncio.CancelledError:
            # `stop` asked for it, and asyncio would print a cancelled client as an error.
            writer.transport.abort()
        finally:
            clients.discard(task)

    async def stop(server: asyncio.Server) -> None:
        server.close()
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    server = loop.run_until_complete(asyncio.start_server(serve_one, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, name="sqlserver double")
    thread.start()
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
