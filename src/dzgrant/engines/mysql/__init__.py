r"""MySQL 8.0.21 and newer, Aurora MySQL 3, MariaDB 10.6 and newer: one adapter, which asks the server what it is.

Account statements commit by themselves here, so no transaction can check a fence. Instead the statements of one
principal run on one connection that holds the server's own lock (`GET_LOCK`), and each asks the permit after the lock
was got: a worker that sleeps through its lease still holds the lock, and its successor waits until that statement is done
or that connection is gone.

What a login is and has is read from the grant tables: the views of information_schema would show an admin without rights
on them an empty list, and a revoke would then take it for done. So the admin login needs:

    GRANT CREATE USER, PROCESS ON *.* TO admin;
    GRANT SELECT ON mysql.* TO admin;
    GRANT SELECT, REFERENCES ON the_database.* TO admin WITH GRANT OPTION;    -- REFERENCES for row filters alone
    GRANT CONNECTION_ADMIN ON *.* TO admin;    -- MariaDB: CONNECTION ADMIN; RDS and Aurora: EXECUTE on mysql.rds_kill

and for row filters, whose views are in databases of dzgrant's own:

    GRANT CREATE, CREATE VIEW, SHOW VIEW, DROP, SELECT ON `dz\_%\_views`.* TO admin WITH GRANT OPTION;

The master user of RDS and Aurora has them all ("Master user account privileges", Amazon RDS user guide).

Statements: a first grant takes 10 (login 4, grant 5, proof 1), a second table 6, a last revoke 7; a revoke that keeps
other tables 6; a first grant of some columns 8, of some rows 14, each with its proof. Open sessions add one more and one
or two each; a new pool asks 7 of its own.
"""

from __future__ import annotations

from dzgrant.engines.contract import Limits
from dzgrant.engines.mysql.database import MysqlDatabase
from dzgrant.model import Credentials, Source

__all__ = ["MysqlAdapter", "adapter"]


class MysqlAdapter:
    """The entry point's object; it holds nothing."""

    def open(self, source: Source, admin: Credentials, limits: Limits) -> MysqlDatabase:
        return MysqlDatabase(source, admin, limits)


adapter = MysqlAdapter()
