"""`python -m tests.bench.scaling`: the figures of docs/scaling.md, each beside its goal."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.bench import scale
from tests.bench.world import SERVERS

_RATIO = 1.5
_SCALING = 0.9
_GROWTH_MEBIBYTES = 10.0
_CALL_MS = 100.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scaling", description="How far workers go.")
    parser.add_argument("--quick", action="store_true", help="fewer grants, and 10,000 principals in the ledger at most")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began, before = time.monotonic(), os.getloadavg()[0]
    console = Console(width=None if sys.stdout.isatty() else 140)
    missed = _run(console, quick=arguments.quick)
    console.print(f"{time.monotonic() - began:.0f} s on {os.cpu_count()} cores; load before: {before:.1f}.")
    for line in missed:
        console.print(f"[bold red]missed[/] {line}")
    return bool(missed)


def _run(console: Console, *, quick: bool) -> list[str]:
    """Prints each table as soon as it is there; gives what was missed."""
    missed: list[str] = []
    count = 60 if quick else 200
    console.print(_floors(scale.floors(count), missed))
    console.print(_concurrency(count))
    console.print(_workers(scale.workers("PostgreSQL", (1, 2, 4), count // 4, _CALL_MS), missed))
    console.print(_conflicts(count // 10))
    console.print(_crowded(scale.crowded((100, 10_000) if quick else (100, 10_000, 100_000), 20)))
    console.print(_swept(scale.swept((50, 100) if quick else (50, 100, 200, 400))))
    console.print(_memory(scale.memory((1000, 2000) if quick else (2000, 4000, 6000, 8000, 10_000)), missed))
    return missed


def _floors(floors: scale.Floors, missed: list[str]) -> Table:
    table = _table("CPU of a first grant on PostgreSQL, ms", "worker", "aiobotocore and SQLAlchemy alone", "ratio", "goal")
    table.add_row("", f"{floors.worker:.1f}", f"{floors.libraries:.1f}", f"{floors.ratio:.2f}", f"≤ {_RATIO}")
    if floors.ratio > _RATIO:
        missed.append(f"CPU against the libraries' own: {floors.ratio:.2f}, goal {_RATIO}")
    return table


def _concurrency(count: int) -> Table:
    table = _table("One worker, many principals, by DZGRANT_CONCURRENCY", "grants/s", "CPU of a grant, ms", "memory, MiB")
    for engine in SERVERS:
        for databases in (1, 16):
            for number, load in scale.concurrency(engine, databases, (1, 4, 16, 64), count).items():
                place = "one source" if databases == 1 else f"{databases} sources"
                cells = f"{load.per_second:.1f}", f"{load.cpu_ms:.1f}", f"{load.mebibytes:.0f}"
                table.add_row(f"{engine}, {place}, {number}", *cells)
    return table


def _workers(loads: dict[int, scale.Load], missed: list[str]) -> Table:
    title = f"Workers on one queue, two events in work each, {_CALL_MS:.0f} ms for each AWS call"
    table = _table(title, "grants/s", "of as many times one", "goal", "CPU of a grant, ms", "leases met")
    for number, load in loads.items():
        share = load.per_second / (number * loads[1].per_second)
        cells = f"{load.per_second:.1f}", f"{share:.0%}", f"≥ {_SCALING:.0%}", f"{load.cpu_ms:.1f}", f"{load.lease_held:.0f}"
        table.add_row(str(number), *cells)
        if share < _SCALING:
            missed.append(f"{number} workers: {share:.0%} of as many times one, goal {_SCALING:.0%}")
    return table


def _conflicts(principals: int) -> Table:
    title = "Ten events at once for each of some principals"
    table = _table(title, "events/s", "CPU of an event, ms", "leases met for an event")
    for number in (1, 2, 4):
        load = scale.conflicts("PostgreSQL", number, principals, 10)
        met = load.lease_held / (principals * 10)
        table.add_row(f"{number} workers", f"{load.per_second:.1f}", f"{load.cpu_ms:.1f}", f"{met:.2f}")
    return table


def _crowded(found: Sequence[scale.Crowded]) -> Table:
    columns = ("calls of a grant", "CPU, ms", "list 1,000, s", "its calls", "list an environment, s", "its calls")
    table = _table("By principals in the ledger", *columns)
    for one in found:
        (listed, calls), (of_environment, its_calls) = one.listed, one.of_environment
        cells = f"{listed:.1f}", str(calls), f"{of_environment:.1f}", str(its_calls)
        table.add_row(f"{one.principals:,}", str(one.calls), f"{one.cpu_ms:.1f}", *cells)
    return table


def _swept(found: Sequence[scale.Swept]) -> Table:
    columns = ("calls of a principal", "of them DataZone's", "CPU of a principal, ms")
    table = _table("A sweep, everything as it should be", *columns)
    for one in found:
        calls, datazone = sum(one.calls.values()), sum(n for name, n in one.calls.items() if name.startswith("datazone:"))
        cells = f"{calls / one.principals:.1f}", f"{datazone / one.principals:.1f}", f"{one.cpu_ms:.1f}"
        table.add_row(f"{one.principals} principals", *cells)
    return table


def _memory(marks: Sequence[tuple[int, float]], missed: list[str]) -> Table:
    table = _table("Memory of one worker by events handled", "MiB")
    for events, mebibytes in marks:
        table.add_row(f"{events:,}", f"{mebibytes:.1f}")
    if (growth := marks[-1][1] - marks[0][1]) > _GROWTH_MEBIBYTES:
        missed.append(f"memory grew by {growth:.1f} MiB, goal {_GROWTH_MEBIBYTES:g}")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


if __name__ == "__main__":
    sys.exit(main())
