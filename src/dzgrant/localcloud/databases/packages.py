"""MariaDB out of the distribution's own packages, unpacked into a cache folder: nothing is installed, no root is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from dzgrant.localcloud.databases.server import NotAvailable


def mariadb_root() -> Path:
    """The folder that has MariaDB's `usr`; fetched with the machine's own package sources where it isn't there yet.

    It is `dzgrant/mariadb` below `$XDG_CACHE_HOME`, else below `.cache` of the current folder. Raises `NotAvailable`.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME", ".cache")).absolute() / "dzgrant" / "mariadb"
    if not root.exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            raise NotAvailable(
                "no MariaDB server: not installed, and no apt-get here to fetch it with",
                do="install MariaDB, or name its mysqld in DZGRANT_MYSQLD",
            )
        root.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=root.parent) as work:
            _fetch(Path(work))
            unpacked = Path(work) / "root"
            unpacked.chmod(0o755)
            unpacked.rename(root)
    return root


def _fetch(work: Path) -> None:
    # apt's lists and archives go to our folder; which packages are installed it reads from the machine.
    options = {
        "Dir::State::Lists": work / "lists",
        "Dir::Cache": work,
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    apt = [f"-o{name}={value}" for name, value in options.items()]
    for folder in ("lists/partial", "archives/partial"):
        (work / folder).mkdir(parents=True)
    _run("apt-get", *apt, "-qq", "update")
    # Ubuntu's older releases have the version in the name.
    names = sorted(_run("apt-cache", *apt, "pkgnames", "mariadb-server-core").split())
    if not names:
        raise NotAvailable("no MariaDB server: the package sources have no mariadb-server-core", do="install MariaDB")
    _run("apt-get", *apt, "-qq", "-y", "--no-install-recommends", "--download-only", "install", names[0])
    for package in (work / "archives").glob("*.deb"):
        _run("dpkg", "-x", str(package), str(work / "root"))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise NotAvailable(
            f"no MariaDB server: not installed, and {command[0]} can't fetch it: {done.stderr[-400:]}",
            do="see to the machine's package sources, or install MariaDB",
        )
    return done.stdout
