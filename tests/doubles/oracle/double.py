"""The double as a `Server`: the model, with the wire's listener before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from trustme import CA

from dzgrant.localcloud.databases.server import credentials
from dzgrant.localcloud.databases.workplace import HOST, workplace
from tests.doubles.oracle.model import ModelInstance, instance
from tests.doubles.oracle.seam import Instance
from tests.doubles.oracle.server import OracleServer
from tests.doubles.oracle.state import Database

Listen = Callable[[Instance, Path, Path], AbstractContextManager[int]]
"""Serves an instance over TLS with this certificate and this key, on a port of 127.0.0.1 that it yields."""


@contextmanager
def run_double(authority: CA, listen: Listen, *, rds: bool = True) -> Iterator[tuple[OracleServer, ModelInstance]]:
    """Until the block is left; with the model itself, for its switches. `rds`: it has `rdsadmin`, for those it is given to."""
    admin = credentials("SYSTEM")
    model = instance(Database(rds=rds), admin.password.get_secret_value())
    with workplace(authority, ours=True) as place, listen(model, place.certificate, place.key) as port:
        server = OracleServer(
            flavour="Oracle (double)",
            provider="double",
            host=HOST,
            port=port,
            ca_file=place.ca_file,
            admin=admin,
            read_log=lambda: "\n".join(model.log),
            as_sysdba=model.as_sysdba,
        )
        yield server, model
