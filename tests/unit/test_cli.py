"""The commands as a person meets them first: help, wrong usage, wrong settings, no extra. Each is a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from urllib.request import urlopen

import pytest

from dzgrant import __version__

HEAVY = ("moto", "aiobotocore", "botocore", "sqlalchemy", "asyncpg", "trustme")


def environment(**more: str) -> dict[str, str]:
    """Ours, without anything that is set for dzgrant or AWS."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith(("DZGRANT_", "AWS_"))}, "COLUMNS": "120", **more}


PROGRAM = """
import sys
{before}
from dzgrant.cli import main
try:
    main()
finally:
    {after}
"""


def dzgrant(*arguments: str, before: str = "", after: str = "pass", **more: str) -> subprocess.CompletedProcess[str]:
    """`before` and `after` are Python that runs in the same process."""
    command = [sys.executable, "-c", PROGRAM.format(before=before, after=after), *arguments]
    return subprocess.run(command, env=environment(**more), capture_output=True, text=True, timeout=60, check=False)


def one_line(text: str) -> str:
    """The only line of the text."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_version() -> None:
    done = dzgrant("version")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, __version__, "")


def test_help_names_every_command() -> None:
    done = dzgrant("--help")
    assert done.returncode == 0
    for command in ("run", "version", "grants", "toolkit", "explain", "reconcile", "local", "demo"):
        assert f" {command} " in done.stdout


@pytest.mark.parametrize("arguments", [("version",), ("--help",), ("grants", "--help"), ("demo", "--help")])
def test_what_answers_at_once_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    done = dzgrant(*arguments, after=f"sys.stderr.write(' '.join(name for name in {HEAVY!r} if name in sys.modules))")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments", [("fly",), ("explain",), ("grants", "list", "--state", "MAYBE"), ("grants", "list", "--limit", "0")]
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    done = dzgrant(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [("run",), ("grants", "list"), ("explain", "s"), ("toolkit", "athena", "--subscription", "s"), ("reconcile",)]
)
def test_a_missing_setting_is_one_line_and_exit_code_2(arguments: tuple[str, ...]) -> None:
    done = dzgrant(
        *arguments, DZGRANT_QUEUE_URL="http://127.0.0.1:9/queue", DZGRANT_TABLE="ledger", DZGRANT_CONSUMER_ROLE_NAME="c"
    )
    assert done.returncode == 2
    line = one_line(done.stderr)
    assert line.startswith("dzgrant: DZGRANT_PRODUCER_ROLE_NAME is not set")


NEEDED = {
    "DZGRANT_QUEUE_URL": "http://127.0.0.1:9/111111111111/queue",
    "DZGRANT_TABLE": "ledger",
    "DZGRANT_PRODUCER_ROLE_NAME": "p",
    "DZGRANT_CONSUMER_ROLE_NAME": "c",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "AKIA111111111111",
    "AWS_SECRET_ACCESS_KEY": "none",
    # Nothing listens there: the port of "discard".
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_MAX_ATTEMPTS": "1",
}


@pytest.mark.parametrize("arguments", [("run",), ("grants", "list"), ("explain", "s", "--domain", "dzd_1")])
def test_aws_out_of_reach_is_one_line_and_exit_code_1(arguments: tuple[str, ...]) -> None:
    done = dzgrant(*arguments, **NEEDED)
    assert done.returncode == 1
    assert one_line(done.stderr).startswith("dzgrant: ")


@pytest.mark.parametrize("arguments", [("explain", "s"), ("reconcile",)])
def test_no_domain_is_one_line_that_says_how_to_name_it(arguments: tuple[str, ...]) -> None:
    done = dzgrant(*arguments, **NEEDED)
    assert done.returncode == 2
    assert "--domain" in one_line(done.stderr)


@pytest.mark.parametrize("command", ["local", "demo"])
def test_without_the_extra_it_says_what_to_install(command: str) -> None:
    # What an import finds that is not installed.
    done = dzgrant(command, before="sys.modules['moto'] = None")
    assert done.returncode == 2
    assert "pip install 'dzgrant[local]'" in one_line(done.stderr)
    assert done.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_local_cloud_says_how_to_use_it_and_ends_quietly(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "dzgrant.cli", "local"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as local:
        assert local.stdout is not None
        said = [local.stdout.readline()]
        while said[-1] and not said[-1].startswith("dzgrant grants list"):
            said.append(local.stdout.readline())
        exports = dict(line.removeprefix("export ").strip().split("=", 1) for line in said if line.startswith("export "))
        with urlopen(f"{exports['AWS_ENDPOINT_URL']}/_local/", timeout=10) as answer:
            assert b"subscribe" in answer.read()
        local.send_signal(number)
        _, errors = local.communicate(timeout=20)
        assert (local.returncode, errors) == (0, "")
    assert exports["DZGRANT_QUEUE_URL"].startswith(exports["AWS_ENDPOINT_URL"])


def test_a_port_that_is_taken_is_said_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = dzgrant("local", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    # The lines before it are werkzeug's.
    assert "choose another port" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
