"""The fixtures that every test may use (tests/servers.py), and what the end of a run has: no password in anything that was
written, and the table of which real servers were used.

Tests may run in several processes (pytest-xdist), each with servers and local clouds of its own.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import settings
from rich.console import Console
from rich.table import Table

from dzgrant.localcloud.databases import Server
from tests import odbc
from tests.servers import authority, babelfish, mariadb, mysql, oracle, postgresql, postgresql_wheel, server, sqlserver
from tests.system import leaks
from tests.system.cloud import Cloud

__all__ = ["authority", "babelfish", "mariadb", "mysql", "oracle", "postgresql", "postgresql_wheel", "server", "sqlserver"]

# The same examples each time; `pytest --hypothesis-profile=long` looks for new ones.
settings.register_profile("short", derandomize=True, database=None, deadline=None, max_examples=100)
settings.register_profile("long", deadline=None, max_examples=10_000)
settings.load_profile("short")

_USED = pytest.StashKey[Counter[tuple[str, str]]]()
_SERVERS = pytest.StashKey[dict[str, Server]]()
_CLOUDS = pytest.StashKey[dict[str, Cloud]]()


@pytest.fixture(autouse=True)
def _loops_end_in_order(request: pytest.FixtureRequest) -> None:
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_transports_closed")


@pytest.fixture
async def _transports_closed() -> AsyncIterator[None]:
    """Lets a refused connection close to the end: the drivers don't wait for it, and a loop that ends first leaves an open
    socket to the garbage collector, which is an error of whichever test it then meets."""
    yield
    loop: Any = asyncio.get_running_loop()
    deadline = time.monotonic() + 2
    # asyncio tells nobody of it, so there is no event to wait for.
    while time.monotonic() < deadline and any(transport._sock for transport in list(loop._transports.values())):  # noqa: ASYNC110
        await asyncio.sleep(0.001)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_USED], config.stash[_SERVERS], config.stash[_CLOUDS] = Counter(), {}, {}
    odbc.provide()


def pytest_runtest_call(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function):
        stash, arguments = item.config.stash, item.funcargs
        stash[_USED].update({(used.flavour, used.provider) for used in arguments.values() if isinstance(used, Server)})
        for name in arguments.keys() & {"cloud_of_stories", "cloud_of_workers"}:
            stash[_CLOUDS][name] = arguments[name]
        if "engine" in arguments:
            stash[_SERVERS][arguments["engine"].flavour] = arguments["engine"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """The last test of a process is the one that fails where any left a password: servers and clouds are still up then."""
    leaking: list[str] = []
    if nextitem is None:
        folder = item.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # what tmp_path_factory gives
        stash = item.config.stash
        leaking = leaks.everywhere(stash[_CLOUDS].values(), stash[_SERVERS].values(), folder)
    yield
    assert leaking == [], "passwords stand in what the tests of this process wrote"


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["used"] = [(*server, tests) for server, tests in session.config.stash[_USED].items()]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of pytest-xdist's processes has ended; in `node` is what it says of itself."""
    for flavour, provider, tests in getattr(node, "workeroutput", {}).get("used", ()):
        node.config.stash[_USED][flavour, provider] += tests


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    table = Table("server", "provider", "tests")
    for (flavour, provider), tests in sorted(config.stash[_USED].items()):
        table.add_row(flavour, provider, str(tests))
    skipped = Counter(report.longrepr[2] for report in terminalreporter.getreports("skipped"))
    for reason, tests in skipped.items():
        table.add_row("skipped", reason.removeprefix("Skipped: "), str(tests))
    if table.rows:
        console = Console(width=terminalreporter._tw.fullwidth, color_system=None)
        with console.capture() as drawn:
            console.print(table)
        terminalreporter.section("database servers; a double stands for one that can't be had here")
        terminalreporter.write(drawn.get())
