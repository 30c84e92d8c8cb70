"""What the server's own catalogue says: one query each, so that one round trip brings all that a decision needs.

Every role may read these catalogues, on RDS as well. Names are bound as values here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from dzgrant.engines.contract import views_in
from dzgrant.engines.marker import Marker
from dzgrant.engines.postgresql import statements
from dzgrant.engines.postgresql.statements import grant_connect, grant_select, grant_usage
from dzgrant.model import Table

# Tables whose path is as long as this one. Which of them are the same in another case is not for the server to say:
# in a database of the C locale it knows ASCII alone.
TABLES = """
SELECT n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE length(n.nspname) + 1 + length(c.relname) = length($1)
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
ORDER BY 1, 2
"""

LOGIN = """
SELECT rolcanlogin AS enabled, shobj_description(oid, 'pg_authid') AS comment,
  EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles i ON i.oid = m.roleid
          WHERE i.rolname = 'rds_iam' AND m.member = r.oid) AS by_iam
FROM pg_roles r WHERE rolname = $1
"""

MARKED = """
SELECT rolname, shobj_description(oid, 'pg_authid') AS comment FROM pg_roles
WHERE starts_with(shobj_description(oid, 'pg_authid'), 'managed-by=dzgrant;')
"""

IAM = "SELECT FROM pg_roles WHERE rolname = 'rds_iam'"

# When a session began is not for every admin to see, but its process is.
SESSIONS_ENDED = """
SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND ($2::int[] IS NULL OR pid = ANY($2))
"""

# A bigint key is two halves in pg_locks, with objsubid 1 (PostgreSQL manual, pg_locks).
INTRUDERS_ENDED = """
SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
WHERE r.rolname <> current_user AND NOT r.rolsuper AND a.pid IN (
  SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
  WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND d.datname = current_database()
    AND l.classid::bigint << 32 | l.objid::bigint IN (SELECT hashtextextended(key, 0) FROM unnest($1::text[]) AS key))
"""

# One row. A null stands for what is missing: the login, or the table. The last two values name the view over the table.
# As text, since a name may be longer than the server's own can be.
WAY = """
SELECT current_user::text AS admin, d.datname::text AS database, r.oid IS NOT NULL AS login_exists,
  shobj_description(r.oid, 'pg_authid') AS comment, c.oid IS NOT NULL AS table_exists,
  has_database_privilege(r.oid, d.oid, 'CONNECT') AS connect,
  has_database_privilege(d.oid, 'CONNECT WITH GRANT OPTION') AS may_grant_connect,
  has_schema_privilege(r.oid, n.oid, 'USAGE') AS usage,
  has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION') AS may_grant_usage,
  has_table_privilege(r.oid, c.oid, 'SELECT') AND EXISTS (
    SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = r.oid AND a.privilege_type = 'SELECT') AS selects,
  has_table_privilege(c.oid, 'SELECT WITH GRANT OPTION') AS may_grant_select,
  EXISTS (
    SELECT FROM pg_class v JOIN pg_namespace p ON p.oid = v.relnamespace, aclexplode(v.relacl) a
    WHERE p.nspname = $4 AND v.relname = $5 AND a.grantee = r.oid) AS viewed,
  (SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE 'role ' || a.grantee::regrole END, ', ')
   FROM (
     SELECT x.grantee FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) x WHERE x.privilege_type = 'SELECT'
     UNION ALL
     SELECT x.grantee FROM pg_attribute t, aclexplode(t.attacl) x WHERE t.attrelid = c.oid AND x.privilege_type = 'SELECT'
     UNION ALL
     SELECT oid FROM pg_roles WHERE rolname = 'pg_read_all_data'
   ) a
   WHERE a.grantee <> r.oid AND (a.grantee = 0 OR pg_has_role(r.oid, a.grantee, 'USAGE'))) AS through
