"""A stage for load: the stub of AWS in the local cloud's place, one real server with several databases, and several workers."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from trustme import CA

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.databases import Server
from dzgrant.localcloud.places import DOMAIN, PRODUCER, PRODUCER_PROJECT
from tests.bench.daemon import Daemon, running
from tests.bench.world import SERVERS
from tests.envelopes import envelope
from tests.stub.process import Stub
from tests.stub.process import running as stub_running

_SECONDS = 600.0


@dataclass(slots=True)
class Stage:
    stub: Stub
    server: Server
    folder: Path
    databases: Sequence[str]
    listings: list[str] = field(default_factory=list)
    """A table of each database."""
    _exits: ExitStack = field(default_factory=ExitStack)
    _projects: int = 0
    _workers: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """Of a worker or a command that lives here."""
        variables = {
            **self.stub.environment,
            "DZGRANT_DATABASE_CA_BUNDLE": str(self.server.ca_file),
            "DZGRANT_HTTP_HOST": "127.0.0.1",
            "DZGRANT_HTTP_PORT": "0",
            "DZGRANT_DATAZONE_RATE": "100",
        }
        del variables["DZGRANT_EVENT_BUS"]
        return variables

    @contextmanager
    def workers(self, count: int, **settings: str) -> Iterator[list[Daemon]]:
        """`settings` are DZGRANT_* variables, in lower case."""
        chosen = {f"DZGRANT_{name.upper()}": value for name, value in settings.items()}
        with ExitStack() as exits:
            daemons = []
            for _ in range(count):
                self._workers += 1
                log = self.folder / f"worker-{self._workers}.log"
                daemons.append(exits.enter_context(running(self.environment | chosen, log)))
            yield daemons

    def consumers(self, count: int) -> list[str]:
        """New projects with one environment each; nothing is sent about them."""
        projects = []
        for _ in range(count):
            self._projects += 1
            projects.append(f"project{self._projects}")
            self.stub.control.do(c.AddEnvironment(id=f"environment{self._projects}", project=projects[-1], events=False))
        return projects

    def approve(self, listing: str, project: str) -> str:
        """Of DataZone's events the one that the rule lets through; the subscription."""
        request = self.stub.control.do(c.Subscribe(listing=listing, project=project, events=False))
        subscription = self.stub.control.do(c.Approve(request=request.id, events=False)).subscription
        self.tell(subscription)
        return subscription

    def tell(self, subscription: str, kind: str = "Subscription Created") -> None:
        self.stub.control.send(json.dumps(envelope(kind, subscription, {}, domain=DOMAIN)))

    def settled(self) -> None:
        deadline = time.monotonic() + _SECONDS
        while waiting := self.stub.waiting():
            assert time.monotonic() < deadline, f"{waiting} messages are left"
            time.sleep(0.02)


def metric(daemon: Daemon, name: str) -> float:
    """The sum of a worker's counter over the label values that `name` leaves open."""
    (started,) = [line for line in map(json.loads, daemon.log.read_text().splitlines()) if line["event"] == "worker_started"]
    with urllib.request.urlopen(f"http://127.0.0.1:{started['http_port']}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@contextmanager
def stage(engine: str, *, databases: int = 1) -> Iterator[Stage]:
    """`engine` is one of `SERVERS`."""
    names = [f"shop{number}" for number in range(databases)]
    with (
        stub_running() as stub,
        SERVERS[engine](CA()) as server,
        TemporaryDirectory(prefix="dzgrant-bench-") as folder,
    ):
        place = Stage(stub, server, Path(folder), names)
        asyncio.run(_tables(server, names))
        # Where the producer's own catalogue is.
        stub.control.do(c.AddEnvironment(project=PRODUCER_PROJECT, account=PRODUCER, events=False))
        for name in names:
            place.listings.append(_published(place, name))
        yield place


async def _tables(server: Server, names: Sequence[str]) -> None:
    for name in names:
        await server.create_database(name)
        schema = "public" if server.engine == "postgresql" else name
        await server.execute(f"CREATE TABLE {schema}.orders (id int)", database=name)


def _published(place: Stage, database: str) -> str:
    server = place.server
    wish: Mapping[str, object] = {
        "engine": server.engine,
        "host": server.host,
        "port": server.port,
        "database": database,
        "table": "public.orders" if server.engine == "postgresql" else "orders",
        "username": server.admin.username,
        "password": server.admin.password,
    }
    return place.stub.control.do(c.Publish.model_validate(wish)).listing
