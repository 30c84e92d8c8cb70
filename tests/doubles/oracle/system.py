"""ALTER SESSION, ALTER SYSTEM KILL SESSION, and the kill of RDS's package. "ALTER SYSTEM", SQL Language Reference 19c."""

from __future__ import annotations

from tests.doubles.oracle.acting import Acting, end
from tests.doubles.oracle.cursor import Cursor
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.rights import require

_SETTINGS = ("TIME_ZONE", "ISOLATION_LEVEL", "EDITION", "STATISTICS_LEVEL", "OPTIMIZER_MODE", "PLSQL_WARNINGS")


def alter_session(acting: Acting, at: Cursor) -> None:
    at.need("SET", code=922)
    if at.done:
        raise at.fault(2248)
    while not at.done:
        name = at.name(2248)
        at.need("=", code=2248)
        word = at.next()
        if word.kind not in ("string", "number", "name", "quoted"):
            raise at.fault(2248)
        _set(acting, name, word.text)


def _set(acting: Acting, name: str, value: str) -> None:
    match name:
        case "DDL_LOCK_TIMEOUT":
            if not value.isdigit() or int(value) > 1_000_000:
                raise Fault(68)
            acting.presence.ddl_lock_timeout = int(value)
        case "NLS_LANGUAGE":
            if value not in ("AMERICAN", "GERMAN"):
                raise Fault(12705)
            acting.presence.language = "GERMAN" if value == "GERMAN" else "AMERICAN"
        case "NLS_COMP":
            acting.presence.nls_comp = _modelled(value, "BINARY", "LINGUISTIC")
        case "NLS_SORT":
            acting.presence.nls_sort = _modelled(value, "BINARY", "BINARY_CI")
        case "CURRENT_SCHEMA":
            if value not in acting.database.users:
                raise Fault(1435)
            acting.presence.schema = value
        case _ if name not in _SETTINGS and not name.startswith("NLS_"):
            raise Fault(2248)
        case _:
            pass


def _modelled(value: str, *known: str) -> str:
    if value.upper() not in known:
        raise Fault(3001)
    return value.upper()


def alter_system(acting: Acting, at: Cursor) -> None:
    """KILL SESSION 'sid, serial#[, @instance]' [IMMEDIATE]; DISCONNECT SESSION '..' IMMEDIATE."""
    verb = at.one_of("KILL", "DISCONNECT")
    if verb is None or not at.take("SESSION"):
        raise at.fault(2065)
    written = at.string(2065)
    immediate = at.take("IMMEDIATE")
    if verb == "DISCONNECT" and not immediate:
        at.need("POST_TRANSACTION", code=2065)
    at.end(2065)
    require(acting.database, acting.who, "ALTER SYSTEM")
    parts = [part.strip() for part in written.split(",")]
    if len(parts) == 3 and parts[2] == "@1":
        parts.pop()
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise Fault(26)
    kill(acting, int(parts[0]), int(parts[1]), immediate=immediate)


def kill(acting: Acting, sid: int, serial: int, *, immediate: bool) -> None:
    """A session that is killed without IMMEDIATE stays, KILLED, until its client asks again; and so does one that lingers."""
    database = acting.database
    victim = database.sessions.get(sid)
    if victim is None or victim.serial != serial:
        raise Fault(30)
    if victim is acting.presence:
        raise Fault(27)
    victim.ended = True
    lingers = database.kills_to_linger > 0
    if immediate and not lingers:
        end(database, victim)
        return
    victim.status = "KILLED"
    database.changed.notify_all()
    if lingers:
        database.kills_to_linger -= 1
        raise Fault(31)
