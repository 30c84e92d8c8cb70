"""SQL Server 2017 and newer, RDS, and Babelfish (Aurora PostgreSQL's endpoint for SQL Server): by ODBC.

The driver blocks, so a piece of work runs from its beginning to its end in a thread (`threads`). All that changes access
is transactional here: one transaction holds the login's application lock in the source's database, checks the fence in
its marker, changes access and raises the fence. The marker is an extended property of the database; the login's SID is
derived from its name, so that it is the same on each replica of an availability group, and dzgrant knows it by that too.

Batches sent: a first grant takes 11 (login 3, grant 7, proof 1), a second table 8 (7, 1), a last revoke 10, and one more where
the server has other databases; a revoke that keeps other tables 6. Open sessions add two or more. A new connection asks
one of its own.

Filters become grants of columns, or views in a schema that dzgrant owns for the owner of what they read. There is no
IAM authentication and no second password: rotation takes a second login.

The admin login needs, in the server and in the source's database:

    GRANT ALTER ANY LOGIN TO admin;
    GRANT ALTER ANY CONNECTION TO admin;
    GRANT VIEW SERVER STATE TO admin;
    ALTER ROLE db_owner ADD MEMBER admin;

The master user of RDS has them for the databases that it created ("Microsoft SQL Server on Amazon RDS", master user).

What is the server's (a permission such as VIEW SERVER STATE, a server role) is revoked in master, one by one. The admin
needs CONTROL SERVER or membership of the role for that; where it has neither, the statement is told.

Babelfish tells nobody what was granted, but for roles of the database: there dzgrant keeps records of its own
(`babelfish`), a revoke goes over all tables, the proof alone says that a grant has worked, and what PUBLIC may read anyway
is not seen. A name with `]` can't be parsed there, and is refused.

A contained database is a source like any other: its consumers are logins of the server all the same. In an availability
group the listener is the source; a login is made on the primary, and anew with the same SID after a failover.
"""

from __future__ import annotations

from dzgrant.engines.contract import Limits
from dzgrant.engines.sqlserver.database import SqlserverDatabase
from dzgrant.model import Credentials, Source

__all__ = ["SqlserverAdapter", "adapter"]


class SqlserverAdapter:
    """The entry point's object; it holds nothing."""

    def open(self, source: Source, admin: Credentials, limits: Limits) -> SqlserverDatabase:
        return SqlserverDatabase(source, admin, limits)


adapter = SqlserverAdapter()
