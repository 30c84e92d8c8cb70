"""The statements that change access, as text for the server, each with the right that it needs.

Neither server binds values in these, so names and literals are quoted here: always, names by the dialect's own rules and
literals by the driver's. `_sql` is the only place where a name becomes a part of a statement. A grant names a table,
never `database.*`, where `_` and `%` would be wildcards.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from pydantic import SecretStr
from pymysql.converters import escape_string
from sqlalchemy.dialects.mysql.aiomysql import dialect

from dzgrant.engines.contract import Owner, Readable
from dzgrant.model import Table

MARIADB_MARKER = int.from_bytes(b"dzgr", "big")
"""MariaDB keeps no comment with an account, so the marker is a limit that a login which only reads never meets.

It survives ALTER USER, and only an admin can set it.
"""

# Nothing here goes through the driver's own formatting, so that no `%` may be doubled.
DIALECT = dialect(paramstyle="named")
_identifier = DIALECT.identifier_preparer.quote_identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    sql: str
    right: str
    """What the admin login must hold to run it, as GRANT names it: `CREATE USER ON *.*`."""
    grant_option: bool = False

    def cure(self, admin: str) -> str:
        """The statement that gives the admin login this right."""
        option = " WITH GRANT OPTION" if self.grant_option else ""
        return f"GRANT {self.right} TO {_sql('{admin}', admin=_Login(admin))}{option}"


@dataclass(frozen=True, slots=True)
class _Login:
    name: str


@dataclass(frozen=True, slots=True)
class _Literal:
    text: str


@dataclass(frozen=True, slots=True)
class _Names:
    names: tuple[str, ...] | None
    """None: all columns."""


_Part = Table | _Login | _Literal | _Names | int


def _quoted(part: _Part) -> str:
    match part:
        case Table():
            return f"{_identifier(part.schema)}.{_identifier(part.name)}"
        case _Login():
            return f"'{escape_string(part.name)}'@'%'"
        case _Literal():
            return f"'{escape_string(part.text)}'"
        case _Names():
            return "*" if part.names is None else ", ".join(map(_identifier, part.names))
        case int():
            return str(part)


def _sql(words: str, **parts: _Part) -> str:
    """The words, with each `{part}` quoted as what it is."""
    return words.format_map({name: _quoted(part) for name, part in parts.items()})


def _on_accounts(words: str, **parts: _Part) -> Statement:
    return Statement(sql=_sql(words, **parts), right="CREATE USER ON *.*")


def _on_table(words: str, table: Table, login: str) -> Statement:
    right = _sql("SELECT ON {table}", table=table)
    return Statement(sql=_sql(words, table=table, login=_Login(login)), right=right, grant_option=True)


def _on_session(words: str, session: int, *, mariadb: bool) -> Statement:
    right = "CONNECTION ADMIN ON *.*" if mariadb else "CONNECTION_ADMIN ON *.*"
    return Statement(sql=_sql(words, session=session), right=right)


_MYSQL_LOGIN = "{login} IDENTIFIED WITH caching_sha2_password AS {verifier} REQUIRE SSL"
_MARIADB_LOGIN = "{login} IDENTIFIED VIA mysql_native_password USING {verifier} REQUIRE SSL"
# RDS and Aurora, MariaDB's too ("IAM database authentication", Amazon RDS user guide).
IAM_PLUGIN = "AWSAuthenticationPlugin"
_IAM_LOGIN = f"{{login}} IDENTIFIED WITH {IAM_PLUGIN} AS {{verifier}} REQUIRE SSL"
_IAM_VERIFIER = _Literal("RDS")
# A server-wide lifetime of passwords would end the consumer's access without a word.
_LASTING = "PASSWORD EXPIRE NEVER"


def create_login(login: str, verifier: SecretStr | None, owner: Owner, *, mariadb: bool) -> Statement:
    """With the marker in the same statement, so that no crash leaves a login without it; by IAM without a verifier."""
    who, (identified, literal) = _Login(login), _identified(verifier, mariadb=mariadb)
    if mariadb:
        words = f"CREATE USER {identified} WITH MAX_UPDATES_PER_HOUR {{marker}} {_LASTING}"
        return _on_accounts(words, login=who, verifier=literal, marker=MARIADB_MARKER)
    words = f"CREATE USER {identified} {_LASTING} ATTRIBUTE {{marker}}"
    return _on_accounts(words, login=who, verifier=literal, marker=_marker(owner))


def mark(login: str, owner: Owner, *, mariadb: bool) -> Statement:
    """Of a login that is there."""
    if mariadb:
        words = "ALTER USER {login} WITH MAX_UPDATES_PER_HOUR {marker}"
        return _on_accounts(words, login=_Login(login), marker=MARIADB_MARKER)
    return _on_accounts("ALTER USER {login} ATTRIBUTE {marker}", login=_Login(login), marker=_marker(owner))


def _marker(owner: Owner) -> _Literal:
    return _Literal(json.dumps({"managed_by": "dzgrant"} | asdict(owner)))


def set_password(login: str, verifier: SecretStr | None, *, mariadb: bool) -> Statement:
    """Enables the login, too; by IAM without a verifier."""
    identified, literal = _identified(verifier, mariadb=mariadb)
    return _on_accounts(f"ALTER USER {identified} {_LASTING} ACCOUNT UNLOCK", login=_Login(login), verifier=literal)


def _identified(verifier: SecretStr | None, *, mariadb: bool) -> tuple[str, _Literal]:
    if verifier is None:
        return _IAM_LOGIN, _IAM_VERIFIER
    return _MARIADB_LOGIN if mariadb else _MYSQL_LOGIN, _Literal(verifier.get_secret_value())


def add_password(login: str, verifier: SecretStr) -> Statement:
    """MySQL only; done again with another password, it is the present one that is retained."""
    words = "ALTER USER {login} IDENTIFIED WITH caching_sha2_password AS {verifier} RETAIN CURRENT PASSWORD"
    return _on_accounts(words, login=_Login(login), verifier=_Literal(verifier.get_secret_value()))


def retire_password(login: str) -> Statement:
    return _on_accounts("ALTER USER {login} DISCARD OLD PASSWORD", login=_Login(login))


def disable(login: str) -> Statement:
    return _on_accounts("ALTER USER {login} ACCOUNT LOCK", login=_Login(login))


def drop_login(login: str) -> Statement:
    return _on_accounts("DROP USER IF EXISTS {login}", login=_Login(login))


def grant_select(table: Table, login: str) -> Statement:
    return _on_table("GRANT SELECT ON {table} TO {login}", table, login)


def revoke_select(table: Table, login: str) -> Statement:
    """Of the table's stored name: a table that was renamed or dropped leaves its grant behind."""
    return _on_table("REVOKE SELECT ON {table} FROM {login}", table, login)


