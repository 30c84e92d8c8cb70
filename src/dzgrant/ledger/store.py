"""The ledger's DynamoDB table: transactions, updates, queries and lookups, with its errors as dzgrant's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from dzgrant.accounts import AwsError, classify, code
from dzgrant.errors import DzgrantError, Transient
from dzgrant.ledger.keys import Key
from dzgrant.ledger.writes import Write

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

    from dzgrant.ledger.items import Item

_FAILED = "ConditionalCheckFailed"
_CONTENTION = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
_TRIES = 5
_PER_BATCH = 100


class Cancelled(Exception):
    """A transaction did not happen, since conditions did not hold. Stays in this room."""

    def __init__(self, failed: frozenset[int], first: Item | None) -> None:
        super().__init__("conditions did not hold")
        self.failed = failed
        """Positions of the writes whose conditions did not hold."""
        self.first = first
        """The first write's item as it is, where that write is among them and the item is there."""


class Store:
    """One table, reached through one client; tasks share it."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    async def transact(self, writes: Sequence[Write]) -> None:
        """All of the writes or none. Raises `Cancelled` when a condition does not hold; contention is waited out."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(_Contended),
            stop=stop_after_attempt(_TRIES),
            wait=wait_random_exponential(multiplier=0.05, max=0.5),
            reraise=True,
        ):
            with attempt:
                await self._transact(writes)

    async def _transact(self, writes: Sequence[Write]) -> None:
        transaction: list[Any] = [{write.action: {"TableName": self._table, **write.arguments}} for write in writes]
        next(iter(transaction[0].values()))["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        try:
            await self._client.transact_write_items(TransactItems=transaction)
        except AwsError as error:
            if code(error) == "TransactionInProgressException":
                raise _Contended("the ledger is still busy with the same transaction") from error
            if code(error) != "TransactionCanceledException" or not isinstance(error, ClientError):
                raise self._explained(error) from error
            reasons: list[Any] = error.response.get("CancellationReasons", [])
            failed = frozenset(at for at, reason in enumerate(reasons) if reason["Code"] == _FAILED)
            if failed:
                raise Cancelled(failed, reasons[0].get("Item") or None) from None
            if _CONTENTION & {reason["Code"] for reason in reasons}:
                raise _Contended("the ledger is too busy for a transaction") from error
            raise self._explained(error) from error

    async def update(self, write: Write) -> Item | None:
        """The whole item as it is after the update; None, and nothing written, where the condition does not hold."""
        try:
            arguments: Any = write.arguments
            answer = await self._client.update_item(TableName=self._table, ReturnValues="ALL_NEW", **arguments)
        except AwsError as error:
            if code(error) == "ConditionalCheckFailedException":
                return None
            raise self._explained(error) from error
        return answer["Attributes"]

    async def delete(self, key: Key) -> bool:
        """Whether it was there."""
        with self._explaining():
            answer = await self._client.delete_item(TableName=self._table, Key=_plain(key), ReturnValues="ALL_OLD")
        return bool(answer.get("Attributes"))

    async def get(self, key: Key) -> Item | None:
        """Strongly consistent."""
        with self._explaining():
            answer = await self._client.get_item(TableName=self._table, Key=_plain(key), ConsistentRead=True)
        return answer.get("Item")

    async def get_all(self, keys: Sequence[Key]) -> list[Item]:
        """Strongly consistent, in any order; what is not there is left out."""
        found: list[Item] = []
        waiting: list[Any] = [_plain(key) for key in keys]
        while waiting:
            asked, waiting = waiting[:_PER_BATCH], waiting[_PER_BATCH:]
            with self._explaining():
                answer = await self._client.batch_get_item(RequestItems={self._table: {"Keys": asked, "ConsistentRead": True}})
            found += answer["Responses"].get(self._table, [])
            rest = answer["UnprocessedKeys"].get(self._table)
            if rest is not None and len(rest["Keys"]) == len(asked):
                raise Transient("the ledger is too busy for a lookup")
            waiting += rest["Keys"] if rest is not None else []
        return found

    async def query(self, value: str, prefix: str, *, attribute: str = "pk", after: Key | None = None) -> AsyncIterator[Item]:
        """Items where the attribute has this value and `sk` this prefix, in order, all pages; those `after` a key, which need
        not be there any more.

        Strongly consistent by `pk`; by another attribute it is the index `by-<attribute>`, which is eventually consistent.
        """
        where: dict[str, Any] = {"ConsistentRead": True} if attribute == "pk" else {"IndexName": f"by-{attribute}"}
        if after is not None:
            where["ExclusiveStartKey"] = {attribute: {"S": value}, **_plain(after)}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="#attribute = :value AND begins_with(sk, :prefix)",
            ExpressionAttributeNames={"#attribute": attribute},
            ExpressionAttributeValues={":value": {"S": value}, ":prefix": {"S": prefix}},
            **where,
        )
        with self._explaining():
            async for page in pages:
                for item in page["Items"]:
                    yield item

    async def check(self) -> None:
        """Raises `Misconfigured` unless the table is there, readable and has the ledger's key; `Transient` when unreachable."""
        try:
            await self._client.get_item(TableName=self._table, Key={"pk": {"S": "CHECK"}, "sk": {"S": "CHECK"}})
        except AwsError as error:
            raise classify(error, f"the ledger's table {self._table} can't be read", do=_DEPLOY) from error

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except AwsError as error:
            raise self._explained(error) from error

    def _explained(self, error: Any) -> DzgrantError:
        # A request that DynamoDB finds invalid (a key that is too long) stays so; anything else is the table's or the role's.
        do = None if code(error) == "ValidationException" else _DEPLOY
        return classify(error, f"the ledger's table {self._table} did not answer", do=do)


class _Contended(Transient):
    """Others write the same items now."""


_DEPLOY = "deploy deploy/ecs/governance.yaml, set DZGRANT_TABLE to its table, and let the worker's role read and write it"


def _plain(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}
