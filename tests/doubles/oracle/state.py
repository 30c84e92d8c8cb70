"""What the double keeps: users, roles, profiles, privileges, objects. No SQL is read here and no right is judged.

From "Managing Security for Oracle Database Users" and "Configuring Privilege and Role Authorization", Security Guide 19c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Condition
from typing import Literal

from tests.doubles.oracle.messages import Fault, Language
from tests.doubles.oracle.seam import Column, Value
from tests.doubles.oracle.syntax import Query, Type

PUBLIC = "PUBLIC"
_FIRST_WITH_ROLLOVER = (19, 12)
_LIMITS = {
    "FAILED_LOGIN_ATTEMPTS": "10",
    "PASSWORD_LIFE_TIME": "180",
    "PASSWORD_REUSE_TIME": "UNLIMITED",
    "PASSWORD_REUSE_MAX": "UNLIMITED",
    "PASSWORD_VERIFY_FUNCTION": "NULL",
    "PASSWORD_LOCK_TIME": "1",
    "PASSWORD_GRACE_TIME": "7",
    "PASSWORD_ROLLOVER_TIME": "0",
    "INACTIVE_ACCOUNT_TIME": "UNLIMITED",
}
_RESOURCES = ("COMPOSITE_LIMIT", "SESSIONS_PER_USER", "CPU_PER_SESSION", "CPU_PER_CALL", "LOGICAL_READS_PER_SESSION",
              "LOGICAL_READS_PER_CALL", "IDLE_TIME", "CONNECT_TIME", "PRIVATE_SGA")  # fmt: skip
_OF_DBA = """CREATE SESSION|ALTER SESSION|CREATE USER|ALTER USER|DROP USER|BECOME USER|CREATE PROFILE|ALTER PROFILE|DROP PROFILE
|CREATE ROLE|DROP ANY ROLE|GRANT ANY ROLE|GRANT ANY PRIVILEGE|GRANT ANY OBJECT PRIVILEGE|ALTER SYSTEM|ALTER DATABASE
|CREATE TABLE|CREATE ANY TABLE|ALTER ANY TABLE|DROP ANY TABLE|COMMENT ANY TABLE|LOCK ANY TABLE|SELECT ANY TABLE|READ ANY TABLE
|INSERT ANY TABLE|UPDATE ANY TABLE|DELETE ANY TABLE|CREATE VIEW|CREATE ANY VIEW|DROP ANY VIEW|CREATE PROCEDURE
|CREATE ANY PROCEDURE|CREATE SEQUENCE|CREATE SYNONYM|CREATE ANY SYNONYM|CREATE PUBLIC SYNONYM
|SELECT ANY DICTIONARY|ADMINISTER DATABASE TRIGGER|UNLIMITED TABLESPACE|RESTRICTED SESSION|AUDIT ANY|ANALYZE ANY"""
_VERIFY_FUNCTIONS = {"ORA12C_VERIFY_FUNCTION": 8, "ORA12C_STRONG_VERIFY_FUNCTION": 9}
SYSTEM_PRIVILEGES = frozenset("".join(_OF_DBA.split("\n")).split("|"))


@dataclass(slots=True)
class Profile:
    name: str
    limits: dict[str, str]


@dataclass(slots=True)
class User:
    name: str
    number: int
    created: datetime
    password: str | None
    """None: NO AUTHENTICATION."""
    profile: str = "DEFAULT"
    older_password: str | None = None
    """The one before, while the rollover lasts."""
    changed: datetime | None = None
    """When the password was set, or where there are two, when the rollover began."""
    used_passwords: list[str] = field(default_factory=list)
    locked: datetime | None = None
    expired: bool = False
    failed_logins: int = 0
    quotas: dict[str, int] = field(default_factory=dict)
    """Bytes by tablespace; -1: unlimited."""
    maintained: bool = False
    """Oracle's own."""


@dataclass(frozen=True, slots=True)
class ObjectGrant:
    grantee: str
    owner: str
    name: str
    privilege: str
    grantor: str
    grantable: bool
    columns: tuple[str, ...] = ()
    """Those that it is on; none: the whole."""


