"""The ODBC driver: which one, and a connection by it, over TLS that vouches for the host."""

from __future__ import annotations

import platform
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from dzgrant.engines.contract import Limits
from dzgrant.engines.sqlserver import trust
from dzgrant.errors import AdminRejected, ConsumerRejected, Misconfigured
from dzgrant.model import Credentials, Source

try:
    import pyodbc

    from dzgrant.engines.sqlserver.failures import while_connecting
except ImportError as _missing:  # pyodbc's wheel comes without the driver manager
    raise Misconfigured(
        f"ODBC can't be loaded: {_missing}", do="install unixODBC: the system's package libodbc2 or unixodbc"
    ) from _missing

# The driver manager's own pool would hand out connections in the state that another left them in.
pyodbc.pooling = False

AUTO = "auto"
_MICROSOFT = "ODBC Driver 18 for SQL Server"
_FREETDS = "FreeTDS"
_FAMILIES = {"alpine": "alpine", "rhel": "rhel", "fedora": "rhel", "centos": "rhel", "amzn": "rhel", "suse": "suse"}
_MACHINES = {"aarch64": "arm64", "amd64": "x86_64"}


def chosen(setting: str) -> str:
    """The driver's name or path, for the connection string.

    `auto`: the wheel mssql-python-odbc's, else Microsoft's 18 or FreeTDS as installed. Raises `Misconfigured` for none.
    FreeTDS refuses a certificate without saying so: that is `Transient`, as a server that does not answer.
    """
    installed = pyodbc.drivers()
    if setting == AUTO:
        for found in (bundled(), *(name for name in (_MICROSOFT, _FREETDS) if name in installed)):
            if found:
                return found
        what = "no ODBC driver for SQL Server is installed"
    elif setting in installed or Path(setting).is_file():
        return setting
    else:
        what = f"the ODBC driver {setting!r} is neither installed nor a file (installed: {', '.join(installed) or 'none'})"
    raise Misconfigured(
        what, do=f"install the wheel mssql-python-odbc, {_MICROSOFT} or {_FREETDS}, and set DZGRANT_SQLSERVER_DRIVER to it"
    )


@cache
def bundled() -> str | None:
    """The library in the wheel for this distribution and machine; None where there is none."""
    spec = find_spec("mssql_python_odbc")
    if spec is None or spec.origin is None:
        return None
    machine = platform.machine().lower()
    place, name = (
        ("macos", "libmsodbcsql*.dylib") if platform.system() == "Darwin" else (f"linux/{_family()}", "libmsodbcsql-*.so*")
    )
    libraries = Path(spec.origin).parent / "libs" / place / _MACHINES.get(machine, machine) / "lib"
    return next((str(library) for library in sorted(libraries.glob(name))), None)


def _family() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "debian_ubuntu"
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return next((_FAMILIES[name] for name in names if name in _FAMILIES), "debian_ubuntu")


def connect(
    source: Source, credentials: Credentials, limits: Limits, rejected: type[AdminRejected | ConsumerRejected]
) -> pyodbc.Connection:
    """A new connection whose statements commit by themselves; it blocks, for the connect time-out at most.

    Raises as `while_connecting` says.
    """
    driver = chosen(limits.sqlserver_driver)
    if _is_freetds(driver):
        place, variables = {"SERVERNAME": trust.FREETDS_ENTRY}, trust.freetds(source, limits.ca_bundle)
    else:
        place, variables = _MICROSOFTS | {"SERVER": f"tcp:{source.host},{source.port}"}, trust.microsofts(limits.ca_bundle)
    words = {
        "DRIVER": driver,
        **place,
        "DATABASE": source.database,
        "UID": credentials.username,
        "PWD": credentials.password.get_secret_value(),
        "APP": "dzgrant",
    }
    text = "".join(f"{key}={_braced(value)};" for key, value in words.items())
    with trust.trusting(variables, limits.ca_bundle, limits.connect_timeout):
        try:
            made = pyodbc.connect(text, autocommit=True, timeout=_whole(limits.connect_timeout))
        except pyodbc.Error as error:
            raise while_connecting(error, f"{credentials.username} can't log in to {source}", rejected) from error
    made.timeout = _whole(limits.statement_timeout)
    return made


_MICROSOFTS = {
    "Encrypt": "yes",
    "TrustServerCertificate": "no",
    # The listener of an availability group has an address in each subnet.
    "MultiSubnetFailover": "yes",
    # A connection that the driver mended by itself would be without its transaction and its lock.
    "ConnectRetryCount": "0",
}


def _is_freetds(driver: str) -> bool:
    return driver == _FREETDS or "tdsodbc" in Path(driver).name


def _braced(value: str) -> str:
    return "{" + value.replace("}", "}}") + "}"


def _whole(seconds: float) -> int:
    """ODBC counts whole seconds, and 0 would be for ever."""
    return max(1, round(seconds))
