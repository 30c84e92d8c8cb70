"""`python -m tests.stub`: prints its endpoint and serves until its standard input ends."""

from __future__ import annotations

import asyncio
import sys

from tests.stub.server import serve


async def _main() -> None:
    loop = asyncio.get_running_loop()
    async with serve() as endpoint:
        sys.stdout.write(f"{endpoint}\n")
        sys.stdout.flush()
        await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(_main())
