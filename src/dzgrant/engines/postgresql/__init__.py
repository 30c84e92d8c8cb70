"""PostgreSQL, and what speaks its protocol: RDS, Aurora; 13 and newer.

SQLAlchemy keeps a small pool for each source and quotes every name; asyncpg sends the statements. All that changes
access is transactional here, so one transaction checks the fence in the login's marker, changes access and raises
the fence: a worker that lost its lease can't undo what its successor did, with no table in the producer's database.

What goes together goes in one message: begin and lock; one query for all that must be known; one script that changes
and commits. A first grant takes nine round trips, a second table six, a last revoke seven; the proof logs in besides.
A filtered grant takes seven and one for each end of sessions. For row filters the admin needs, besides:

    GRANT CREATE ON DATABASE the_database TO admin;

A producer's DROP TABLE, or change of a column's type, is refused while a view of dzgrant's stands on the table.
"""

from __future__ import annotations

from dzgrant.engines.contract import Limits
from dzgrant.engines.postgresql.database import PostgresqlDatabase
from dzgrant.model import Credentials, Source

__all__ = ["PostgresqlAdapter", "adapter"]


class PostgresqlAdapter:
    """The entry point's object; it holds nothing."""

    def open(self, source: Source, admin: Credentials, limits: Limits) -> PostgresqlDatabase:
        return PostgresqlDatabase(source, admin, limits)


adapter = PostgresqlAdapter()
