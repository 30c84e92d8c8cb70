"""`python -m tests.bench`: runs every leg, prints its table as soon as it is there, and says at the end what was missed."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from typing import get_args

from rich.console import Console

from dzgrant.localcloud.databases import NotAvailable
from tests.bench.costs import Costs, costs
from tests.bench.load import Shape, growth, stream
from tests.bench.report import Report
from tests.bench.world import SERVERS

_EVENTS_A_SECOND = 8.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="What a grant and a revoke cost.")
    parser.add_argument("--quick", action="store_true", help="fewer events, and 100 grants at most")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a goal is missed")
    arguments = parser.parse_args()
    # An exception, so that the worker and the servers end too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began, report = time.monotonic(), Report()
    console = Console(width=None if sys.stdout.isatty() else 140)
    before = os.getloadavg()[0]
    _run(report, console, quick=arguments.quick)
    console.print(f"{time.monotonic() - began:.0f} s on {os.cpu_count()} cores; load before: {before:.1f}.")
    if before > 1:
        console.print("[yellow]The machine was busy: times and CPU are higher than its own.[/]")
    for line in report.missed:
        console.print(f"[bold red]missed[/] {line}")
    if not report.missed:
        console.print("[bold green]every goal is met[/]")
    return 1 if arguments.check and report.missed else 0


def _run(report: Report, console: Console, *, quick: bool) -> None:
    events, seconds = (6, 5) if quick else (20, 15)
    totals = (1, 10, 100) if quick else (1, 10, 100, 250, 500, 1000)
    measured: dict[str, Costs] = {}
    for engine in SERVERS:
        try:
            measured[engine] = costs(engine, events, datazone_rate="100")
        except NotAvailable as missing:
            console.print(f"[bold red]{engine} was not measured[/]: {missing}")
    with_bus = {"PostgreSQL, outcome bus": costs("PostgreSQL", 2, datazone_rate="100", event_bus="on")}
    console.print(report.calls(measured | with_bus))
    for draw in (report.database, report.cpu, report.secret):
        console.print(draw(measured))
    streams = {engine: stream(engine, _EVENTS_A_SECOND, round(_EVENTS_A_SECOND * seconds)) for engine in measured}
    console.print(report.stream(streams, _EVENTS_A_SECOND))
    for shape in get_args(Shape):
        console.print(report.growth("PostgreSQL", shape, growth("PostgreSQL", shape, totals)))


if __name__ == "__main__":
    sys.exit(main())
