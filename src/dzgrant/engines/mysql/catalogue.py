"""What the server's own tables say: of a login, of a table.

The grant tables are the same in both servers but for the accounts (MariaDB's `global_priv`) and the roles.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from dzgrant.engines.contract import Marked, Owner, views_in
from dzgrant.engines.mysql.session import Session
from dzgrant.engines.mysql.statements import MARIADB_MARKER, Statement
from dzgrant.model import Table, TablePath

HOST = "%"
"""A login's host part: from anywhere, as the network allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A login as the grant tables have it."""

    marked: bool
    enabled: bool
    other_hosts: tuple[str, ...]
    """Further accounts of the same name, which may win at login: dzgrant makes none."""
    two_passwords: bool
    tables: frozenset[Table]
    """Those that it was given SELECT on as a whole, dzgrant's views among them."""
    columns: dict[Table, frozenset[str]]
    """Of which tables it was given SELECT on single columns, and on which."""
    reaching: dict[Table, frozenset[str]]
    """Of which tables it may know columns, so that it can open the database that they are in; it reads views of them."""
    has_place: bool
    """There is a database of the name that its views' would have."""

    def holds(self, table: Table) -> bool:
        """It was given the table, or columns of it."""
        return table in self.tables or table in self.columns


def _reading(sql: str) -> Statement:
    return Statement(sql=sql, right="SELECT ON mysql.*")


_MYSQL_ACCOUNT = """
SELECT 'account', host,
       COALESCE(JSON_VALUE(user_attributes, '$.metadata.managed_by'), '') = 'dzgrant', account_locked = 'N'
  FROM mysql.user WHERE user = %(login)s
UNION ALL
SELECT 'second', host, '', ''
  FROM mysql.user WHERE user = %(login)s AND JSON_CONTAINS_PATH(user_attributes, 'one', '$.additional_password')
"""
_MARIADB_ACCOUNT = """
SELECT 'account', host,
       JSON_VALUE(priv, '$.max_updates') <=> %(marker)s, NOT COALESCE(JSON_VALUE(priv, '$.account_locked'), 0)
  FROM mysql.global_priv WHERE user = %(login)s
"""
_GIVEN = """
UNION ALL
SELECT 'table', '', db, table_name
  FROM mysql.tables_priv WHERE user = %(login)s AND host = %(host)s AND FIND_IN_SET('Select', table_priv)
UNION ALL
SELECT 'column', db, table_name, column_name
  FROM mysql.columns_priv WHERE user = %(login)s AND host = %(host)s AND FIND_IN_SET('Select', column_priv)
UNION ALL
SELECT 'reaching', db, table_name, column_name
  FROM mysql.columns_priv WHERE user = %(login)s AND host = %(host)s AND FIND_IN_SET('References', column_priv)
UNION ALL
SELECT 'place', '', schema_name, '' FROM information_schema.schemata WHERE schema_name = %(place)s
"""


async def account(session: Session, login: str) -> Account | None:
    """None when there is no such login."""
    query = _reading((_MARIADB_ACCOUNT if session.mariadb else _MYSQL_ACCOUNT) + _GIVEN)
    rows = await session.fetch(query, login=login, host=HOST, marker=str(MARIADB_MARKER), place=views_in(login))
    hosts = {host: (int(marked), int(enabled)) for scope, host, marked, enabled in rows if scope == "account"}
    if not hosts:
        return None
    marked, enabled = hosts.get(HOST, (0, 0))
    return Account(
        marked=bool(marked),
        enabled=bool(enabled),
        other_hosts=tuple(sorted(host for host in hosts if host != HOST)),
        two_passwords=any(scope == "second" for scope, *_ in rows),
        tables=frozenset(Table(schema=schema, name=name) for scope, _, schema, name in rows if scope == "table"),
        columns=_by_table(rows, "column"),
        reaching=_by_table(rows, "reaching"),
        has_place=any(scope == "place" for scope, *_ in rows),
    )


_MYSQL_MARKED = _reading("""
SELECT user, JSON_EXTRACT(user_attributes, '$.metadata') FROM mysql.user
 WHERE host = %(host)s AND JSON_VALUE(user_attributes, '$.metadata.managed_by') = 'dzgrant'
""")
_MARIADB_MARKED = _reading("""
SELECT user, NULL FROM mysql.global_priv WHERE host = %(host)s AND JSON_VALUE(priv, '$.max_updates') = %(marker)s
""")


async def marked(session: Session) -> tuple[Marked, ...]:
    """The logins of the whole server that bear the mark; MariaDB's does not say whose they are."""
    query = _MARIADB_MARKED if session.mariadb else _MYSQL_MARKED
    rows = await session.fetch(query, host=HOST, marker=str(MARIADB_MARKER))
    return tuple(Marked(login=_text(user), owner=_owner(stated)) for user, stated in rows)


def _owner(stated: str | bytes | None) -> Owner | None:
    said = json.loads(_text(stated)) if stated else {}
    if not {"domain", "project", "environment"} <= said.keys():
        return None
    return Owner(domain=said["domain"], project=said["project"], environment=said["environment"])


def _by_table(rows: Iterable[tuple[Any, ...]], wanted: str) -> dict[Table, frozenset[str]]:
    found: dict[Table, frozenset[str]] = {}
    for scope, schema, name, column in rows:
        if scope == wanted:
            table = Table(schema=schema, name=name)
            found[table] = found.get(table, frozenset()) | {column}
    return found


