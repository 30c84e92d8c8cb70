"""What tests ask of the server as SYSDBA: open a pluggable database for reading only, a password verify function, a trigger
that sets up each new session. Only as much of PL/SQL's CREATE FUNCTION and CREATE TRIGGER as these need.
"""

from __future__ import annotations

from tests.doubles.oracle.acting import Acting, end
from tests.doubles.oracle.cursor import Cursor
from tests.doubles.oracle.expressions import listed
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.rights import require

_NEVER = 1_000_000


def alter_pluggable_database(acting: Acting, at: Cursor) -> None:
    """name CLOSE IMMEDIATE, which ends its sessions; name OPEN READ ONLY | READ WRITE."""
    database = acting.database
    if at.name(65011) != database.pluggable:
        raise Fault(65011)
    if at.take("CLOSE", "IMMEDIATE"):
        at.end()
        require(database, acting.who, "ALTER DATABASE")
        database.closed = True
        for presence in [one for one in database.sessions.values() if one is not acting.presence]:
            presence.ended = True
            end(database, presence)
        return
    at.need("OPEN", "READ", code=922)
    mode = at.one_of("ONLY", "WRITE")
    if mode is None:
        raise at.fault(922)
    at.end()
    require(database, acting.who, "ALTER DATABASE")
    if not database.closed:
        raise Fault(65019)
    database.closed, database.read_only = False, mode == "ONLY"


def create_verify_function(acting: Acting, at: Cursor) -> None:
    """(username VARCHAR2, password VARCHAR2, old_password VARCHAR2) RETURN BOOLEAN IS BEGIN RETURN FALSE; END;"""
    name = at.name(4050)
    at.need("(", code=6550)
    if len(listed(at, _parameter)) != 3:
        raise Fault(6550, at.word.offset, "PLS-00306: wrong number or types of arguments")
    at.need(")", "RETURN", "BOOLEAN", code=6550)
    if not at.one_of("IS", "AS"):
        raise at.fault(6550)
    at.need("BEGIN", "RETURN", code=6550)
    passes = at.one_of("TRUE", "FALSE")
    if passes is None:
        raise at.fault(6550)
    at.need(";", "END", ";", code=6550)
    at.end()
    if acting.who.user != "SYS":
        raise Fault(1031)
    acting.database.verify_functions[name] = 0 if passes == "TRUE" else _NEVER


def drop_function(acting: Acting, at: Cursor) -> None:
    name = at.name(4050)
    at.end()
    if acting.who.user != "SYS" or name not in acting.database.verify_functions:
        raise Fault(4043, name)
    del acting.database.verify_functions[name]


def create_logon_trigger(acting: Acting, at: Cursor, text: str) -> None:
    """name AFTER LOGON ON DATABASE, and a block, which is run at each logon as the trigger's owner would."""
    name = at.name(4079)
    at.need("AFTER", "LOGON", "ON", "DATABASE", code=4079)
    if not (at.sees("BEGIN") or at.sees("DECLARE")):
        raise at.fault(4079)
    require(acting.database, acting.who, "ADMINISTER DATABASE TRIGGER")
    acting.database.logon_triggers[name] = text[at.word.offset :]


def drop_trigger(acting: Acting, at: Cursor) -> None:
    name = at.name(4079)
    at.end()
    require(acting.database, acting.who, "ADMINISTER DATABASE TRIGGER")
    if acting.database.logon_triggers.pop(name, None) is None:
        raise Fault(4080, name)


def _parameter(at: Cursor) -> str:
    name = at.name(6550)
    at.need("VARCHAR2", code=6550)
    return name
