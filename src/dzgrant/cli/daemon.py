"""`dzgrant run`: settings, logs, worker."""

from __future__ import annotations

import asyncio
import errno

from dzgrant import logs, settings, worker
from dzgrant.errors import Misconfigured

_NO_PORT = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES})


def run() -> None:
    """Returns after a drain. Raises `Misconfigured` for a setting that is wrong or names what can't be had."""
    loaded = settings.load()
    logs.configure(loaded.log_level)
    try:
        asyncio.run(worker.run(loaded))
    except OSError as error:
        if error.errno not in _NO_PORT:
            raise
        raise Misconfigured(
            f"the health port {loaded.http_host}:{loaded.http_port} can't be had: {error.strerror}",
            do="set DZGRANT_HTTP_HOST and DZGRANT_HTTP_PORT to one that is free",
        ) from error
