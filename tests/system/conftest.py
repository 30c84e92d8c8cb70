"""The whole system: the real daemon, a local cloud over HTTP, real servers over TLS; shared, with fresh ids for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from trustme import CA

from dzgrant.localcloud import commands as c
from dzgrant.localcloud import process
from dzgrant.localcloud.databases import Server
from dzgrant.model import Credentials
from tests.engines.playgrounds import PLAYGROUNDS
from tests.system import daemon
from tests.system.cloud import Cloud
from tests.system.daemon import Worker
from tests.system.story import Story, logins

Start = Callable[..., AbstractContextManager[Worker]]


@pytest.fixture(scope="session")
def ca_bundle(authority: CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(scope="session")
def cloud_of_stories() -> Iterator[Cloud]:
    with process.running() as local:
        cloud = Cloud(local)
        yield cloud
        cloud.close()


@pytest.fixture(scope="session")
def cloud_of_workers() -> Iterator[Cloud]:
    """One without a worker, for tests that start their own."""
    with process.running() as local:
        cloud = Cloud(local)
        yield cloud
        cloud.close()


@pytest.fixture(scope="session")
def worker(cloud_of_stories: Cloud, ca_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The one worker of all stories that don't end it."""
    with daemon.running(cloud_of_stories, ca_bundle, tmp_path_factory.mktemp("worker") / "worker.log") as started:
        asyncio.run(started.ready())
        yield started


@pytest.fixture
def start(cloud_of_workers: Cloud, ca_bundle: Path, tmp_path: Path) -> Start:
    """Starts a worker of the test's own: `with start("name", DZGRANT_...="..."): ...`."""

    def begin(name: str, *, command: Sequence[str] = daemon.RUN, **changes: str) -> AbstractContextManager[Worker]:
        return daemon.running(cloud_of_workers, ca_bundle, tmp_path / f"{name}.log", command=command, **changes)

    return begin


_ENGINES = ("postgresql", "mariadb", "mysql")


@pytest.fixture(params=_ENGINES, scope="session")
def engine(request: pytest.FixtureRequest) -> Server:
    """One server of each engine that dzgrant knows."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def rds_admin(engine: Server) -> Credentials:
    """An admin that is no superuser, like RDS's."""
    return asyncio.run(engine.rds_admin())


async def _story(cloud: Cloud, server: Server, admin: Credentials) -> AsyncIterator[Story]:
    play = PLAYGROUNDS[server.engine](server=server, admin=admin)
    await play.set_up()
    domain = cloud.control.do(c.AddDomain()).id
    environment = cloud.control.do(c.AddEnvironment(domain=domain, events=False)).id
    yield Story(cloud=cloud, play=play, domain=domain, environment=environment, strangers=await logins(server))
    # What a test that failed left must not become the next one's.
    cloud.control.do(c.Heal())
    cloud.purge()
    await play.tear_down()


@pytest.fixture
async def story(cloud_of_stories: Cloud, engine: Server, worker: Worker) -> AsyncIterator[Story]:
    """A story on each engine, with the worker at work; the superuser is dzgrant's admin."""
    async for story in _story(cloud_of_stories, engine, engine.admin):
        yield story


@pytest.fixture
async def own(cloud_of_workers: Cloud, engine: Server) -> AsyncIterator[Story]:
    """A story whose workers the test starts itself."""
    async for story in _story(cloud_of_workers, engine, engine.admin):
        yield story


@pytest.fixture
async def rds_story(cloud_of_stories: Cloud, engine: Server, rds_admin: Credentials, worker: Worker) -> AsyncIterator[Story]:
    """The same, with an admin like RDS's."""
    async for story in _story(cloud_of_stories, engine, rds_admin):
        yield story
