"""TLS to the databases: certificate and host name are verified, always."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from pathlib import Path

from dzgrant.errors import Misconfigured


@cache
def _context(ca_bundle: Path | None) -> ssl.SSLContext:
    # One for all connections: reading a bundle costs 10 ms and more.
    return ssl.create_default_context(cafile=ca_bundle)


async def verifying(ca_bundle: Path | None) -> ssl.SSLContext:
    """Trusts the authorities of this PEM file, or the system's. Raises `Misconfigured` for a file that is none."""
    try:
        return await asyncio.to_thread(_context, ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(
            f"the authorities in {ca_bundle} can't be read: {error}", do="set DZGRANT_DATABASE_CA_BUNDLE to a PEM file"
        ) from error
