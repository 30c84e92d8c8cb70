"""A German locale for PostgreSQL's messages, made by glibc's localedef: nothing need be installed.

A server that is started `seeking` looks into a folder of ours, too, whenever a session sets its locale.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

GERMAN = "de_DE.UTF-8"


@cache
def _folder() -> TemporaryDirectory[str]:
    folder = TemporaryDirectory(prefix="dzgrant-locales-")
    # The server runs as somebody else.
    Path(folder.name).chmod(0o755)
    return folder


@contextmanager
def seeking() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCPATH", f"{_folder().name}:/usr/lib/locale")
        yield


@cache
def make_german() -> None:
    """Where it can't be made, the server will say so."""
    if shutil.which("localedef"):
        language, _, charset = GERMAN.partition(".")
        command = ["localedef", "-i", language, "-f", charset, f"{_folder().name}/{GERMAN}"]
        subprocess.run(command, capture_output=True, timeout=60, check=False)
