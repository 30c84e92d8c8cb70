"""An Oracle server as the tests see one: the double, or the real image."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import oracledb

from dzgrant.localcloud.databases.server import Run, Server, credentials, trust
from dzgrant.model import Credentials

_GOODBYE_SECONDS = 2.0
# "Master user account privileges", Amazon RDS user guide: DBA without these among others: ALTER DATABASE, ALTER SYSTEM,
# GRANT ANY PRIVILEGE, GRANT ANY ROLE. Only what dzgrant is documented to need is given here.
_RDS_PRIVILEGES = (
    "CREATE USER, ALTER USER, DROP USER, GRANT ANY OBJECT PRIVILEGE, CREATE ANY VIEW, DROP ANY VIEW, SELECT ANY TABLE, "
    "CREATE PROFILE, ALTER PROFILE, DROP PROFILE, SELECT_CATALOG_ROLE, EXECUTE_CATALOG_ROLE"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleServer(Server):
    """Errors of its sessions are python-oracledb's own. A `database` is the name of a pluggable database's service."""

    engine = "oracle"
    default_database = "FREEPDB1"

    as_sysdba: Callable[[str], None]
    """One statement as SYS in the pluggable database, past the listener: what no login over the network may do."""

    @asynccontextmanager
    async def session(self, *, database: str | None = None, login: Credentials | None = None) -> AsyncIterator[Run]:
        async with self.connection(database=database, login=login) as connection:

            async def run(sql: str) -> list[tuple[Any, ...]]:
                with connection.cursor() as cursor:
                    await cursor.execute(sql)
                    return await cursor.fetchall() if cursor.description else []

            yield run

    @asynccontextmanager
    async def connection(
        self, *, database: str | None = None, login: Credentials | None = None
    ) -> AsyncIterator[oracledb.AsyncConnection]:
        """The driver's own, for what needs a cursor that stays open."""
        who = login or self.admin
        connection = await oracledb.connect_async(
            user=who.username,
            password=who.password.get_secret_value(),
            host=self.host,
            port=self.port,
            service_name=database or self.default_database,
            protocol="tcps",
            ssl_context=trust(self.ca_file),
            tcp_connect_timeout=10,
        )
        connection.call_timeout = 60_000
        connection.autocommit = True
        try:
            yield connection
        finally:
            # The server may have ended the session already.
            with suppress(oracledb.Error, OSError):
                await connection.close()
            await _hung_up(self.port)

    async def create_database(self, name: str, *, owner: Credentials | None = None) -> None:
        """A schema stands for it: a pluggable database takes minutes to make. An admin reaches it by its system privileges."""
        await self.execute(f'CREATE USER "{name}" NO AUTHENTICATION DEFAULT TABLESPACE users QUOTA UNLIMITED ON users')

    async def rds_admin(self) -> Credentials:
        admin = credentials("RDS_" + secrets.token_hex(4).upper())
        async with self.session() as run:
            await run(f'CREATE USER {admin.username} IDENTIFIED BY "{admin.password.get_secret_value()}"')
            await run(f"GRANT CREATE SESSION TO {admin.username} WITH ADMIN OPTION")
            await run(f"GRANT {_RDS_PRIVILEGES} TO {admin.username}")
            await run(f"GRANT EXECUTE ON rdsadmin.rdsadmin_util TO {admin.username}")
        return admin


async def _hung_up(port: int) -> None:
    """The driver does not wait until TLS has said goodbye; a loop that ends before that leaves a socket open."""
    loop: Any = asyncio.get_running_loop()
    deadline = loop.time() + _GOODBYE_SECONDS

    def leaving(transport: Any) -> bool:
        if transport._sock is None or transport.get_extra_info("peername", (None, None))[1] != port:
            return False
        state = getattr(transport.get_protocol(), "_state", None)
        return transport.is_closing() or getattr(state, "name", "") in {"FLUSHING", "SHUTDOWN"}

    # asyncio tells nobody of it, so there is no event to wait for.
    while loop.time() < deadline and any(map(leaving, list(loop._transports.values()))):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
