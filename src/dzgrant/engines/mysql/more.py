"""What a login was given that dzgrant gives to nobody: by hand, on whichever level. It is found, told and taken."""

from __future__ import annotations

from collections.abc import Iterator

from dzgrant.engines.mysql.catalogue import HOST
from dzgrant.engines.mysql.session import Session
from dzgrant.engines.mysql.statements import More, Statement

# Of information_schema an admin that may read but some of the grant tables is shown nothing; what reads is asked of these.
# Column by column: the kind; the thing's name; the right, or a SET of them; whether it may be given on.
_MORE = """
SELECT 'server', '', '', '', privilege_type, is_grantable
  FROM information_schema.user_privileges WHERE grantee = %(grantee)s
UNION ALL
SELECT 'database', table_schema, '', '', privilege_type, is_grantable
  FROM information_schema.schema_privileges WHERE grantee = %(grantee)s
UNION ALL
SELECT 'table', table_schema, table_name, '', NULLIF(privilege_type, 'SELECT'), is_grantable
  FROM information_schema.table_privileges WHERE grantee = %(grantee)s
UNION ALL
SELECT 'column', table_schema, table_name, column_name, privilege_type, 'NO'
  FROM information_schema.column_privileges
 WHERE grantee = %(grantee)s AND privilege_type NOT IN ('SELECT', 'REFERENCES')
UNION ALL
SELECT LOWER(routine_type), db, routine_name, '', UPPER(proc_priv), 'NO'
  FROM mysql.procs_priv WHERE user = %(login)s AND host = %(host)s
UNION ALL
SELECT 'server', '', '', '', 'SELECT', 'NO' FROM mysql.user WHERE user = %(login)s AND host = %(host)s AND select_priv = 'Y'
UNION ALL
SELECT 'database', db, '', '', 'SELECT', 'NO' FROM mysql.db WHERE user = %(login)s AND host = %(host)s AND select_priv = 'Y'
UNION ALL
"""
_MYSQL_ROLES = """
SELECT 'role', from_user, from_host, '', '', '' FROM mysql.role_edges WHERE to_user = %(login)s AND to_host = %(host)s
"""
_MARIADB_ROLES = "SELECT 'role', role, '', '', '', '' FROM mysql.roles_mapping WHERE user = %(login)s AND host = %(host)s"


async def more(session: Session, login: str) -> tuple[More, ...]:
    """In order; nothing for a login that is not there."""
    query = Statement(sql=_MORE + (_MARIADB_ROLES if session.mariadb else _MYSQL_ROLES), right="SELECT ON mysql.*")
    rows = await session.fetch(query, login=login, host=HOST, grantee=f"'{login}'@'{HOST}'")
    found: dict[tuple[str, ...], set[str]] = {}
    for kind, schema, name, column, right, grantable in rows:
        rights = found.setdefault((kind, schema, name, column), set())
        rights.update(_named(right or "", grantable=grantable == "YES"))
    every = (More(kind=kind, on=tuple(filter(None, on)), rights=tuple(sorted(rights))) for (kind, *on), rights in found.items())
    return tuple(sorted((one for one in every if one.rights or one.kind == "role"), key=str))


def _named(rights: str, *, grantable: bool) -> Iterator[str]:
    for right in rights.split(","):
        if right and right != "USAGE":
            # The name that the SET of a routine's rights has for it.
            yield "GRANT OPTION" if right == "GRANT" else right
    if grantable:
        yield "GRANT OPTION"
