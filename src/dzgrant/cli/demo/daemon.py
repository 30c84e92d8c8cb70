"""dzgrant itself in the demo: a process of its own that knows nothing of it, watched through its log."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dzgrant.cli.demo.checks import Unmet, until
from dzgrant.localcloud.client import Control

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
# A process that begins and reads three accounts; on a machine that is busy that takes its time.
_ANSWER_SECONDS = 90.0
_FAILURES = ("message_delayed", "message_refused", "handler_failed", "receive_failed")


class _Line(BaseModel):
    """A line of the log, as far as it matters here."""

    model_config = ConfigDict(extra="ignore")

    event: str
    level: Literal["debug", "info", "warning", "error", "critical"]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    process: Process
    log: Path

    async def check(self) -> None:
        """Raises `Unmet` when it has ended, or says that it can't do its work until a person has done something."""
        if self.process.returncode is not None:
            raise Unmet(f"dzgrant ended with exit code {self.process.returncode}: {self._last_words()}")
        for line in self._lines():
            if line.event in _FAILURES and line.level != "info":
                raise Unmet(f"dzgrant says {line.event}: {line.error or 'see its log'}")

    async def started(self) -> bool | None:
        """Whether it works; None: not yet."""
        await self.check()
        return self._said("worker_started")

    async def stop(self, control: Control) -> None:
        """SIGTERM. Raises `Unmet` unless it drains and ends with exit code 0."""
        self.process.terminate()
        await until(self._draining, seconds=_STOP_SECONDS, otherwise="dzgrant did not begin to drain")
        # It lets its long poll return, which takes 5 s on a queue that stays empty; what it receives now it gives back.
        control.send("{}")
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                code = await self.process.wait()
        except TimeoutError:
            raise Unmet(f"dzgrant still runs {_STOP_SECONDS:.0f} s after SIGTERM") from None
        if code:
            raise Unmet(f"dzgrant ended with exit code {code}: {self._last_words()}")

    async def _draining(self) -> bool | None:
        return self._said("drain_started")

    def _said(self, event: str) -> bool | None:
        return any(line.event == event for line in self._lines()) or None

    def _lines(self) -> Iterator[_Line]:
        for text in self.log.read_text().splitlines():
            try:
                yield _Line.model_validate_json(text)
            except ValidationError:
                # A line that is half written, or what the interpreter itself says.
                continue

    def _last_words(self) -> str:
        lines = self.log.read_text().splitlines()
        return lines[-1] if lines else "it said nothing"


async def ask(environment: Mapping[str, str], *arguments: str) -> str:
    """What the command `dzgrant <arguments>` prints. Raises `Unmet` unless its exit code is 0."""
    process = await _dzgrant(*arguments, environment=environment, output=PIPE)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        raise Unmet(f"dzgrant {' '.join(arguments)} still runs after {_ANSWER_SECONDS:.0f} s") from None
    finally:
        await _end(process)
    if process.returncode:
        raise Unmet(f"dzgrant {' '.join(arguments)} has exit code {process.returncode}: {said.decode()}")
    return said.decode()


@asynccontextmanager
async def running(environment: Mapping[str, str], log: Path) -> AsyncIterator[Daemon]:
    """`dzgrant run` with these variables, its log in this file, until the block is left. Raises `Unmet` unless it starts."""
    with log.open("wb") as output:
        process = await _dzgrant("run", environment=environment, output=output.fileno())
    daemon = Daemon(process=process, log=log)
    try:
        await until(daemon.started, seconds=_START_SECONDS, otherwise="dzgrant did not start")
        yield daemon
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _dzgrant(*arguments: str, environment: Mapping[str, str], output: int) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dzgrant.cli", *arguments),
        env={**_without_aws(os.environ), **environment},
        stdin=DEVNULL,
        stdout=output,
        stderr=STDOUT,
        # Ctrl-C is for the demo, which then stops it.
        start_new_session=True,
    )


def _without_aws(variables: Mapping[str, str]) -> dict[str, str]:
    """A profile or a Region of the caller's must not lead it elsewhere."""
    return {name: value for name, value in variables.items() if not name.startswith("AWS_")}
