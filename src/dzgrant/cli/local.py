"""`dzgrant local`: the local cloud in this process, in the foreground."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from trustme import CA

from dzgrant.cli.guide import guide
from dzgrant.localcloud import databases as servers
from dzgrant.localcloud import places
from dzgrant.localcloud.server import serve as serve_cloud


def serve(host: str, port: int, *, databases: bool) -> None:
    """Serves until SIGTERM or Ctrl-C. Raises `Misconfigured` when the port, or a database server, can't be had."""
    # Until the server listens for it, a SIGTERM takes the databases down as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with ExitStack() as exits:
        bundle = _databases(console, exits) if databases else None

        def ready(endpoint: str) -> None:
            environment = places.environment(endpoint) | ({"DZGRANT_DATABASE_CA_BUNDLE": str(bundle)} if bundle else {})
            console.print(f"# The local cloud is at {endpoint}; it ends on Ctrl-C, and keeps nothing.")
            console.print(guide(environment))

        serve_cloud(host=host, port=port, ready=ready)


def _databases(console: Console, exits: ExitStack) -> Path:
    """Starts both; returns the file of the authority that vouches for them."""
    authority = CA()
    folder = Path(exits.enter_context(TemporaryDirectory(prefix="dzgrant-local-")))
    bundle = folder / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    for start in (servers.postgresql, servers.mariadb):
        with console.status("starting databases"):
            server = exits.enter_context(start(authority))
        # The folder is ours alone; a password on the terminal would stay in its scrollback.
        password = folder / f"{server.engine}.password"
        password.write_text(server.admin.password.get_secret_value())
        console.print(
            f"# {server.flavour} is at {server.host}:{server.port}; login {server.admin.username}, password in {password}"
        )
    return bundle