# Whose privileges a login has beside its own. A row of mysql.db without a user is everybody's.
_GRANTEES = """
WITH RECURSIVE grantee (user, host) AS (
  SELECT CAST(%(login)s AS CHAR(128)), CAST(%(host)s AS CHAR(255))
   UNION SELECT user, host FROM mysql.user WHERE user = ''
   UNION SELECT user, host FROM mysql.db WHERE user = ''
"""
_MYSQL_ROLES = """
   UNION SELECT role_name, role_host FROM information_schema.applicable_roles WHERE is_mandatory = 'YES'
   UNION SELECT edge.from_user, edge.from_host
           FROM mysql.role_edges edge JOIN grantee ON edge.to_user = grantee.user AND edge.to_host = grantee.host)
"""
_MARIADB_ROLES = """
   UNION SELECT 'PUBLIC', ''
   UNION SELECT mapping.role, ''
           FROM mysql.roles_mapping mapping JOIN grantee ON mapping.user = grantee.user AND mapping.host = grantee.host)
"""
_REACHES = """
SELECT grantee.user, reach.scope FROM grantee JOIN (
  SELECT user, host, 'server' AS scope FROM mysql.user WHERE select_priv = 'Y'
  UNION ALL
  SELECT user, host, 'database' FROM mysql.db WHERE select_priv = 'Y' AND %(schema)s LIKE db
  UNION ALL
  SELECT user, host, 'table'
    FROM mysql.tables_priv WHERE db = %(schema)s AND table_name = %(name)s AND FIND_IN_SET('Select', table_priv)
) reach ON reach.user = grantee.user AND reach.host = grantee.host
"""


async def reach(session: Session, login: str, table: Table) -> tuple[bool, str | None]:
    """Whether the login was given the table itself, and by what else it can read it: None, or for a person."""
    query = _reading(_GRANTEES + (_MARIADB_ROLES if session.mariadb else _MYSQL_ROLES) + _REACHES)
    rows = await session.fetch(query, login=login, host=HOST, schema=table.schema, name=table.name)
    others = sorted({_through(login, user, scope) for user, scope in rows} - {None}, key=str)
    return (login, "table") in rows, ", ".join(map(str, others)) or None


def _through(login: str, user: str, scope: str) -> str | None:
    if user == login:
        return None if scope == "table" else f"its own SELECT on the whole {scope}"
    return {"": "the anonymous account", "PUBLIC": "PUBLIC"}.get(user, f"role {user}")


_DEFINED = _reading("""
SELECT 'view', table_schema, table_name FROM information_schema.views WHERE definer = %(definer)s
UNION ALL
SELECT LOWER(routine_type), routine_schema, routine_name FROM information_schema.routines WHERE definer = %(definer)s
UNION ALL
SELECT 'trigger', trigger_schema, trigger_name FROM information_schema.triggers WHERE definer = %(definer)s
UNION ALL
SELECT 'event', event_schema, event_name FROM information_schema.events WHERE definer = %(definer)s
ORDER BY 1, 2, 3
""")


async def defined_by(session: Session, login: str) -> list[str]:
    """The views, routines, triggers and events that run with this login's rights: `view shop.orders_of_today`."""
    rows = await session.fetch(_DEFINED, definer=f"{login}@{HOST}")
    return [f"{kind} {Table(schema=schema, name=name)}" for kind, schema, name in rows]


# A partitioned table is a base table. LOWER keeps MariaDB from opening the one file of exactly this name.
_NAMED = Statement(
    sql="""
SELECT table_name FROM information_schema.tables
 WHERE table_schema = %(database)s AND LOWER(table_name) = LOWER(%(name)s)
   AND table_type IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')
""",
    right="SHOW DATABASES ON *.*",
)


async def named(session: Session, database: str, path: TablePath) -> list[Table]:
    """The tables and views that the path may mean: their names differ from it in case only."""
    rows = await session.fetch(_NAMED, database=database, name=path.name)
    # The server's collation takes more for equal than case: `cafe` and `café`.
    return sorted(Table(schema=database, name=name) for (name,) in rows if TablePath(name=name).key == path.key)


_COLUMNS = Statement(
    sql="""
SELECT column_name, data_type, column_type FROM information_schema.columns
 WHERE table_schema = %(schema)s AND table_name = %(name)s ORDER BY ordinal_position
""",
    right="SHOW DATABASES ON *.*",
)


async def columns(session: Session, table: Table) -> list[tuple[str, str, str]]:
    """Each column's name and type, the type in short and in full."""
    rows = await session.fetch(_COLUMNS, schema=table.schema, name=table.name)
    return [(name, _text(kind).lower(), _text(spelled).lower()) for name, kind, spelled in rows]


def _text(value: str | bytes) -> str:
    """MySQL's dictionary answers some names as bytes."""
    return value.decode() if isinstance(value, bytes) else value


_AUTHENTICATION = _reading("""
SELECT plugin, authentication_string FROM mysql.user WHERE user = %(login)s AND host = %(host)s
""")


async def authentication(session: Session, login: str) -> tuple[str, SecretStr]:
    """The login's plugin and its verifier; both empty when there is no such login."""
    for plugin, verifier in await session.fetch(_AUTHENTICATION, login=login, host=HOST):
        return str(plugin), SecretStr(_text(verifier))
    return "", SecretStr("")


_READ_ONLY = Statement(sql="SELECT @@global.read_only", right="USAGE ON *.*")


async def read_only(session: Session) -> bool:
    ((answer,),) = await session.fetch(_READ_ONLY)
    return bool(answer)
