"""The local cloud as a child process, for the demo, the tests and the bench: `with running() as cloud: ...`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Timer

from dzgrant.errors import Misconfigured
from dzgrant.localcloud.client import Control
from dzgrant.localcloud.places import environment

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCloud:
    """A local cloud that runs. `environment` is what the worker's process needs: AWS_* and DZGRANT_* variables."""

    endpoint: str
    environment: dict[str, str] = field(repr=False)
    control: Control = field(repr=False)
    pid: int


@contextmanager
def running(*, port: int = 0, empty: bool = False) -> Iterator[LocalCloud]:
    """A local cloud on 127.0.0.1, ready; 0 picks a free port. Leaving it stops the process.

    An `empty` one lacks what a deployment makes.

    It ends with its parent too: the child watches its standard input, a pipe that closes when the parent dies. Ctrl-C does
    not reach it, so that a worker can drain first.
    Raises `Misconfigured` when it does not start; the child has then written why to standard error.
    """
    command = [sys.executable, "-m", "dzgrant.localcloud", "--port", str(port), "--with-parent"]
    command += ["--empty"] if empty else []
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        try:
            endpoint = _endpoint(child)
            yield LocalCloud(endpoint=endpoint, environment=environment(endpoint), control=Control(endpoint), pid=child.pid)
        finally:
            child.terminate()
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()


def _endpoint(child: subprocess.Popen[str]) -> str:
    """The first line that the child writes, once it is ready. The timer bounds the wait."""
    assert child.stdout is not None  # noqa: S101  # for the type checker: it is a pipe
    timer = Timer(_START_SECONDS, child.kill)
    timer.start()
    try:
        line = child.stdout.readline().strip()
    finally:
        timer.cancel()
    if not line:
        child.kill()
        raise Misconfigured("the local cloud did not start", do="see its line above; it needs the extra dzgrant[local]")
    return line
