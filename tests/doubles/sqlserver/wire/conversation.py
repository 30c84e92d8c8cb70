"""One client's connection, from PRELOGIN to its end: messages in, a session's replies out."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from tests.doubles.sqlserver.engine.replies import Began, Columns, Done, Ended, Failed, Moved, Noted, Reply, Row
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.sql.types import INT, Type
from tests.doubles.sqlserver.wire import tokens
from tests.doubles.sqlserver.wire.calls import Call, Parameters, parse_call, parse_transaction
from tests.doubles.sqlserver.wire.login import Login, parse_login, prelogin_answer
from tests.doubles.sqlserver.wire.stream import Kind, Message, Stream
from tests.doubles.sqlserver.wire.tokens import Status
from tests.doubles.sqlserver.wire.values import Reader, Unknown


class Session(Protocol):
    """A login's session; `number` is its SPID."""

    @property
    def number(self) -> int: ...
    @property
    def database(self) -> str: ...
    @property
    def transaction(self) -> int | None: ...
    def run(self, batch: str, parameters: Parameters) -> AsyncIterator[Reply]: ...
    def reset(self) -> None: ...
    def close(self) -> None: ...


class Host(Protocol):
    """The server behind the wire. `end`: what KILL calls."""

    def log_in(self, login: Login, end: Stream) -> Session: ...
    def note(self, line: str) -> None: ...


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, host: Host) -> None:
    """Serves one client until either side ends the connection."""
    stream = Stream(reader, writer)
    try:
        first = await stream.receive()
        await stream.send(prelogin_answer(first.payload))
        await stream.finish()
        await stream.shake_hands(context)
        login = parse_login((await stream.receive()).payload)
        session = await _log_in(stream, login, host)
        if session is not None:
            try:
                await _Conversation(stream, session, host).serve()
            finally:
                session.close()
    except (EOFError, OSError) as error:
        host.note(f"a connection ended: {error}")
    finally:
        await stream.close()


async def _log_in(stream: Stream, login: Login, host: Host) -> Session | None:
    try:
        session = host.log_in(login, stream)
    except SqlError as error:
        for part in error.chain():
            await stream.send(tokens.message(part.number, part.severity, part.state, part.text, 1))
        await stream.send(tokens.done(Status.ERROR))
        await stream.finish()
        return None
    stream.spid = session.number
    await stream.send(tokens.database_changed(session.database, "master") + tokens.collation() + tokens.language())
    await stream.send(tokens.login_ack() + tokens.packet_size(login.packet_size) + tokens.done(Status.FINAL))
    await stream.finish()
    stream.packet_size = login.packet_size
    return session


