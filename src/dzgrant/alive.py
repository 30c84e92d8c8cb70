"""`python -m dzgrant.alive`: whether the worker beside it lives, for the container's health check; exit code 0 or 1.

The standard library alone: it runs every 30 seconds, and a command of dzgrant's takes half a second of CPU to begin.
"""

from __future__ import annotations

import os
import sys
from urllib.error import URLError
from urllib.request import urlopen

_SECONDS = 4


def main() -> int:
    port = os.environ.get("DZGRANT_HTTP_PORT", "8080")
    try:
        with urlopen(f"http://127.0.0.1:{port}/livez", timeout=_SECONDS):
            return 0
    except (URLError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # what `docker inspect` shows
        return 1


if __name__ == "__main__":
    sys.exit(main())
