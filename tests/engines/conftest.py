"""`play`: each server in turn, once with its superuser as dzgrant's admin and once with an admin like RDS's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from dzgrant.engines import adapter
from dzgrant.engines.contract import Database
from dzgrant.localcloud.databases import Server
from dzgrant.model import Credentials
from tests.engines.playground import Playground
from tests.engines.playgrounds import PLAYGROUNDS

_RDS_ADMINS: dict[int, Credentials] = {}
"""By the server's port. A session's fixture would hand one server's admin to a module that has another `server`."""


@pytest.fixture(params=["superuser", "rds-like"])
def admin(server: Server, request: pytest.FixtureRequest) -> Credentials:
    """dzgrant's own login on the server."""
    if request.param == "superuser":
        return server.admin
    if server.port not in _RDS_ADMINS:
        _RDS_ADMINS[server.port] = asyncio.run(server.rds_admin())
    return _RDS_ADMINS[server.port]


@pytest.fixture
async def play(server: Server, admin: Credentials) -> AsyncIterator[Playground]:
    ground = PLAYGROUNDS[server.engine](server=server, admin=admin)
    await ground.set_up()
    yield ground
    await ground.tear_down()


@pytest.fixture
async def database(play: Playground) -> AsyncIterator[Database]:
    """The playground's database, as dzgrant opens it."""
    opened = adapter(play.server.engine).open(play.source, play.admin, play.limits)
    yield opened
    await opened.close()


@pytest.fixture
async def impatient(play: Playground) -> AsyncIterator[Database]:
    """The same, opened by one that waits for no lock for long."""
    opened = adapter(play.server.engine).open(play.source, play.admin, replace(play.limits, lock_timeout=0.5))
    yield opened
    await opened.close()
