"""The proof that what a consumer finds opens what it is subscribed to."""

from __future__ import annotations

from dzgrant.engines.contract import Database, Readable
from dzgrant.model import IamLogin
from dzgrant.secrets import Opening


async def prove(database: Database, consumer: Opening, readable: Readable) -> None:
    """Logs in as the consumer and reads; where only the consumer can log in, asks the engine what it may.

    Raises `ConsumerRejected` when the login is refused or gone, and as `Database.prove`.
    """
    if isinstance(consumer, IamLogin):
        await database.prove_by_privileges(consumer.username, readable)
    else:
        await database.prove(consumer, readable)
