"""Where a server works: a temporary folder with its certificate, a user that is not root, and a guard that ends it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from trustme import CA

from dzgrant.errors import Misconfigured, Transient

HOST = "localhost"
"""Every server listens to 127.0.0.1 and has a certificate for both names."""

_GUARD = Path(__file__).with_name("guard.py")
_ACCOUNTS = ("postgres", "mysql", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    folder: Path
    user: str | None
    """Whom the server runs as; None: whoever we are, which is not root."""

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        return self.folder / "server.key"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def read_log(self) -> str:
        """All that the server wrote: its messages and every statement."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def write(self, name: str, text: str) -> Path:
        """A new file that only the server's user may read."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        self.own(path)
        return path

    def own(self, path: Path) -> None:
        if self.user:
            shutil.chown(path, self.user)

    def within_reach(self, software: Path) -> Path:
        """The folder, or a copy of it where the server's user can't go: a clone below /root, say."""
        folder = software.resolve()
        if self.user is None or all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents)):
            return software
        copy = self.folder / "software"
        shutil.copytree(folder, copy, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            os.chown(path, pwd.getpwnam(self.user).pw_uid, -1, follow_symlinks=False)
        return copy

    def run(self, command: Sequence[str | Path], *, stdin: str = "") -> None:
        """Runs a command of the set-up to its end. Raises `Misconfigured` with its last words."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            user=self.user,
            extra_groups=[] if self.user else None,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise Misconfigured(f"{Path(command[0]).name} failed: {done.stdout[-800:]}", do="see why it can't set up a server")

    @contextmanager
    def guarded(self, command: Sequence[str | Path], *, ready: Callable[[], bool], seconds: float = 60.0) -> Iterator[None]:
        """Runs a server until the block is left, or this process ends in whatever way. Waits until it is ready."""
        with self.log.open("ab") as log:
            guard = subprocess.Popen(
                [sys.executable, "-I", "-S", _GUARD, self.folder, self.user or "", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        with guard:
            deadline = time.monotonic() + seconds
            while not ready():
                if guard.poll() is not None or time.monotonic() > deadline:
                    raise Transient(f"{Path(command[0]).name} did not start: {self.read_log()[-800:]}")
                time.sleep(0.02)
            yield


@contextmanager
def workplace(authority: CA, *, ours: bool = False) -> Iterator[Workplace]:
    """A temporary folder; the authority signs its certificate for localhost and 127.0.0.1.

    `ours`: for a program of our own, which may run as who we are (and must, where our Python is below /root).
    """
    # The guard removes the folder too: it outlives us.
    with TemporaryDirectory(prefix="dzgrant-", ignore_cleanup_errors=True) as name:
        place = Workplace(folder=Path(name), user=None if ours else _unprivileged())
        place.folder.chmod(0o755)
        place.own(place.folder)
        authority.cert_pem.write_to_path(place.ca_file)
        issued = authority.issue_cert(HOST, "127.0.0.1")
        place.write("server.pem", "".join(pem.bytes().decode() for pem in issued.cert_chain_pems))
        place.write("server.key", issued.private_key_pem.bytes().decode())
        yield place


def output(*command: str | Path) -> str:
    """What a program says of itself, on either stream."""
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False).stdout


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def greets(port: int) -> bool:
    """Whether a server that speaks first, as MySQL's do, says something there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _unprivileged() -> str | None:
    if os.geteuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _ACCOUNTS if name in known)
