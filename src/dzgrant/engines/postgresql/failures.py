"""What a failure of the driver means, by its SQLSTATE (PostgreSQL manual, appendix A): never by its text."""

from __future__ import annotations

import ssl

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from dzgrant.errors import AdminRejected, ConsumerRejected, DzgrantError, Misconfigured, Refused, Transient

DRIVER_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, SQLAlchemyError)
"""What an `except` must name to catch every failure of a statement or a connection; a time-out is an OSError."""


class Again(Transient):
    """Goes well when it is done again at once: another transaction changed the same row, or the connection was lost."""


class Blocked(Transient):
    """A lock was not got in time."""


class DependedOn(Misconfigured):
    """Something else stands on what was to be dropped."""


class NotLetIn(ConsumerRejected):
    """No password would have opened the server: the login is disabled, or pg_hba.conf has no way in for it."""


_AGAIN = frozenset(
    {
        "23505",  # unique_violation: two made the same role
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "42710",  # duplicate_object: made since it was looked for
        "57P01",  # admin_shutdown: the connection is lost, and a new one may be had
        "XX000",  # internal_error: "tuple concurrently updated" has no code of its own
    }
)
_TRANSIENT = frozenset(
    {
        "25006",  # read_only_sql_transaction: a replica, or a failover
        "3F000",  # invalid_schema_name: gone since it was looked for
        "42704",  # undefined_object
        "42P01",  # undefined_table
        "57014",  # query_canceled: the statement's time-out
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
    }
)
_TRANSIENT_CLASSES = frozenset({"40", "53", "55", "58"})  # rollback, resources, state, system
_TO_DO = {
    "2BP01": "revoke or drop what depends on it; dzgrant never cascades",
    "3D000": "correct the JDBC URL of the Glue connection, or create the database",
    "42501": "give the login this right (docs/security.md)",
}


def while_working(error: BaseException, what: str) -> DzgrantError:
    """The failure of an open connection as one of dzgrant's errors."""
    state = _sqlstate(error)
    line = f"{what}: {_said(error)} [{state or type(error).__name__}]"
    if isinstance(error, TimeoutError | PoolExhausted):
        return Transient(line)
    if state is None or state.startswith("08") or state in _AGAIN:
        return Again(line)
    if state == "55P03":
        return Blocked(line)
    if state == "54000":
        # An access list isn't TOASTed: some two thousand logins fill the page of its row.
        return Refused(line, do="its access list holds no more logins: revoke some, or grant to a role that they share")
    if state in _TRANSIENT or state[:2] in _TRANSIENT_CLASSES:
        return Transient(line)
    known = DependedOn if state == "2BP01" else Misconfigured
    return known(line, do=_TO_DO.get(state, "look at the database: dzgrant does not expect this answer"))


def while_connecting(error: BaseException, what: str, rejected: type[AdminRejected | ConsumerRejected]) -> DzgrantError:
    """The failure to connect as one of dzgrant's errors; `rejected` is the one for a refused password."""
    state = _sqlstate(error)
    line = f"{what}: {_said(error)}"
    # asyncpg's own answer to a server that says no to TLS; a socket's failure is of a subclass.
    if type(error) is ConnectionError:
        return Misconfigured(f"{what}: it offers no TLS", do="turn TLS on at the server")
    if isinstance(error, ssl.SSLError):
        return Misconfigured(line, do="set DZGRANT_DATABASE_CA_BUNDLE to the authority that signs its certificate")
    if state in {"28000", "28P01"}:
        if rejected is AdminRejected:
            return AdminRejected(line, do="put the right user name and password into the source's admin secret")
        return NotLetIn(line) if state == "28000" else ConsumerRejected(line)
    return Misconfigured(line, do=_TO_DO[state]) if state in _TO_DO else Transient(line)


def while_proving(error: BaseException, what: str) -> DzgrantError:
    """The failure of the consumer's own SELECT: it has the privilege, so what the table stands on refuses it."""
    if _sqlstate(error) in {"42501", "42704"}:
        do = "give the view's owner its tables, or the foreign table a user mapping for PUBLIC"
        return Misconfigured(f"{what}: {_said(error)}", do=do)
    return while_working(error, what)


def _sqlstate(error: BaseException) -> str | None:
    state: str | None = getattr(error, "sqlstate", None)
    return state


def _said(error: BaseException) -> str:
    detail = getattr(error, "detail", None)
    return (str(error) or type(error).__name__) + (f" ({detail})" if detail else "")