class _Conversation:
    """After the login. While a request runs, the client may say one thing: attention."""

    def __init__(self, stream: Stream, session: Session, host: Host) -> None:
        self._stream, self._session, self._host = stream, session, host
        self._prepared: dict[int, str] = {}

    async def serve(self) -> None:
        incoming = asyncio.create_task(self._stream.receive())
        try:
            while True:
                message = await incoming
                incoming = asyncio.create_task(self._stream.receive())
                answer = asyncio.create_task(self._answer(message))
                await asyncio.wait({incoming, answer}, return_when=asyncio.FIRST_COMPLETED)
                if not answer.done():
                    # The client has gone, or wants no more of it.
                    answer.cancel()
                    await asyncio.wait({answer})
                    if not incoming.exception() and incoming.result().kind == Kind.ATTENTION:
                        incoming = await self._attend(incoming)
                else:
                    answer.result()
        finally:
            incoming.cancel()

    async def _attend(self, incoming: asyncio.Task[Message]) -> asyncio.Task[Message]:
        await self._stream.send(tokens.done(Status.ATTENTION))
        await self._stream.finish()
        return asyncio.create_task(self._stream.receive())

    async def _answer(self, message: Message) -> None:
        if message.reset:
            self._session.reset()
            await self._stream.send(tokens.reset_done())
        try:
            match message.kind:
                case Kind.BATCH:
                    request = Reader(message.payload)
                    request.skip_headers()
                    await self._batch(request.rest().decode("utf-16-le"))
                case Kind.RPC:
                    await self._call(parse_call(message.payload))
                case Kind.TRANSACTION:
                    await self._batch(parse_transaction(message.payload))
                case Kind.ATTENTION:
                    await self._stream.send(tokens.done(Status.ATTENTION))
                case _:
                    raise Unknown(f"a message of kind 0x{message.kind:02x}")  # noqa: TRY301
        except Unknown as unknown:
            self._host.note(f"refused: {unknown}")
            await self._stream.send(tokens.message(8037, 16, 1, f"The double does not know {unknown}", 1))
            await self._stream.send(tokens.done(Status.ERROR))
        await self._stream.finish()

    async def _batch(self, batch: str) -> None:
        status, count = await self._replies(self._session.run(batch, {}), tokens.done)
        await self._stream.send(tokens.done(status, count))

    async def _call(self, call: Call) -> None:
        """The procedures by which a driver sends bound parameters; their texts are batches like any other."""
        answer = b""
        match call.procedure:
            case "sp_executesql":
                text, parameters = call.text, call.parameters
            case "sp_prepexec" | "sp_prepare":
                handle = len(self._prepared) + 1
                self._prepared[handle] = call.text
                answer = tokens.return_value(0, "", handle, INT)
                text, parameters = (call.text, call.parameters) if call.procedure == "sp_prepexec" else ("", {})
            case "sp_execute":
                text, names = self._prepared[call.handle], [f"@P{n}" for n in range(1, len(call.parameters) + 1)]
                parameters = dict(zip(names, call.parameters.values(), strict=True))
            case "sp_unprepare":
                self._prepared.pop(call.handle, None)
                text, parameters = "", {}
            case other:
                raise Unknown(f"the procedure {other}")
        status, _ = await self._replies(self._session.run(text, parameters), tokens.done_in_procedure, pending=False)
        await self._stream.send(tokens.return_status(0) + answer + tokens.done_procedure(status))

    async def _replies(
        self, replies: AsyncIterator[Reply], done: Callable[[Status, int | None], bytes], *, pending: bool = True
    ) -> tuple[Status, int | None]:
        """Sends the replies; with `pending` without the last end of a statement, which the caller sends as the batch's."""
        types: tuple[Type, ...] = ()
        last: tuple[Status, int | None] | None = None
        failed = Status.FINAL
        async for reply in replies:
            if last is not None:
                await self._stream.send(done(last[0] | Status.MORE, last[1]))
                last = None
            match reply:
                case Columns():
                    types = reply.types
                case Done(count):
                    last = failed | self._status(), count
                    failed = Status.FINAL
                case Failed():
                    failed = Status.ERROR
            await self._stream.send(encoded(reply, types))
        if last is not None and not pending:
            await self._stream.send(done(last[0] | Status.MORE, last[1]))
        return last or (self._status() | failed, None)

    def _status(self) -> Status:
        return Status.IN_TRANSACTION if self._session.transaction else Status.FINAL


def encoded(reply: Reply, types: tuple[Type, ...]) -> bytes:
    match reply:
        case Columns():
            return tokens.columns(reply.names, reply.types)
        case Row():
            return tokens.row(reply.values, types)
        case Done():
            return b""
        case Failed(error):
            return b"".join(tokens.message(e.number, e.severity, e.state, e.text, e.line) for e in error.chain())
        case Noted(number, text):
            return tokens.message(number, 0, 1, text, 1)
        case Moved(new, old):
            return tokens.database_changed(new, old)
        case Began(transaction):
            return tokens.transaction_began(transaction)
        case Ended(transaction, committed):
            return tokens.transaction_ended(transaction, committed=committed)
