"""What a failure means, by the number that the server or the driver gives it: never by its text.

Numbers: "MySQL 9 Error Message Reference", "MariaDB Error Code Reference". 1396 says only that an account statement
failed: since each is sent after a look, somebody came in between. 1290 says that some option of the server forbids it.
"""

from __future__ import annotations

import ssl

from pymysql.constants import CR, ER
from pymysql.err import MySQLError

from dzgrant.errors import AdminRejected, ConsumerRejected, DzgrantError, Misconfigured, Refused, Transient

DRIVER_FAILURES = (MySQLError, OSError)
"""What an `except` must name to catch every failure of a statement or a connection; a time-out is an OSError."""

ACCOUNT_LOCKED = 3118
MARIADB_ACCOUNT_LOCKED = 4151
ACCESS_DENIED_NO_PASSWORD = 1698
CONNECTION_KILLED = 1927
IDLE_TOO_LONG = 4031
READ_ONLY = 1836
DEFINER_OF_OBJECTS = 4006
NO_PLUGIN = 1524

REJECTED = frozenset(
    {
        ER.ACCESS_DENIED_ERROR,
        ACCESS_DENIED_NO_PASSWORD,
        ACCOUNT_LOCKED,
        MARIADB_ACCOUNT_LOCKED,
        ER.MUST_CHANGE_PASSWORD_LOGIN,
    }
)
NO_LOGIN = frozenset({ER.PASSWORD_NO_MATCH, ER.CANT_CREATE_USER_WITH_GRANT})
"""GRANT to a login that is not there: MariaDB's answer, and MySQL's."""
NO_GRANT = frozenset({ER.NONEXISTING_GRANT, ER.NONEXISTING_TABLE_GRANT, ER.NO_SUCH_TABLE})
NO_TABLE = frozenset({ER.NO_SUCH_TABLE, ER.BAD_DB_ERROR, ER.WRONG_TABLE_NAME})
NO_RIGHT = frozenset(
    {
        ER.ACCESS_DENIED_ERROR,
        ER.DBACCESS_DENIED_ERROR,
        ER.TABLEACCESS_DENIED_ERROR,
        ER.COLUMNACCESS_DENIED_ERROR,
        ER.SPECIFIC_ACCESS_DENIED_ERROR,
        ER.PROCACCESS_DENIED_ERROR,
        ER.SP_DOES_NOT_EXIST,
    }
)
NO_ROLE = NO_RIGHT | {ACCESS_DENIED_NO_PASSWORD}
"""The admin may not take a role: MySQL's answer, and MariaDB's."""
_AGAIN = frozenset(
    {ER.LOCK_DEADLOCK, ER.CANNOT_USER, CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, CONNECTION_KILLED, IDLE_TOO_LONG}
)
_TRANSIENT = frozenset(
    {
        ER.LOCK_WAIT_TIMEOUT,
        ER.OPTION_PREVENTS_STATEMENT,
        READ_ONLY,
        ER.STATEMENT_TIMEOUT,
        ER.QUERY_TIMEOUT,
        ER.QUERY_INTERRUPTED,
        ER.SERVER_SHUTDOWN,
        ER.CON_COUNT_ERROR,
        ER.TOO_MANY_USER_CONNECTIONS,
        ER.USER_LIMIT_REACHED,
        CR.CR_CONN_HOST_ERROR,
    }
)
_NOT_LET_IN = frozenset({ER.HOST_NOT_PRIVILEGED, ER.HOST_IS_BLOCKED, ER.NOT_SUPPORTED_AUTH_MODE, CR.CR_AUTH_PLUGIN_CANNOT_LOAD})


class Again(Transient):
    """Goes well when it is done again at once: a deadlock, a lost connection, a login that somebody changed just now."""


def code(error: BaseException) -> int | None:
    """The number, or None for a failure that the driver gave none: it lost track of the connection, or timed out."""
    first = error.args[0] if isinstance(error, MySQLError) and error.args else None
    return first if isinstance(first, int) else None


def while_working(error: BaseException, what: str, cure: str) -> DzgrantError:
    """The failure of a statement as one of dzgrant's errors; `cure` is what a person runs where a right lacks."""
    number = code(error)
    line = f"{what}: {_said(error)}"
    if isinstance(error, TimeoutError):
        return Transient(line)
    if number is None or number in _AGAIN:
        return Again(line)
    if number in _TRANSIENT:
        return Transient(line)
    if number in NO_RIGHT:
        return Misconfigured(line, do=f"let an administrator of the server run: {cure}")
    if number in NO_TABLE:
        return Refused(line, do="publish the asset again with the table's present name")
    return Misconfigured(line, do="look at the database: dzgrant does not expect this answer")


def while_connecting(error: BaseException, what: str, rejected: type[AdminRejected | ConsumerRejected]) -> DzgrantError:
    """The failure to connect as one of dzgrant's errors; `rejected` is the one for a refused password."""
    number = code(error)
    line = f"{what}: {_said(error)}"
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return Misconfigured(
            f"{what}: {_said(cause)}", do="set DZGRANT_DATABASE_CA_BUNDLE to the authority that signs its certificate"
        )
    if number in REJECTED:
        if rejected is AdminRejected:
            return AdminRejected(line, do="put the right user name and password into the source's admin secret")
        return ConsumerRejected(line, do="set again with a new proof; an anonymous account of the server may stand in its way")
    if number in _NOT_LET_IN:
        return Misconfigured(line, do="let this login in from the worker's address, with a password")
    if number == ER.BAD_DB_ERROR:
        return Refused(line, do="correct the JDBC URL of the Glue connection, or create the database")
    return Transient(line)


def while_reading(error: BaseException, what: str) -> DzgrantError:
    """The failure of a consumer's proof as one of dzgrant's errors."""
    number = code(error)
    line = f"{what}: {_said(error)}"
    if number == ER.VIEW_INVALID:
        return Misconfigured(line, do="mend the view: what it reads is gone, or its definer may not read it")
    if number in NO_TABLE:
        return Refused(line, do="publish the asset again with the table's present name")
    return Again(line) if number is None or number in _AGAIN else Transient(line)


def _said(error: BaseException) -> str:
    number = code(error)
    text = str(error.args[1]) if number is not None and len(error.args) > 1 else str(error) or type(error).__name__
    return f"{text} [{number}]" if number is not None else text
