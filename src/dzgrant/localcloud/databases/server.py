"""A running server as a value, and what tests and the demo ask of it as its superuser."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import aiomysql
import asyncpg
from pydantic import SecretStr

from dzgrant.errors import Misconfigured
from dzgrant.model import Credentials

Run = Callable[[str], Awaitable[list[tuple[Any, ...]]]]
"""Runs one statement and returns all its rows."""


class NotAvailable(Misconfigured):
    """No such server can be had on this machine; the message says what was looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(ABC):
    """One real server. Errors of its sessions are the driver's own (asyncpg's, pymysql's)."""

    engine: ClassVar[str]
    """The entry point's name, as in `Source.engine`."""
    default_database: ClassVar[str]

    flavour: str
    """`PostgreSQL 15.18`, `MariaDB 10.11.19`, `MySQL 9.7.4`."""
    provider: str
    """Where the server came from: `installed`, `wheel`, `package`, `given` or `container`."""
    host: str
    port: int
    ca_file: Path
    admin: Credentials
    """The superuser."""
    read_log: Callable[[], str]
    """All that the server wrote so far: its messages and every statement it was sent."""

    @abstractmethod
    def session(self, *, database: str | None = None, login: Credentials | None = None) -> AbstractAsyncContextManager[Run]:
        """A session over verified TLS, as the superuser unless another login is given; each statement commits by itself."""

    @abstractmethod
    async def create_database(self, name: str, *, owner: Credentials | None = None) -> None:
        """A database whose content belongs to `owner` (of `rds_admin`), or else to the superuser."""

    @abstractmethod
    async def rds_admin(self) -> Credentials:
        """A new admin with the rights of an RDS master user: no superuser, no plain KILL, no say over what others own."""

    async def execute(
        self, sql: str, *, database: str | None = None, login: Credentials | None = None
    ) -> list[tuple[Any, ...]]:
        """One statement in a session of its own."""
        async with self.session(database=database, login=login) as run:
            return await run(sql)


class PostgresqlServer(Server):
    engine = "postgresql"
    default_database = "postgres"

    @asynccontextmanager
    async def session(self, *, database: str | None = None, login: Credentials | None = None) -> AsyncIterator[Run]:
        who = login or self.admin
        connection = await asyncpg.connect(
            host=self.host,
            port=self.port,
            user=who.username,
            password=who.password.get_secret_value(),
            database=database or self.default_database,
            ssl=trust(self.ca_file),
            timeout=10,
            statement_cache_size=0,
        )

        async def run(sql: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await connection.fetch(sql, timeout=60)]

        try:
            yield run
        finally:
            await connection.close(timeout=10)

    async def create_database(self, name: str, *, owner: Credentials | None = None) -> None:
        quoted = _quoted(name, '"')
        await self.execute(f"CREATE DATABASE {quoted} OWNER {(owner or self.admin).username}")

    async def rds_admin(self) -> Credentials:
        admin = credentials("rds_" + secrets.token_hex(4))
        password = admin.password.get_secret_value()
        await self.execute(f"CREATE ROLE {admin.username} LOGIN CREATEDB CREATEROLE PASSWORD '{password}'")
        await self.execute(f"GRANT pg_signal_backend TO {admin.username}")
        return admin


class MysqlServer(Server):
    engine = "mysql"
    default_database = "mysql"

    @asynccontextmanager
    async def session(self, *, database: str | None = None, login: Credentials | None = None) -> AsyncIterator[Run]:
        who = login or self.admin
        connection = await aiomysql.connect(
            host=self.host,
            port=self.port,
            user=who.username,
            password=who.password.get_secret_value(),
            db=database or "",
            ssl=trust(self.ca_file),
            connect_timeout=10,
            autocommit=True,
            charset="utf8mb4",
            # aiomysql turns what the server notes (IF NOT EXISTS, say) into Python warnings.
            init_command="SET sql_notes = 0",
        )

        async def run(sql: str) -> list[tuple[Any, ...]]:
            async with connection.cursor() as cursor:
                await cursor.execute(sql)
                return list(await cursor.fetchall())

        try:
            yield run
        finally:
            # The server may have ended the session already; then only our side is left to close. A loop that ends before
            # the socket does leaves it open.
            writer = connection._writer  # noqa: SLF001  # aiomysql closes it and waits for nothing
            with suppress(OSError):
                await connection.ensure_closed()
            connection.close()
            if writer is not None:
                with suppress(OSError):
                    async with asyncio.timeout(1):
                        await writer.wait_closed()

    async def create_database(self, name: str, *, owner: Credentials | None = None) -> None:
        await self.execute(f"CREATE DATABASE {_quoted(name, '`')}")
        if owner:
            # Here, and only here, `_` and `%` are wildcards.
            pattern = _quoted(name, "`").replace("_", r"\_").replace("%", r"\%")
            await self.execute(f"GRANT {_RDS_ON_DATA} ON {pattern}.* TO {owner.username} WITH GRANT OPTION")

    async def rds_admin(self) -> Credentials:
        admin = credentials("rds_" + secrets.token_hex(4))
        async with self.session() as run:
            await run(f"CREATE USER {admin.username} IDENTIFIED BY '{admin.password.get_secret_value()}' REQUIRE SSL")
            await run(f"GRANT {_RDS_ON_SERVER} ON *.* TO {admin.username} WITH GRANT OPTION")
            # RDS lets its master read the grant tables, and forbids to write them.
            await run(f"GRANT SELECT ON mysql.* TO {admin.username}")
            await run(_RDS_KILL)
            await run(f"GRANT EXECUTE ON PROCEDURE mysql.rds_kill TO {admin.username}")
        return admin


# "Master user account privileges", Amazon RDS user guide; those on user data are given for each database.
_RDS_ON_SERVER = "RELOAD, PROCESS, SHOW DATABASES, REPLICATION CLIENT, REPLICATION SLAVE, CREATE USER"
_RDS_ON_DATA = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES, LOCK TABLES, "
    "EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER"
)
_RDS_KILL = (
    "CREATE DEFINER = root@'%' PROCEDURE IF NOT EXISTS mysql.rds_kill(IN thread BIGINT) SQL SECURITY DEFINER KILL thread"
)


def credentials(username: str) -> Credentials:
    """With a new password that needs no quoting in SQL: letters, digits, `-` and `_`."""
    return Credentials(username=username, password=SecretStr(secrets.token_urlsafe(18)))


@cache
def trust(ca_file: Path) -> ssl.SSLContext:
    """Trusts this authority only, and checks the host's name."""
    return ssl.create_default_context(cafile=ca_file)


def _quoted(name: str, quote: str) -> str:
    return quote + name.replace(quote, quote * 2) + quote
