"""One connection, from its connect packet to its last.

A statement runs in a thread, and the client's packets are read meanwhile: a break cancels it. What the call came to is then
kept back until the client has asked for the reset, as the real server does, and told as ORA-01013.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import count

from tests.doubles.oracle.seam import Instance, OracleError, Session
from tests.doubles.oracle.wire import responses
from tests.doubles.oracle.wire.cursors import Cursor, fetched, run
from tests.doubles.oracle.wire.packets import Kind, Line, Marker, Packet, Wanted, wanted
from tests.doubles.oracle.wire.requests import (
    Asked,
    Authenticate,
    BindType,
    Execute,
    Fetch,
    Function,
    Message,
    Negotiate,
    Plain,
    read,
)
from tests.doubles.oracle.wire.values import Incomplete
from tests.doubles.oracle.wire.verifier import VERIFIER_12C, Challenge, Proven, proven

_NO_SERVICE, _NO_SID = 12514, 12505
_KILLED = 28
_HANGS_UP_WITHIN = 2.0  # seconds
_ADMINISTRATORS = 0x20 | 0x40 | 0x400000 | 0x1000000 | 0x2000000 | 0x4000000 | 0x8000000  # SYSDBA, SYSOPER and their like


class Conversation:
    """One connection. `close` ends its session, whatever it does."""

    def __init__(self, instance: Instance, line: Line) -> None:
        self._instance = instance
        self._line = line
        self._packets: asyncio.Queue[Packet | None] = asyncio.Queue()
        self._broken = False
        self._over = False  # the client was told that its session is dead
        self._service = ""
        self._challenge = Challenge()
        self._session: Session | None = None
        self._cursors: dict[int, Cursor] = {}
        self._ids = count(1)

    async def hold(self) -> None:
        """Until the client logs off, is lost, or its session was killed."""
        try:
            if not await self._connected(await wanted(self._line)):
                return
            async with asyncio.TaskGroup() as group:
                pump = group.create_task(self._pump())
                await self._talk()
                pump.cancel()
        except* (EOFError, OSError):
            pass
        finally:
            self._line.hang_up()
            if self._session is not None:
                await asyncio.to_thread(self._session.close)

    def cancel(self) -> None:
        """End the statement that runs now. The thread it runs in is the session's own."""
        if self._session is not None:
            self._session.cancel()

    async def _connected(self, asked: Wanted) -> bool:
        services = {service.lower(): service for service in self._instance.services}
        if asked.service is not None and asked.service.lower() in services:
            self._service = services[asked.service.lower()]
        elif asked.sid is not None and asked.sid.lower() in {sid.lower() for sid in self._instance.sids}:
            self._service = "SYS$USERS"  # V$SESSION says so of who came by the SID
        else:
            await self._line.refuse(_NO_SID if asked.service is None else _NO_SERVICE)
            return False
        await self._line.accept()
        return True

    async def _pump(self) -> None:
        """Read ahead, so that a break reaches the statement that runs."""
        try:
            while True:
                packet = await self._line.receive()
                if packet.marker in (Marker.BREAK, Marker.INTERRUPT):
                    self._broken = True
                    await asyncio.to_thread(self.cancel)
                await self._packets.put(packet)
        except (EOFError, OSError):
            await self._packets.put(None)

    async def _talk(self) -> None:
        message = b""
        answer = b""
        while (packet := await self._packets.get()) is not None and not packet.last:
            if packet.kind == Kind.MARKER:
                if packet.marker != Marker.RESET:
                    await self._reset(answer or self._failure(_cancelled()))
                message = answer = b""
                continue
            message += packet.data
            try:
                asked = read(message, self._types_of)
            except Incomplete:
                continue
            except OracleError as error:
                asked, answer = None, self._failure(error)
            message = b""
            if asked is not None:
                answer = await self._answer(asked)
            if self._broken:
                continue
            await self._line.answer(answer)
            answer = b""
            if asked is not None and asked.request == Plain(Function.LOGOFF):
                return
            if self._over:
                await self._left()
                return

    async def _left(self) -> None:
        """The client reads ORA-00028 and hangs up; were the line closed before, it might see that instead."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_HANGS_UP_WITHIN):
                while await self._packets.get() is not None:
                    pass

    async def _reset(self, failure: bytes) -> None:
        """The client waits for the reset marker and then for the call's end, which is always a failure."""
        await self._line.mark(Marker.BREAK)
        while (packet := await self._packets.get()) is not None and packet.marker != Marker.RESET:
            pass
        self._broken = False
        await self._line.mark(Marker.RESET)
        await self._line.answer(failure)

    def _types_of(self, cursor: int) -> Sequence[BindType]:
        return self._cursor(cursor).types

    def _cursor(self, cursor: int) -> Cursor:
        if cursor not in self._cursors:
            raise OracleError(1001, "invalid cursor")
        return self._cursors[cursor]

    def _failure(self, error: OracleError, cursor: int = 0) -> bytes:
        self._over = self._over or error.code == _KILLED
        return responses.failure(error, cursor=cursor, in_transaction=self._in_transaction())

    def _in_transaction(self) -> bool:
        return self._session is not None and self._session.in_transaction

    async def _answer(self, asked: Asked) -> bytes:
        for cursor in asked.closed:
            self._cursors.pop(cursor, None)
        request = asked.request
        if isinstance(request, Negotiate):
            return responses.protocol() if request.what == Message.PROTOCOL else responses.data_types()
        try:
            if isinstance(request, Authenticate):
                return await self._log_on(request)
            return await asyncio.to_thread(self._called, request)
        except OracleError as error:
            return self._failure(error)

    def _called(self, request: Plain | Execute | Fetch) -> bytes:
        """One call of a session that is logged on; in a thread, since it may wait for a lock."""
        session = self._session
        if session is None:
            raise OracleError(1012, "not logged on")
        if session.killed:
            raise OracleError(_KILLED, "your session has been killed")
        if isinstance(request, Fetch):
            return fetched(self._cursor(request.cursor), request.cursor, request.count, in_transaction=self._in_transaction())
        if isinstance(request, Execute):
            return self._executed(session, request)
        if request.function == Function.COMMIT:
            session.commit()
        elif request.function == Function.ROLLBACK:
            session.rollback()
        return responses.status(in_transaction=session.in_transaction)

    def _executed(self, session: Session, request: Execute) -> bytes:
        """A statement that fails leaves no cursor: the driver parses it again."""
        cursor = self._cursor(request.cursor) if request.sql is None else Cursor(request.sql)
        number = request.cursor or next(self._ids)
        try:
            answer = run(session, cursor, number, request)
        except OracleError as error:
            was_open = self._cursors.pop(request.cursor, None) is not None
            return self._failure(error, request.cursor if was_open else 0)
        self._cursors[number] = cursor
        return answer

    async def _log_on(self, request: Authenticate) -> bytes:
        if request.function == Function.AUTH_PHASE_ONE:
            return responses.parameters(self._challenge.parameters(), VERIFIER_12C) + responses.status(in_transaction=False)
        if request.mode & _ADMINISTRATORS:
            raise OracleError(1031, "insufficient privileges")
        session, proof = await asyncio.to_thread(self._opened, request)
        self._session = session
        pairs = {
            "AUTH_SESSION_ID": str(session.sid),
            "AUTH_SERIAL_NUM": str(session.serial),
            "AUTH_VERSION_NO": str(_version_number(self._instance.version)),
            "AUTH_SC_SERVICE_NAME": self._service,
            "AUTH_SVR_RESPONSE": proof.response,
        }
        return responses.parameters(pairs) + responses.status(in_transaction=False)

    def _opened(self, request: Authenticate) -> tuple[Session, Proven]:
        user = request.user.strip('"') if request.user.startswith('"') else request.user.upper()
        proof = proven(self._challenge, request.pairs, self._instance.passwords_of(user))
        session = self._instance.open_session(
            user,
            proof.password if proof else None,
            service=self._service,
            program=request.pairs.get("SESSION_CLIENT_DRIVER_NAME", ""),
        )
        if proof is None:
            session.close()
            raise OracleError(1017, "invalid username/password; logon denied")
        try:
            session.execute(request.pairs["AUTH_ALTER_SESSION"].rstrip("\0"), ())
        except OracleError:
            session.close()
            raise
        return session, proof


def _cancelled() -> OracleError:
    return OracleError(1013, "user requested cancel of current operation")


def _version_number(version: tuple[int, int, int, int, int]) -> int:
    """One number, as of release 18: 8, 8, 4, 8 and 4 bits."""
    release, update, revision, increment, extension = version
    return release << 24 | update << 16 | revision << 12 | increment << 4 | extension
