"""The stub as a child process, in the local cloud's place: `with running() as stub: ...`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlsplit

from psutil import Process

from dzgrant.localcloud.client import Control
from dzgrant.localcloud.places import environment
from tests.stub.crowd import Crowd
from tests.stub.server import Recorded


@dataclass(frozen=True, slots=True)
class Stub:
    """`control` carries out what the fakes know of the local cloud's commands."""

    endpoint: str
    control: Control
    environment: dict[str, str]
    process: Process

    def calls(self) -> dict[str, int]:
        """By `service:Operation`, since the last `forget`."""
        counted: dict[str, int] = json.loads(self._post("calls"))
        return counted

    def recorded(self) -> list[Recorded]:
        """The first hundred of them."""
        return [Recorded(**one) for one in json.loads(self._post("recorded"))]

    def forget(self) -> None:
        self._post("forget")

    def waiting(self) -> int:
        """Messages in the worker's queue, visible or not."""
        return int(self._post("waiting"))

    def join(self, crowd: Crowd) -> None:
        """Puts these principals into the ledger, and their subscriptions into DataZone."""
        self._post("crowd", crowd.model_dump_json())

    def _post(self, name: str, body: str = "") -> bytes:
        connection = HTTPConnection(urlsplit(self.endpoint).netloc, timeout=600)
        connection.request("POST", f"/_local/{name}", body.encode())
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status == 200, content
        return content


@contextmanager
def running() -> Iterator[Stub]:
    """It ends with the block, and with this process."""
    command = [sys.executable, "-m", "tests.stub"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        endpoint = child.stdout.readline().strip()
        try:
            yield Stub(endpoint, Control(endpoint), environment(endpoint), Process(child.pid))
        finally:
            child.kill()
