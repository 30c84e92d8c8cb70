"""The statements that change access, as text for the server, each with what lets the admin run it.

Oracle binds no values in these, so names are quoted here: always, since an unquoted name is folded to upper case. Logins and
the places of views are spelled in upper case, so that whoever writes them without quotes means them too. No escape exists for
a `"` in a name or a password; neither can hold one. The names that dzgrant makes fit in 30 bytes, which is enough for every
value of COMPATIBLE.

A password is in the statement in clear: `IDENTIFIED BY VALUES` is undocumented, and hides it from the DBA's verify function.
TLS protects it on the way, and the server writes `IDENTIFIED BY *` to its audit trail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy.dialects.oracle.base import OracleDialect

from dzgrant.engines.contract import Readable
from dzgrant.errors import Unsupported
from dzgrant.model import Table

DIALECT = OracleDialect(paramstyle="named")
PROFILE = "DZGRANT"
"""Marks dzgrant's users: Oracle keeps no comment with a user, and only an admin can set its profile."""

NAME_BYTES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    sql: SecretStr
    """It may hold a password."""
    cure: str
    """What a person runs to let the admin run it; `{admin}` stands for the admin's quoted name."""


def spelled(login: str) -> str:
    """As the server spells the name of a login, or of a place of views."""
    return login.upper()


def identifier(name: str) -> str:
    """Raises `Unsupported` for what can be no name in Oracle."""
    if '"' in name or "\0" in name or not name:
        raise Unsupported(f"Oracle can have no name {name!r}", do="correct the table's location in Glue")
    return f'"{name}"'


def named(table: Table) -> str:
    return f"{identifier(table.schema)}.{identifier(table.name)}"


def _user(login: str) -> str:
    return identifier(spelled(login))


def _system(sql: str, *privileges: str) -> Statement:
    return Statement(sql=SecretStr(sql), cure=f"let a DBA run: GRANT {', '.join(privileges)} TO {{admin}}")


def _on_table(sql: str, table: Table) -> Statement:
    owner_runs = f"let its owner run: GRANT READ ON {named(table)} TO {{admin}} WITH GRANT OPTION"
    return Statement(sql=SecretStr(sql), cure=f"{owner_runs}; or a DBA: GRANT GRANT ANY OBJECT PRIVILEGE TO {{admin}}")


def create_profile(*, rollover: bool) -> Statement:
    """Passwords end when dzgrant says so; what the DBA's own profile asks of a password holds.

    No old password lives longer than the 60 days that are the most, even if nobody retires it.
    """
    limits = (
        "FAILED_LOGIN_ATTEMPTS UNLIMITED PASSWORD_LIFE_TIME UNLIMITED PASSWORD_GRACE_TIME UNLIMITED "
        "PASSWORD_REUSE_TIME UNLIMITED PASSWORD_REUSE_MAX UNLIMITED PASSWORD_VERIFY_FUNCTION DEFAULT"
    )
    sql = f'CREATE PROFILE "{PROFILE}" LIMIT {limits}{" PASSWORD_ROLLOVER_TIME 60" if rollover else ""}'
    return Statement(sql=SecretStr(sql), cure=f"let a DBA run: {sql}")


def create_login(login: str, password: SecretStr) -> Statement:
    return _system(f'CREATE USER {_user(login)} {_identified(password)} PROFILE "{PROFILE}"', "CREATE USER")


def mark(login: str) -> Statement:
    """Of a login that is there; its password stays, and no longer ends by itself."""
    return _system(f'ALTER USER {_user(login)} PROFILE "{PROFILE}"', "ALTER USER")


def create_place(place: str) -> Statement:
    """The owner of views: nobody can log in as it."""
    return _system(f'CREATE USER {_user(place)} NO AUTHENTICATION PROFILE "{PROFILE}" ACCOUNT LOCK', "CREATE USER")


def set_password(login: str, password: SecretStr) -> Statement:
    """Enables the login, too."""
    return _system(f"ALTER USER {_user(login)} {_identified(password)} ACCOUNT UNLOCK", "ALTER USER")


def add_password(login: str, password: SecretStr) -> Statement:
    return _system(f"ALTER USER {_user(login)} {_identified(password)}", "ALTER USER")


def retire_password(login: str) -> Statement:
    return _system(f"ALTER USER {_user(login)} EXPIRE PASSWORD ROLLOVER PERIOD", "ALTER USER")


def disable(login: str) -> Statement:
    return _system(f"ALTER USER {_user(login)} ACCOUNT LOCK", "ALTER USER")


def drop_login(login: str) -> Statement:
    """Never with CASCADE, which drops what the user owns."""
    return _system(f"DROP USER {_user(login)}", "DROP USER")


