"""The wire of the Oracle double, by python-oracledb itself; behind it is an instance that knows no SQL."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from threading import Event
from typing import Literal

import oracledb
import pytest
from trustme import CA

from tests.doubles.oracle.seam import Column, OracleError, Result, Value
from tests.doubles.oracle.wire.listener import listening

PASSWORD = "Kürbis-9 ü"
MOMENT = datetime(2026, 11, 24, 13, 59, 1, 250_000)
VANISHES = """
import os, ssl, sys, oracledb
user, password, port, authority = sys.argv[1:]
trust = ssl.create_default_context(cadata=authority)
connection = oracledb.connect(user=user, password=password, dsn=f"tcps://localhost:{port}/orclpdb1", ssl_context=trust)
connection.ping()
os._exit(0)
"""


def kind(value: Value) -> Literal["varchar2", "number", "timestamp", "raw"]:
    match value:
        case int() | float() | Decimal():
            return "number"
        case datetime():
            return "timestamp"
        case bytes():
            return "raw"
    return "varchar2"


@dataclass
class Recorder:
    """A session that knows a few statements by their first words."""

    sid: int
    serial: int = 40_000
    killed: bool = False
    in_transaction: bool = False
    sent: list[tuple[str, tuple[Value, ...]]] = field(default_factory=list)
    closed: Event = field(default_factory=Event)
    waiting: Event = field(default_factory=Event)
    cancelled: Event = field(default_factory=Event)

    def execute(self, sql: str, binds: Sequence[Value]) -> Result:
        self.sent.append((sql, tuple(binds)))
        match sql.split()[:2]:
            case ["SELECT", "binds"]:
                return Result(tuple(Column(f"C{place}", kind(value)) for place, value in enumerate(binds)), [binds])
            case ["SELECT", "many"]:
                assert isinstance(binds[0], int)
                return Result((Column("N", "number"), Column("T")), [(n, f"row {n}") for n in range(binds[0])])
            case ["SELECT", "day"]:
                return Result((Column("D", "date"), Column("M", "timestamp")), [(MOMENT, MOMENT)])
            case ["SELECT", "nothing"]:
                raise OracleError(942, "table or view does not exist", offset=14)
            case ["UPDATE", _]:
                self.in_transaction = True
                return Result(affected=2)
            case ["BEGIN", "wait;"]:
                self.wait()
        return Result()

    def wait(self) -> None:
        self.waiting.set()
        assert self.cancelled.wait(20)
        self.cancelled.clear()
        raise OracleError(1013, "user requested cancel of current operation")

    def cancel(self) -> None:
        self.cancelled.set()

    def commit(self) -> None:
        self.in_transaction = False

    def rollback(self) -> None:
        self.in_transaction = False

    def close(self) -> None:
        self.closed.set()


@dataclass
class Door:
    version: tuple[int, int, int, int, int] = (19, 26, 0, 0, 0)
    services: Sequence[str] = ("orclpdb1",)
    sids: Sequence[str] = ("ORCL",)
    opened: list[Recorder] = field(default_factory=list)

    def passwords_of(self, user: str) -> Sequence[str]:
        return {"APP": [PASSWORD], "locked": ["x"], "TWO": ["new", "old"]}.get(user, [])

    def open_session(self, user: str, password: str | None, *, service: str, program: str) -> Recorder:
        if user == "locked":
            raise OracleError(28000, "the account is locked")
        if password is None:
            raise OracleError(1017, "invalid username/password; logon denied")
        self.opened.append(Recorder(sid=100 + len(self.opened)))
        return self.opened[-1]


@dataclass(frozen=True)
class Place:
    door: Door
    port: int
    trust: ssl.SSLContext

    @asynccontextmanager
    async def connected(
        self, user: str = "app", password: str = PASSWORD, *, service: str | None = "orclpdb1", sid: str | None = None
    ) -> AsyncIterator[oracledb.AsyncConnection]:
        connection = await oracledb.connect_async(
            user=user,
            password=password,
            host="localhost",
            port=self.port,
            service_name=service,
            sid=sid,
            protocol="tcps",
            ssl_context=self.trust,
            tcp_connect_timeout=5,
        )
        async with connection:
            yield connection

    @property
    def session(self) -> Recorder:
        """The one that was opened last."""
        return self.door.opened[-1]


def code(failed: pytest.ExceptionInfo[oracledb.Error]) -> str:
    return str(failed.value.args[0].full_code)


@pytest.fixture(scope="module")
def authority() -> CA:
    return CA()


@pytest.fixture
def place(authority: CA) -> Iterator[Place]:
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    door = Door()
    with listening(door, authority) as port:
        yield Place(door, port, trust)


async def test_who_knows_the_password_comes_in(place: Place) -> None:
    async with place.connected() as connection:
        assert connection.version == "19.26.0.0.0"
        assert (connection.session_id, connection.serial_num) == (100, 40_000)
        assert connection.service_name == "orclpdb1"
        await connection.ping()
    statement, binds = place.session.sent[0]
    assert statement.startswith("ALTER SESSION SET TIME_ZONE=")
    assert not statement.endswith("\0")
    assert binds == ()
    assert await asyncio.to_thread(place.session.closed.wait, 10)


@pytest.mark.parametrize(
    ("user", "password", "expected"),
    [
        ("app", "wrong", "ORA-01017"),
        ("app", PASSWORD.upper(), "ORA-01017"),
        ("nobody", PASSWORD, "ORA-01017"),
        ('"app"', PASSWORD, "ORA-01017"),
        ('"locked"', "x", "ORA-28000"),
        ("two", "older", "ORA-01017"),
    ],
)
async def test_who_does_not_is_refused(place: Place, user: str, password: str, expected: str) -> None:
    with pytest.raises(oracledb.DatabaseError) as failed:
        async with place.connected(user, password):
            pass
    assert code(failed) == expected
    assert place.door.opened == []


@pytest.mark.parametrize("password", ["old", "new"])
async def test_both_passwords_of_a_rollover_open(place: Place, password: str) -> None:
    async with place.connected("two", password) as connection:
        await connection.ping()


async def test_services_and_sids_are_told_apart(place: Place) -> None:
    async with place.connected(service=None, sid="orcl") as connection:
        await connection.ping()
    for service, sid, said in (("ORCL", None, "DPY-6001"), (None, "orclpdb1", "DPY-6003")):
        with pytest.raises(oracledb.Error, match=said):
            async with place.connected(service=service, sid=sid):
                pass


async def test_a_server_that_nobody_vouches_for_gets_no_client(place: Place) -> None:
    stranger = ssl.create_default_context()
    CA().configure_trust(stranger)
    with pytest.raises(oracledb.Error, match="CERTIFICATE_VERIFY_FAILED"):
        async with Place(place.door, place.port, stranger).connected():
            pass
    assert place.door.opened == []


@pytest.mark.parametrize(
    "value",
    [
        "Ωmega",
        "x" * 20_000,
        "é" * 40_000,
        0,
        7,
        100,
        -1,
        -12345,
        2**62,
        10**30,
        0.5,
        -0.001,
        12345.678,
        b"\0\xff",
        None,
        datetime(2026, 11, 24, 13, 59, 1),
    ],
)
async def test_values_go_in_and_come_out_as_they_are(place: Place, value: Value) -> None:
    async with place.connected() as connection:
        with connection.cursor() as cursor:
            await cursor.execute("SELECT binds FROM dual WHERE :1 = :2", [value, "end"])
            assert await cursor.fetchall() == [(value, "end")]
    sent, end = place.session.sent[-1][1]
    assert (float(sent) if isinstance(sent, Decimal) else sent) == value
    assert end == "end"


async def test_the_empty_text_is_null(place: Place) -> None:
    async with place.connected() as connection:
        with connection.cursor() as cursor:
            await cursor.execute("SELECT binds FROM dual WHERE :1 = 1", [""])
            assert await cursor.fetchall() == [(None,)]
    assert place.session.sent[-1][1] == (None,)


async def test_a_date_is_of_whole_seconds_and_a_timestamp_of_less(place: Place) -> None:
    async with place.connected() as connection:
        with connection.cursor() as cursor:
            await cursor.execute("SELECT day FROM dual")
            assert await cursor.fetchall() == [(MOMENT.replace(microsecond=0), MOMENT)]


@pytest.mark.parametrize("number", [0, 1, 2, 3, 99, 100, 101, 102, 5000])
async def test_a_big_answer_comes_in_many_fetches(place: Place, number: int) -> None:
    async with place.connected() as connection:
        with connection.cursor() as cursor:
            for _ in range(2):  # by its text, and by its cursor
                await cursor.execute("SELECT many FROM t WHERE n < :n", n=number)
                assert await cursor.fetchall() == [(n, f"row {n}") for n in range(number)]


async def test_columns_are_described(place: Place) -> None:
    async with place.connected() as connection:
        with connection.cursor() as cursor:
            await cursor.execute("SELECT many FROM t WHERE n < :n", [1])
            assert [(column.name, column.type_code) for column in cursor.description] == [
                ("N", oracledb.DB_TYPE_NUMBER),
                ("T", oracledb.DB_TYPE_VARCHAR),
            ]


async def test_changes_count_their_rows_and_wait_for_a_commit(place: Place) -> None:
    async with place.connected() as connection:
        with connection.cursor() as cursor:
            for end in (connection.commit, connection.rollback):
                await cursor.execute("UPDATE t SET a = :a", ["b"])
                assert cursor.rowcount == 2
                assert connection.transaction_in_progress
                await end()
                assert not connection.transaction_in_progress
            await cursor.executemany("UPDATE t SET a = :a", [["b"], ["c"], ["d"]])
            assert cursor.rowcount == 6
            connection.autocommit = True
            for _ in range(2):
                await cursor.execute("UPDATE t SET a = :a", ["e"])
                assert not connection.transaction_in_progress
    assert [binds for _, binds in place.session.sent[-5:]] == [("b",), ("c",), ("d",), ("e",), ("e",)]


async def test_statements_pass_as_they_are(place: Place) -> None:
    block = "BEGIN p(:name, :n, :name); END;"
    longest = "CREATE VIEW v AS SELECT '" + "é" * 40_000 + "' FROM dual"
    async with place.connected() as connection:
        connection.module = "dzgrant"
        connection.action = "grant"
        with connection.cursor() as cursor:
            for _ in range(3):
                await cursor.execute(block, name="a", n=1)
            await cursor.execute(longest)
            await cursor.execute(longest)
    assert place.session.sent[1:] == [(block, ("a", 1))] * 3 + [(longest, ())] * 2


async def test_a_failure_has_its_number_and_place_and_the_session_goes_on(place: Place) -> None:
    async with place.connected() as connection:
        with connection.cursor() as cursor:
            for _ in range(3):
                with pytest.raises(oracledb.DatabaseError) as failed:
                    await cursor.execute("SELECT nothing FROM missing")
                assert code(failed) == "ORA-00942"
                assert failed.value.args[0].offset == 14
            await cursor.execute("SELECT binds FROM dual WHERE :1 = 1", [1])
            assert await cursor.fetchall() == [(1,)]


async def test_a_call_that_takes_too_long_is_cancelled_and_the_session_goes_on(place: Place) -> None:
    async with place.connected() as connection:
        for _ in range(2):
            connection.call_timeout = 300
            with pytest.raises(oracledb.DatabaseError) as failed, connection.cursor() as cursor:
                await cursor.execute("BEGIN wait; END;")
            assert code(failed) == "DPY-4024"
            connection.call_timeout = 10_000
            await connection.ping()
        with connection.cursor() as cursor:
            await cursor.execute("SELECT many FROM t WHERE n < :n", [300])
            assert len(await cursor.fetchall()) == 300


async def test_a_task_that_is_cancelled_ends_its_call_and_the_session_goes_on(place: Place) -> None:
    async with place.connected() as connection:
        with connection.cursor() as cursor:
            call = asyncio.create_task(cursor.execute("BEGIN wait; END;"))
            assert await asyncio.to_thread(place.session.waiting.wait, 10)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        await connection.ping()


async def test_an_answer_that_nobody_waits_for_does_no_harm(place: Place) -> None:
    async with place.connected() as connection:
        with connection.cursor() as cursor:
            await cursor.execute("SELECT many FROM t WHERE n < :n", [5000])
            for turns in range(1, 6):
                call = asyncio.create_task(cursor.fetchmany(200))
                for _ in range(turns):
                    await asyncio.sleep(0)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                await asyncio.wait_for(connection.ping(), 10)


@pytest.mark.parametrize("next_call", ["fetch", "execute", "ping", "commit"])
async def test_a_killed_session_is_told_so_at_its_next_call(place: Place, next_call: str) -> None:
    async with place.connected() as connection:
        with connection.cursor() as cursor:
            await cursor.execute("SELECT many FROM t WHERE n < :n", [5000])
            await cursor.fetchmany(150)
            place.session.killed = True
            calls = {
                "fetch": cursor.fetchall,
                "execute": lambda: cursor.execute("UPDATE t SET a = 1"),
                "ping": connection.ping,
                "commit": connection.commit,
            }
            with pytest.raises(oracledb.DatabaseError) as failed:
                await calls[next_call]()
            assert failed.value.args[0].code == 28
        assert not connection.is_healthy()
    assert await asyncio.to_thread(place.session.closed.wait, 10)


async def test_what_is_not_spoken_is_refused(place: Place) -> None:
    async with place.connected() as connection:
        with connection.cursor() as cursor, pytest.raises(oracledb.DatabaseError) as failed:
            await cursor.execute("SELECT binds FROM dual WHERE :1 = 1", [cursor.var(oracledb.DB_TYPE_BINARY_DOUBLE)])
        assert code(failed) == "ORA-03115"
        await connection.ping()


async def test_many_sessions_at_once(place: Place) -> None:
    async def read(number: int) -> int:
        async with place.connected() as connection:
            with connection.cursor() as cursor:
                await cursor.execute("SELECT many FROM t WHERE n < :n", [number])
                return len(await cursor.fetchall())

    numbers = [number * 10 for number in range(20)]
    assert await asyncio.gather(*(read(number) for number in numbers)) == numbers
    assert len({session.sid for session in place.door.opened}) == 20


def test_the_driver_that_blocks_is_served_too(place: Place) -> None:
    dsn = f"tcps://localhost:{place.port}/orclpdb1"
    with oracledb.connect(user="app", password=PASSWORD, dsn=dsn, ssl_context=place.trust) as connection:
        connection.call_timeout = 300
        with connection.cursor() as cursor:
            with pytest.raises(oracledb.DatabaseError) as failed:
                cursor.execute("BEGIN wait; END;")
            assert code(failed) == "DPY-4024"
            connection.call_timeout = 10_000
            cursor.execute("SELECT many FROM t WHERE n < :n", [250])
            assert len(cursor.fetchall()) == 250


async def test_a_client_that_vanishes_takes_its_session_with_it(place: Place, authority: CA) -> None:
    certificate = authority.cert_pem.bytes().decode()
    arguments = ("-c", VANISHES, "app", PASSWORD, str(place.port), certificate)
    client = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    assert await asyncio.wait_for(client.wait(), 20) == 0
    assert await asyncio.to_thread(place.session.closed.wait, 10)


async def test_a_client_that_stops_in_the_middle_of_a_packet_does_no_harm(place: Place) -> None:
    _, writer = await asyncio.open_connection("localhost", place.port, ssl=place.trust)
    writer.write(b"\0\x50")
    writer.close()
    await writer.wait_closed()
    async with place.connected() as connection:
        await connection.ping()
