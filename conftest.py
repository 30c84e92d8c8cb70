"""The fixtures that every test may use (tests/servers.py), and the table at the end of which real servers they used."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from dzgrant.localcloud.databases import Server
from tests import odbc
from tests.servers import authority, babelfish, mariadb, mysql, oracle, postgresql, postgresql_wheel, server, sqlserver

__all__ = ["authority", "babelfish", "mariadb", "mysql", "oracle", "postgresql", "postgresql_wheel", "server", "sqlserver"]

_USED = pytest.StashKey[Counter[tuple[str, str]]]()


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
    config.stash[_USED] = Counter()
    odbc.provide()


def pytest_runtest_call(item: pytest.Item) -> None:
    arguments = item.funcargs.values() if isinstance(item, pytest.Function) else ()
    item.config.stash[_USED].update({(used.flavour, used.provider) for used in arguments if isinstance(used, Server)})


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
