"""The worker as its own process, watched through /proc and its log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from psutil import Process

_START_SECONDS = 30.0
_POLL_SECONDS = 0.005


class Stuck(Exception):
    """The worker did not do in time what it was to do; the text holds the end of its log."""


@dataclass(slots=True)
class Daemon:
    process: Process
    log: Path
    seen: Counter[str] = field(default_factory=Counter)
    """Its log's lines by event, and for a grant's outcome by the outcome's word, as far as `until` has read."""
    _read: int = 0

    @property
    def cpu(self) -> float:
        """Seconds of CPU that the process has used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    @property
    def mebibytes(self) -> float:
        """Resident memory."""
        return float(self.process.memory_info().rss / 2**20)

    def until(self, word: str, count: int, *, seconds: float) -> None:
        """Waits for so many lines of this event or outcome in all. Raises `Stuck`."""
        deadline = time.monotonic() + seconds
        while self._look()[word] < count:
            if time.monotonic() > deadline or not self.process.is_running():
                raise Stuck(f"{self.seen[word]} of {count} {word}; the log ends:\n{self.log.read_text()[-3000:]}")
            time.sleep(_POLL_SECONDS)

    def _look(self) -> Counter[str]:
        with self.log.open() as log:
            log.seek(self._read)
            text = log.read()
        whole = text.rpartition("\n")[0]
        self._read += len(whole.encode())
        for line in whole.splitlines():
            if line.startswith("{"):
                told = json.loads(line)
                self.seen[told.get("outcome") or told["event"]] += 1
        return self.seen


@contextmanager
def running(environment: Mapping[str, str], log: Path) -> Iterator[Daemon]:
    """`dzgrant run` with these variables; ready when the block begins."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DZGRANT_"))}
    command = [sys.executable, "-m", "dzgrant.cli", "run"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, env={**inherited, **environment}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as child,
    ):
        try:
            daemon = Daemon(Process(child.pid), log)
            daemon.until("worker_started", 1, seconds=_START_SECONDS)
            yield daemon
        finally:
            # A drain would wait for the long poll; what it would save is thrown away with the local cloud.
            child.kill()
