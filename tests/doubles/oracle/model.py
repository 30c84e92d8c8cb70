"""The instance and its sessions, as the wire's `seam` wants them. One statement runs at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from tests.doubles.oracle import dictionary, logon, statements
from tests.doubles.oracle.acting import Acting, end
from tests.doubles.oracle.lexer import hidden
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.rights import roles_of
from tests.doubles.oracle.seam import OracleError, Result, Value
from tests.doubles.oracle.state import Database, Presence, born


@dataclass(slots=True)
class ModelSession:
    """Every call but `cancel` holds the instance's lock; a wait gives it to others."""

    database: Database
    presence: Presence
    write: Callable[[str], None]

    sid: int = field(init=False)
    serial: int = field(init=False)

    def __post_init__(self) -> None:
        self.sid, self.serial = self.presence.sid, self.presence.serial

    @property
    def killed(self) -> bool:
        return self.presence.ended

    @property
    def in_transaction(self) -> bool:
        with self.database.changed:
            locked = any(self.sid in holders for holders in self.database.table_locks.values())
            return locked or bool(self.presence.undo)

    def execute(self, sql: str, binds: Sequence[Value] = ()) -> Result:
        with self.database.changed:
            before = len(self.presence.undo)
            self.write(f"{self.sid} {self.presence.user}: {hidden(sql)}")
            self.presence.status = "ACTIVE"
            try:
                return statements.run(Acting(self.database, self.presence, binds), sql)
            except Fault as fault:
                raise self._refused(before, fault) from None
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                # Like the real server's own faults: the session goes on, and its log says what it was.
                raise self._refused(before, Fault(600, repr(error))) from error
            finally:
                self.presence.cancelled = False
                if not self.presence.ended:
                    self.presence.status = "INACTIVE"

    def cancel(self) -> None:
        with self.database.changed:
            self.presence.cancelled = self.presence.status == "ACTIVE"
            self.database.changed.notify_all()

    def commit(self) -> None:
        with self.database.changed:
            Acting(self.database, self.presence).commit()

    def rollback(self) -> None:
        with self.database.changed:
            Acting(self.database, self.presence).rollback()

    def close(self) -> None:
        with self.database.changed:
            end(self.database, self.presence)

    def _refused(self, before: int, fault: Fault) -> OracleError:
        """A statement that fails leaves what the transaction did before it."""
        while len(self.presence.undo) > before:
            self.presence.undo.pop()()
        error = fault.said_in(self.presence.language)
        self.write(f"{self.sid} {self.presence.user}: {error}")
        return error


@dataclass(slots=True)
class ModelInstance:
    database: Database
    log: list[str] = field(default_factory=list)
    """Every statement, as an audit trail keeps it: `IDENTIFIED BY *` instead of a password."""
    version: tuple[int, int, int, int, int] = field(init=False)
    services: Sequence[str] = field(init=False)
    sids: Sequence[str] = field(init=False)
    _serials: count[int] = field(default_factory=lambda: count(101))

    def __post_init__(self) -> None:
        self.version = self.database.version
        self.services = (self.database.pluggable, "FREE")
        # A listener may be told to take the name of a service for a SID (USE_SID_AS_SERVICE).
        self.sids = self.services

    def passwords_of(self, user: str) -> Sequence[str]:
        with self.database.changed:
            return logon.passwords_of(self.database, user)

    def open_session(self, user: str, password: str | None, *, service: str, program: str) -> ModelSession:
        """Raises OracleError 1017, 28000, 28001, 1045."""
        database = self.database
        with database.changed:
            try:
                roles = logon.log_on(database, user, password)
            except Fault as fault:
                error = fault.said_in(database.language)
                self.log.append(f"logon of {user}: {error}")
                raise error from None
            sid = next(number for number in count(10) if number not in database.sessions)
            container = database.pluggable if service.upper() == database.pluggable.upper() else database.root
            presence = Presence(
                sid,
                next(self._serials),
                user,
                roles,
                container,
                service,
                program,
                database.now(),
                user,
                language=database.language,
            )
            database.sessions[sid] = presence
            self.log.append(f"logon of {user}: session {sid}")
            for trigger in database.logon_triggers.values():
                statements.run(Acting(database, presence), trigger)
            return ModelSession(database, presence, self.log.append)

    def as_sysdba(self, sql: str) -> None:
        """One statement as SYS, in the pluggable database, past its listener."""
        database = self.database
        presence = Presence(
            0, 0, "SYS", roles_of(database, "SYS"), database.pluggable, database.pluggable, "sysdba", database.now(), "SYS"
        )
        ModelSession(database, presence, self.log.append).execute(sql)


def instance(database: Database, system_password: str) -> ModelInstance:
    """A new one, with its dictionary."""
    born(database, system_password)
    dictionary.install(database)
    return ModelInstance(database)


__all__ = ["ModelInstance", "ModelSession", "OracleError", "instance"]
