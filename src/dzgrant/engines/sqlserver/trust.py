"""How an ODBC driver is told whom to trust: by this process's environment, while it connects.

Microsoft's driver takes no authorities in its connection string (`ServerCertificate` counts with Encrypt=strict alone):
its OpenSSL reads SSL_CERT_FILE and SSL_CERT_DIR anew for each connection. FreeTDS reads the file that FREETDSCONF names.
A worker has one bundle, so that with Microsoft's driver all this is set once, and connections are made side by side.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path

from dzgrant.errors import Misconfigured, Transient
from dzgrant.model import Source

FREETDS_ENTRY = "dzgrant"
_NOWHERE = "/dev/null"
# One entry, and every word that decides about TLS in it: nothing is left to the machine's own freetds.conf.
_FREETDS = """[{entry}]
host = {host}
port = {port}
tds version = 7.4
encryption = require
ca file = {authorities}
check certificate hostname = yes
"""


def microsofts(bundle: Path | None) -> dict[str, str]:
    """The variables for Microsoft's driver; none, where the system's own authorities are meant."""
    return {"SSL_CERT_FILE": str(bundle), "SSL_CERT_DIR": _NOWHERE} if bundle else {}


def freetds(source: Source, bundle: Path | None) -> dict[str, str]:
    """The variables for FreeTDS. Writes a file that holds no secret."""
    text = _FREETDS.format(entry=FREETDS_ENTRY, host=source.host, port=source.port, authorities=bundle or "system")
    path = _directory() / f"{sha256(text.encode()).hexdigest()[:16]}.conf"
    path.write_text(text)
    return {"FREETDSCONF": str(path)}


@cache
def _directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="dzgrant-freetds-"))


class _Environment:
    """What dzgrant has set now, and how many connections are being made with it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.variables: Mapping[str, str] = {}
        self.before: dict[str, str | None] = {}
        self.users = 0

    def become(self, variables: Mapping[str, str]) -> None:
        """What is so already stays untouched: other threads may be reading the environment."""
        for name in variables:
            self.before.setdefault(name, os.environ.get(name))
        for name, value in {**self.before, **variables}.items():
            if value is None:
                os.environ.pop(name, None)
            elif os.environ.get(name) != value:
                os.environ[name] = value
        self.variables = variables


_environment = _Environment()


@contextmanager
def trusting(variables: Mapping[str, str], bundle: Path | None, seconds: float) -> Iterator[None]:
    """While inside, the environment has these variables. Who needs others waits outside, so many seconds at most.

    Raises `Misconfigured` for a bundle that is no file: a driver would only say that nobody vouches for the server.
    """
    if bundle is not None and not bundle.is_file():
        raise Misconfigured(f"the authorities in {bundle} can't be read", do="set DZGRANT_DATABASE_CA_BUNDLE to a PEM file")
    held = _environment
    with held.changed:
        if not held.changed.wait_for(lambda: not held.users or held.variables == variables, seconds):
            raise Transient("others connect with other authorities, and take their time")
        if not held.users:
            held.become(variables)
        held.users += 1
    try:
        yield
    finally:
        with held.changed:
            held.users -= 1
            held.changed.notify_all()
