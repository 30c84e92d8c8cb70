"""Logs: one JSON object a line, `event` its stable name, ids as keys, times in UTC.

Secrets need no redaction here: they live in `SecretStr`, which renders itself hidden wherever it turns up. What could
still carry one is a message that a library wrote, so two things are never logged: libraries below warning (they print
requests), and the messages of exceptions that are not dzgrant's own (they quote statements and parameters).
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from traceback import extract_tb
from types import TracebackType
from typing import Literal, TextIO

import structlog
from structlog.typing import Processor

from dzgrant.errors import DzgrantError

Level = Literal["debug", "info", "warning", "error"]
Failure = dict[str, "str | list[str] | Failure | list[Failure]"]

_FRAMES = 6
_DEPTH = 4


def configure(level: Level, stream: TextIO | None = None) -> None:
    """Sets up structlog and the standard library's logging for the whole process; `stream` is standard output unless given."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.ExceptionRenderer(_render),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # `str` of a SecretStr is its mask, also within another value.
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("dzgrant").setLevel(level.upper())


def _render(exc_info: tuple[type[BaseException], BaseException, TracebackType | None]) -> Failure:
    return _failure(exc_info[1], _DEPTH)


def _failure(error: BaseException, depth: int) -> Failure:
    """The error's type, its last frames without their locals, its causes; its message only when it is dzgrant's own."""
    found: Failure = {
        "type": type(error).__qualname__,
        "frames": [f"{Path(at.filename).name}:{at.lineno} {at.name}" for at in extract_tb(error.__traceback__)[-_FRAMES:]],
    }
    if isinstance(error, DzgrantError):
        found["message"] = str(error)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and depth:
        found["cause"] = _failure(cause, depth - 1)
    if isinstance(error, BaseExceptionGroup) and depth:
        found["parts"] = [_failure(part, depth - 1) for part in error.exceptions[:_FRAMES]]
    return found
