"""The port by which the clients come in: TLS of an authority's own, in a thread with a loop of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event, Thread

from trustme import CA

from tests.doubles.oracle.seam import Instance
from tests.doubles.oracle.wire.conversation import Conversation
from tests.doubles.oracle.wire.packets import Line

_STARTS_WITHIN = 10.0  # seconds
_SESSIONS = 256
"""Threads: each session may wait for a lock in one."""


class _Listener:
    """What runs in the thread; `port` is there once `ready` is set."""

    def __init__(self, instance: Instance, context: ssl.SSLContext) -> None:
        self._instance = instance
        self._context = context
        self._conversations: dict[Conversation, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.ready = Event()
        self.port = 0

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_SESSIONS, "oracle-double"))
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self._stop.wait()
        server.close()
        for conversation, task in list(self._conversations.items()):
            conversation.cancel()
            task.cancel()
        await asyncio.gather(*self._conversations.values(), return_exceptions=True)

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation(self._instance, Line(reader, writer))
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served in a task")
        self._conversations[conversation] = task
        try:
            with suppress(asyncio.CancelledError):
                await conversation.hold()
        finally:
            del self._conversations[conversation]


@contextmanager
def listening(instance: Instance, authority: CA) -> Iterator[int]:
    """Serve `instance` on a port of 127.0.0.1 until the block ends: its sessions are closed then."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    listener = _Listener(instance, context)
    thread = Thread(target=lambda: asyncio.run(listener.run()), name="oracle-double")
    thread.start()
    try:
        if not listener.ready.wait(_STARTS_WITHIN):
            raise TimeoutError("the Oracle double did not start")
        yield listener.port
    finally:
        listener.stop()
        thread.join(_STARTS_WITHIN)
