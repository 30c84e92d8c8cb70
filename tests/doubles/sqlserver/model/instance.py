"""One SQL Server: its logins, databases and sessions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.model.locks import Locks
from tests.doubles.sqlserver.model.passwords import fits, hashed
from tests.doubles.sqlserver.model.rows import Database, Login, Schema, Transaction, User

SA, SYSADMIN, PROCESSADMIN = 1, 3, 6
_SERVER_ROLES = {
    2: "public",
    SYSADMIN: "sysadmin",
    4: "securityadmin",
    5: "serveradmin",
    PROCESSADMIN: "processadmin",
    9: "dbcreator",
}
DBO, GUEST, SYS, PUBLIC = 1, 2, 4, 0
_DATABASE_ROLES = {
    PUBLIC: "public", 16384: "db_owner", 16385: "db_accessadmin", 16386: "db_securityadmin", 16387: "db_ddladmin",
    16390: "db_datareader", 16391: "db_datawriter", 16392: "db_denydatareader", 16393: "db_denydatawriter",
}  # fmt: skip
DB_OWNER, DB_ACCESSADMIN, DB_SECURITYADMIN, DB_DDLADMIN = 16384, 16385, 16386, 16387
DB_DATAREADER, DB_DATAWRITER, DB_DENYDATAREADER = 16390, 16391, 16392


@dataclass(slots=True, eq=False)
class Client:
    """A session: who, where, and how to end it."""

    number: int
    login: Login
    database: Database
    host: str
    program: str
    end: Callable[[], None]
    since: datetime
    transaction: Transaction | None = None
    running: bool = False


@dataclass(slots=True)
class Instance:
    """`babelfish`: Aurora PostgreSQL's endpoint instead. `deadlocks`: how many of the next writes become victims.

    `strict_policy`: the policy of the operating system refuses every password.
    """

    babelfish: bool = False
    logins: dict[int, Login] = field(default_factory=dict)
    role_members: dict[tuple[int, int], bool] = field(default_factory=dict)
    permissions: dict[tuple[str, int, int, str], tuple[str, int]] = field(default_factory=dict)
    """(class, major id, grantee, permission): the state, and the grantor."""
    databases: dict[str, Database] = field(default_factory=dict)
    clients: dict[int, Client] = field(default_factory=dict)
    locks: Locks = field(default_factory=Locks)
    numbers: Iterator[int] = field(default_factory=lambda: count(1000))
    deadlocks: int = 0
    strict_policy: bool = False

    def login(self, name: str) -> Login | None:
        """The server's own collation does not tell case."""
        return next((login for login in self.logins.values() if login.name.casefold() == name.casefold()), None)

    def login_of(self, sid: bytes) -> Login | None:
        return next((login for login in self.logins.values() if login.sid == sid), None)

    def database(self, name: str) -> Database | None:
        return self.databases.get(name.casefold())

    def is_sysadmin(self, login: Login) -> bool:
        return login.id == SA or (SYSADMIN, login.id) in self.role_members

    def authenticate(self, name: str, password: str) -> Login:
        """Raises 18456, or 18470 for a disabled login with the right password."""
        login = self.login(name)
        if login is None or login.kind != "S" or not fits(password, login.hash):
            raise SqlError(18456, name)
        if login.disabled:
            raise SqlError(18470, name)
        return login

    def free_number(self) -> int:
        return next(number for number in count(51) if number not in self.clients)

    def new_login(self, name: str, password_hash: bytes, **more: object) -> Login:
        sid = more.pop("sid", None) or secrets.token_bytes(16)
        return Login(id=next(self.numbers), name=name, sid=sid, hash=password_hash, created=now(), **more)  # type: ignore[arg-type]


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def new_instance(admin: str, password: str, *, babelfish: bool = False) -> Instance:
    """With one sysadmin, the fixed roles and master."""
    instance = Instance(babelfish=babelfish)
    instance.logins[SA] = Login(id=SA, name=admin, sid=b"\x01", hash=hashed(password), created=now())
    for number, name in _SERVER_ROLES.items():
        instance.logins[number] = Login(id=number, name=name, sid=bytes([number]), kind="R", created=now())
    for number, name in enumerate(("master", "tempdb", "model", "msdb"), start=1):
        database = new_database(number, name, b"\x01", sensitive=False)
        database.users[GUEST] = _user(GUEST, "guest", "S", b"\x00", "guest")
        instance.databases[name] = database
    return instance


def new_database(number: int, name: str, owner: bytes, *, sensitive: bool) -> Database:
    database = Database(id=number, name=name, owner=owner, sensitive=sensitive, created=now())
    database.users[DBO] = _user(DBO, "dbo", "S", owner, "dbo")
    for role, role_name in _DATABASE_ROLES.items():
        database.users[role] = _user(role, role_name, "R", None, None)
    for schema, schema_name in ((DBO, "dbo"), (GUEST, "guest"), (3, "INFORMATION_SCHEMA"), (SYS, "sys")):
        database.schemas[schema] = Schema(schema, schema_name, schema)
    return database


def _user(number: int, name: str, kind: str, sid: bytes | None, schema: str | None) -> User:
    return User(id=number, name=name, kind=kind, sid=sid, schema=schema, fixed=kind == "R", created=now())
