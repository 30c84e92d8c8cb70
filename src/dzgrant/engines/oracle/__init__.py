"""Oracle 19c and newer, RDS for Oracle too, by python-oracledb in its thin mode, over TCPS and nothing else.

A source is a pluggable database by the name of its service, or an instance by its SID; the port is that of a listener for
TCPS. What has changed access has committed: DDL knows no transaction here, so the work on one principal is under a lock of
DBMS_LOCK where the admin may execute it, and under the ledger's lease alone where it may not.

dzgrant's users are in the profile DZGRANT, which is their marker; it is made with the first of them. The admin login needs

    GRANT CREATE SESSION, CREATE USER, ALTER USER, DROP USER, CREATE PROFILE, ALTER SYSTEM, SELECT_CATALOG_ROLE TO admin;
    GRANT CREATE SESSION TO admin WITH ADMIN OPTION;
    GRANT GRANT ANY OBJECT PRIVILEGE TO admin;      -- or READ ON each table TO admin WITH GRANT OPTION, without filters then
    GRANT CREATE ANY VIEW, DROP ANY VIEW TO admin;  -- where subscriptions are filtered
    GRANT EXECUTE ON DBMS_LOCK TO admin;            -- where it can be had

With GRANT ANY ROLE and GRANT ANY PRIVILEGE it also takes what a login was given of these by hand; without them that is told,
with the statement that a DBA is to run.

On RDS the master user has those above, but for ALTER SYSTEM: sessions end by rdsadmin.rdsadmin_util.kill there ("Master user
account privileges" and "Terminating a session", Amazon RDS user guide). Sessions on every instance of a cluster are found
(gv$session).

Statements, each a round trip: a first grant takes 12 (login 5, grant 6, proof 1), a second table 7 (6, 1), a last revoke
7, each with its lock and its release. A new connection takes 1 of its own, the first of a source 2
more, an open session one or two.
"""

from __future__ import annotations

from dzgrant.engines.contract import Limits
from dzgrant.engines.oracle.database import OracleDatabase
from dzgrant.model import Credentials, Source

__all__ = ["OracleAdapter", "adapter"]


class OracleAdapter:
    """The entry point's object; it holds nothing."""

    def open(self, source: Source, admin: Credentials, limits: Limits) -> OracleDatabase:
        return OracleDatabase(source, admin, limits)


adapter = OracleAdapter()
