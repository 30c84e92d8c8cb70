"""A server's place: out of its user's way nowhere, never root's, and gone with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from trustme import CA

from dzgrant.errors import Misconfigured, Transient
from dzgrant.localcloud.databases import NotAvailable
from dzgrant.localcloud.databases.packages import unpacked
from dzgrant.localcloud.databases.workplace import workplace

_PARENT = """
import os, sys, time
from trustme import CA
from dzgrant.localcloud.databases.workplace import workplace

with workplace(CA()) as place, place.guarded(["sleep", "1000"], ready=lambda: True):
    print(place.folder, flush=True)
    time.sleep(1000)
"""


def test_runs_nothing_as_root() -> None:
    with workplace(CA()) as place:
        place.run(["sh", "-c", "test $(id -u) -ne 0"])


def test_software_out_of_reach_is_copied(tmp_path: Path) -> None:
    software = tmp_path / "clone" / "software"
    software.mkdir(parents=True)
    (software / "file").touch(mode=0o600)
    software.parent.chmod(0o700)
    with workplace(CA()) as place:
        place.run(["cat", place.within_reach(software) / "file"])


def test_a_server_that_ends_at_once_is_reported_with_its_last_words() -> None:
    with (
        workplace(CA()) as place,
        pytest.raises(Transient, match="no good reason"),
        place.guarded(["sh", "-c", "echo no good reason; exit 1"], ready=lambda: False),
    ):
        pass


def test_a_failed_set_up_is_reported_with_its_last_words() -> None:
    with workplace(CA()) as place, pytest.raises(Misconfigured, match="no space"):
        place.run(["sh", "-c", "echo no space; exit 1"])


def test_leaves_nothing_when_left() -> None:
    with workplace(CA()) as place:
        with place.guarded(["sleep", "1000"], ready=lambda: True):
            assert _processes_in(place.folder)
        assert not _processes_in(place.folder)
    assert not place.folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_leaves_nothing_when_its_parent_is_killed(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        folder = Path(parent.stdout.readline().strip())
        assert folder.is_dir()
        parent.send_signal(number)
    deadline = time.monotonic() + 20
    while _processes_in(folder) or folder.exists():
        assert time.monotonic() < deadline, f"left behind: {_processes_in(folder)}, {folder}"
        time.sleep(0.05)


def test_no_package_tools_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotAvailable, match=r"no MariaDB server: .*no apt-get"):
        unpacked("mariadb-server-core", what="MariaDB server", do="install MariaDB")


def _processes_in(folder: Path) -> list[int]:
    """Who works in the folder: the server, and the guard that has it among its arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and (process.cwd() == str(folder) or str(folder) in process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
