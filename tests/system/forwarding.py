"""A server that can be away, or far: a port of its own that leads to a real one while the block lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def forwarded(port: int, to: int, *, delay: Callable[[], float] = lambda: 0.0) -> AsyncIterator[None]:
    """A server that is there after all; what is sent either way arrives `delay()` seconds later."""
    serving: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await asyncio.sleep(delay())
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        with suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
            ends.append(far_writer)
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        for end in ends:
            end.transport.abort()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", port)
    yield
    server.close()
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving)
