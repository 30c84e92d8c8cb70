"""Each failure of the driver is one of dzgrant's errors, by its code; tests/engines has the commonest from real servers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy.exc import TimeoutError as PoolExhausted

from dzgrant.engines.contract import Limits
from dzgrant.engines.postgresql.connections import connect
from dzgrant.engines.postgresql.failures import (
    Again,
    Blocked,
    DependedOn,
    NotLetIn,
    while_connecting,
    while_proving,
    while_working,
)
from dzgrant.errors import AdminRejected, ConsumerRejected, DzgrantError, Misconfigured, Refused, Transient
from dzgrant.model import Credentials, Source


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.InternalServerError("tuple concurrently updated"), Again),
        (asyncpg.DeadlockDetectedError("deadlock"), Again),
        (asyncpg.DuplicateObjectError("role exists"), Again),
        (asyncpg.ConnectionDoesNotExistError("closed in the middle"), Again),
        (asyncpg.InterfaceError("connection is closed"), Again),
        (ConnectionResetError(104, "reset"), Again),
        (asyncpg.AdminShutdownError("terminating"), Again),
        (asyncpg.LockNotAvailableError("lock timeout"), Blocked),
        (asyncpg.QueryCanceledError("statement timeout"), Transient),
        (asyncpg.ReadOnlySQLTransactionError("read-only"), Transient),
        (asyncpg.TooManyConnectionsError("too many"), Transient),
        (asyncpg.UndefinedTableError("gone"), Transient),
        (TimeoutError(), Transient),
        (PoolExhausted("no connection"), Transient),
        (asyncpg.ProgramLimitExceededError("row is too big"), Refused),
        (asyncpg.InsufficientPrivilegeError("permission denied"), Misconfigured),
        (asyncpg.DependentObjectsStillExistError("depends"), DependedOn),
        (asyncpg.SyntaxOrAccessError("anything else"), Misconfigured),
    ],
)
def test_of_an_open_connection(error: Exception, expected: type[DzgrantError]) -> None:
    assert type(while_working(error, "shop")) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.InvalidPasswordError("no"), AdminRejected),
        (asyncpg.InvalidAuthorizationSpecificationError("not permitted to log in"), AdminRejected),
        (asyncpg.InvalidCatalogNameError("no such database"), Misconfigured),
        (asyncpg.CannotConnectNowError("starting up"), Transient),
        (ConnectionRefusedError(111, "refused"), Transient),
        (OSError(-2, "Name or service not known"), Transient),
        (TimeoutError(), Transient),
    ],
)
def test_of_a_new_connection(error: Exception, expected: type[DzgrantError]) -> None:
    assert type(while_connecting(error, "admin", AdminRejected)) is expected


def test_of_a_consumers_login() -> None:
    assert type(while_connecting(asyncpg.InvalidPasswordError("no"), "dz_1", ConsumerRejected)) is ConsumerRejected
    refused = asyncpg.InvalidAuthorizationSpecificationError("no")
    assert type(while_connecting(refused, "dz_1", ConsumerRejected)) is NotLetIn


def test_of_the_proof() -> None:
    assert type(while_proving(asyncpg.InsufficientPrivilegeError("no"), "dz_1")) is Misconfigured
    assert type(while_proving(asyncpg.QueryCanceledError("statement timeout"), "dz_1")) is Transient


def source(port: int) -> Source:
    return Source(engine="postgresql", host="127.0.0.1", port=port, database="shop")


ADMIN = Credentials(username="admin", password=SecretStr("never-sent"))


async def test_a_server_without_tls_gets_no_more_than_the_question() -> None:
    received = bytearray()

    async def without_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.readexactly(8))
        writer.write(b"N")
        received.extend(await reader.read())
        writer.close()

    async with await asyncio.start_server(without_tls, "127.0.0.1", 0) as server:
        with pytest.raises(Misconfigured, match="no TLS"):
            await connect(source(server.sockets[0].getsockname()[1]), ADMIN, Limits(), AdminRejected)
    # SSLRequest (PostgreSQL manual, chapter 55.7), and then nothing.
    assert received == bytes.fromhex("00000008 04d2162f")


async def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"missing\.pem"):
        await connect(source(1), ADMIN, Limits(ca_bundle=tmp_path / "missing.pem"), AdminRejected)
