"""V$ and its like: what the running instance says of itself. `V$X` is the public synonym of SYS.V_$X."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tests.doubles.oracle.rights import Who
from tests.doubles.oracle.seam import Value
from tests.doubles.oracle.state import Database

Rows = Iterable[tuple[Value, ...]]
_PRODUCT = "Oracle Database 19c Enterprise Edition"


def _sessions(database: Database, who: Who) -> Iterator[tuple[Value, ...]]:
    """Background processes are sessions without a username."""
    for sid, name in enumerate(("PMON", "SMON", "DBW0"), 1):
        yield (1, sid, 1, None, 0, "SYS", "ACTIVE", "BACKGROUND", f"oracle@db ({name})", "db", "oracle", database.now(),
               "SYS$BACKGROUND", 0, None, None)  # fmt: skip
    for one in list(database.sessions.values()):
        yield (1, one.sid, one.serial, one.user, database.users[one.user].number if one.user in database.users else None,
               one.schema, one.status, "USER", one.program, "client", "client", one.logon, one.service, 3, one.program,
               None)  # fmt: skip


def _locks(database: Database, who: Who) -> Iterator[tuple[Value, ...]]:
    """Those of DBMS_LOCK, which are held exclusively."""
    for name, sid in list(database.user_locks.items()):
        yield (1, sid, "UL", int(name), 0, 6, 0)


def _parameters(database: Database, who: Who) -> Rows:
    known = {
        "compatible": database.compatible,
        "db_name": "FREE",
        "ddl_lock_timeout": "0",
        "enable_pluggable_database": "TRUE",
        "o7_dictionary_accessibility": "FALSE",
        "sec_case_sensitive_logon": "TRUE",
        "service_names": database.pluggable,
    }
    return ((number, name, 2, value, value, "TRUE") for number, (name, value) in enumerate(known.items(), 1))


def _version(database: Database) -> str:
    return ".".join(map(str, database.version))


def _database(database: Database, who: Who) -> Rows:
    mode, role = ("READ ONLY WITH APPLY", "PHYSICAL STANDBY") if database.read_only else ("READ WRITE", "PRIMARY")
    yield (1, "FREE", mode, role, "FREE", "YES", 0)


def _banner(database: Database, who: Who) -> Rows:
    banner = f"{_PRODUCT} Release {database.version[0]}.0.0.0.0 - Production"
    yield (banner, f"{banner}\nVersion {_version(database)}", banner, 0)


def _pluggables(database: Database, who: Who) -> Rows:
    yield (3, database.pluggable, "READ ONLY" if database.read_only else "READ WRITE")


def _nls(database: Database, who: Who) -> Rows:
    yield from (("NLS_LANGUAGE", database.language), ("NLS_CHARACTERSET", "AL32UTF8"), ("NLS_NCHAR_CHARACTERSET", "AL16UTF16"))


def _instance(database: Database, who: Who) -> Rows:
    release = f"{database.version[0]}.0.0.0.0"
    yield (1, "FREE", "db", release, _version(database), "OPEN", "NO", "ACTIVE")


ROWS: dict[str, Callable[[Database, Who], Rows]] = {
    "GV_$SESSION": _sessions,
    "V_$SESSION": lambda database, who: (row[1:] for row in _sessions(database, who)),
    "GV_$LOCK": _locks,
    "V_$LOCK": lambda database, who: (row[1:] for row in _locks(database, who)),
    "V_$PARAMETER": _parameters,
    "V_$VERSION": _banner,
    "PRODUCT_COMPONENT_VERSION": lambda database, who: (
        (f"{_PRODUCT} ", f"{database.version[0]}.0.0.0.0", _version(database), "Production"),
    ),
    "V_$DATABASE": _database,
    "V_$INSTANCE": _instance,
    "GV_$INSTANCE": lambda database, who: ((1, *row) for row in _instance(database, who)),
    "V_$PDBS": _pluggables,
    "NLS_SESSION_PARAMETERS": _nls,
    "NLS_DATABASE_PARAMETERS": _nls,
}
_SESSION = (
    "SID:n SERIAL#:n USERNAME USER#:n SCHEMANAME STATUS TYPE PROGRAM MACHINE OSUSER LOGON_TIME:d SERVICE_NAME CON_ID:n MODULE "
    "BLOCKING_SESSION:n"
)
_LOCK = "SID:n TYPE ID1:n ID2:n LMODE:n REQUEST:n"
_INSTANCE = "INSTANCE_NUMBER:n INSTANCE_NAME HOST_NAME VERSION VERSION_FULL STATUS PARALLEL DATABASE_STATUS"
DESCRIBED: dict[str, str] = {
    "GV_$SESSION": f"INST_ID:n {_SESSION}",
    "V_$SESSION": _SESSION,
    "GV_$LOCK": f"INST_ID:n {_LOCK}",
    "V_$LOCK": _LOCK,
    "V_$PARAMETER": "NUM:n NAME TYPE:n VALUE:t DISPLAY_VALUE:t ISDEFAULT",
    "V_$VERSION": "BANNER BANNER_FULL:t BANNER_LEGACY CON_ID:n",
    "PRODUCT_COMPONENT_VERSION": "PRODUCT VERSION VERSION_FULL STATUS",
    "V_$DATABASE": "DBID:n NAME OPEN_MODE DATABASE_ROLE DB_UNIQUE_NAME CDB CON_ID:n",
    "V_$INSTANCE": _INSTANCE,
    "GV_$INSTANCE": f"INST_ID:n {_INSTANCE}",
    "V_$PDBS": "CON_ID:n NAME OPEN_MODE",
    "NLS_SESSION_PARAMETERS": "PARAMETER VALUE",
    "NLS_DATABASE_PARAMETERS": "PARAMETER VALUE",
}
