"""DynamoDB: tables with a partition and a sort key, indexes, conditions, transactions.

Items are never changed where they lie: each write puts a new dictionary in the old one's place, so that what was answered
before stays as it was, and nothing needs to be copied.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import expressions
from tests.fakes.answers import Caller, Members, Refusal
from tests.fakes.expressions import invalid

Item = Mapping[str, Any]
Key = tuple[str, str]

_MOST_IN_TRANSACTION = 100
_MOST_IN_BATCH = 100
_TOKEN_SECONDS = 600.0
_NOTHING: Item = {}
_FAILED = "The conditional request failed"


@dataclass(slots=True)
class Index:
    """The items that have this attribute, by its value and then by sort key. It is behind the table by `Table.lag` seconds."""

    attribute: str
    sort: str
    keys: defaultdict[str, list[Key]] = field(default_factory=lambda: defaultdict(list))
    items: dict[tuple[str, Key], Item] = field(default_factory=dict)

    def replace(self, before: Item, after: Item) -> None:
        for item in (before, after):
            place = self._place(item)
            if place is None:
                continue
            value, key = place
            if item is before and self._place(after) != place:
                keys = self.keys[value]
                del keys[bisect_left(keys, key)], self.items[place]
            elif item is after:
                if place not in self.items:
                    insort(self.keys[value], key)
                self.items[place] = after

    def _place(self, item: Item) -> tuple[str, Key] | None:
        value = item.get(self.attribute, _NOTHING).get("S")
        # Of one sort key there may be several items, of different partitions.
        return (value, (item[self.sort]["S"], item["pk"]["S"])) if value is not None else None


@dataclass(slots=True)
class Table:
    """Both keys are texts, named `pk` and `sk`, as the ledger's are. `page`: items on a page; AWS ends one after 1 MB."""

    indexes: Mapping[str, Index]
    page: int = 400
    lag: float = 0.0
    items: dict[Key, Item] = field(default_factory=dict)
    sort_keys: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    behind: deque[tuple[float, Item, Item]] = field(default_factory=deque)

    def put(self, key: Key, after: Item, now: float) -> None:
        """An empty item is none."""
        pk, sk = key
        before = self.items.get(key, _NOTHING)
        if after:
            if not before:
                insort(self.sort_keys[pk], sk)
            self.items[key] = after
        elif before:
            keys = self.sort_keys[pk]
            del keys[bisect_left(keys, sk)], self.items[key]
        self.behind.append((now + self.lag, before, after))
        if not self.lag:
            self.catch_up(now)

    def catch_up(self, now: float) -> None:
        while self.behind and self.behind[0][0] <= now:
            _, before, after = self.behind.popleft()
            for index in self.indexes.values():
                index.replace(before, after)


