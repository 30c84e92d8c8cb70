"""Real database servers as fixtures: started once in a session, when the first test asks for one.

`postgresql`, `mariadb`, `mysql` are one server each; `server` runs its test on every one there is. They come from local
programs, or from Docker where DZGRANT_TEST_SERVERS=containers says so. One that can't be had skips its tests with the
reason; only a missing PostgreSQL is a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from trustme import CA

from dzgrant.localcloud import databases
from dzgrant.localcloud.databases import NotAvailable, Server

Start = Callable[[CA], AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def authority() -> CA:
    """The throw-away authority of all the servers' certificates."""
    return CA()


@pytest.fixture(scope="session")
def postgresql(authority: CA) -> Iterator[Server]:
    with databases.postgresql(authority) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_wheel(authority: CA) -> Iterator[Server]:
    """A newer PostgreSQL (18, with the role rules of 16), behind a TLS terminator."""
    with databases.postgresql_of_wheel(authority) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(authority: CA) -> Iterator[Server]:
    yield from _or_skip(databases.mariadb, authority)


@pytest.fixture(scope="session")
def mysql(authority: CA) -> Iterator[Server]:
    yield from _or_skip(databases.mysql, authority)


@pytest.fixture(params=["postgresql", "postgresql_wheel", "mariadb", "mysql"], scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """Each server in turn."""
    found: Server = request.getfixturevalue(request.param)
    return found


def _or_skip(start: Start, authority: CA) -> Iterator[Server]:
    try:
        running = start(authority)
        server = running.__enter__()
    except NotAvailable as error:
        pytest.skip(str(error))
    try:
        yield server
    finally:
        running.__exit__(None, None, None)
