"""One admin connection while it is lent to a piece of work: to read with, and for transactions that hold a login's lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyodbc

from dzgrant.engines.contract import Limits, Permit
from dzgrant.engines.sqlserver import statements
from dzgrant.engines.sqlserver.failures import Again, while_working
from dzgrant.engines.sqlserver.threads import Watch
from dzgrant.errors import Misconfigured, Transient, Unsupported
from dzgrant.model import Source

Row = Any
"""pyodbc's row, by position."""

_OLDEST = 14  # SQL Server 2017; 2016 is out of support since July 2026
_STATE = """
SELECT DB_NAME(), CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS nvarchar(60)),
  CAST(SERVERPROPERTY('Babelfish') AS int), CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128))
"""


class Session:
    """Kept in the pool; `watch` and `what` are those of the work that has it now."""

    def __init__(self, driver: pyodbc.Connection, source: Source, limits: Limits) -> None:
        """Raises `Transient` for a database that can't be written, `Unsupported` for a server that is too old."""
        self._driver = driver
        self._limits = limits
        self.watch = Watch(0)
        self.what = str(source)
        [[(name, updateability, babelfish, version)]] = self.fetch(
            f"{statements.session_settings(limits.lock_timeout)};\n{_STATE}"
        )
        self.babelfish = bool(babelfish)
        if name.casefold() != source.database.casefold():
            raise Misconfigured(f"{source}: the server opened the database {name} instead", do="correct the JDBC URL")
        if updateability == "READ_ONLY":
            raise Transient(f"{source}: the database is read-only now: a replica, or a failover")
        if not babelfish and int(version.split(".")[0]) < _OLDEST:
            raise Unsupported(f"{source}: SQL Server {version} is too old", do="upgrade it to SQL Server 2017 or newer")

    def fetch(self, batch: str, *values: str | int, cure: str | None = None) -> list[list[Row]]:
        """All rows of each result of a batch. `cure`: what a person runs where the admin lacks a right."""
        self.watch.allow(self._limits.statement_timeout + self._limits.connect_timeout)
        cursor = self._driver.cursor()
        try:
            return _results(cursor.execute(batch, *values))
        except pyodbc.Error as error:
            raise while_working(error, self.what, cure) from error
        finally:
            # Not left to whoever drops the error: pyodbc breaks in another thread, once the connection is closed.
            with suppress(pyodbc.Error):
                cursor.close()

    @contextmanager
    def transaction(self, login: str, admin: str, permit: Permit) -> Iterator[Transaction]:
        """With the lock of this login. Left by an error, or without a commit, it is rolled back."""
        cure = statements.join_owners(admin)
        committed = False
        try:
            [[(got,)]] = self.fetch(statements.begin(login, self._limits.lock_timeout), cure=cure)
            if got == -1:
                raise Transient(f"{self.what}: another worker is at it in the database")
            if got == -3:
                raise Again(f"{self.what}: a deadlock")
            if got < 0:
                raise Misconfigured(f"{self.what}: the admin login {admin} may not lock as dbo", do=f"run: {cure}")
            transaction = Transaction(self, permit, self._limits.statement_timeout)
            yield transaction
            committed = transaction.committed
        finally:
            if not committed:
                self.fetch(statements.ROLLBACK)

    def close(self) -> None:
        self._driver.close()


def _results(cursor: pyodbc.Cursor) -> list[list[Row]]:
    """A failure of a later statement comes with the result that it should have had."""
    found = [cursor.fetchall()] if cursor.description else []
    while cursor.nextset():
        if cursor.description:
            found.append(cursor.fetchall())
    return found


class Transaction:
    """Open until `commit`."""

    def __init__(self, session: Session, permit: Permit, seconds: float) -> None:
        self._session = session
        self._permit = permit
        self._seconds = seconds
        self.babelfish = session.babelfish
        self.committed = False

    def fetch(self, batch: str, *values: str | int) -> list[list[Row]]:
        return self._session.fetch(batch, *values)

    def run(self, *changes: str, cure: str | None = None) -> None:
        """Sends the statements as one batch, if the permit outlasts it."""
        self._permit.check(self._seconds)
        self._session.fetch(";\n".join(changes), cure=cure)

    def commit(self, *changes: str, cure: str | None = None) -> None:
        """Like `run`, with the commit as its last word."""
        self.run(*changes, statements.COMMIT, cure=cure)
        self.committed = True
