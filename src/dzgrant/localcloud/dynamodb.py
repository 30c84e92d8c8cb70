"""What moto's DynamoDB does wrongly: TransactWriteItems copies whole tables for a rollback and knows no ClientRequestToken,
and Query sorts the whole table, so that both cost more with each item.

All calls of DynamoDB run under one lock (see `aws`), which makes each transaction atomic and isolated.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from copy import copy, deepcopy
from hashlib import sha256
from typing import Any

from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.exceptions import (
    ConditionalCheckFailed,
    MultipleTransactionsException,
    TooManyTransactionsException,
    TransactionCanceledException,
)
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType

from dzgrant.localcloud.calls import Answer, Call, error

# "A token is valid for 10 minutes after the first request that uses it is completed" (TransactWriteItems).
_TOKEN_SECONDS = 600.0

_Reason = tuple[str | None, str | None, dict[str, Any] | None]


class Backend(DynamoDBBackend):
    """moto's backend of one account and Region, with transactions and queries that handle only what they touch."""

    # moto looks for a service's routes beside the module of its backend's class.
    __module__ = DynamoDBBackend.__module__

    def transact_write_items(self, transact_items: list[dict[str, Any]]) -> None:
        if len(transact_items) > 100:
            raise TooManyTransactionsException
        writes = [next(iter(item.items())) for item in transact_items]
        before = {(write["TableName"], *self._keys(write)): self._current(write) for _, write in writes}
        if len(before) < len(writes):
            raise MultipleTransactionsException
        saved = deepcopy(before)
        reasons: list[_Reason] = []
        try:
            reasons = [self._write(kind, write) for kind, write in writes]
        finally:
            if len(reasons) < len(writes) or any(code for code, _, _ in reasons):
                self._restore(saved)
        if any(code for code, _, _ in reasons):
            raise TransactionCanceledException(reasons)

    def query(self, table_name: str, hash_key_dict: dict[str, Any] | None, *rest: Any, **more: Any) -> Any:
        """As moto's, but it sees the one partition only, of the table or of its index."""
        whole = self.get_table(table_name)
        conditions = more.get("hash_key_conditions")
        if whole.range_key_attr is None or not conditions:
            return super().query(table_name, hash_key_dict, *rest, **more)
        partition = copy(whole)
        partition.items = _indexed(whole, conditions) if more.get("index_name") else _own(whole, conditions[0][1])
        # No other call sees this, since they run one after the other.
        self.tables[whole.name] = partition
        try:
            return super().query(whole.name, hash_key_dict, *rest, **more)
        finally:
            self.tables[whole.name] = whole

    def _write(self, kind: str, write: dict[str, Any]) -> _Reason:
        condition = write.get("ConditionExpression")
        names, values = write.get("ExpressionAttributeNames", {}), write.get("ExpressionAttributeValues", {})
        current = self._current(write)
        if condition is not None and not get_filter_expression(condition, names, values).expr(current):
            wanted = write.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and current is not None
            old = current.to_json()["Attributes"] if wanted else None
            return "ConditionalCheckFailed", ConditionalCheckFailed().message, old
        if kind == "Put":
            self.put_item(write["TableName"], write["Item"])
        elif kind == "Delete":
            self.delete_item(write["TableName"], write["Key"])
        elif kind == "Update":
            self.update_item(write["TableName"], write["Key"], write["UpdateExpression"], names, values)
        return None, None, None

    def _keys(self, write: dict[str, Any]) -> tuple[Any, Any]:
        keys: tuple[Any, Any] = self.get_keys_value(self.get_table(write["TableName"]), write.get("Key") or write["Item"])
        return keys

    def _current(self, write: dict[str, Any]) -> Any:
        return self.get_table(write["TableName"]).get_item(*self._keys(write))

    def _restore(self, saved: dict[tuple[str, Any, Any], Any]) -> None:
        for (name, hash_key, range_key), item in saved.items():
            table = self.get_table(name)
            if item is not None:
                table.items[hash_key][range_key] = item
            elif table.get_item(hash_key, range_key) is not None:
                table.delete_item(hash_key, range_key)


_Rows = defaultdict[Any, dict[Any, Any]]


def _own(table: Any, hash_key: dict[str, Any]) -> _Rows:
    key = DynamoType(hash_key)
    return defaultdict(dict, {key: table.items.get(key, {})})


def _indexed(table: Any, conditions: list[tuple[str, dict[str, Any]]]) -> _Rows:
    """The items that have these values, as an index's partition has."""
    wanted = [(name, DynamoType(value)) for name, value in conditions]
    found: _Rows = defaultdict(dict)
    for key, rows in table.items.items():
        for range_key, item in rows.items():
            if all(name in item.attrs and item.attrs[name] == value for name, value in wanted):
                found[key][range_key] = item
    return found


class Tokens:
    """The transactions that succeeded, by their ClientRequestToken: a retry of one changes nothing more."""

    def __init__(self) -> None:
        self._done: dict[tuple[str, str, str], tuple[float, bytes, Answer]] = {}

    def replay(self, call: Call) -> Answer | None:
        """The answer for a token that was seen, or None for one that is new."""
        key = self._key(call)
        if key is None or (seen := self._done.get(key)) is None or seen[0] < time.monotonic():
            return None
        _, content, answer = seen
        if content != sha256(call.body).digest():
            return error(
                "com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException",
                "The request used the same client token as a previous request but has different parameters.",
            )
        return answer

    def keep(self, call: Call, answer: Answer) -> None:
        if answer.status == 200 and (key := self._key(call)) is not None:
            self._done[key] = (time.monotonic() + _TOKEN_SECONDS, sha256(call.body).digest(), answer)

    @staticmethod
    def _key(call: Call) -> tuple[str, str, str] | None:
        token = json.loads(call.body).get("ClientRequestToken") if call.operation == "TransactWriteItems" else None
        return (call.account, call.region, token) if token else None
