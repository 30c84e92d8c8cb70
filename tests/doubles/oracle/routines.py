"""The packages that PL/SQL may call: DBMS_LOCK and DBMS_SESSION (PL/SQL Packages and Types Reference 19c), and RDS's
`rdsadmin.rdsadmin_util` ("Performing common system tasks for Oracle DB instances", Amazon RDS User Guide).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.doubles.oracle.acting import Acting
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.rights import privileges_on
from tests.doubles.oracle.seam import Value
from tests.doubles.oracle.system import kill

CONSTANTS: dict[str, Value] = {
    "DBMS_LOCK.X_MODE": 6,
    "DBMS_LOCK.MAXWAIT": 32767,
    "TRUE": 1,
    "FALSE": 0,
}
_REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Routine:
    """`defaults` names the parameters in order; `out` is one that is given back, `returns` says that it is a function."""

    run: Callable[[Acting, Mapping[str, Value]], Value]
    defaults: Mapping[str, object]
    out: str | None = None
    returns: bool = False

    def arguments(self, given: Mapping[str, Value]) -> dict[str, Value] | None:
        """With the defaults; None when they do not fit."""
        if "LOCKHANDLE" in self.defaults:
            # A lock is known by its handle, or else by its `id`.
            given = {"LOCKHANDLE" if name == "ID" else name: value for name, value in given.items()}
        if given.keys() - self.defaults.keys():
            return None
        both = {**self.defaults, **given}
        return None if _REQUIRED in both.values() else both  # type: ignore[return-value]  # what else there is are values


def find(acting: Acting, path: tuple[str, ...]) -> Routine | None:
    """None for a package that isn't there or that the user may not execute: PL/SQL makes no difference."""
    if len(path) < 2:
        return None
    package = acting.database.find(path[:-1], acting.presence.schema)
    if package is None or package.kind != "PACKAGE":
        return None
    if acting.who.user != "SYS" and "EXECUTE" not in privileges_on(acting.database, acting.who, package):
        return None
    return _ROUTINES.get((package.name, path[-1]))


def _allocate_unique(acting: Acting, given: Mapping[str, Value]) -> Value:
    """Commits, as the real one does."""
    acting.commit()
    ids = acting.database.lock_ids
    return ids.setdefault(str(given["LOCKNAME"]), str(1073741824 + len(ids)))


def _request(acting: Acting, given: Mapping[str, Value]) -> Value:
    """0: got it, 1: timeout, 4: has it already. Only the exclusive mode is modelled."""
    if given["LOCKMODE"] != 6 or given["RELEASE_ON_COMMIT"]:
        raise Fault(3001)
    locks, name, sid = acting.database.user_locks, str(given["LOCKHANDLE"]), acting.presence.sid
    if locks.get(name) == sid:
        return 4
    if not acting.wait_until(lambda: name not in locks, float(str(given["TIMEOUT"]))):
        return 1
    locks[name] = sid
    return 0


def _release(acting: Acting, given: Mapping[str, Value]) -> Value:
    """0: released, 4: was not its own."""
    locks, name = acting.database.user_locks, str(given["LOCKHANDLE"])
    if locks.get(name) != acting.presence.sid:
        return 4
    del locks[name]
    acting.database.changed.notify_all()
    return 0


def _sleep(acting: Acting, given: Mapping[str, Value]) -> Value:
    acting.wait_until(lambda: False, float(str(given["SECONDS"])))
    return None


def _kill(acting: Acting, given: Mapping[str, Value]) -> Value:
    if given["METHOD"] not in ("IMMEDIATE", "PROCESS", None):
        raise Fault(20001, "invalid method")
    kill(acting, int(str(given["SID"])), int(str(given["SERIAL"])), immediate=given["METHOD"] is not None)
    return None


_KILL = {"SID": _REQUIRED, "SERIAL": _REQUIRED, "METHOD": None}
_ROUTINES = {
    ("DBMS_LOCK", "ALLOCATE_UNIQUE"): Routine(
        _allocate_unique, {"LOCKNAME": _REQUIRED, "LOCKHANDLE": None, "EXPIRATION_SECS": 864000}, out="LOCKHANDLE"
    ),
    ("DBMS_LOCK", "REQUEST"): Routine(
        _request, {"LOCKHANDLE": _REQUIRED, "LOCKMODE": 6, "TIMEOUT": 32767, "RELEASE_ON_COMMIT": 0}, returns=True
    ),
    ("DBMS_LOCK", "RELEASE"): Routine(_release, {"LOCKHANDLE": _REQUIRED}, returns=True),
    ("DBMS_LOCK", "SLEEP"): Routine(_sleep, {"SECONDS": _REQUIRED}),
    ("DBMS_SESSION", "SLEEP"): Routine(_sleep, {"SECONDS": _REQUIRED}),
    ("RDSADMIN_UTIL", "KILL"): Routine(_kill, _KILL),
    ("RDSADMIN_UTIL", "DISCONNECT"): Routine(_kill, {**_KILL, "METHOD": "IMMEDIATE"}),
}
