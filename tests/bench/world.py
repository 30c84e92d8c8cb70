"""One stage for one leg: a local cloud with slow calls, a real database behind a slow line, and a worker that starts cold."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from trustme import CA

from dzgrant.localcloud import databases, process
from dzgrant.localcloud.client import Control
from dzgrant.localcloud.commands import AddEnvironment, AddProject, Approve, Call, Latency, Publish, Revoke, Subscribe
from dzgrant.localcloud.databases import Server
from dzgrant.localcloud.places import DOMAIN
from tests.bench.daemon import Daemon, Stuck, running
from tests.bench.slow_line import SlowLine, slow_line
from tests.envelopes import envelope

CALL_MS = 20.0
ROUND_TRIP_MS = 5.0
DATABASE = "shop"

Start = Callable[[CA], AbstractContextManager[Server]]
SERVERS: dict[str, Start] = {"PostgreSQL": databases.postgresql, "MariaDB": databases.mariadb}

# PostgreSQL's log and MariaDB's general log: one line for each message that holds a statement.
_STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): |\d (?:Query|Execute)\t")


@dataclass(slots=True)
class World:
    control: Control
    server: Server
    line: SlowLine
    daemon: Daemon
    admin_secret: str | None = None
    projects: int = field(default=0, init=False)

    def publish(self, table: str) -> str:
        """The listing of a table that is there."""
        path = f"public.{table}" if self.server.engine == "postgresql" else table
        admin = self.server.admin
        wish = Publish(
            engine=self.server.engine,  # type: ignore[arg-type]  # one of the two
            host=self.server.host,
            port=self.line.port,
            database=DATABASE,
            table=path,
            username=admin.username,
            password=admin.password,
            secret=self.admin_secret,
        )
        done = self.control.do(wish)
        self.admin_secret = done.secret_arn
        return done.listing

    def create_tables(self, names: Sequence[str]) -> None:
        schema = "public" if self.server.engine == "postgresql" else DATABASE

        async def create() -> None:
            async with self.server.session(database=DATABASE) as run:
                for name in names:
                    await run(f"CREATE TABLE {schema}.{name} (id int)")

        asyncio.run(create())

    def consumer(self) -> str:
        """A new project with one environment; nothing is sent about it."""
        self.projects += 1
        project = self.control.do(AddProject(id=f"project{self.projects}")).id
        self.control.do(AddEnvironment(id=f"environment{self.projects}", project=project, events=False))
        return project

    def request(self, listing: str, project: str) -> str:
        return self.control.do(Subscribe(listing=listing, project=project, events=False)).id

    def approve(self, request: str) -> str:
        """Approves it, and sends of DataZone's events the one that dzgrant asks EventBridge for; the subscription."""
        subscription = self.control.do(Approve(request=request, events=False)).subscription
        event = envelope("Subscription Created", subscription, {"subscriptionRequestId": request}, domain=DOMAIN)
        self.control.send(json.dumps(event))
        return subscription

    def revoke(self, subscription: str) -> None:
        self.control.do(Revoke(subscription=subscription))

    def statements(self) -> int:
        return len(_STATEMENT.findall(self.server.read_log()))

    def calls(self) -> list[Call]:
        """The worker's calls since the last `forget_calls`, without the queue's."""
        return [call for call in self.control.calls() if "dzgrant" in call.agent and call.service != "sqs"]

    def until_quiet(self) -> None:
        """Waits until the message is deleted after the last of the other calls, so that nothing of it is under way."""
        deadline = time.monotonic() + 10
        while not _quiet([call for call in self.control.calls() if "dzgrant" in call.agent]):
            if time.monotonic() > deadline:
                raise Stuck("the worker did not delete its message")
            time.sleep(0.005)


def _quiet(calls: Sequence[Call]) -> bool:
    deleted = [at for at, call in enumerate(calls) if call.operation == "DeleteMessageBatch" and call.status]
    others = [at for at, call in enumerate(calls) if call.service != "sqs"]
    return bool(deleted and others and deleted[-1] > others[-1])


@contextmanager
def world(engine: str, settings: Mapping[str, str], *, far: bool = True) -> Iterator[World]:
    """`engine` is one of `SERVERS`; `settings` are DZGRANT_* variables, in lower case. Everything ends with the block.

    Not `far`: calls and round trips take only what they take here.
    """
    with (
        process.running() as cloud,
        SERVERS[engine](CA()) as server,
        slow_line(server.port, ROUND_TRIP_MS if far else 0.0) as line,
        TemporaryDirectory(prefix="dzgrant-bench-") as folder,
    ):
        asyncio.run(server.create_database(DATABASE))
        cloud.control.do(Latency(milliseconds=CALL_MS if far else 0.0))
        chosen = {f"DZGRANT_{name.upper()}": value for name, value in settings.items()}
        environment = {
            **cloud.environment,
            "DZGRANT_DOMAIN_IDS": DOMAIN,
            "DZGRANT_DATABASE_CA_BUNDLE": str(server.ca_file),
            "DZGRANT_HTTP_PORT": "0",
        }
        bus = environment.pop("DZGRANT_EVENT_BUS")
        if "event_bus" in settings:
            chosen["DZGRANT_EVENT_BUS"] = bus
        with running(environment | chosen, Path(folder) / "worker.log") as daemon:
            yield World(cloud.control, server, line, daemon)
