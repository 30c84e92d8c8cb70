"""The proof of a login that dzgrant can't log in as: what the server's catalogue says of it."""

from __future__ import annotations

from dzgrant.engines.contract import Readable
from dzgrant.engines.postgresql.connections import Connections
from dzgrant.errors import ConsumerRejected, Misconfigured, Refused

# One row, if the login is there.
_MAY = """
SELECT r.rolcanlogin AND EXISTS (
    SELECT FROM pg_auth_members m JOIN pg_roles i ON i.oid = m.roleid WHERE i.rolname = 'rds_iam' AND m.member = r.oid
  ) AS logs_in, c.oid IS NOT NULL AS table_exists,
  has_database_privilege(r.oid, current_database(), 'CONNECT') AS connects, has_schema_privilege(r.oid, n.oid, 'USAGE') AS uses,
  CASE WHEN $4::text[] IS NULL THEN
    has_table_privilege(r.oid, c.oid, 'SELECT') OR NOT EXISTS (
      SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND NOT has_column_privilege(r.oid, c.oid, a.attnum, 'SELECT'))
  ELSE (
    SELECT count(*) = cardinality($4) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = ANY($4)
      AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(r.oid, c.oid, a.attnum, 'SELECT'))
  END AS reads
FROM pg_roles r
LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) ON n.nspname = $2::text AND c.relname = $3::text
WHERE r.rolname = $1
"""


async def prove_by_privileges(connections: Connections, login: str, readable: Readable) -> None:
    table, columns = readable.table, readable.columns
    rows = await connections.fetch(_MAY, login, table.schema, table.name, list(columns) if columns else None)
    if not rows or not rows[0]["logs_in"]:
        raise ConsumerRejected(f"the login {login} is gone, disabled or no member of rds_iam").about(source=connections.source)
    [row] = rows
    if not row["table_exists"]:
        raise Refused(f"no table {table}", do="publish it again under its new name").about(source=connections.source)
    if missing := [word for word, held in _WORDS.items() if not row[held]]:
        raise Misconfigured(
            f"{login} can't read {table}: it lacks {', '.join(missing)}",
            do="look at who revokes them: dzgrant had granted them",
        ).about(source=connections.source)


_WORDS = {"CONNECT on the database": "connects", "USAGE on the schema": "uses", "SELECT": "reads"}
