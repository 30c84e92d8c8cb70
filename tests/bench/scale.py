"""How far one worker and several go, against the fast stub of AWS and real databases: what is measured.

`tests.bench.scaling` prints it; docs/scaling.md says what follows from it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from resource import RUSAGE_CHILDREN, getrusage

from dzgrant.localcloud import commands as c
from tests.bench.daemon import Daemon
from tests.bench.fast import Stage, metric, stage
from tests.bench.floor import Order, cpu_ms, of_grant
from tests.stub.crowd import Crowd

_WARM = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What some grants took, all asked for at once."""

    per_second: float
    cpu_ms: float
    mebibytes: float
    lease_held: float = 0.0
    """How often a worker met another's lease."""


def _granted(place: Stage, daemons: Sequence[Daemon], projects: Sequence[str]) -> Load:
    cpu, began = sum(one.cpu for one in daemons), time.monotonic()
    for number, project in enumerate(projects):
        place.approve(place.listings[number % len(place.listings)], project)
    place.settled()
    seconds = time.monotonic() - began
    return Load(
        per_second=len(projects) / seconds,
        cpu_ms=(sum(one.cpu for one in daemons) - cpu) * 1000 / len(projects),
        mebibytes=max(one.mebibytes for one in daemons),
        lease_held=sum(metric(one, 'dzgrant_retries_total{why="lease_held"}') for one in daemons),
    )


def concurrency(engine: str, databases: int, at_once: Sequence[int], count: int) -> dict[int, Load]:
    """Many principals on one source, or on several, by DZGRANT_CONCURRENCY."""
    found = {}
    with stage(engine, databases=databases) as place:
        for number in at_once:
            with place.workers(1, concurrency=str(number)) as daemons:
                _granted(place, daemons, place.consumers(_WARM))
                found[number] = _granted(place, daemons, place.consumers(count))
    return found


def workers(engine: str, numbers: Sequence[int], count: int, milliseconds: float) -> dict[int, Load]:
    """So many workers on one queue, each with two events in work and every AWS call as far away as AWS is, so that the waits
    bind and not this machine's cores; each event for a principal of its own."""
    found = {}
    with stage(engine) as place:
        place.stub.control.do(c.Latency(milliseconds=milliseconds))
        for number in numbers:
            with place.workers(number, concurrency="2") as daemons:
                _granted(place, daemons, place.consumers(_WARM))
                found[number] = _granted(place, daemons, place.consumers(count * number))
    return found


def conflicts(engine: str, number: int, principals: int, tables: int) -> Load:
    """Several workers, and several events for each principal at once: they meet each other's leases."""
    with stage(engine) as place, place.workers(number) as daemons:
        _granted(place, daemons, place.consumers(_WARM))
        return _granted(place, daemons, place.consumers(principals) * tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """CPU of a grant in ms: the worker's, and that of the libraries alone."""

    worker: float
    libraries: float

    @property
    def ratio(self) -> float:
        return self.worker / self.libraries


def floors(count: int) -> Floors:
    """On PostgreSQL, the worker and the libraries one after the other in one run."""
    with stage("PostgreSQL") as place:
        with place.workers(1) as daemons:
            _granted(place, daemons, place.consumers(_WARM))
            (project,) = place.consumers(1)
            place.stub.forget()
            subscription = place.approve(place.listings[0], project)
            place.settled()
            calls = of_grant(place.stub.recorded())
            worker = _granted(place, daemons, place.consumers(count)).cpu_ms
        for _ in range(count):
            place.stub.control.send("a message of the floor's")
        server = place.server
        order = Order(
            endpoint=place.stub.endpoint,
            calls=calls,
            environment=project.replace("project", "environment"),
            subscription=subscription,
            count=count,
            port=server.port,
            database=place.databases[0],
            ca_file=server.ca_file,
            admin=server.admin.username,
            password=server.admin.password.get_secret_value(),
        )
        return Floors(worker=worker, libraries=cpu_ms(order))


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowded:
    """With so many principals in the ledger. Seconds and calls of a command; calls and CPU of one grant."""

    principals: int
    listed: tuple[float, int]
    of_environment: tuple[float, int]
    calls: int
    cpu_ms: float


def crowded(totals: Sequence[int], count: int) -> list[Crowded]:
    found = []
    with stage("PostgreSQL") as place, place.workers(1) as daemons:
        _granted(place, daemons, place.consumers(_WARM))
        (project,) = place.consumers(1)
        environment = project.replace("project", "environment")
        subscription = place.approve(place.listings[0], project)
        place.settled()
        there = 0
        for total in totals:
            place.stub.join(Crowd(environment=environment, subscription=subscription, first=there, count=total - there))
            there = total
            place.stub.forget()
            load = _granted(place, daemons, place.consumers(count))
            calls = sum(number for name, number in place.stub.calls().items() if not name.startswith("sqs:"))
            found.append(
                Crowded(
                    principals=total,
                    listed=_command(place, "grants", "list", "--limit", "1000", "--json"),
                    of_environment=_command(place, "grants", "list", "--environment", environment, "--json"),
                    calls=round(calls / count),
                    cpu_ms=load.cpu_ms,
                )
            )
    return found


def _command(place: Stage, *arguments: str) -> tuple[float, int]:
    """Seconds of a command, its start included, and the AWS calls that it made."""
    place.stub.forget()
    began = time.monotonic()
    command = [sys.executable, "-m", "dzgrant.cli", *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DZGRANT_"))}
    subprocess.run(command, env=inherited | place.environment, capture_output=True, check=True, timeout=600)
    return time.monotonic() - began, sum(place.stub.calls().values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """A sweep over so many principals, each with one table by one subscription."""

    principals: int
    calls: dict[str, int]
    seconds: float
    cpu_ms: float
    """Of one principal, the command's start not counted."""


def swept(totals: Sequence[int]) -> list[Swept]:
    found = []
    with stage("PostgreSQL") as place:
        there = 0
        idle = _cpu(lambda: _command(place, "version"))
        for total in totals:
            with place.workers(1) as daemons:
                _granted(place, daemons, place.consumers(total - there))
            there = total
            place.stub.forget()
            before, began = _children(), time.monotonic()
            _command(place, "reconcile", "--domain", "dzd_local")
            seconds, cpu = time.monotonic() - began, _children() - before - idle
            found.append(Swept(principals=total, calls=place.stub.calls(), seconds=seconds, cpu_ms=cpu * 1000 / total))
    return found


def _children() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu(work: Callable[[], object]) -> float:
    before = _children()
    work()
    return _children() - before


def memory(marks: Sequence[int]) -> list[tuple[int, float]]:
    """Resident MiB after so many events: approvals and revokes of some principals, over and over."""
    found = []
    with stage("PostgreSQL") as place, place.workers(1) as daemons:
        projects = place.consumers(50)
        events = 0
        for mark in marks:
            while events < mark:
                live = [place.approve(place.listings[0], project) for project in projects]
                place.settled()
                for subscription in live:
                    place.stub.control.do(c.Revoke(subscription=subscription))
                # Late and twice: what has ended already.
                for subscription in live * 2:
                    place.tell(subscription)
                place.settled()
                events += 4 * len(live)
            found.append((events, daemons[0].mebibytes))
    return found
