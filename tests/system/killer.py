"""Workers that can be killed at a database statement: `python -m tests.system.killer` forks one for each line it reads.

The product's code is as it is; the two drivers are wrapped, so that each statement and each login is counted. A worker
whose plan says so ends itself with SIGKILL when the server has carried the statement out and before anybody hears of it.
Forking saves the second that an interpreter needs to import everything; the worker is a process of its own all the same.

    {"environment": {...}, "log": "<file>", "plan": "<file>"}    on standard input; answered with the worker's pid

With `"command": [...]` it is that command of dzgrant's instead, which begins when the file `<plan>.go` is there.

The plan is a file that may change while the worker runs: `<name> <number>`. Statements are counted from 1 since the plan
has this name, and written to `<plan>.<name>`; at the number the worker dies. There is none where the file is empty. With a
third word, SIGTERM, it gets that instead. A worker that returns as it should writes `<plan>.exit`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

import aiomysql
import asyncpg

import dzgrant.engines.mysql
import dzgrant.engines.postgresql
import dzgrant.worker  # noqa: F401  # before the fork: all children share it
from dzgrant import cli
from dzgrant.cli import daemon


class _Plan:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._name = ""
        self._count = 0

    def carried_out(self, statement: str) -> None:
        words = self._file.read_text().split()
        if not words:
            return
        name, number, *term = words
        self._count = self._count + 1 if name == self._name else 1
        self._name = name
        with Path(f"{self._file}.{name}").open("a") as record:
            record.write(f"{statement}\n")
        if self._count == int(number):
            os.kill(os.getpid(), signal.SIGTERM if term else signal.SIGKILL)


def _counted(owner: Any, method: str, plan: _Plan) -> None:
    original: Callable[..., Awaitable[Any]] = getattr(owner, method)

    @wraps(original)
    async def counted(*arguments: Any, **named: Any) -> Any:
        answer = await original(*arguments, **named)
        # Only the first words: what follows may hold a password's hash.
        words = str(arguments[1]).split()[:2] if len(arguments) > 1 else [method]
        plan.carried_out(" ".join(words))
        return answer

    setattr(owner, method, counted)


def _work(order: dict[str, Any]) -> None:
    """Becomes a worker."""
    os.setsid()
    random.seed()
    output = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(order["environment"])
    plan = _Plan(Path(order["plan"]))
    _counted(asyncpg, "connect", plan)
    for method in ("execute", "fetch", "prepare"):
        _counted(asyncpg.Connection, method, plan)
    for method in ("_connect", "query"):
        _counted(aiomysql.Connection, method, plan)
    if command := order.get("command"):
        while not Path(f"{order['plan']}.go").exists():
            time.sleep(0.01)
        sys.argv = ["dzgrant", *command]
        cli.main()
    daemon.run()
    Path(f"{order['plan']}.exit").touch()


def main() -> None:
    # Nobody waits for the children: their ends are seen from outside.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _work(order)
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
