"""What a failure means, by the code that the server (`ORA-01031`) or the driver (`DPY-4024`) gives it: never by its text.

"Database Error Messages", 19c and 23ai; "Error handling" in python-oracledb's manual. The driver takes some of the server's
codes for its own (ORA-00031 for a lost connection, say), but keeps the number.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import oracledb

from dzgrant.errors import (
    AdminRejected,
    ConsumerRejected,
    DzgrantError,
    Misconfigured,
    PasswordRejected,
    Refused,
    Transient,
    Unsupported,
)

DRIVER_FAILURES = (oracledb.Error, OSError)
"""What an `except` must name to catch every failure of a statement or a connection; a time-out is an OSError."""

SESSION_GONE = "ORA-00030"
SESSION_MARKED = "ORA-00031"
NO_TABLE = "ORA-00942"
NAME_TOO_LONG = "ORA-00972"
WRONG_PASSWORD = "ORA-01017"  # noqa: S105  # a code
NO_RIGHT = "ORA-01031"
NO_GRANTEE = "ORA-01917"
NO_LOGIN = "ORA-01918"
LOGIN_EXISTS = "ORA-01920"
OWNS_OBJECTS = "ORA-01922"
NOT_GRANTED_BY_ONE = "ORA-01927"
CONNECTED = "ORA-01940"
PROFILE_EXISTS = "ORA-02379"
NO_PROFILE = "ORA-02380"
NO_OBJECT = "ORA-04043"
BLOCK_WRONG = "ORA-06550"
RAISED = "ORA-20000"
LOCKED = "ORA-28000"

_AGAIN = frozenset(
    {
        "ORA-00028",  # this session was killed
        "ORA-00031",
        "ORA-00060",  # deadlock
        "ORA-01012",
        "ORA-03113",
        "ORA-03114",
        "ORA-03135",
        "ORA-12537",
        LOGIN_EXISTS,  # made since it was looked for
        NO_LOGIN,
        NO_GRANTEE,
        "DPY-1001",
        "DPY-4011",
    }
)
_TRANSIENT = frozenset(
    {
        "ORA-00018",  # too many sessions
        "ORA-00020",
        "ORA-00054",  # a lock was not got in time
        "ORA-01013",  # cancelled
        "ORA-01033",  # starting or shutting down
        "ORA-01034",
        "ORA-01089",
        "ORA-01109",  # a pluggable database that is not open
        "ORA-04021",
        "ORA-04068",
        "ORA-12170",
        "ORA-12514",
        "ORA-12541",
        "ORA-16000",  # read-only: a standby, or a failover
        "ORA-16456",
        "DPY-4024",  # the call's time-out
    }
)
_REJECTED = frozenset({WRONG_PASSWORD, LOCKED, "ORA-28001", "ORA-01045", "ORA-28222"})
_PASSWORD = frozenset({"ORA-28003", "ORA-28007", "ORA-28219"})
_NO_RIGHT = frozenset({NO_RIGHT, NO_TABLE, NO_OBJECT, BLOCK_WRONG, "ORA-01720", NOT_GRANTED_BY_ONE, "ORA-01932"})
_IN_ROOT = frozenset({"ORA-65096", "ORA-65049", "ORA-65066"})


class Again(Transient):
    """Goes well when it is done again at once: a deadlock, a lost connection, a login that somebody changed just now."""


def code(error: BaseException) -> str | None:
    """`ORA-00942`, `DPY-4024`; None for a failure that has none, as a socket's."""
    for one in _causes(error):
        detail = one.args[0] if isinstance(one, oracledb.Error) and one.args else None
        number, full = getattr(detail, "code", 0), getattr(detail, "full_code", None)
        if number:
            return f"ORA-{number:05d}"
        # DPY-6005 only says that none of the addresses answered as it should: its cause says why.
        if full and (full != "DPY-6005" or one.__cause__ is None):
            return str(full)
    return None


def while_working(error: BaseException, what: str, cure: str) -> DzgrantError:
    """The failure of a statement as one of dzgrant's errors; `cure` is what a person does where a right lacks."""
    number = code(error)
    line = f"{what}: {_said(error)}"
    if isinstance(error, TimeoutError) or number in _TRANSIENT:
        return Transient(line)
    if number is None or number in _AGAIN:
        return Again(line)
    if number in _PASSWORD:
        return PasswordRejected(line, do="a new one is made")
    if number in _NO_RIGHT:
        return Misconfigured(line, do=cure)
    if number in _IN_ROOT:
        return Misconfigured(line, do="let the JDBC URL name the service of the pluggable database, not of the root")
    return Misconfigured(line, do="look at the database: dzgrant does not expect this answer")


def while_connecting(error: BaseException, what: str, rejected: type[AdminRejected | ConsumerRejected]) -> DzgrantError:
    """The failure to connect as one of dzgrant's errors; `rejected` is the one for a refused password."""
    number = code(error)
    line = f"{what}: {_said(error)}"
    if do := _to_do_about_tls(error, number):
        return Misconfigured(line, do=do)
    if number in {"DPY-3010", "DPY-3015"}:
        return Unsupported(line, do="upgrade the server, or give the login a password with a 12C verifier")
    if number in _REJECTED:
        if rejected is AdminRejected:
            return AdminRejected(line, do="put the right user name and password into the source's admin secret")
        return ConsumerRejected(line)
    # A listener knows no service while it fails over, and one without TLS hangs up.
    return Transient(line, do="retried with backoff; if it stays, check the service and the TCPS port in the JDBC URL")


def _to_do_about_tls(error: BaseException, number: str | None) -> str | None:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "set DZGRANT_DATABASE_CA_BUNDLE to the authority that signs its certificate"
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return "name the port of a TCPS listener in the JDBC URL"
    return "let its certificate name the host, or the JDBC URL the certificate's" if number == "DPY-6006" else None


def while_reading(error: BaseException, what: str) -> DzgrantError:
    """The failure of a consumer's proof as one of dzgrant's errors."""
    number = code(error)
    line = f"{what}: {_said(error)}"
    if number in {"ORA-01031", "ORA-04063"}:
        return Misconfigured(line, do="mend the view: what it reads is gone, or its owner may not read it")
    if number == NO_TABLE:
        # The server says the same of a table that is gone and of one that was not granted.
        return Transient(line)
    return while_working(error, what, "look at the table: a consumer that was granted it can't read it")


def gone(table: object) -> Refused:
    return Refused(f"no table {table} that the admin login may see", do="publish the asset again with its present name")


def _causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__


def _said(error: BaseException) -> str:
    """The server's or the driver's own line, without its advice where to look."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    *_, last = _causes(error)
    reason = f" ({last})" if last is not error and not isinstance(last, oracledb.Error) else ""
    return " ".join(line for line in lines if not line.startswith("Help:")) + reason
