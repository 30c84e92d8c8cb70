"""Logs: what a line looks like, and what never is in one."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from dzgrant.errors import Transient
from dzgrant.logs import Level, configure
from dzgrant.model import Credentials

PASSWORD = "correct-horse-battery"


@dataclass
class Output:
    stream: io.StringIO

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def configured() -> Iterator[Callable[[Level], Output]]:
    root, own = logging.getLogger(), logging.getLogger("dzgrant")
    handlers, level, own_level = root.handlers[:], root.level, own.level

    def start(level: Level) -> Output:
        output = Output(io.StringIO())
        configure(level, output.stream)
        return output

    # `configure` closes the handlers that it finds; pytest's own are kept from it.
    for handler in handlers:
        root.removeHandler(handler)
    yield start
    root.handlers[:] = handlers
    root.setLevel(level)
    own.setLevel(own_level)
    structlog.reset_defaults()


def test_a_line_is_json_with_its_event_its_ids_and_its_time_in_utc(configured: Callable[[Level], Output]) -> None:
    output = configured("info")
    with structlog.contextvars.bound_contextvars(message="m-1"):
        structlog.stdlib.get_logger("dzgrant.intake").info("message_done", subscription="sub1")
    [line] = output.lines()
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "message_done",
        "level": "info",
        "logger": "dzgrant.intake",
        "message": "m-1",
        "subscription": "sub1",
    }


def test_the_level_is_kept(configured: Callable[[Level], Output]) -> None:
    output = configured("warning")
    log = structlog.stdlib.get_logger("dzgrant.intake")
    log.info("quiet")
    log.warning("loud")
    assert [line["event"] for line in output.lines()] == ["loud"]


@pytest.mark.parametrize("library", ["botocore.endpoint", "aiobotocore", "urllib3", "sqlalchemy.engine.Engine", "asyncio"])
def test_libraries_are_json_too_and_never_below_warning(configured: Callable[[Level], Output], library: str) -> None:
    output = configured("debug")
    log = logging.getLogger(library)
    log.debug("a request with %s", PASSWORD)
    log.info("a statement with %s", PASSWORD)
    log.warning("the pool of %s is full", "connections")
    [line] = output.lines()
    assert (line["event"], line["level"], line["logger"]) == ("the pool of connections is full", "warning", library)


def test_secrets_are_hidden_wherever_they_turn_up(configured: Callable[[Level], Output]) -> None:
    output = configured("info")
    secret = SecretStr(PASSWORD)
    credentials = Credentials(username="dz_1", password=secret)
    log = structlog.stdlib.get_logger("dzgrant.test")
    log.info("event", secret=secret, nested={"list": [secret]}, credentials=credentials)
    logging.getLogger("library").warning("credentials: %s", credentials)
    assert PASSWORD not in output.stream.getvalue()
    assert output.lines()[0]["secret"] == str(secret)


def change_password(password: str) -> None:
    raise ValueError(f"ALTER ROLE dz_1 PASSWORD '{password}'")


def fail() -> None:
    try:
        change_password(PASSWORD)
    except ValueError as error:
        raise Transient("the database does not answer") from error


@pytest.mark.parametrize("own", [True, False])
def test_an_exception_is_short_data_without_locals_or_the_messages_of_others(
    configured: Callable[[Level], Output], own: bool
) -> None:
    output = configured("info")
    try:
        fail()
    except Transient as error:
        if own:
            structlog.stdlib.get_logger("dzgrant.test").error("handler_failed", exc_info=error)
        else:
            logging.getLogger("library").exception("it failed")
    [line] = output.lines()
    found = line["exception"]
    assert found["type"] == "Transient"
    assert found["message"] == "the database does not answer; retried with backoff"
    assert found["frames"][-1].startswith("test_logs.py:")
    assert found["frames"][-1].endswith(" fail")
    assert found["cause"]["type"] == "ValueError"
    assert "message" not in found["cause"]
    assert PASSWORD not in output.stream.getvalue()


def test_the_parts_of_a_group_are_told(configured: Callable[[Level], Output]) -> None:
    output = configured("info")
    group = ExceptionGroup("two", [Transient("one"), ValueError("two")])
    structlog.stdlib.get_logger("dzgrant.test").error("failed", exc_info=group)
    assert [part["type"] for part in output.lines()[0]["exception"]["parts"]] == ["Transient", "ValueError"]
