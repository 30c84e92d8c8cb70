"""`dzgrant run`: settings, logs, worker."""

from __future__ import annotations

import asyncio

from dzgrant import logs, settings, worker


def run() -> None:
    """Returns after a drain. Raises `Misconfigured` for a setting that is wrong or names what is not there."""
    loaded = settings.load()
    logs.configure(loaded.log_level)
    asyncio.run(worker.run(loaded))
