"""How catalogue views are declared, and the server's own: "System catalog views" and the dynamic management views.

A view is a function that gives the rows which this session may see (metadata visibility).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.doubles.sqlserver.model import rights
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.model.rows import Database
from tests.doubles.sqlserver.sql.types import BIT, DATETIME2, INT, SMALLINT, SYSNAME, TINYINT, VARBINARY, Type, Value

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.session import Session

CODE = Type("nvarchar", 4)
DESCRIPTION = Type("nvarchar", 60)
Rows = Iterator[tuple[Value, ...]]
Source = Callable[["Session", Database], Rows]


@dataclass(frozen=True, slots=True)
class SystemView:
    columns: tuple[tuple[str, Type], ...]
    rows: Source


VIEWS: dict[str, SystemView] = {}


def view(called: str, /, **columns: Type) -> Callable[[Source], Source]:
    """Registers a view, in `sys` or in the schema that the name says."""

    def register(source: Source) -> Source:
        VIEWS[called if "." in called else f"sys.{called}"] = SystemView(tuple(columns.items()), source)
        return source

    return register


PRINCIPAL = {"name": SYSNAME, "principal_id": INT, "sid": VARBINARY, "type": CODE, "type_desc": DESCRIPTION}
_LOGIN = {
    **PRINCIPAL,
    "is_disabled": BIT,
    "create_date": DATETIME2,
    "modify_date": DATETIME2,
    "default_database_name": SYSNAME,
    "default_language_name": SYSNAME,
}
_LOGIN_KINDS = {"S": "SQL_LOGIN", "R": "SERVER_ROLE"}
SERVER_CODES = {
    "ALTER ANY LOGIN": "ALLG",
    "ALTER ANY CONNECTION": "ALCO",
    "VIEW SERVER STATE": "VWSS",
    "CONTROL SERVER": "CL",
    "CONNECT SQL": "COSQ",
}


@view("server_principals", **_LOGIN, is_fixed_role=BIT)
def server_principals(session: Session, _: Database) -> Rows:
    for login in session.instance.logins.values():
        if rights.sees_login(session.instance, session.client, login):
            kind = _LOGIN_KINDS[login.kind]
            head = (login.name, login.id, login.sid, login.kind, kind, login.disabled, login.created, login.created)
            yield (*head, login.database, login.language, login.kind == "R")


@view("sql_logins", **_LOGIN, is_policy_checked=BIT, is_expiration_checked=BIT, password_hash=VARBINARY)
def sql_logins(session: Session, _: Database) -> Rows:
    if session.instance.babelfish:
        raise SqlError(208, "sys.sql_logins")
    for login in session.instance.logins.values():
        if login.kind == "S" and rights.sees_login(session.instance, session.client, login):
            head = (login.name, login.id, login.sid, login.kind, "SQL_LOGIN", login.disabled, login.created, login.created)
            shown = login.hash if session.may("CONTROL SERVER") else None
            yield (*head, login.database, login.language, login.policy, login.expiration, shown)


@view("server_role_members", role_principal_id=INT, member_principal_id=INT)
def server_role_members(session: Session, _: Database) -> Rows:
    yield from session.instance.role_members


@view(
    "server_permissions",
    **{"class": TINYINT},
    class_desc=DESCRIPTION,
    major_id=INT,
    minor_id=INT,
    grantee_principal_id=INT,
    grantor_principal_id=INT,
    type=CODE,
    permission_name=Type("nvarchar", 128),
    state=CODE,
    state_desc=DESCRIPTION,
)
def server_permissions(session: Session, _: Database) -> Rows:
    for (kind, major, grantee, permission), (state, grantor) in session.instance.permissions.items():
        if rights.sees_login(session.instance, session.client, session.instance.logins[grantee]):
            number = {"SERVER": 100, "SERVER_PRINCIPAL": 101}[kind]
            tail = (SERVER_CODES.get(permission, permission[:4]), permission, state, STATES[state])
            yield (number, kind, major, 0, grantee, grantor, *tail)
    for login in session.instance.logins.values():
        if login.kind == "S" and rights.sees_login(session.instance, session.client, login):
            yield (100, "SERVER", 0, 0, login.id, 1, "COSQ", "CONNECT SQL", "G", "GRANT")


STATES = {"G": "GRANT", "W": "GRANT_WITH_GRANT_OPTION", "D": "DENY", "R": "REVOKE"}


@view(
    "databases",
    name=SYSNAME,
    database_id=INT,
    owner_sid=VARBINARY,
    create_date=DATETIME2,
    collation_name=SYSNAME,
    user_access=TINYINT,
    user_access_desc=DESCRIPTION,
    is_read_only=BIT,
    state=TINYINT,
    state_desc=DESCRIPTION,
    is_trustworthy_on=BIT,
    is_db_chaining_on=BIT,
    containment=TINYINT,
    containment_desc=DESCRIPTION,
    source_database_id=INT,
    replica_id=SYSNAME,
    compatibility_level=TINYINT,
    is_in_standby=BIT,
)
def databases(session: Session, _: Database) -> Rows:
    for found in session.instance.databases.values():
        offline = found.state != "ONLINE"
        head = (found.name, found.id, found.owner, found.created, None if offline else found.collation, 0, "MULTI_USER")
        state = (found.read_only, 6 if offline else 0, found.state)
        yield (*head, *state, False, False, 0, "NONE", None, None, 160, False)


@view(
    "dm_exec_sessions",
    session_id=SMALLINT,
    login_time=DATETIME2,
    host_name=SYSNAME,
    program_name=SYSNAME,
    login_name=SYSNAME,
    original_login_name=SYSNAME,
    security_id=VARBINARY,
    original_security_id=VARBINARY,
    status=Type("nvarchar", 30),
    database_id=SMALLINT,
    is_user_process=BIT,
    open_transaction_count=INT,
)
def dm_exec_sessions(session: Session, _: Database) -> Rows:
    everyone = session.may("VIEW SERVER STATE")
    for client in session.instance.clients.values():
        if everyone or client is session.client:
            login = client.login
            head = (client.number, client.since, client.host, client.program, login.name, login.name, login.sid, login.sid)
            depth = client.transaction.depth if client.transaction else 0
            yield (*head, "running" if client.running else "sleeping", client.database.id, True, depth)


@view(
    "dm_exec_requests",
    session_id=SMALLINT,
    status=Type("nvarchar", 30),
    command=Type("nvarchar", 32),
    database_id=SMALLINT,
    blocking_session_id=SMALLINT,
)
def dm_exec_requests(session: Session, _: Database) -> Rows:
    everyone = session.may("VIEW SERVER STATE")
    for client in session.instance.clients.values():
        if client.running and (everyone or client is session.client):
            blockers = session.instance.locks.waits_for(client.number)
            state = "suspended" if blockers else "running"
            yield (client.number, state, "SELECT", client.database.id, blockers[0] if blockers else 0)


@view("dm_hadr_database_replica_states", database_id=INT, is_primary_replica=BIT)
def dm_hadr_database_replica_states(session: Session, _: Database) -> Rows:
    # No availability groups here.
    yield from ()
