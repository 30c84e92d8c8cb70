"""Starts a real MariaDB or MySQL: one code path, its few differences named in `_Software`.

A server is looked for in the variable DZGRANT_MYSQLD (the path of a `mysqld` or `mariadbd`), on PATH and in the usual
folders; MariaDB is also fetched from the distribution's packages. Paths below the software are always given, so that
one unpacked into a folder runs like an installed one.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from trustme import CA

from dzgrant.localcloud.databases.packages import unpacked
from dzgrant.localcloud.databases.server import MysqlServer, NotAvailable, Server, credentials
from dzgrant.localcloud.databases.workplace import HOST, Workplace, free_port, greets, output, workplace

# The data is thrown away; all is logged, so that a test can show that no password is.
_SETTINGS = (
    "--innodb-buffer-pool-size=32M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--max-connections=300",
    "--general-log=1",
    "--require-secure-transport=ON",
    "--bind-address=127.0.0.1",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Software:
    """A server's program, and the `usr` (or the like) that it belongs to."""

    program: Path
    base: Path
    flavour: str
    provider: str

    @property
    def is_mariadb(self) -> bool:
        return self.flavour.startswith("MariaDB")

    @property
    def share(self) -> Path:
        names = ("mariadb", "mysql", "") if self.is_mariadb else ("mysql", "")
        return next(place for name in names if ((place := self.base / "share" / name) / "charsets").is_dir())

    def command(self, place: Workplace) -> list[str | Path]:
        """What every run of the program begins with."""
        paths = [f"--basedir={self.base}", f"--lc-messages-dir={self.share}", f"--character-sets-dir={self.share / 'charsets'}"]
        plugins = (self.base / folder for folder in ("lib/mysql/plugin", "lib64/mysql/plugin", "lib/plugin"))
        paths += [f"--plugin-dir={folder}" for folder in plugins if folder.is_dir()][:1]
        if not self.is_mariadb:
            paths += ["--secure-file-priv=NULL", "--mysqlx=OFF"]
        return [*_start(self.program, self.base), f"--datadir={place.folder / 'data'}", *paths]


@contextmanager
def mariadb(authority: CA) -> Iterator[Server]:
    """An installed MariaDB, else the distribution's package in a cache folder. Raises `NotAvailable`."""
    installed = next((found for found in _found() if found.is_mariadb), None)
    with _running(installed or _package(), authority) as server:
        yield server


@contextmanager
def mysql(authority: CA) -> Iterator[Server]:
    """An installed MySQL, or the one that DZGRANT_MYSQLD names. Raises `NotAvailable`."""
    installed = next((found for found in _found() if not found.is_mariadb), None)
    if installed is None:
        raise NotAvailable("no MySQL server: no mysqld of MySQL's on PATH", do="name its mysqld in DZGRANT_MYSQLD")
    with _running(installed, authority) as server:
        yield server


@contextmanager
def _running(software: _Software, authority: CA) -> Iterator[Server]:
    port = free_port()
    admin = credentials("root")
    with workplace(authority) as place:
        base = place.within_reach(software.base)
        software = replace(software, base=base, program=base / software.program.relative_to(software.base))
        _initialise(software, place)
        password = admin.password.get_secret_value()
        accounts = place.write(
            "accounts.sql",
            # MariaDB's tables come with root@127.0.0.1 too, without a password.
            "DROP USER IF EXISTS root@'127.0.0.1', root@'::1';\n"
            f"ALTER USER root@localhost IDENTIFIED BY '{password}';\n"
            f"CREATE USER root@'%' IDENTIFIED BY '{password}' REQUIRE SSL;\n"
            "GRANT ALL PRIVILEGES ON *.* TO root@'%' WITH GRANT OPTION;\n",
        )
        tls = [f"--ssl-ca={place.ca_file}", f"--ssl-cert={place.certificate}", f"--ssl-key={place.key}"]
        files = {"socket": "s", "tmpdir": "", "general-log-file": "statements.log", "init-file": accounts.name}
        ours = [f"--port={port}", *(f"--{name}={place.folder / file}" for name, file in files.items())]
        with place.guarded([*software.command(place), *_SETTINGS, *tls, *ours], ready=lambda: greets(port)):
            # It is read at each start.
            accounts.write_text("")
            yield MysqlServer(
                flavour=software.flavour,
                provider=software.provider,
                host=HOST,
                port=port,
                ca_file=place.ca_file,
                admin=admin,
                read_log=place.read_log,
            )


def _initialise(software: _Software, place: Workplace) -> None:
    """A data folder with one account, root@localhost, without a password; nobody can reach it yet."""
    data = place.folder / "data"
    data.mkdir(mode=0o700)
    place.own(data)
    if not software.is_mariadb:
        place.run([*software.command(place), "--initialize-insecure"])
        return
    # What mariadb-install-db does, which needs programs of other packages. Lines with the host's name would add accounts.
    names = ("system_tables", "performance_tables", "system_tables_data", "sys_schema")
    files = [path for name in names for path in software.share.glob(f"m*_{name}.sql")]
    lines = "".join(path.read_text() for path in files).splitlines()
    tables = [line for line in lines if "@current_hostname" not in line]
    bootstrap = ["create database mysql;", "use mysql;", "set @auth_root_socket = null;", *tables, ""]
    place.run([*software.command(place), "--bootstrap", "--enforce-storage-engine="], stdin="\n".join(bootstrap))


def _found() -> Iterator[_Software]:
    if given := os.environ.get("DZGRANT_MYSQLD"):
        yield _software(Path(given).absolute(), "given")
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/libexec"])
    for name in ("mariadbd", "mysqld"):
        if program := shutil.which(name, path=path):
            yield _software(Path(program).resolve(), "installed")


def _package() -> _Software:
    root = unpacked("mariadb-server-core", what="MariaDB server", do="install MariaDB, or name its mysqld in DZGRANT_MYSQLD")
    return _software(root / "usr/sbin/mariadbd", "package")


def _software(program: Path, provider: str) -> _Software:
    # A script with a folder `root` beside it starts what is unpacked there; so do we, without it.
    beside = program.parent / "root/usr/sbin" / program.name
    program = beside if beside.exists() else program
    base = program.parent.parent
    said = output(*_start(program, base), "--version")
    version = re.search(r"Ver (\d+(?:\.\d+)+)", said)
    if version is None:
        raise NotAvailable(f"{program} --version says {said!r}", do="name a mysqld in DZGRANT_MYSQLD")
    name = "MariaDB" if "MariaDB" in said else "MySQL"
    return _Software(program=program, base=base, flavour=f"{name} {version[1]}", provider=provider)


def _start(program: Path, base: Path) -> list[str | Path]:
    """The program, with the libraries and the loader that were unpacked beside it, if any."""
    folders = [] if base == Path("/usr") else [*base.glob("lib/*-linux-gnu"), *base.glob("lib")]
    libraries = ":".join(str(folder) for folder in folders)
    loader = next(base.glob("lib*/ld-linux-*"), None) if folders else None
    start = [loader, "--library-path", libraries] if loader else ["env", f"LD_LIBRARY_PATH={libraries}"]
    return [*start, program, "--no-defaults"]
