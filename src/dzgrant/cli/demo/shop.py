"""The producer's database in the demo, and what its superuser sees of logins and sessions.

Whatever the engine, the table that is published is `sales.orders` in SQL, beside one that is not: `sales.salaries`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import asyncpg
from pymysql.constants import ER
from pymysql.err import MySQLError

from dzgrant.localcloud.databases import Server
from dzgrant.model import Credentials

READ = "SELECT id, item FROM sales.orders"
READ_ANOTHER = "SELECT * FROM sales.salaries"
WRITE = "DELETE FROM sales.orders"
STILL_THERE = "SELECT 1"
ROWS = 500

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, MySQLError, OSError)
"""What a session may raise."""

_TABLES = (
    "CREATE TABLE sales.orders (id int PRIMARY KEY, item varchar(40) NOT NULL)",
    "CREATE TABLE sales.customers (id int PRIMARY KEY, name varchar(40) NOT NULL)",
    "CREATE TABLE sales.salaries (id int PRIMARY KEY, amount int NOT NULL)",
    """
    INSERT INTO sales.orders
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT i, 'a book' FROM n
    """,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dialect:
    engine: Literal["postgresql", "mysql"]
    database: str
    table: str
    """As it is published: its path below the database."""
    before: tuple[str, ...]
    cursor: tuple[str, ...]
    """Opens a cursor on the table that goes on reading after a REVOKE."""
    fetch: str
    logins: str
    sessions: str


_DIALECTS = {
    "postgresql": _Dialect(
        engine="postgresql",
        database="shop",
        table="sales.orders",
        before=("CREATE SCHEMA sales",),
        cursor=("BEGIN", "DECLARE reader CURSOR FOR SELECT id, item FROM sales.orders"),
        fetch="FETCH 1 FROM reader",
        logins="SELECT rolname FROM pg_roles",
        sessions="SELECT usename FROM pg_stat_activity",
    ),
    "mysql": _Dialect(
        engine="mysql",
        database="sales",
        table="orders",
        before=(),
        cursor=("HANDLER sales.orders OPEN AS reader",),
        fetch="HANDLER reader READ NEXT",
        logins="SELECT user FROM mysql.user",
        sessions="SELECT user FROM information_schema.processlist",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """`admin` owns the database, with the rights that RDS gives its master user: it is no superuser."""

    server: Server
    admin: Credentials
    dialect: _Dialect

    async def logins(self) -> frozenset[str]:
        return await self._names(self.dialect.logins)

    async def sessions(self) -> frozenset[str]:
        """The logins that have a session open."""
        return await self._names(self.dialect.sessions)

    async def _names(self, statement: str) -> frozenset[str]:
        return frozenset(name for (name,) in await self.server.execute(statement))


async def shop(server: Server) -> Shop:
    """A database with three tables, `sales.orders` with `ROWS` rows."""
    dialect = _DIALECTS[server.engine]
    admin = await server.rds_admin()
    await server.create_database(dialect.database, owner=admin)
    async with server.session(database=dialect.database, login=admin) as run:
        for statement in (*dialect.before, *_TABLES):
            await run(statement)
    return Shop(server=server, admin=admin, dialect=dialect)


def denied(error: Exception) -> bool:
    """Whether the database refused it for want of a right; told by its error code."""
    if isinstance(error, MySQLError):
        return error.args[0] in {ER.TABLEACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR}
    return isinstance(error, asyncpg.InsufficientPrivilegeError)
