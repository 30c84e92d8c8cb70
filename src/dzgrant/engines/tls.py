"""TLS to the databases: certificate and host name are verified, always."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from dzgrant.errors import Misconfigured

# One for all connections: reading a bundle costs 10 ms and more.
_contexts: dict[tuple[Path | None, str], ssl.SSLContext] = {}


async def verifying(ca_bundle: Path | None, *, driver: str = "") -> ssl.SSLContext:
    """Trusts the authorities of this PEM file, or the system's. Raises `Misconfigured` for a file that is none.

    A driver that changes what it is given gets one of its own by its name.
    """
    if (known := _contexts.get((ca_bundle, driver))) is not None:
        return known
    try:
        made = _contexts[ca_bundle, driver] = await asyncio.to_thread(ssl.create_default_context, cafile=ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(
            f"the authorities in {ca_bundle} can't be read: {error}", do="set DZGRANT_DATABASE_CA_BUNDLE to a PEM file"
        ) from error
    return made
