"""`python -m tests.chaos`: the long form, with its report. Exit code 1 where anything was not as it should be."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from trustme import CA

from dzgrant.localcloud import databases, process
from tests import odbc
from tests.chaos.plan import Plan, Tally
from tests.chaos.run import survived
from tests.system import daemon
from tests.system.cloud import Cloud
from tests.system.daemon import Worker


def main(
    events: Annotated[int, typer.Option(min=1)] = 2000,
    workers: Annotated[int, typer.Option(min=1)] = 4,
    seed: Annotated[int | None, typer.Option(help="None: a new one.")] = None,
    minutes: Annotated[float, typer.Option(help="It is a failure not to be done by then.")] = 30.0,
) -> None:
    """Thousands of events in a storm of faults."""
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    sys.stdout.write(f"seed {seed}\n")
    plan = Plan(seed=seed, events=events, workers=workers, projects=5, tables=6, pause=1.5)
    with ExitStack() as parts:
        authority = CA()
        servers = [parts.enter_context(begin(authority)) for begin in (databases.postgresql, databases.mariadb)]
        cloud = parts.enter_context(closing(Cloud(parts.enter_context(process.running()))))
        folder = Path(parts.enter_context(TemporaryDirectory(prefix="dzgrant-chaos-")))
        bundle = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(bundle))

        def start(name: str, **changes: str) -> AbstractContextManager[Worker]:
            return daemon.running(cloud, bundle, folder / f"{name}.log", **changes)

        async def bounded() -> Tally:
            async with asyncio.timeout(minutes * 60):
                return await survived(plan, cloud, servers, start, bundle, folder)

        tally = asyncio.run(bounded())
    _report(tally)
    sys.exit(bool(tally.failures))


def _report(tally: Tally) -> None:
    console = Console()
    for title, counts in (
        ("what happened", tally.events),
        ("what went wrong", tally.blows),
        ("what was looked at", tally.checks),
    ):
        table = Table(title, "times")
        for name, count in sorted(counts.items()):
            table.add_row(name, str(count))
        console.print(table)
    console.print(f"{sum(tally.events.values())} events in {tally.seconds:.0f} s")
    for failure in tally.failures:
        console.print(f"FAILED {failure}", style="red", markup=False)
    console.print("nothing was lost, nothing lingers" if not tally.failures else f"{len(tally.failures)} failures")


if __name__ == "__main__":
    odbc.provide()
    typer.run(main)
