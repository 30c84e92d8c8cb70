"""`python -m dzgrant.localcloud`: the local cloud as a child process; it prints its endpoint when it is ready."""

from __future__ import annotations

import argparse
import os
import sys
from threading import Event, Thread

from dzgrant.errors import DzgrantError
from dzgrant.localcloud.server import serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dzgrant.localcloud")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input closes")
    parser.add_argument("--empty", action="store_true", help="without what a deployment makes: deploy the stacks into it")
    arguments = parser.parse_args()
    stop = Event()
    if arguments.with_parent:
        Thread(target=_watch, args=(stop,), daemon=True).start()
    try:
        serve(port=arguments.port, ready=lambda endpoint: print(endpoint, flush=True), stop=stop, empty=arguments.empty)  # noqa: T201
    except DzgrantError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _watch(stop: Event) -> None:
    # Not sys.stdin: a thread that waits in it would break the interpreter's shutdown.
    while os.read(0, 1024):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
