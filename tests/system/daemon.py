"""The worker as a process of its own: started as a person would, watched through its log, ended as AWS would, or by kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.envelopes import envelope
from tests.system.cloud import Cloud, until

RUN = ("-m", "dzgrant.cli", "run")

QUICK = {
    "DZGRANT_HTTP_HOST": "127.0.0.1",
    "DZGRANT_HTTP_PORT": "0",
    "DZGRANT_DATAZONE_RATE": "100",
    "DZGRANT_VISIBILITY_SECONDS": "30",
    "DZGRANT_BACKOFF_SECONDS": "1",
    "DZGRANT_BACKOFF_CAP_SECONDS": "2",
    "DZGRANT_DATABASE_CONNECT_TIMEOUT": "2",
    "DZGRANT_DATABASE_STATEMENT_TIMEOUT": "3",
    "DZGRANT_DATABASE_LOCK_TIMEOUT": "1",
    "DZGRANT_LEASE_SECONDS": "9",
    "DZGRANT_DRAIN_SECONDS": "20",
}
"""Short times, so that what can't be yet is tried again within seconds."""

SHORT_LIVED = {
    "DZGRANT_VISIBILITY_SECONDS": "2",
    "DZGRANT_DATABASE_CONNECT_TIMEOUT": "1",
    "DZGRANT_DATABASE_STATEMENT_TIMEOUT": "1",
    "DZGRANT_DATABASE_LOCK_TIMEOUT": "0.2",
    "DZGRANT_LEASE_SECONDS": "3.5",
}
"""For a worker that is to die: what it held comes back soon."""


@dataclass(slots=True)
class Worker:
    """One worker. `log` is what it wrote, whole, on both streams."""

    process: subprocess.Popen[bytes]
    log: Path
    cloud: Cloud

    @property
    def pid(self) -> int:
        return self.process.pid

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The lines of the log, or those of one event."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
        found: list[dict[str, Any]] = [json.loads(line) for line in lines]
        return [line for line in found if name in (None, line["event"])]

    async def ready(self) -> None:
        """Waits until it works on events."""

        async def started() -> bool | None:
            assert self.process.poll() is None, f"the worker ended: {self.log.read_text()}"
            return b'"worker_started"' in self.log.read_bytes() or None

        await until(started, self.log.read_text)

    async def has_granted(self) -> bool | None:
        """Whether there is an outcome; None: not yet."""
        return bool(self.events("grant_outcome")) or None

    async def ended(self, seconds: float = 90.0) -> int:
        """Waits for its end and gives its exit code."""

        async def code() -> int | None:
            return self.process.poll()

        return await until(code, lambda: f"worker {self.pid} goes on: {self.log.read_text()[-2000:]}", seconds)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    async def drain(self) -> int:
        """SIGTERM. A message that nobody minds ends the long poll, which else stays open for 5 s."""
        self.process.send_signal(signal.SIGTERM)
        self.cloud.control.send(NOTHING)
        return await self.ended()


NOTHING = json.dumps({**envelope("Object Created", None, {}), "source": "aws.s3"})
"""A message that is acknowledged and no more."""


def environment(cloud: Cloud, ca_bundle: Path, changes: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process that lives in this local cloud."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DZGRANT_"))}
    return {**outside, **cloud.local.environment, **QUICK, "DZGRANT_DATABASE_CA_BUNDLE": str(ca_bundle), **changes}


@contextmanager
def running(cloud: Cloud, ca_bundle: Path, log: Path, *, command: Sequence[str] = RUN, **changes: str) -> Iterator[Worker]:
    """A worker until the block is left; then it is killed, should it still run."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            env=environment(cloud, ca_bundle, changes),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    worker = Worker(process=process, log=log, cloud=cloud)
    try:
        yield worker
    finally:
        worker.kill()
