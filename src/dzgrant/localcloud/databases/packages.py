"""The distribution's own packages, unpacked into a cache folder: nothing is installed, no root is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from dzgrant.localcloud.databases.server import NotAvailable


def unpacked(package: str, *, what: str, do: str) -> Path:
    """The folder that has the package's `usr`, and what it needs beyond what is installed; fetched with the machine's own
    package sources where it isn't there yet.

    It is `dzgrant/<package>` below `$XDG_CACHE_HOME`, else below `.cache` of the current folder. Raises `NotAvailable`:
    there is no `what`, and `do` is the other way out.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME", ".cache")).absolute() / "dzgrant" / package
    if not root.exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            raise NotAvailable(f"no {what}: not installed, and no apt-get here to fetch it with", do=do)
        root.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=root.parent) as work:
            _fetch(package, Path(work))
            fetched = Path(work) / "root"
            fetched.chmod(0o755)
            try:
                fetched.rename(root)
            except OSError:
                # Another process was first.
                if not root.exists():
                    raise
    return root


def _fetch(package: str, work: Path) -> None:
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
    names = sorted(_run("apt-cache", *apt, "pkgnames", package).split())
    if not names:
        raise NotAvailable(f"the package sources have no {package}", do="install it")
    _run("apt-get", *apt, "-qq", "-y", "--no-install-recommends", "--download-only", "install", names[0])
    for archive in (work / "archives").glob("*.deb"):
        _run("dpkg", "-x", str(archive), str(work / "root"))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise NotAvailable(
            f"{command[0]} can't fetch a package that is not installed: {done.stderr[-400:]}",
            do="see to the machine's package sources, or install it",
        )
    return done.stdout