def grant_columns(table: Table, columns: tuple[str, ...], login: str) -> Statement:
    return _on_columns("GRANT SELECT ({columns}) ON {table} TO {login}", table, columns, login)


def revoke_columns(table: Table, columns: tuple[str, ...], login: str) -> Statement:
    """By name: a column that was dropped leaves its grant behind."""
    return _on_columns("REVOKE SELECT ({columns}) ON {table} FROM {login}", table, columns, login)


def grant_reach(table: Table, columns: tuple[str, ...], login: str) -> Statement:
    """Who may name columns in a foreign key may open the database, and read nothing; nor may it make a table with one."""
    return _on_columns("GRANT REFERENCES ({columns}) ON {table} TO {login}", table, columns, login, right="REFERENCES")


def revoke_reach(table: Table, columns: tuple[str, ...], login: str) -> Statement:
    return _on_columns("REVOKE REFERENCES ({columns}) ON {table} FROM {login}", table, columns, login, right="REFERENCES")


def _on_columns(words: str, table: Table, columns: tuple[str, ...], login: str, *, right: str = "SELECT") -> Statement:
    right = f"{right} ON {_sql('{table}', table=table)}"
    sql = _sql(words, table=table, columns=_Names(columns), login=_Login(login))
    return Statement(sql=sql, right=right, grant_option=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class More:
    """Rights that a login was given on one thing, and that dzgrant gives to nobody."""

    kind: str
    """`server`, `database`, `table`, `column`, `role`, or the kind of a routine."""
    on: tuple[str, ...]
    """The thing's name in its parts: of a database the pattern, of a role in MySQL its host too."""
    rights: tuple[str, ...] = ()
    """As REVOKE names them; none where the thing is a role."""

    def __str__(self) -> str:
        rights = ", ".join(self.rights)
        match self.kind:
            case "role":
                return f"the role {self.on[0]}"
            case "server":
                return f"{rights} on the whole server"
            case "database":
                return f"{rights} on the databases {self.on[0]}"
            case kind:
                return f"{rights} on the {kind} {'.'.join(self.on)}"


def revoke_more(more: More, login: str) -> Statement:
    """Right by right, so that the admin needs no others, and what is kept stays."""
    names = tuple(_sql("{name}", name=_Names((name,))) for name in more.on)
    rights = ", ".join(more.rights)
    match more.kind:
        case "role":
            role = "@".join(names)
            what, right = role, "ROLE_ADMIN ON *.*"
        case "server":
            what = right = f"{rights} ON *.*"
        case "database":
            # The pattern as the grant tables have it, `_` and `%` included.
            what = right = f"{rights} ON {names[0]}.*"
        case "table":
            what = right = f"{rights} ON {'.'.join(names)}"
        case "column":
            rights = ", ".join(f"{one} ({names[2]})" for one in more.rights)
            what = right = f"{rights} ON {'.'.join(names[:2])}"
        case kind:
            what = right = f"{rights} ON {kind.upper()} {'.'.join(names)}"
    sql = f"REVOKE {what} FROM " + _sql("{login}", login=_Login(login))
    return Statement(sql=sql, right=right, grant_option=more.kind != "role")


def create_place(place: str) -> Statement:
    return _on_places("CREATE DATABASE IF NOT EXISTS {place}", place=_Names((place,)))


def drop_place(place: str) -> Statement:
    return _on_places("DROP DATABASE IF EXISTS {place}", place=_Names((place,)))


def create_view(view: Table, select: str) -> Statement:
    """Replaced in one step. The limit is a barrier: without it the server merges the view into the reader's query, and
    evaluates the reader's conditions on rows that the view hides; an error or a SLEEP in them would tell (seen on both)."""
    # The SELECT is SQLAlchemy's, quoted already; its braces are nobody's places.
    head = _on_places("CREATE OR REPLACE SQL SECURITY DEFINER VIEW {view} AS ", view=view)
    return replace(head, sql=f"{head.sql}{select} LIMIT {_ALL_ROWS}")


def drop_view(view: Table) -> Statement:
    return _on_places("DROP VIEW IF EXISTS {view}", view=view)


# More than any table has ("SELECT Statement", MySQL reference manual).
_ALL_ROWS = 2**64 - 1
_PLACES = r"CREATE, CREATE VIEW, SHOW VIEW, DROP, SELECT ON `dz\_%\_views`.*"


def _on_places(words: str, **parts: _Part) -> Statement:
    return Statement(sql=_sql(words, **parts), right=_PLACES, grant_option=True)


def revoke_all(login: str) -> Statement:
    """On every level and in every database; it needs none of the rights that it takes away."""
    return _on_accounts("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {login}", login=_Login(login))


def end_session(session: int, *, mariadb: bool) -> Statement:
    return _on_session("KILL {session}", session, mariadb=mariadb)


def rds_end_session(session: int, *, mariadb: bool) -> Statement:
    """The way of an admin on RDS and Aurora, whom KILL refuses."""
    return _on_session("CALL mysql.rds_kill({session})", session, mariadb=mariadb)


def read_nothing(readable: Readable, seconds: float) -> str:
    """Needs SELECT on each of its columns, and fetches no row. Each server reads the limit of time that is meant for it."""
    words = (
        "/*M! SET STATEMENT max_statement_time={seconds} FOR */"
        " SELECT /*+ MAX_EXECUTION_TIME({ms}) */ {columns} FROM {table} LIMIT 0"
    )
    bounds = {"seconds": max(1, round(seconds)), "ms": round(seconds * 1000)}
    return _sql(words, **bounds, columns=_Names(readable.columns), table=readable.table)


def session_settings(statement_seconds: float, lock_seconds: float) -> str:
    """What every statement of the admin relies on; each server reads the comments that are meant for it.

    Without NO_AUTO_CREATE_USER, MariaDB's GRANT makes a login without a password where there is none. ANSI_QUOTES and
    NO_BACKSLASH_ESCAPES would change what quotes mean. MySQL's limit of time holds for SELECT only.
    """
    words = (
        "SET sql_mode = '', lock_wait_timeout = {lock}, innodb_lock_wait_timeout = {lock}"
        " /*!80000 , max_execution_time = {ms} */"
        " /*M! , sql_mode = 'NO_AUTO_CREATE_USER', max_statement_time = {seconds} */"
    )
    lock, seconds = max(1, round(lock_seconds)), max(1, round(statement_seconds))
    return _sql(words, lock=lock, ms=round(statement_seconds * 1000), seconds=seconds)
