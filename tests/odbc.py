"""unixODBC's driver manager, which pyodbc is linked to: this machine's, or else out of the distribution's package.

A library that is loaded already serves whoever asks for its name, so nothing need be installed. Children find it by
LD_LIBRARY_PATH.
"""

from __future__ import annotations

import ctypes
import os

from dzgrant.localcloud.databases import NotAvailable
from dzgrant.localcloud.databases.packages import unpacked

_MANAGER = "libodbc.so.2"


def provide() -> str | None:
    """Afterwards `import pyodbc` works; or else the reason why it can't."""
    try:
        ctypes.CDLL(_MANAGER)
    except OSError:
        try:
            root = unpacked("libodbc2", what="unixODBC", do="install unixODBC")
        except NotAvailable as error:
            return str(error)
        folder = next(root.glob(f"usr/lib/**/{_MANAGER}")).parent
        for library in ("libltdl.so.7", _MANAGER):
            if (folder / library).exists():
                ctypes.CDLL(str(folder / library), mode=ctypes.RTLD_GLOBAL)
        os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("LD_LIBRARY_PATH")]))
    return None


# Whoever imports this module first may import pyodbc after it.
provide()
