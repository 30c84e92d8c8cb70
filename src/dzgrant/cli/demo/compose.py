"""`dzgrant demo --compose`: the same story across containers, on what docker-compose.yml has started under these names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from dzgrant.cli.demo import story
from dzgrant.cli.demo.account import account, consumer_role
from dzgrant.cli.demo.checks import Unmet, until
from dzgrant.cli.demo.telling import Telling
from dzgrant.localcloud import places
from dzgrant.localcloud.client import Control
from dzgrant.localcloud.databases import Server
from dzgrant.localcloud.databases.server import MysqlServer, PostgresqlServer
from dzgrant.model import Credentials

CLOUD = "http://cloud:4566"
WORKER = "http://dzgrant:8080"
TLS = Path("/tls")
_START_SECONDS = 30.0


async def perform(tell: Telling) -> None:
    """Raises `Unmet` at the first failed check."""
    with tell.step("AWS", f"three accounts and their services, at {CLOUD}"):
        control = Control(CLOUD)
        await asyncio.to_thread(control.calls)
    async with AsyncExitStack() as exits:
        session = await exits.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)))
        with tell.step("dzgrant", f"the daemon, at {WORKER}"):
            await until(lambda: _ready(session), seconds=_START_SECONDS, otherwise="dzgrant is not ready")
        scene = story.Scene(
            tell=tell,
            control=control,
            check=lambda: _check(session),
            environment=_environment(),
            producer=await exits.enter_async_context(account(CLOUD, places.PRODUCER)),
            consumer=await exits.enter_async_context(account(CLOUD, places.CONSUMER)),
            role=await exits.enter_async_context(consumer_role(CLOUD)),
        )
        for server in servers(TLS):
            await story.play(scene, server)
    why = "they are Docker's: docker compose logs"
    tell.leave_out("no password in any log", "the end", why)
    tell.leave_out("the daemon drains and ends", "the end", "docker compose down does it")


def _environment() -> Mapping[str, str]:
    return {**places.environment(CLOUD), "DZGRANT_DATABASE_CA_BUNDLE": str(TLS / "ca.pem")}


def servers(tls: Path) -> list[Server]:
    """The databases; `tls` is the folder that `dzgrant.localcloud.databases.certificates` filled."""
    password = SecretStr((tls / "password").read_text())

    def at(kind: type[PostgresqlServer | MysqlServer], host: str, port: int, admin: str, flavour: str) -> Server:
        return kind(
            flavour=flavour,
            provider="container",
            host=host,
            port=port,
            ca_file=tls / "ca.pem",
            admin=Credentials(username=admin, password=password),
            read_log=str,
        )

    return [
        at(PostgresqlServer, "postgresql", 5432, "postgres", "PostgreSQL"),
        at(MysqlServer, "mariadb", 3306, "root", "MariaDB"),
    ]


async def _ready(session: aiohttp.ClientSession) -> bool | None:
    try:
        async with session.get(f"{WORKER}/readyz") as answer:
            return answer.status == 200 or None
    except aiohttp.ClientError:
        return None


async def _check(session: aiohttp.ClientSession) -> None:
    """Raises `Unmet` when the worker does not live."""
    try:
        async with session.get(f"{WORKER}/livez") as answer:
            if answer.status != 200:
                raise Unmet(f"dzgrant says: {await answer.text()}")
    except aiohttp.ClientError as error:
        raise Unmet(f"dzgrant does not answer: {error}") from None
