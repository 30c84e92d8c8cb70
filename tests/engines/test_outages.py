"""When the server is down, read-only, speaks another language, or is used from elsewhere: on every engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest

from dzgrant.engines import adapter
from dzgrant.engines.contract import Database, Readable
from dzgrant.errors import ConsumerRejected, Refused, Transient
from dzgrant.model import LoginOutcome, Source
from dzgrant.passwords import new_password
from tests.engines.playground import OWNER, Holder, Playground, consumer


@dataclass(slots=True)
class Line:
    """The network between the adapter and the server, which can be cut: at once, or when so many messages went over it."""

    to: tuple[str, int]
    messages_left: float = float("inf")
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        self.messages_left = 0
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        self.messages_left = float("inf")

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.messages_left <= 0:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(*self.to)
        ends = {writer, back}
        self._open |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, back, counted=True))
                group.create_task(self._pump(there, writer, counted=False))
        finally:
            self._open -= ends

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        with suppress(ConnectionError):
            while said := await reader.read(65536):
                self.messages_left -= counted
                if self.messages_left < 0:
                    self.cut()
                    break
                writer.write(said)
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def over_a_line(play: Playground) -> AsyncIterator[tuple[Database, Line]]:
    line = Line((play.source.host, play.source.port))
    async with await asyncio.start_server(line.carry, "127.0.0.1", 0) as server:
        source = replace(play.source, port=server.sockets[0].getsockname()[1])
        database = adapter(source.engine).open(source, play.admin, play.limits)
        yield database, line
        await database.close()


async def until_done(drop: Database, login: str) -> LoginOutcome:
    """As the saga does: what is transient is done again."""
    async with asyncio.timeout(30):
        while True:
            with suppress(Transient):
                return (await drop.drop(login, Holder())).outcome


async def test_a_revoke_while_the_server_is_down_is_done_when_it_is_up(play: Playground) -> None:
    table = await play.create_table("orders")
    login = consumer()
    async with over_a_line(play) as (database, line):
        await database.ensure_login(login.username, login.password, OWNER, Holder())
        await database.grant(login.username, table, Holder())
        line.cut()
        with pytest.raises(Transient):
            await database.revoke(login.username, [], Holder())
        with pytest.raises(Transient):
            await database.drop(login.username, Holder())
        assert await play.can_read(login, table)
        line.mend()
        await database.revoke(login.username, [], Holder())
        assert not await play.can_read(login, table)
        assert await until_done(database, login.username) is LoginOutcome.DROPPED


async def test_a_server_that_goes_down_at_any_message_leaves_nothing_half_done(play: Playground) -> None:
    table = await play.create_table("orders")
    login = consumer()
    async with over_a_line(play) as (database, line):
        for messages in range(1, 16, 2):
            await database.ensure_login(login.username, login.password, OWNER, Holder())
            await database.grant(login.username, table, Holder())
            line.messages_left = messages
            # What is lost on an idle connection is done again on a new one, so that this may go well.
            with suppress(Transient):
                await database.drop(login.username, Holder())
            line.mend()
            assert await until_done(database, login.username) in {LoginOutcome.DROPPED, LoginOutcome.ABSENT}
            assert await database.describe(login.username) is None
            assert not await play.can_log_in(login)


async def test_a_replica_is_no_place_for_changes(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login, second = consumer(), consumer()
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    async with play.read_only():
        replica = adapter(play.server.engine).open(play.source, play.admin, play.limits)
        with pytest.raises(Transient):
            await replica.ensure_login(second.username, second.password, OWNER, Holder())
        with pytest.raises(Transient):
            await replica.grant(login.username, table, Holder())
        with pytest.raises(Transient):
            await replica.drop(login.username, Holder())
        await replica.close()
    assert await database.describe(second.username) is None
    assert await play.can_log_in(login)
    await database.grant(login.username, table, Holder())
    await database.prove(login, Readable(table=table))


async def test_messages_in_another_language_decide_nothing(play: Playground) -> None:
    table = await play.create_table("orders")
    login, theirs = consumer(), consumer()
    await play.create_login(theirs)
    async with play.localised():
        database = adapter(play.server.engine).open(play.source, play.admin, play.limits)
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(database.ensure_login(login.username, login.password, OWNER, Holder()))
        for _ in range(2):
            await database.grant(login.username, table, Holder())
        await database.prove(login, Readable(table=table))
        with pytest.raises(ConsumerRejected):
            await database.prove(replace(login, password=new_password()), Readable(table=table))
        with pytest.raises(Refused, match="nowhere"):
            await database.grant(login.username, play.table("nowhere"), Holder())
        with pytest.raises(Refused, match=theirs.username):
            await database.ensure_login(theirs.username, new_password(), OWNER, Holder())
        for _ in range(2):
            await database.revoke(login.username, [], Holder())
        outcomes = [(await database.drop(login.username, Holder())).outcome for _ in range(2)]
        assert outcomes == [LoginOutcome.DROPPED, LoginOutcome.ABSENT]
        await database.close()


async def test_a_login_that_another_database_uses_is_dropped_from_both(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    await database.grant(login.username, table, Holder())
    await play.grant_elsewhere(login)
    async with play.server.session(login=login) as run:
        assert await run("SELECT 1") == [(1,)]
        assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
    assert await database.describe(login.username) is None
    assert not await play.can_log_in(login)


async def test_a_name_longer_than_the_engine_allows_is_no_table(play: Playground, database: Database) -> None:
    login, table = consumer(), play.table("x" * 300)
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    with pytest.raises(Refused, match="xxx"):
        await database.resolve(play.path(table))
    with pytest.raises(Refused, match="xxx"):
        await database.grant(login.username, table, Holder())
    state = await database.describe(login.username)
    assert state is not None
    assert state.tables == ()


async def test_a_server_that_is_not_there_is_tried_again(play: Playground) -> None:
    nowhere: Source = replace(play.source, host="host.invalid")
    database = adapter(nowhere.engine).open(nowhere, play.admin, play.limits)
    with pytest.raises(Transient, match=r"host\.invalid"):
        await database.resolve(play.path(play.table("orders")))
    await database.close()
