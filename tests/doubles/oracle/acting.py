"""A session at work on one statement: who it is, what it reads with, how it waits, what its transaction can undo."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.doubles.oracle import dictionary
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.reading import Reader
from tests.doubles.oracle.rights import Who
from tests.doubles.oracle.seam import Value
from tests.doubles.oracle.state import Database, Presence, Thing


@dataclass(slots=True)
class Acting:
    database: Database
    presence: Presence
    values: Sequence[Value] = ()
    """The statement's binds."""
    variables: dict[str, Value] = field(default_factory=dict)
    """PL/SQL's."""

    @property
    def who(self) -> Who:
        return Who(self.presence.user, self.presence.roles)

    @property
    def reader(self) -> Reader:
        now = self.database.now()
        names: dict[str, Value] = {"USER": self.presence.user, "SYSDATE": now, "SYSTIMESTAMP": now}
        return Reader(
            database=self.database,
            who=self.who,
            schema=self.presence.schema,
            names=names | self.variables,
            context=self._context,
            dictionary=lambda thing, who: dictionary.rows(self.database, thing, who),
            values=self.values,
            folding=(self.presence.nls_comp, self.presence.nls_sort) == ("LINGUISTIC", "BINARY_CI"),
        )

    def _context(self, space: str, name: str) -> str | None:
        """SYS_CONTEXT('USERENV', ..). Raises `Fault` 2003 for a parameter that is not modelled."""
        database, presence = self.database, self.presence
        known: Mapping[str, str | None] = {
            "SESSION_USER": presence.user,
            "CURRENT_USER": presence.user,
            "CURRENT_SCHEMA": presence.schema,
            "SID": str(presence.sid),
            "SESSIONID": str(presence.sid * 1000 + presence.serial),
            "CON_NAME": presence.container,
            "CON_ID": "1" if presence.container == database.root else "3",
            "CDB_NAME": "FREE",
            "DB_NAME": presence.container.replace(database.root, "FREE"),
            "DB_UNIQUE_NAME": "FREE",
            "DATABASE_ROLE": "PHYSICAL STANDBY" if database.read_only else "PRIMARY",
            "SERVICE_NAME": presence.service,
            "INSTANCE": "1",
            "INSTANCE_NAME": "FREE",
            "NETWORK_PROTOCOL": "tcps",
            "AUTHENTICATION_METHOD": "PASSWORD",
            "ISDBA": "FALSE",
            "MODULE": presence.program,
            "PROXY_USER": None,
            "CLIENT_IDENTIFIER": None,
        }
        if space != "USERENV":
            return None
        if name not in known:
            raise Fault(2003)
        return known[name]

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Whether it came true in time. Raises `Fault` 28 when the session is killed meanwhile, 1013 when it is cancelled."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.presence.ended:
                raise Fault(28)
            if self.presence.cancelled:
                raise Fault(1013)
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.database.changed.wait(left)
        return True

    def lock(self, thing: Thing) -> None:
        """Takes the object for this transaction, shared with other transactions."""
        self.database.table_locks.setdefault((thing.owner, thing.name), set()).add(self.presence.sid)

    def need_alone(self, thing: Thing) -> None:
        """Waits DDL_LOCK_TIMEOUT for other transactions to leave the object. Raises `Fault` 54."""

        def alone() -> bool:
            return not self.database.table_locks.get((thing.owner, thing.name), set()) - {self.presence.sid}

        if not self.wait_until(alone, self.presence.ddl_lock_timeout):
            raise Fault(54)

    def commit(self) -> None:
        self.presence.undo.clear()
        self._leave()

    def rollback(self) -> None:
        while self.presence.undo:
            self.presence.undo.pop()()
        self._leave()

    def _leave(self) -> None:
        for holders in self.database.table_locks.values():
            holders.discard(self.presence.sid)
        self.database.changed.notify_all()


def end(database: Database, presence: Presence) -> None:
    """The session is over, however it came: its transaction is undone, its locks are free."""
    Acting(database, presence).rollback()
    for name in [name for name, sid in database.user_locks.items() if sid == presence.sid]:
        del database.user_locks[name]
    if database.sessions.get(presence.sid) is presence:
        del database.sessions[presence.sid]
    database.changed.notify_all()
