"""The seam between the Oracle double's wire and its model.

The wire asks an `Instance` who may come in, and hands each statement to the `Session` that it opened. Statement text and bind
values pass as the driver sent them; the model alone knows SQL.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

Value = str | int | float | Decimal | datetime | bytes | None


class OracleError(Exception):
    """One error of the server: ORA-`code`, `message` without that prefix, `offset` in characters into the statement."""

    def __init__(self, code: int, message: str, offset: int = 0) -> None:
        super().__init__(f"ORA-{code:05d}: {message}")
        self.code = code
        self.message = message
        self.offset = offset


@dataclass(frozen=True)
class Column:
    """A column of a query's answer; `size` is in bytes and counts for varchar2 and raw only."""

    name: str
    kind: Literal["varchar2", "number", "date", "timestamp", "raw"] = "varchar2"
    size: int = 4000


@dataclass(frozen=True)
class Result:
    """What a statement came to: `columns` is empty unless it is a query; `affected` counts the rows that DML touched."""

    columns: tuple[Column, ...] = ()
    rows: Sequence[Sequence[Value]] = ()
    affected: int = 0


class Session(Protocol):
    """One session of the instance. The wire calls all but `cancel` from worker threads, never two at once."""

    sid: int
    serial: int

    @property
    def killed(self) -> bool:
        """Whether it was killed: the wire answers every later call, a fetch too, with ORA-00028 and hangs up."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether something waits for COMMIT or ROLLBACK: the driver is told at the end of each call."""
        ...

    def execute(self, sql: str, binds: Sequence[Value]) -> Result:
        """Run one statement, or raise OracleError. The driver's own ALTER SESSION SET TIME_ZONE at logon passes here too.

        `binds` has a value for each placeholder, in order; in PL/SQL (BEGIN, DECLARE, CALL) for each distinct one.
        It may wait for a lock: `cancel` ends that with ORA-01013, a kill with ORA-00028.
        """
        ...

    def cancel(self) -> None:
        """End the `execute` that runs now, if one does."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None:
        """The client logged off or was lost: roll back and forget the session."""
        ...


class Instance(Protocol):
    """One database instance, as its listener and its logon know it. Names of services and SIDs are compared without case."""

    version: tuple[int, int, int, int, int]
    services: Sequence[str]
    sids: Sequence[str]

    def passwords_of(self, user: str) -> Sequence[str]:
        """The passwords that open `user` (upper case unless it was quoted): none, one, or two during a rollover."""
        ...

    def open_session(self, user: str, password: str | None, *, service: str, program: str) -> Session:
        """Open a session, `password` being the one that the client proved to know, None when it proved none.

        Raises OracleError: 1017, 28000, 28001, 1045, whatever this user gets.
        """
        ...
