"""The double as a `Server`: the model, with the wire before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trustme import CA

from dzgrant.localcloud.databases.server import Server, credentials
from dzgrant.localcloud.databases.workplace import HOST, workplace
from tests.doubles.oracle.model import ModelInstance, instance
from tests.doubles.oracle.server import OracleServer
from tests.doubles.oracle.state import Database
from tests.doubles.oracle.wire.listener import listening


@contextmanager
def start(authority: CA, *, rds: bool = True) -> Iterator[Server]:
    """A double, until the block is left. `rds`: it has `rdsadmin`, which only whom it is granted to sees."""
    with run_double(authority, rds=rds) as (server, _):
        yield server


@contextmanager
def run_double(authority: CA, *, rds: bool = True) -> Iterator[tuple[OracleServer, ModelInstance]]:
    """The same, with the model itself: for its switches."""
    admin = credentials("SYSTEM")
    model = instance(Database(rds=rds), admin.password.get_secret_value())
    with workplace(authority, ours=True) as place, listening(model, authority) as port:
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
