"""The demo as a person runs it: a process, what it prints, its exit code, and what it leaves behind: nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.timeout(300)

DEMO = (sys.executable, "-m", "dzgrant.cli", "demo")
STARTED = re.compile(r"dzgrant\s+the daemon.*?process (\d+)", re.DOTALL)
LEFT_OUT = re.compile(r"left out: (.+)")


def environment(**more: str) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith(("DZGRANT_", "AWS_"))}, "COLUMNS": "200", **more}


def played(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments], env=environment(**more), capture_output=True, text=True, timeout=240, check=False
    )


def table(printed: str) -> list[str]:
    """The rows of the table at the end."""
    return [line.strip() for line in printed.partition("What was checked")[2].splitlines() if line.strip()]


def test_every_check_of_the_whole_story_is_ok() -> None:
    done = played()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    rows = table(done.stdout)[2:]
    for check in (
        "from the event to a working secret",
        "the consumer reads the table",
        "another table is refused",
        "writing is refused",
        "an environment added later gets access",
        "explain finds no difference",
        "the share works while it should",
        "an open session dies",
        "the logins are gone",
        "the consumer secrets are gone",
        "the producer secrets are gone",
        "the share is gone",
    ):
        mine = [row for row in rows if row.startswith(check)]
        assert any("PostgreSQL" in row for row in mine)
        assert len(mine) == 2 or LEFT_OUT.search(done.stdout), "MariaDB is neither played nor said to be left out"
        assert all(re.search(r"\bok +\d+\.\d\d$", row) for row in mine)
    assert not [row for row in rows if "failed" in row]


def test_a_worker_that_cannot_work_is_a_clear_failure(tmp_path: Path) -> None:
    # Without a PATH and a cache, no MariaDB is found and none can be fetched: PostgreSQL alone is played.
    done = played(DZGRANT_KMS_KEY_ALIAS="alias/nobody-made", PATH="/nowhere", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("dzgrant: the demo failed at: from the event to a working secret (PostgreSQL")
    assert "alias/nobody-made is not found" in line
    log = Path(line.rpartition("; see ")[2])
    assert "message_delayed" in log.read_text()
    rows = table(done.stdout)
    assert [row for row in rows if row.startswith("from the event to a working secret") and "failed" in row]
    assert [row for row in rows if "left out: no MariaDB server" in row]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_is_quiet_and_leaves_no_process(number: signal.Signals) -> None:
    with started("--fast") as demo:
        printed = until_it_works(demo)
        family = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(number)
        _, errors = demo.communicate(timeout=60)
        assert (demo.returncode, errors) == (130, ""), printed
        assert len(family) > 3
        _, alive = psutil.wait_procs(family, timeout=20)
        assert alive == []


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [*DEMO, *arguments]
    with subprocess.Popen(
        command,
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in a shell's background ignores SIGINT, and so would the demo.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  # no other threads
    ) as demo:
        try:
            yield demo
        finally:
            with suppress(ProcessLookupError):
                demo.kill()


def until_it_works(demo: subprocess.Popen[str]) -> str:
    """What it printed until the daemon ran."""
    assert demo.stdout is not None
    printed, deadline = "", time.monotonic() + 120
    while not STARTED.search(printed):
        line = demo.stdout.readline()
        assert line, f"it ended: {printed}"
        assert time.monotonic() < deadline, printed
        printed += line
    return printed
