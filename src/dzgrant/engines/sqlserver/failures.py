"""What a failure means, by SQL Server's error number or ODBC's SQLSTATE: never by its text.

pyodbc gives the number in the text only, behind each message: `... (15151) (SQLExecDirectW)`. That form is ODBC's and
pyodbc's own, and no language changes it. Babelfish answers nearly everything with 33557097, so that whoever changes
something there looks first. Numbers: "Database Engine events and errors", Microsoft's documentation of SQL Server.
"""

from __future__ import annotations

import re

import pyodbc

from dzgrant.errors import (
    AdminRejected,
    ConsumerRejected,
    DzgrantError,
    Misconfigured,
    PasswordRejected,
    Refused,
    Transient,
)

_LOGGED_IN = 15434
_NO_PROCESS = frozenset({6106, 6101, 6107})
_GONE = frozenset({15151, 15007})
_AGAIN = frozenset({1205, 15023, 15025, 233, 596, 10053, 10054, 10060, 64, 40197, 40613})
_TRANSIENT = frozenset({3906, 3908, 911, 913, 915, 921, 922, 924, 927, 942, 945, 952, 976, 978, 983, 701, 802, 10928, 10929})
_NO_DATABASE = frozenset({911, 916, 4060, 4064})
_PASSWORD = frozenset({15114, 15115, 15116, 15117, 15118, 15119})
_REJECTED = frozenset({18456, 18470, 18486, 18487, 18488})
_NO_RIGHT = frozenset({229, 230, 262, 297, 300, 2571, 3704, 4613, 4616, 5011, 6102, 15151, 15247, 15406, 15517, 378})
_NO_OBJECT = frozenset({208, 4902})
_LOCK_TIMEOUT = 1222
_SID_IN_USE = 15433
# The driver's own numbers, at SQLSTATE 08001: whoever answers is not vouched for, or does without TLS.
_CERTIFICATE = frozenset({-1, -2146893019, -2146893022, -2146762487})
_NO_TLS = 20
_BROKEN = frozenset({"08S01", "08001", "08003", "08007", "HYT01", "01002"})

# A message of the driver's ends with its number, and the first with the function's name behind it.
_NUMBER = re.compile(r"\((-?\d+)\)(?: \(SQL\w+\))?(?=$|; \[)")

_DECORATION = re.compile(r"\[\w{5}\] (?:\[[^\]]*\])+| \(SQL\w+\)(?=$|; )")


class Again(Transient):
    """Goes well when it is done again at once: a deadlock, a lost connection, somebody who made the same meanwhile."""


class Blocked(Transient):
    """A lock was not got in time."""


class ViewHeld(Blocked):
    """A lock on a view, which a reader of it has for as long as it reads."""


class LoggedIn(Blocked):
    """The login has a session still, and can't be dropped."""


class NoProcess(Transient):
    """The session has ended already."""


class Gone(Misconfigured):
    """The server finds no such thing, or does not let the admin see it."""


def numbers(error: BaseException) -> tuple[int, ...]:
    """The numbers of an error, the first message's first; empty for one that is not the driver's."""
    if not isinstance(error, pyodbc.Error) or len(error.args) < 2:
        return ()
    return tuple(int(number) for number in _NUMBER.findall(str(error.args[1])))


def while_working(error: pyodbc.Error, what: str, cure: str | None = None) -> DzgrantError:
    """The failure of a statement as one of dzgrant's errors; `cure` is what a person runs where the admin lacks a right."""
    found, line = frozenset(numbers(error)), f"{what}: {_said(error)}"
    transient: tuple[tuple[bool, type[Transient]], ...] = (
        (bool(found & _PASSWORD), PasswordRejected),
        (_LOGGED_IN in found, LoggedIn),
        (bool(found & _NO_PROCESS), NoProcess),
        (_LOCK_TIMEOUT in found, Blocked),
        (bool(found & _AGAIN) or _state(error) in _BROKEN, Again),
        (bool(found & _TRANSIENT) or _state(error) == "HYT00", Transient),
    )
    for fits, kind in transient:
        if fits:
            return kind(line)
    if _SID_IN_USE in found:
        return Refused(line, do="drop the login that has the SID of dzgrant's: see sys.server_principals")
    if found & _NO_OBJECT:
        return Refused(line, do="publish the asset again with the table's present name")
    if found & _NO_RIGHT:
        return (Gone if found & _GONE else Misconfigured)(
            line, do=f"let an administrator of the server run: {cure}" if cure else _RIGHTS
        )
    return Misconfigured(line, do="look at the database: dzgrant does not expect this answer")


_RIGHTS = "give the admin login this right (docs/security.md)"


def while_connecting(error: pyodbc.Error, what: str, rejected: type[AdminRejected | ConsumerRejected]) -> DzgrantError:
    """The failure to connect as one of dzgrant's errors; `rejected` is the one for a refused password."""
    found, line = frozenset(numbers(error)), f"{what}: {_said(error)}"
    # Where the database can't be opened the server names both; the password was right then.
    if found & _NO_DATABASE:
        return Transient(line, do="retried with backoff; the database may be offline, gone, or closed to this login")
    if found & _REJECTED:
        if rejected is AdminRejected:
            return AdminRejected(line, do="put the right user name and password into the source's admin secret")
        return ConsumerRejected(line)
    if _state(error) == "08001" and _NO_TLS in found:
        return Misconfigured(line, do="turn TLS on at the server")
    if _state(error) == "08001" and found & _CERTIFICATE:
        return Misconfigured(line, do="set DZGRANT_DATABASE_CA_BUNDLE to the authority that signs its certificate")
    return Transient(line)


def while_proving(error: pyodbc.Error, what: str) -> DzgrantError:
    """The failure of the consumer's own SELECT: it has the permission, so what the table stands on refuses it."""
    if frozenset(numbers(error)) & {229, 230, 916, 4413}:
        return Misconfigured(f"{what}: {_said(error)}", do="take back the DENY, or give the view's owner the tables beneath it")
    return while_working(error, what)


def _state(error: pyodbc.Error) -> str:
    return str(error.args[0]) if error.args else ""


def _said(error: pyodbc.Error) -> str:
    """The server's words and numbers, without the driver's decorations."""
    return _DECORATION.sub("", str(error.args[1] if len(error.args) > 1 else error))