FROM pg_database d
LEFT JOIN pg_roles r ON r.rolname = $1
LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) ON n.nspname = $2::text AND c.relname = $3::text
WHERE d.datname = current_database()
"""

# A row for each thing that the login was given or owns, here and in the server's other databases; one row of nulls
# when there is none. The second value names the schema of its views. `pg_shdepend` is indexed by the role, so the size
# of the catalogue doesn't matter.
HELD = """
WITH login AS (SELECT * FROM pg_roles WHERE rolname = $1),
dependency AS (
  SELECT s.classid, s.objid, s.objsubid, s.deptype, s.dbid, d.datname, s.dbid IN (0, here.oid) AS here
  FROM login JOIN pg_shdepend s ON s.refclassid = 'pg_authid'::regclass AND s.refobjid = login.oid
  JOIN pg_database here ON here.datname = current_database() LEFT JOIN pg_database d ON d.oid = s.dbid
),
acl AS (
  SELECT 'table' AS kind, n.nspname::text AS schema, c.relname::text AS name,
    format('TABLE %I.%I', n.nspname, c.relname) AS thing, c.relowner AS owner, 'SELECT' AS usual, x.*
  FROM dependency s JOIN pg_class c ON c.oid = s.objid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attribute t ON t.attrelid = c.oid AND t.attnum = s.objsubid AND s.objsubid <> 0,
  aclexplode(CASE s.objsubid WHEN 0 THEN c.relacl ELSE t.attacl END) x
  WHERE s.classid = 'pg_class'::regclass AND s.deptype = 'a' AND s.here
  UNION ALL
  SELECT 'schema', n.nspname, NULL, format('SCHEMA %I', n.nspname), n.nspowner, 'USAGE', x.*
  FROM dependency s JOIN pg_namespace n ON n.oid = s.objid, aclexplode(n.nspacl) x
  WHERE s.classid = 'pg_namespace'::regclass AND s.deptype = 'a' AND s.here
  UNION ALL
  SELECT 'database', NULL, NULL, format('DATABASE %I', d.datname), d.datdba,
    CASE d.datname WHEN current_database() THEN 'CONNECT' END, x.*
  FROM dependency s JOIN pg_database d ON d.oid = s.objid, aclexplode(d.datacl) x
  WHERE s.classid = 'pg_database'::regclass AND s.deptype = 'a'
  UNION ALL
  SELECT 'routine', NULL, NULL,
    format('ROUTINE %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), p.proowner, NULL, x.*
  FROM dependency s JOIN pg_proc p ON p.oid = s.objid JOIN pg_namespace n ON n.oid = p.pronamespace, aclexplode(p.proacl) x
  WHERE s.classid = 'pg_proc'::regclass AND s.deptype = 'a' AND s.here
),
given AS (
  SELECT kind, schema, name, thing, owner, grantee, grantor, privilege_type IS NOT DISTINCT FROM usual AS usual, '' AS option,
    privilege_type AS word
  FROM acl
  UNION ALL
  SELECT kind, schema, name, thing, owner, grantee, grantor, false, 'GRANT OPTION FOR ', privilege_type
  FROM acl WHERE is_grantable AND privilege_type IS NOT DISTINCT FROM usual
),
held AS (
  SELECT kind, schema, name,
    CASE WHEN a.grantor IN (a.owner, me.oid) THEN NULL ELSE pg_get_userbyid(a.grantor)::text END AS grantor,
    pg_get_userbyid(a.grantor)::text AS by,
    a.grantor = me.oid OR pg_has_role(a.grantor, 'MEMBER') AS revocable,
    bool_or(bool_or(a.word = 'SELECT')) OVER (PARTITION BY kind, schema, name) AS selects,
    usual, option || string_agg(DISTINCT a.word, ', ') AS rights, thing
  FROM given a JOIN login ON a.grantee = login.oid JOIN pg_roles me ON me.rolname = current_user
  GROUP BY kind, schema, name, a.grantor, a.owner, me.oid, usual, option, thing
  UNION ALL
  SELECT 'role', NULL, NULL, CASE WHEN named THEN NULLIF(NULLIF(g.rolname, me.rolname), boss.rolname)::text END,
    coalesce(g.rolname::text, 'nobody'),
    (pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION') OR NOT named AND me.rolcreaterole AND NOT r.rolsuper)
      AND (NOT named OR pg_has_role(m.grantor, 'MEMBER')),
    false, false, quote_ident(r.rolname), NULL
  FROM login JOIN pg_auth_members m ON m.member = login.oid JOIN pg_roles r ON r.oid = m.roleid
  LEFT JOIN pg_roles g ON g.oid = m.grantor JOIN pg_roles me ON me.rolname = current_user
  LEFT JOIN pg_roles boss ON boss.oid = 10 AND me.rolsuper,
  -- From 16 on it matters who gave a role; what a superuser gave counts as the first one's, and theirs is to take it.
  LATERAL (SELECT current_setting('server_version_num')::int >= 160000 AS named) v
  WHERE r.rolname <> 'rds_iam'
  UNION ALL
  SELECT 'attribute', NULL, NULL, NULL, 'a superuser', me.rolsuper OR me.rolcreaterole AND NOT login.rolsuper AND CASE
      WHEN current_setting('server_version_num')::int < 160000 THEN word LIKE 'CREATE%' AND NOT login.rolreplication
      ELSE mine AND pg_has_role(login.oid, 'MEMBER WITH ADMIN OPTION') END,
    false, false, word, NULL
  FROM login JOIN pg_roles me ON me.rolname = current_user,
  -- From 16 on one that has the attribute itself takes it from a login that it administers.
  LATERAL (VALUES
    ('SUPERUSER', login.rolsuper, false), ('CREATEROLE', login.rolcreaterole, true),
    ('CREATEDB', login.rolcreatedb, me.rolcreatedb), ('REPLICATION', login.rolreplication, me.rolreplication),
    ('BYPASSRLS', login.rolbypassrls, me.rolbypassrls)
  ) AS attribute (word, given, mine)
  WHERE given
  UNION ALL
  SELECT 'owned', NULL, pg_describe_object(classid, objid, objsubid), NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM dependency WHERE deptype = 'o' AND here
  UNION ALL
  SELECT 'elsewhere', NULL, datname::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM dependency WHERE NOT here GROUP BY datname
)
SELECT login.rolcanlogin, shobj_description(login.oid, 'pg_authid') AS comment, pg_has_role(login.oid, 'USAGE') AS joined,
  (SELECT count(*) FROM pg_stat_activity WHERE usesysid = login.oid) AS sessions,
  EXISTS (SELECT FROM pg_namespace WHERE nspname = $2) AS has_place, held.*
FROM login LEFT JOIN held ON true
ORDER BY held.kind, held.schema, held.name, held.by, held.thing, held.rights
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One privilege on the way to a table."""

    given: bool
    grantable: bool
    """The admin may grant it."""
    statement: Callable[[str], str]
    """The GRANT for a grantee."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What stands between a login and a table: to connect, to use the schema, to select."""

    admin: str
    login_exists: bool
    table_exists: bool
    marker: Marker | None
    parents: tuple[Step, ...]
    select: Step
    viewed: bool
    """The login may read dzgrant's view over the table."""
    through: str | None
    """By what else the table can be read: `PUBLIC`, `role analysts`."""

    @property
    def steps(self) -> tuple[Step, ...]:
        return (*self.parents, self.select)

    @classmethod
    def read(cls, row: Any, table: Table) -> Way:
        """The row of `WAY`."""
        connect = Step(
            given=bool(row["connect"]),
            grantable=bool(row["may_grant_connect"]),
            statement=partial(grant_connect, row["database"]),
        )
        usage = Step(
            given=bool(row["usage"]), grantable=bool(row["may_grant_usage"]), statement=partial(grant_usage, table.schema)
        )
        select = Step(
            given=bool(row["selects"]), grantable=bool(row["may_grant_select"]), statement=partial(grant_select, table)
        )
        return cls(
            admin=row["admin"],
            login_exists=row["login_exists"],
            table_exists=row["table_exists"],
            marker=Marker.read(row["comment"]),
            parents=(connect, usage),
            select=select,
            viewed=row["viewed"],
            through=row["through"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Privilege:
    """What one grantor gave the login on one thing; a role, or an attribute of the login, is given as it is."""

    schema: str | None
    """Of a table (or a sequence), or the schema that it is."""
    table: Table | None
    thing: str | None
    """As the server quotes it: `TABLE shop.orders`; None for a role or an attribute."""
    rights: str
    """`INSERT, UPDATE`, `GRANT OPTION FOR SELECT`, the name of the role, or `CREATEDB`."""
    attribute: bool
    usual: bool
    """dzgrant gives the like: SELECT on a table, USAGE of its schema, CONNECT to this database."""
    selects: bool
    by: str
    act_as: str | None
    """The role that must revoke it; None where the admin does it as itself or as the owner."""
    revocable: bool
    """The admin is that role, or a member of it; and it may give the role away, where it is one."""

    def __str__(self) -> str:
        return f"{self.table or self.name} (granted by {self.by})"

    @property
    def name(self) -> str:
        if self.thing:
            return f"{self.rights} on {self.thing}"
        return f"the {'attribute' if self.attribute else 'role'} {self.rights}"

    def revocation(self, login: str) -> str:
        if self.attribute:
            return statements.take_attribute(self.rights, login)
        return statements.revoke(self.rights, self.thing, login)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """A login, and all that depends on it."""

    marker: Marker | None
    enabled: bool
    joined: bool
    """The admin has the login's own rights, which DROP OWNED asks for."""
    sessions: int
    has_place: bool
    """There is a schema for its principal's views."""
    privileges: tuple[Privilege, ...]
    owned: tuple[str, ...]
    """What it owns in this database, as the server describes it."""
    elsewhere: tuple[str, ...]
    """Other databases of the server where it owns or was given something."""

    @classmethod
    def read(cls, rows: list[Any]) -> Holdings | None:
        """The rows of `HELD`; None when there is no such login."""
        if not rows:
            return None
        first = rows[0]
        return cls(
            marker=Marker.read(first["comment"]),
            enabled=first["rolcanlogin"],
            joined=first["joined"],
            sessions=first["sessions"],
            has_place=first["has_place"],
            privileges=tuple(_privilege(row) for row in rows if row["kind"] in _GIVEN),
            owned=_names(rows, "owned"),
            elsewhere=_names(rows, "elsewhere"),
        )

    @property
    def beyond_reach(self) -> bool:
        """A superuser that none but a superuser can change, or end a session of."""
        return any(one.attribute and one.rights == "SUPERUSER" and not one.revocable for one in self.privileges)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why the login can't be dropped by this admin, as far as this database goes."""
        # A role or an attribute goes with the login; what is the server's can't be told to be in the way.
        barred = (f"holds {one}" for one in self.privileges if one.thing and not one.revocable)
        return (*(f"owns {one}" for one in self.owned), *barred)

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables that it may read, in order."""
        return tuple(sorted({held.table for held in self.privileges if held.table and held.selects}))


async def holdings(fetch: Callable[..., Awaitable[list[Any]]], login: str) -> Holdings | None:
    """What a connection or a transaction finds that the login has; None when there is no such login."""
    return Holdings.read(await fetch(HELD, login, views_in(login)))


_GIVEN = frozenset({"table", "schema", "database", "routine", "role", "attribute"})


def _names(rows: Iterable[Any], kind: Literal["owned", "elsewhere"]) -> tuple[str, ...]:
    return tuple(row["name"] for row in rows if row["kind"] == kind)


def _privilege(row: Any) -> Privilege:
    return Privilege(
        schema=row["schema"],
        table=Table(schema=row["schema"], name=row["name"]) if row["kind"] == "table" else None,
        thing=row["thing"],
        rights=row["rights"],
        attribute=row["kind"] == "attribute",
        usual=row["usual"],
        selects=row["selects"],
        by=row["by"],
        act_as=row["grantor"],
        revocable=row["revocable"],
    )
