"""Real database servers as fixtures: started once in a session, when the first test asks for one.

`postgresql`, `postgresql_wheel`, `mariadb`, `mysql`, `sqlserver` are one server each; `server` runs its test on every one of
them. `babelfish` is for tests of its own: its catalogue does not say what the contract suite asks for.
They are this machine's own, with Docker's where it has none, or all Docker's where DZGRANT_TEST_SERVERS=containers.
One that can't be had skips its tests, with the reason; but no test run goes without PostgreSQL: that is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest
from trustme import CA

from dzgrant.localcloud import databases
from dzgrant.localcloud.databases import NotAvailable, Server
from tests import containers, locales
from tests.doubles import sqlserver as doubles
from tests.doubles.oracle import double as oracle_double

Start = Callable[[CA], AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def authority() -> CA:
    """The throw-away authority of all the servers' certificates."""
    return CA()


@pytest.fixture(scope="session")
def postgresql(authority: CA) -> Iterator[Server]:
    yield from _first(authority, _speaking_german(databases.postgresql), containers.postgresql)


@pytest.fixture(scope="session")
def postgresql_wheel(authority: CA) -> Iterator[Server]:
    """A newer PostgreSQL (18, so with the rules for roles of 16), behind a TLS terminator; never Docker's."""
    with _speaking_german(databases.postgresql_of_wheel)(authority) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(authority: CA) -> Iterator[Server]:
    yield from _or_skip(authority, databases.mariadb, containers.mariadb)


@pytest.fixture(scope="session")
def mysql(authority: CA) -> Iterator[Server]:
    yield from _or_skip(authority, databases.mysql, containers.mysql)


@pytest.fixture(scope="session")
def sqlserver(authority: CA) -> Iterator[Server]:
    """Docker's where it is asked for; else a double that the real driver logs into."""
    yield from _or_skip(authority, doubles.start, containers.sqlserver)


@pytest.fixture(scope="session")
def oracle(authority: CA) -> Iterator[Server]:
    """Docker's where it is asked for; else a double that the real driver logs into."""
    yield from _or_skip(authority, oracle_double.start, containers.oracle)


@pytest.fixture(scope="session")
def babelfish(authority: CA) -> Iterator[Server]:
    """A double always: Babelfish is Aurora's own, and has no image."""
    with doubles.start(authority, babelfish=True) as server:
        yield server


_SERVERS = [
    pytest.param(name, id=name.replace("_", "-"))
    for name in ("postgresql", "postgresql_wheel", "mariadb", "mysql", "sqlserver", "oracle")
]


@pytest.fixture(params=_SERVERS, scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """Each server in turn."""
    found: Server = request.getfixturevalue(request.param)
    return found


def _speaking_german(start: Start) -> Start:
    @contextmanager
    def started(authority: CA) -> Iterator[Server]:
        with ExitStack() as running:
            with locales.seeking():
                server = running.enter_context(start(authority))
            yield server

    return started


def _or_skip(authority: CA, local: Start, container: Start) -> Iterator[Server]:
    try:
        yield from _first(authority, local, container)
    except NotAvailable as error:
        pytest.skip(str(error))


def _first(authority: CA, local: Start, container: Start) -> Iterator[Server]:
    """The first that can be had. Raises `NotAvailable` with all the reasons."""
    starts = (container,) if os.environ.get("DZGRANT_TEST_SERVERS") == "containers" else (local, container)
    missing: list[NotAvailable] = []
    for start in starts:
        with ExitStack() as running:
            try:
                server = running.enter_context(start(authority))
            except NotAvailable as error:
                missing.append(error)
                continue
            yield server
            return
    raise NotAvailable(", ".join(error.what for error in missing), do=" or ".join(error.do for error in missing))
