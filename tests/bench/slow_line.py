"""A TCP proxy that makes a server far away: what the client sends arrives later; TLS passes through untouched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socket import AF_INET
from threading import Event, Thread
from typing import cast

from dzgrant.localcloud.databases.workplace import HOST


@dataclass(slots=True)
class SlowLine:
    """Runs in a thread of its own, so that `round_trips` may be read at any time."""

    server: int
    """The server's port; both sides are on this machine."""
    seconds: float
    port: int = 0
    round_trips: int = 0
    """How often the server answered: connects and TLS handshakes included, a farewell not."""
    waited: float = 0.0
    """Seconds for which the client waited for these answers, the injected delay included."""

    async def serve(self, ready: Event, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: _Client(self), HOST, family=AF_INET) as listener:
            self.port = listener.sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()


class _Server(asyncio.Protocol):
    """The way back: as fast as it is."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.heard()
        self._client.transport.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._client.transport.close()


class _Client(asyncio.Protocol):
    """The way there. A delay, not a queue: two bursts that follow closely arrive as closely."""

    transport: asyncio.Transport

    def __init__(self, line: SlowLine) -> None:
        self._line = line
        self._asked_at: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._server = self._loop.create_task(self._loop.create_connection(lambda: _Server(self), HOST, self._line.server))

    def data_received(self, data: bytes) -> None:
        if self._asked_at is None:
            self._asked_at = self._loop.time()
        self._later(lambda server: server.write(data))

    def heard(self) -> None:
        """The server has answered."""
        if self._asked_at is not None:
            self._line.round_trips += 1
            self._line.waited += self._loop.time() - self._asked_at
            self._asked_at = None

    def connection_lost(self, _error: Exception | None) -> None:
        self._later(lambda server: server.close())

    def _later(self, act: Callable[[asyncio.Transport], None]) -> None:
        def connected(task: asyncio.Task[tuple[asyncio.Transport, _Server]]) -> None:
            if task.exception() is None:
                act(task.result()[0])
            else:
                self.transport.close()

        self._loop.call_later(self._line.seconds, self._server.add_done_callback, connected)


@contextmanager
def slow_line(server: int, milliseconds: float) -> Iterator[SlowLine]:
    """In front of the port `server` of this machine, until the block is left."""
    line = SlowLine(server, milliseconds / 1000)
    ready, stop = Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_until_complete, args=(line.serve(ready, stop),), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield line
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