@dataclass(slots=True)
class Thing:
    """An object of a schema. A view has a query, a table has rows; a package has neither."""

    owner: str
    name: str
    kind: Literal["TABLE", "VIEW", "PACKAGE", "SYNONYM"]
    number: int
    created: datetime
    columns: tuple[Column, ...] = ()
    rows: list[tuple[Value, ...]] = field(default_factory=list)
    query: Query | None = None
    text: str = ""
    comment: str | None = None
    partitions: tuple[str, ...] = ()
    of_dictionary: bool = False
    types: dict[str, Type] = field(default_factory=dict)
    """A table's columns as they were declared."""

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}"


@dataclass(slots=True)
class Presence:
    """A session, as the instance keeps it."""

    sid: int
    serial: int
    user: str
    roles: frozenset[str]
    container: str
    service: str
    program: str
    logon: datetime
    schema: str
    status: Literal["ACTIVE", "INACTIVE", "KILLED"] = "INACTIVE"
    ended: bool = False
    """Its next call is answered with ORA-00028."""
    cancelled: bool = False
    language: Language = "AMERICAN"
    nls_comp: str = "BINARY"
    nls_sort: str = "BINARY"
    ddl_lock_timeout: float = 0.0
    """In seconds."""
    undo: list[Callable[[], None]] = field(default_factory=list)
    """What rolls back its transaction, the first change first."""


@dataclass(slots=True)
class Database:
    """One pluggable database and what it shares with its root."""

    version: tuple[int, int, int, int, int] = (19, 28, 0, 0, 0)
    compatible: str = "19.0.0"
    rds: bool = False
    read_only: bool = False
    """A physical standby that is open: every change is ORA-16000."""
    language: Language = "AMERICAN"
    """Of new sessions."""
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC).replace(tzinfo=None))
    root: str = "CDB$ROOT"
    pluggable: str = "FREEPDB1"
    users: dict[str, User] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    profiles: dict[str, Profile] = field(default_factory=dict)
    objects: dict[tuple[str, str], Thing] = field(default_factory=dict)
    object_grants: list[ObjectGrant] = field(default_factory=list)
    system_grants: dict[tuple[str, str], bool] = field(default_factory=dict)
    """(grantee, privilege) to whether it has ADMIN OPTION."""
    role_grants: dict[tuple[str, str], bool] = field(default_factory=dict)
    """(grantee, role) to whether it has ADMIN OPTION."""
    sessions: dict[int, Presence] = field(default_factory=dict)
    """By SID."""
    kills_to_linger: int = 0
    """So many kills to come are answered with ORA-00031, and the session stays, as one does that waits for the network."""
    table_locks: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """The SIDs that have work of a transaction, or LOCK TABLE, on the object."""
    user_locks: dict[str, int] = field(default_factory=dict)
    """DBMS_LOCK: a lock's id to the SID that holds it, exclusively."""
    lock_ids: dict[str, str] = field(default_factory=dict)
    """DBMS_LOCK.ALLOCATE_UNIQUE: name to id."""
    changed: Condition = field(default_factory=Condition)
    """Held while a statement runs; told of every end of a transaction and of a session."""
    closed: bool = False
    logon_triggers: dict[str, str] = field(default_factory=dict)
    """The text of each one's block."""
    verify_functions: dict[str, int] = field(default_factory=lambda: dict(_VERIFY_FUNCTIONS))
    """The shortest password that each lets pass; what else the real ones ask is not modelled."""
    refusals: list[tuple[str, int]] = field(default_factory=list)
    """Faults to come: the next statement that begins with the text is refused with the code. For tests."""
    numbers: Iterator[int] = field(default_factory=lambda: count(100))

    @property
    def longest_name(self) -> int:
        """In bytes."""
        return 128 if self.compatible_with(12, 2) else 30

    def compatible_with(self, *release: int) -> bool:
        return tuple(int(part) for part in self.compatible.split(".")) >= release

    def user(self, name: str) -> User:
        found = self.users.get(name)
        if found is None:
            raise Fault(1918, name)
        return found

    def limit(self, user: User, resource: str) -> str:
        """A limit of the user's profile, after DEFAULT."""
        value = self.profiles[user.profile].limits.get(resource, "DEFAULT")
        return self.profiles["DEFAULT"].limits.get(resource, "0") if value == "DEFAULT" else value

    def rolling(self, user: User) -> bool:
        """Whether both passwords open now."""
        if user.older_password is None or user.changed is None:
            return False
        return self.now() < user.changed + timedelta(days=float(self.limit(user, "PASSWORD_ROLLOVER_TIME")))

    def overdue(self, user: User) -> bool:
        """Whether the password is older than its profile lets it be; the days of grace are not modelled."""
        life = self.limit(user, "PASSWORD_LIFE_TIME")
        return life != "UNLIMITED" and user.changed is not None and self.now() > user.changed + timedelta(days=float(life))

    def find(self, path: tuple[str, ...], schema: str) -> Thing | None:
        """What a name means to who works in this schema: own objects, then public synonyms of the dictionary."""
        if len(path) == 2:
            return self.objects.get((path[0], path[1]))
        if len(path) != 1:
            return None
        if own := self.objects.get((schema, path[0])):
            return own
        name = path[0]
        if name.startswith(("V$", "GV$")):
            name = name.replace("V$", "V_$", 1)
        found = self.objects.get(("SYS", name))
        return found if found and found.of_dictionary else None

    def owned_by(self, user: str) -> list[Thing]:
        return [thing for thing in self.objects.values() if thing.owner == user]

    def forget(self, thing: Thing) -> None:
        del self.objects[thing.owner, thing.name]
        self.object_grants = [grant for grant in self.object_grants if (grant.owner, grant.name) != (thing.owner, thing.name)]

    def add_user(self, name: str, password: str | None, **more: bool) -> User:
        user = User(name, next(self.numbers), self.now(), password, changed=self.now(), **more)  # type: ignore[arg-type]
        self.users[name] = user
        return user