class DynamoDB:
    """One account's tables, by name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.tables: dict[str, Table] = {}
        self._done: dict[str, Members] = {}
        self._until: deque[tuple[float, str]] = deque()

    def create(self, name: str, indexes: Mapping[str, str]) -> Table:
        """`indexes`: the attribute of each."""
        table = Table({index: Index(attribute, "sk") for index, attribute in indexes.items()})
        self.tables[name] = table
        return table

    def get_item(self, given: Members, caller: Caller) -> Members:
        found = self._table(given).items.get(_key(given["Key"]))
        return {"Item": found} if found is not None else {}

    def batch_get_item(self, given: Members, caller: Caller) -> Members:
        if sum(len(asked["Keys"]) for asked in given["RequestItems"].values()) > _MOST_IN_BATCH:
            raise invalid("Too many items requested for the BatchGetItem call")
        answers: Members = {"Responses": {}, "UnprocessedKeys": {}}
        for name, asked in given["RequestItems"].items():
            table = self._table({"TableName": name})
            keys = [_key(key) for key in asked["Keys"]]
            if len(set(keys)) < len(keys):
                raise invalid("Provided list of item keys contains duplicates")
            now, later = keys[: table.page], asked["Keys"][table.page :]
            answers["Responses"][name] = [table.items[key] for key in now if key in table.items]
            if later:
                answers["UnprocessedKeys"][name] = {**asked, "Keys": later}
        return answers

    def put_item(self, given: Members, caller: Caller) -> Members:
        return self._single("Put", given)

    def update_item(self, given: Members, caller: Caller) -> Members:
        return self._single("Update", given)

    def delete_item(self, given: Members, caller: Caller) -> Members:
        return self._single("Delete", given)

    def _single(self, kind: str, given: Members) -> Members:
        table = self._table(given)
        key, before, after = self._prepared(kind, given)
        if before is None:
            old = table.items.get(key)
            more: Any = {"Item": old} if old and given.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else {}
            raise Refusal("ConditionalCheckFailedException", _FAILED, **more)
        table.put(key, after, self._clock())
        told = {"ALL_NEW": after, "ALL_OLD": before}.get(given.get("ReturnValues", "NONE"))
        return {"Attributes": told} if told else {}

    def transact_write_items(self, given: Members, caller: Caller) -> Members:
        now, token = self._clock(), given.get("ClientRequestToken")
        while self._until and self._until[0][0] <= now:
            self._done.pop(self._until.popleft()[1])
        if token is not None and (seen := self._done.get(token)) is not None:
            # "The original request is not executed again" (TransactWriteItems, ClientRequestToken).
            if seen != given:
                raise Refusal("IdempotentParameterMismatchException", "The token was used for another request")
            return {}
        writes = [next(iter(one.items())) for one in given["TransactItems"]]
        self._transact(writes, now)
        if token is not None:
            self._done[token] = given
            self._until.append((now + _TOKEN_SECONDS, token))
        return {}

    def _transact(self, writes: Sequence[tuple[str, Members]], now: float) -> None:
        if not 1 <= len(writes) <= _MOST_IN_TRANSACTION:
            raise invalid("Member must have length less than or equal to 100")
        prepared = [self._prepared(kind, write) for kind, write in writes]
        if len({(write["TableName"], key) for (_, write), (key, _, _) in zip(writes, prepared, strict=True)}) < len(writes):
            raise invalid("Transaction request cannot include multiple operations on one item")
        if any(before is None for _, before, _ in prepared):
            reasons = [self._reason(write, key, before) for (_, write), (key, before, _) in zip(writes, prepared, strict=True)]
            codes = ", ".join(reason["Code"] for reason in reasons)
            raise Refusal(
                "TransactionCanceledException",
                f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
                CancellationReasons=reasons,
            )
        for (kind, write), (key, _, after) in zip(writes, prepared, strict=True):
            if kind != "ConditionCheck":
                self._table(write).put(key, after, now)

    def _reason(self, write: Members, key: Key, before: Item | None) -> Members:
        if before is not None:
            return {"Code": "None"}
        old = self._table(write).items.get(key)
        more = {"Item": old} if old and write.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else {}
        return {"Code": "ConditionalCheckFailed", "Message": _FAILED, **more}

    def _prepared(self, kind: str, write: Members) -> tuple[Key, Item | None, Item]:
        """The key, the item as it is, and as the write leaves it; None for what is there where the condition does not hold."""
        key_members = write["Key"] if kind != "Put" else write["Item"]
        key = _key(key_members)
        before = self._table(write).items.get(key, _NOTHING)
        names, values = write.get("ExpressionAttributeNames", {}), write.get("ExpressionAttributeValues", {})
        for value in values.values():
            _check(value)
        where = expressions.condition(write["ConditionExpression"]) if "ConditionExpression" in write else None
        update = expressions.change(write["UpdateExpression"]) if "UpdateExpression" in write else None
        used = (where.used if where else frozenset()) | (update.used if update else frozenset())
        expressions.check_used(names, values, used)
        if where is not None and not where.test(before, names, values):
            return key, None, _NOTHING
        if kind == "Put":
            return key, before, write["Item"]
        if kind == "Update":
            base = before or {name: write["Key"][name] for name in ("pk", "sk")}
            return key, before, update.apply(base, names, values) if update else base
        return key, before, before if kind == "ConditionCheck" else _NOTHING

    def query(self, given: Members, caller: Caller) -> Members:
        table = self._table(given)
        table.catch_up(self._clock())
        names, values = given.get("ExpressionAttributeNames", {}), given["ExpressionAttributeValues"]
        where = expressions.condition(given["KeyConditionExpression"])
        only = expressions.condition(given["FilterExpression"]) if "FilterExpression" in given else None
        expressions.check_used(names, values, where.used | (only.used if only else frozenset()))
        index = None
        if (name := given.get("IndexName")) is not None:
            if name not in table.indexes:
                raise invalid(f"The table does not have the specified index: {name}")
            if given.get("ConsistentRead"):
                raise invalid("Consistent reads are not supported on global secondary indexes")
            index = table.indexes[name]
        attribute, value, prefix = _asked(given["KeyConditionExpression"], names, values)
        if attribute != (index.attribute if index else "pk"):
            raise invalid("Query condition missed key schema element")
        most = min(given.get("Limit", table.page), table.page)
        found: list[Item] = []
        start = given.get("ExclusiveStartKey")
        ordered = _of_index(index, value, prefix, start) if index else _of_table(table, value, prefix, start)
        for seen, item in enumerate(ordered, 1):
            if only is None or only.test(item, names, values):
                found.append(item)
            if seen == most:
                # Also where nothing comes after it: DynamoDB does not look ahead.
                key = {name: item[name] for name in ("pk", "sk", *([index.attribute] if index else []))}
                return {"Items": found, "Count": len(found), "ScannedCount": seen, "LastEvaluatedKey": key}
        return {"Items": found, "Count": len(found)}

    def _table(self, given: Members) -> Table:
        if (table := self.tables.get(given["TableName"])) is None:
            raise Refusal("ResourceNotFoundException", f"Requested resource not found: Table: {given['TableName']} not found")
        return table


def _key(members: Item) -> Key:
    pk, sk = members.get("pk", _NOTHING).get("S"), members.get("sk", _NOTHING).get("S")
    if not pk or not sk:
        raise invalid("The provided key element does not match the schema")
    if len(pk.encode()) > 2048 or len(sk.encode()) > 1024:
        raise invalid("One or more parameter values were invalid: the key is too long")
    return pk, sk


def _check(value: Any) -> None:
    for kind in ("SS", "NS", "BS"):
        if kind in value and not value[kind]:
            raise invalid("One or more parameter values were invalid: An set may not be empty")


def _asked(text: str, names: Members, values: Members) -> tuple[str, str, str]:
    """The attribute, its value and the prefix of a key condition in the one form that dzgrant writes."""
    left, _, right = text.partition(" AND ")
    path, _, value = left.partition(" = ")
    prefix = ""
    if right:
        if not right.startswith("begins_with("):
            raise NotImplementedError(f"the fake DynamoDB does not know the key condition {text}")
        prefix = values[right.removesuffix(")").partition(", ")[2]]["S"]
    return expressions.named(path, names), values[value]["S"], prefix


def _of_table(table: Table, value: str, prefix: str, start: Item | None) -> Iterator[Item]:
    keys = table.sort_keys.get(value, [])
    at = bisect_left(keys, prefix)
    if start is not None:
        after = start["sk"]["S"]
        at = bisect_left(keys, after)
        at += at < len(keys) and keys[at] == after
    for sort in keys[at:] if not prefix else _while(keys, at, prefix):
        yield table.items[value, sort]


def _while(keys: list[str], at: int, prefix: str) -> Iterator[str]:
    while at < len(keys) and keys[at].startswith(prefix):
        yield keys[at]
        at += 1


def _of_index(index: Index, value: str, prefix: str, start: Item | None) -> Iterator[Item]:
    keys = index.keys.get(value, [])
    at = bisect_left(keys, (prefix, ""))
    if start is not None:
        after = (start["sk"]["S"], start["pk"]["S"])
        at = bisect_left(keys, after)
        at += at < len(keys) and keys[at] == after
    while at < len(keys) and keys[at][0].startswith(prefix):
        yield index.items[value, keys[at]]
        at += 1
