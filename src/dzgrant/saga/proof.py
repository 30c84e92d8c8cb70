"""The proof that what a consumer finds opens what it is subscribed to."""

from __future__ import annotations

from collections.abc import Collection

from dzgrant.engines.contract import Database, Readable
from dzgrant.errors import ConsumerRejected
from dzgrant.model import GrantRecord, GrantState, IamLogin, Table
from dzgrant.secrets import Opening


async def prove(database: Database, consumer: Opening, readable: Readable) -> None:
    """Logs in as the consumer and reads; where only the consumer can log in, asks the engine what it may.

    Raises `ConsumerRejected` when the login is refused or gone, and as `Database.prove`.
    """
    if isinstance(consumer, IamLogin):
        await database.prove_by_privileges(consumer.username, readable)
    else:
        await database.prove(consumer, readable)


async def opens(database: Database, consumer: Opening, readable: Readable) -> bool:
    """As `prove`, where a refused login is an answer."""
    try:
        await prove(database, consumer, readable)
    except ConsumerRejected:
        return False
    return True


def something_readable(tables: Collection[Table], grants: Collection[GrantRecord]) -> Readable | None:
    """One thing that the login was given, and its columns as far as the ledger knows them."""
    known = {grant.readable or grant.table: grant.columns for grant in grants if grant.state is GrantState.GRANTED}
    table = next((table for table in (*known, *tables) if table in tables), None)
    return Readable(table=table, columns=known.get(table)) if table else None