def grant_session(login: str) -> Statement:
    sql = f"GRANT CREATE SESSION TO {_user(login)}"
    return Statement(sql=SecretStr(sql), cure="let a DBA run: GRANT CREATE SESSION TO {admin} WITH ADMIN OPTION")


def grant_read(table: Table, login: str, *, grantable: bool = False) -> Statement:
    """READ and not SELECT, which also allows to lock rows. The owner of a view passes its own right on."""
    option = " WITH GRANT OPTION" if grantable else ""
    return _on_table(f"GRANT READ ON {named(table)} TO {_user(login)}{option}", table)


def grant_select(table: Table, login: str) -> Statement:
    """For as long as READ is away."""
    return _on_table(f"GRANT SELECT ON {named(table)} TO {_user(login)}", table)


def revoke(privilege: str, table: Table, login: str, grantor: str) -> Statement:
    """`privilege` is READ or SELECT."""
    sql = f"REVOKE {privilege} ON {named(table)} FROM {_user(login)}"
    return Statement(sql=SecretStr(sql), cure=f"let {identifier(grantor)}, who granted it, run: {sql}")


@dataclass(frozen=True, slots=True, kw_only=True)
class More:
    """A right that a login was given, and that dzgrant gives to nobody."""

    kind: str
    """`system`, `role`, or the type of the object that it is on."""
    right: str
    """The privilege; of a role its name."""
    on: Table | None = None
    column: str | None = None
    grantor: str | None = None
    option: bool = False
    """It may be given on."""

    def __str__(self) -> str:
        if self.kind == "role":
            return f"the role {self.right}"
        right = self.right + (f" ({self.column})" if self.column else "")
        if self.on is None:
            return f"{right}{' WITH ADMIN OPTION' if self.option else ''} on the whole database"
        return f"{right}{' WITH GRANT OPTION' if self.option else ''} on the {self.kind.lower()} {self.on}"


_WITHOUT_SCHEMA = frozenset({"DIRECTORY", "EDITION", "USER"})
_WITH_TYPE = frozenset({"MINING MODEL", "SQL TRANSLATION PROFILE"})
# As the dictionary names them; so words that it says are no way to another statement.
_RIGHT = re.compile(r"[A-Z][A-Z ]*", re.ASCII)


def revoke_more(more: More, login: str) -> Statement:
    """An object's for the grantor's, or for the owner's; a system privilege or a role whoever granted it."""
    if more.kind != "role" and not _RIGHT.fullmatch(more.right):
        raise Unsupported(f"{login} holds a privilege of an unknown form", do="revoke it, and report this line")
    sql = f"REVOKE {identifier(more.right) if more.kind == 'role' else more.right}"
    if more.on is not None:
        kind = f"{more.kind} " if more.kind in _WITHOUT_SCHEMA | _WITH_TYPE else ""
        sql += f" ON {kind}{identifier(more.on.name) if more.kind in _WITHOUT_SCHEMA else named(more.on)}"
    sql += f" FROM {_user(login)}"
    who = f"{identifier(more.grantor)}, who granted it," if more.grantor else "a DBA"
    return Statement(sql=SecretStr(sql), cure=f"let {who} run: {sql}")


def create_view(view: Table, select: str) -> Statement:
    """Keeps what was granted on the view."""
    return _system(f"CREATE OR REPLACE VIEW {named(view)} AS {select}", "CREATE ANY VIEW")


def drop_view(view: Table) -> Statement:
    return _system(f"DROP VIEW {named(view)}", "DROP ANY VIEW")


def end_session(instance: int, sid: int, serial: int) -> Statement:
    return _system(f"ALTER SYSTEM KILL SESSION '{sid},{serial},@{instance}' IMMEDIATE", "ALTER SYSTEM")


def rds_end_session(sid: int, serial: int) -> Statement:
    """RDS keeps ALTER SYSTEM to itself ("Terminating a session", Amazon RDS user guide)."""
    sql = f"BEGIN rdsadmin.rdsadmin_util.kill(sid => {sid}, serial => {serial}, method => 'IMMEDIATE'); END;"
    return Statement(sql=SecretStr(sql), cure="let the master user run: GRANT EXECUTE ON rdsadmin.rdsadmin_util TO {admin}")


def read_nothing(readable: Readable) -> str:
    """Needs READ, and fetches no row."""
    shown = ", ".join(map(identifier, readable.columns)) if readable.columns else "*"
    return f"SELECT {shown} FROM {named(readable.table)} WHERE 1 = 0"  # noqa: S608  # names are quoted above


def _identified(password: SecretStr) -> str:
    text = password.get_secret_value()
    if '"' in text:
        raise ValueError("a password holds a double quote")
    return f'IDENTIFIED BY "{text}"'