def born(database: Database, system_password: str) -> Database:
    """As it is after its creation: SYS and SYSTEM, the roles that matter, the profile DEFAULT."""
    database.profiles["DEFAULT"] = Profile("DEFAULT", {**dict.fromkeys(_RESOURCES, "UNLIMITED"), **_LIMITS})
    if database.version < _FIRST_WITH_ROLLOVER:
        del database.profiles["DEFAULT"].limits["PASSWORD_ROLLOVER_TIME"]
    for name, password in (("SYS", None), ("SYSTEM", system_password), ("XDB", None)):
        database.add_user(name, password, maintained=True)
    database.roles |= {"DBA", "CONNECT", "RESOURCE", "SELECT_CATALOG_ROLE", "EXECUTE_CATALOG_ROLE"}
    database.system_grants |= {("DBA", privilege): True for privilege in SYSTEM_PRIVILEGES}
    database.system_grants |= {("CONNECT", "CREATE SESSION"): False, ("RESOURCE", "CREATE TABLE"): False}
    database.system_grants["SYSTEM", "UNLIMITED TABLESPACE"] = False
    database.role_grants |= {
        ("SYSTEM", "DBA"): True,
        ("DBA", "SELECT_CATALOG_ROLE"): True,
        ("DBA", "EXECUTE_CATALOG_ROLE"): True,
    }
    add_package(database, "SYS", "DBMS_LOCK")
    database.object_grants.append(ObjectGrant("EXECUTE_CATALOG_ROLE", "SYS", "DBMS_LOCK", "EXECUTE", "SYS", grantable=False))
    add_package(database, "SYS", "DBMS_SESSION")
    database.object_grants.append(ObjectGrant(PUBLIC, "SYS", "DBMS_SESSION", "EXECUTE", "SYS", grantable=False))
    if database.rds:
        database.add_user("RDSADMIN", None, maintained=True)
        add_package(database, "RDSADMIN", "RDSADMIN_UTIL")
    return database


def add_package(database: Database, owner: str, name: str) -> None:
    database.objects[owner, name] = Thing(owner, name, "PACKAGE", next(database.numbers), database.now(), of_dictionary=True)
