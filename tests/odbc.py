"""What of ODBC can't come in a wheel: this machine's, or else out of the distribution's packages.

pyodbc is linked to unixODBC's driver manager; FreeTDS is a driver beside Microsoft's.

A library that is loaded already serves whoever asks for its name, so nothing need be installed. Children find it by
LD_LIBRARY_PATH.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from dzgrant.localcloud.databases import NotAvailable
from dzgrant.localcloud.databases.packages import unpacked

_MANAGER = "libodbc.so.2"
_FREETDS = "FreeTDS"


def provide() -> str | None:
    """Afterwards `import pyodbc` works; or else the reason why it can't."""
    try:
        ctypes.CDLL(_MANAGER)
    except OSError:
        try:
            root = unpacked("libodbc2", what="unixODBC", do="install unixODBC")
        except NotAvailable as error:
            return str(error)
        folder = _loaded(root, "libltdl.so.7", _MANAGER)
        os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("LD_LIBRARY_PATH")]))
    return None


def freetds() -> str:
    """The driver's name or path. Raises `NotAvailable`."""
    import pyodbc  # noqa: PLC0415  # the manager must be there first

    if _FREETDS in pyodbc.drivers():
        return _FREETDS
    root = unpacked("tdsodbc", what=_FREETDS, do="install FreeTDS's ODBC driver")
    _loaded(root, "libltdl.so.7", "libodbcinst.so.2")
    return str(next(root.glob("usr/lib/**/libtdsodbc.so")))


def _loaded(root: Path, *libraries: str) -> Path:
    """Loads those of the libraries that came with the package, and returns their folder."""
    folder = next(root.glob(f"usr/lib/**/{libraries[-1]}"), root).parent
    for library in libraries:
        if (folder / library).exists():
            ctypes.CDLL(str(folder / library), mode=ctypes.RTLD_GLOBAL)
    return folder


# Whoever imports this module first may import pyodbc after it.
provide()
