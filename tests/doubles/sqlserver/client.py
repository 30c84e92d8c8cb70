"""SQL Server as a `Server` for the tests, whoever runs it: the double, or a container. Its sessions are pyodbc's."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pyodbc

from dzgrant.engines.sqlserver import trust
from dzgrant.engines.sqlserver.driver import bundled
from dzgrant.localcloud.databases.server import Run, Server, credentials
from dzgrant.model import Credentials
from tests.doubles.sqlserver.server import Double


def quoted(name: str) -> str:
    return "[" + name.replace("]", "]]") + "]"


class SqlServer(Server):
    engine = "sqlserver"
    default_database = "master"

    def connect(
        self, *, database: str | None = None, login: Credentials | None = None, autocommit: bool = True
    ) -> pyodbc.Connection:
        """Blocks. TLS is verified against the server's own authority."""
        who = login or self.admin
        settings = {
            "DRIVER": str(bundled()),
            "SERVER": f"tcp:{self.host},{self.port}",
            "DATABASE": database or self.default_database,
            "UID": who.username,
            "PWD": who.password.get_secret_value(),
            "Encrypt": "yes",
            "TrustServerCertificate": "no",
            "ConnectRetryCount": "0",
        }
        text = ";".join(f"{name}={{{value.replace('}', '}}')}}}" for name, value in settings.items())
        # The authorities are this process's environment, so that the adapter and the tests must take turns.
        with trust.trusting(trust.microsofts(self.ca_file), self.ca_file, 30):
            return pyodbc.connect(text, autocommit=autocommit, timeout=10)

    def trace(self) -> None:
        """From here on the server writes every statement into a file of its own, for `traced`. Blocks."""
        with self.connect() as connection:
            connection.execute(
                "CREATE EVENT SESSION statements ON SERVER "
                "ADD EVENT sqlserver.sql_batch_starting, ADD EVENT sqlserver.rpc_starting "
                "ADD TARGET package0.event_file (SET filename = N'/tmp/statements.xel') WITH (MAX_DISPATCH_LATENCY = 1 SECONDS)"
            )
            connection.execute("ALTER EVENT SESSION statements ON SERVER STATE = START")

    def traced(self) -> str:
        """What `trace` wrote. Blocks."""
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT event_data FROM sys.fn_xe_file_target_read_file(N'/tmp/statements*.xel', NULL, NULL, NULL)"
            )
            return "\n".join(str(row[0]) for row in rows.fetchall())

    @asynccontextmanager
    async def session(self, *, database: str | None = None, login: Credentials | None = None) -> AsyncIterator[Run]:
        connection = await asyncio.to_thread(self.connect, database=database, login=login)

        async def run(sql: str) -> list[tuple[Any, ...]]:
            return await asyncio.to_thread(_run, connection, sql)

        try:
            yield run
        finally:
            await asyncio.to_thread(connection.close)

    async def create_database(self, name: str, *, owner: Credentials | None = None, collation: str | None = None) -> None:
        collate = f" COLLATE {collation}" if collation else ""
        await self.execute(f"CREATE DATABASE {quoted(name)}{collate}")
        if owner and owner.username != self.admin.username:
            async with self.session(database=name) as run:
                await run(f"CREATE USER {quoted(owner.username)} FOR LOGIN {quoted(owner.username)}")
                await run(f"ALTER ROLE db_owner ADD MEMBER {quoted(owner.username)}")

    async def rds_admin(self) -> Credentials:
        # "Master user account privileges", Amazon RDS user guide; processadmin brings the other two rights.
        admin = credentials("rds_" + secrets.token_hex(4))
        password = admin.password.get_secret_value() + "-Aa1"
        admin = Credentials(username=admin.username, password=type(admin.password)(password))
        name = quoted(admin.username)
        async with self.session() as run:
            await run(f"CREATE LOGIN {name} WITH PASSWORD = N'{password}'")
            await run(f"GRANT ALTER ANY LOGIN, ALTER ANY CONNECTION, VIEW SERVER STATE, VIEW ANY DEFINITION TO {name}")
        return admin


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleServer(SqlServer):
    double: Double
    """For what only a double can be told: to make a deadlock, to refuse every password."""


def _run(connection: pyodbc.Connection, sql: str) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    try:
        cursor.execute(sql)
        rows: list[tuple[Any, ...]] = []
        while True:
            if cursor.description:
                rows = [tuple(row) for row in cursor.fetchall()]
            if not cursor.nextset():
                return rows
    finally:
        # pyodbc breaks when an error keeps a cursor for longer than its connection, and another thread drops it.
        with suppress(pyodbc.Error):
            cursor.close()
