"""A PostgreSQL that takes what Redshift takes: passwords that are hashed as `md5...`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields

import pytest
from redshift_playground import RedshiftPlayground, RedshiftServer
from trustme import CA

from dzgrant.localcloud import databases
from dzgrant.localcloud.databases import Server
from dzgrant.model import Credentials
from tests.engines.conftest import admin, database, impatient
from tests.engines.playground import Playground

__all__ = ["admin", "database", "impatient"]


@pytest.fixture(scope="session")
def server(authority: CA) -> Iterator[Server]:
    with databases.postgresql(authority) as found:
        stand_in = RedshiftServer(**{one.name: getattr(found, one.name) for one in fields(found)})
        asyncio.run(_take_md5(stand_in))
        yield stand_in


async def _take_md5(server: Server) -> None:
    async with server.session() as run:
        [(path,)] = await run("SHOW hba_file")
        await run(f"COPY (SELECT 'hostssl all all 127.0.0.1/32 md5') TO '{path}'")
        await run("SELECT pg_reload_conf()")


@pytest.fixture
async def play(server: Server, admin: Credentials) -> AsyncIterator[Playground]:
    ground = RedshiftPlayground(server=server, admin=admin)
    await ground.set_up()
    yield ground
    await ground.tear_down()
