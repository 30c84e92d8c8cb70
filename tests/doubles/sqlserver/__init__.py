"""A double of SQL Server, over the wire: no real one can be had on every machine.

Microsoft's ODBC Driver 18 logs into it over TLS that it verifies, as into the real server. It is a double: it knows what
dzgrant's adapter and its tests need, and refuses everything else (102, 156, or 8180 with "The double"), into its log.
Where Docker can have the real image, `make test-containers` runs the same tests on that.

What it models, and from where:
- `wire`: [MS-TDS] 7.4: PRELOGIN with the TLS handshake inside, LOGIN7, batches, RPC, attention, the transaction manager.
- `sql`: the grammar of the statements it has, each from its page of the T-SQL reference; conditions are no values there.
- `model`: logins and their SIDs and password policy, users by SID, schemas and their owners, tables and views, permissions on
  server, database, schema, object and column with DENY, grant option and grantor, fixed roles, ownership chains, extended
  properties, application locks, transactions that undo DDL, lock waits, time-outs and deadlocks, case by collation.
- `engine`: every statement on the model, with the numbers of "Database Engine events and errors". Queries over the catalogue
  views and tables are translated to SQLite: nothing in it knows the text of a query. Metadata visibility counts.

What it does not: reads of the catalogue do not wait for another session's uncommitted DDL (writers of the same row do, and
readers of a table that is being written, given or taken); a T-SQL cursor is STATIC, whatever it is declared; there are no
plans, indexes, triggers, constraints but NOT NULL, no MARS, no reconnecting by the driver, no contained users.

Its Babelfish flavour changes what the adapter meets there: nearly every error is 33557097, sys.database_permissions is empty,
sys.sql_logins is missing, CHECK_POLICY is refused, `]]` in a name does not parse, and REVOKE is PostgreSQL's.

Its log is as SQL Trace's: the text of a statement that creates or alters a login is replaced by a comment, since the real
server never shows such a text; all other texts are there in full, with the values of their parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trustme import CA

from dzgrant.localcloud.databases.server import credentials
from dzgrant.localcloud.databases.workplace import HOST, workplace
from tests.doubles.sqlserver.client import DoubleServer, SqlServer
from tests.doubles.sqlserver.listener import listening
from tests.doubles.sqlserver.model.instance import new_instance
from tests.doubles.sqlserver.server import Double

__all__ = ["DoubleServer", "SqlServer", "start"]


@contextmanager
def start(authority: CA, *, babelfish: bool = False) -> Iterator[DoubleServer]:
    """A double, until the block is left; its certificate is the authority's."""
    admin = credentials("sa")
    double = Double(new_instance(admin.username, admin.password.get_secret_value(), babelfish=babelfish))
    with workplace(authority, ours=True) as place, listening(double, place.certificate, place.key) as port:
        yield DoubleServer(
            flavour="Babelfish (double)" if babelfish else "SQL Server (double)",
            provider="double",
            host=HOST,
            port=port,
            ca_file=place.ca_file,
            admin=admin,
            read_log=lambda: "\n".join(double.log),
            double=double,
        )
