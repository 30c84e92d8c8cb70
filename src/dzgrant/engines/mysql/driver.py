"""aiomysql, made safe: TLS that is verified or nothing, and no wait without a bound."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Self

import aiomysql
from pymysql.constants import CLIENT

from dzgrant.engines.contract import Limits
from dzgrant.engines.mysql.failures import DRIVER_FAILURES, while_connecting
from dzgrant.engines.tls import verifying
from dzgrant.errors import AdminRejected, ConsumerRejected, Misconfigured
from dzgrant.model import Credentials, Source

_HANG_UP_SECONDS = 1.0


class _Cursor(aiomysql.Cursor):  # type: ignore[misc]  # aiomysql has no types
    async def _show_warnings(self, conn: object) -> None:
        """What a server notes (IF EXISTS, say) is asked for by another statement, and would become a Python warning."""


class Connection(aiomysql.Connection):  # type: ignore[misc]  # aiomysql has no types
    """aiomysql's, which by itself goes on in plain text where the server offers no TLS."""

    async def open(self) -> Self:
        # One message is one statement: should a name ever escape its quotes, nothing can follow it.
        self.client_flag &= ~CLIENT.MULTI_STATEMENTS
        try:
            await self._connect()
        except BaseException:
            self.close()
            raise
        return self

    async def _request_authentication(self) -> None:
        # The last moment: what comes next holds the password, readable by a server that asks for `mysql_clear_password`.
        if not self.server_capabilities & CLIENT.SSL:
            raise Misconfigured("the server does not offer TLS", do="turn TLS on at the server")
        await super()._request_authentication()

    async def ensure_closed(self) -> None:
        """Says goodbye, and waits for the server to hang up: a loop that ends before that leaves an open socket behind."""
        writer = self._writer
        await super().ensure_closed()
        if writer is not None:
            with suppress(OSError):
                async with asyncio.timeout(_HANG_UP_SECONDS):
                    await writer.wait_closed()

    @property
    def lost(self) -> bool:
        """Closed by either side, as far as is known here."""
        return bool(self.closed or self._reader.eof_received)

    async def run(self, sql: str, values: dict[str, str | float] | None = None) -> list[tuple[Any, ...]]:
        """One statement and all its rows. Raises the driver's own errors."""
        async with self.cursor() as cursor:
            await cursor.execute(sql, values)
            return list(await cursor.fetchall())


async def connect(
    source: Source,
    credentials: Credentials,
    limits: Limits,
    rejected: type[AdminRejected | ConsumerRejected],
    *,
    database: str | None = None,
) -> Connection:
    """A new connection, over TLS that vouches for the host. Raises as `while_connecting` says."""
    what = f"{credentials.username} can't log in to {source}"
    context = await verifying(limits.ca_bundle)
    try:
        async with asyncio.timeout(limits.connect_timeout):
            return await Connection(
                host=source.host,
                port=source.port,
                user=credentials.username,
                password=credentials.password.get_secret_value(),
                db=database,
                ssl=context,
                charset="utf8mb4",
                autocommit=True,
                cursorclass=_Cursor,
                program_name="dzgrant",
            ).open()
    except Misconfigured as error:
        raise Misconfigured(f"{what}: {error.what}", do=error.do) from None
    except DRIVER_FAILURES as error:
        raise while_connecting(error, what, rejected) from error
