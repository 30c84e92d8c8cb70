"""The daemon's own parts, for a command: the same settings, the same wiring, no queue."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dzgrant import logs, settings
from dzgrant.errors import Misconfigured
from dzgrant.settings import Settings
from dzgrant.worker import Parts, assembled

T = TypeVar("T")


def with_parts(work: Callable[[Parts], Awaitable[T]], loaded: Settings | None = None, *, logged: bool = False) -> T:
    """Does the work and closes everything. What a command has to say goes to standard output, so the log does not, unless
    the command says it there (`logged`)."""
    loaded = loaded or settings.load()
    if logged:
        logs.configure(loaded.log_level)
    else:
        logs.configure("warning", sys.stderr)

    async def opened() -> T:
        async with assembled(loaded) as parts:
            return await work(parts)

    return asyncio.run(opened())


def domains(given: str | None, loaded: Settings) -> tuple[str, ...]:
    """The domain that was given, else those of the settings. Raises `Misconfigured` where there is none."""
    if found := (given,) if given else loaded.domain_ids:
        return found
    raise Misconfigured("which domain?", do="name it with --domain, or set DZGRANT_DOMAIN_IDS")
