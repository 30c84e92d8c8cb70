"""The ledger's items in the model: what the real writes of `dzgrant.ledger.writes` do to them, without DynamoDB.

Only the expressions that those writes use are known here; any other raises. The items of one moment are one text, so
that states are compared fast. What only counts, or is for people alone, is left out of it: counts would have no end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from dzgrant.ledger import keys
from dzgrant.ledger.writes import Write

Item = dict[str, Any]

_UNTOLD = frozenset({"intents", "settled", "reason"})


class Unmet(Exception):
    """The condition of a write does not hold; nothing is written. `key`: of the item."""

    def __init__(self, key: keys.Key) -> None:
        super().__init__(key)
        self.key = key


@cache
def items(content: str) -> Mapping[str, Item]:
    found: Mapping[str, Item] = json.loads(content or "{}")
    return found


def item(content: str, key: keys.Key) -> Item | None:
    return items(content).get(f"{key.pk}|{key.sk}")


def written(content: str, writes: Iterable[Write]) -> str:
    """All of the writes or none. Raises `Unmet`."""
    writes = list(writes)
    for write in writes:
        if not holds(write.arguments, item(content, write.key)):
            raise Unmet(write.key)
    after = dict(items(content))
    for write in writes:
        name = f"{write.key.pk}|{write.key.sk}"
        if write.action == "Delete":
            after.pop(name, None)
        elif write.action == "Update" and not write.key.sk.startswith(keys.HISTORY):
            after[name] = _updated(after.get(name) or dict(write.arguments["Key"]), write.arguments)
    return json.dumps(after, sort_keys=True)


def holds(arguments: Mapping[str, Any], found: Item | None) -> bool:
    """Whether the write's condition does."""
    there, values = found or {}, arguments.get("ExpressionAttributeValues", {})

    def one(term: str) -> bool:
        if known := re.fullmatch(r"attribute_(not_)?exists\(#(\w+)\)", term):
            return (known[2] in there) is (known[1] is None)
        name, value = re.fullmatch(r"#(\w+) = (:\w+)", term).groups()  # type: ignore[union-attr]  # any other form is unknown
        return bool(there.get(name) == values[value])

    condition = arguments.get("ConditionExpression")
    return condition is None or all(map(one, condition.split(" AND ")))


def _updated(found: Item, arguments: Mapping[str, Any]) -> Item:
    after, values = dict(found), arguments.get("ExpressionAttributeValues", {})
    words = re.split(r"\b(SET|REMOVE|ADD|DELETE) ", arguments["UpdateExpression"])
    for verb, parts in zip(words[1::2], words[2::2], strict=True):
        for part in re.findall(r"#\w+(?: = (?:if_not_exists\(#\w+, :\w+\)|:\w+)| :\w+)?", parts):
            name = part.split(" ")[0][1:]
            value = values[match[0]] if (match := re.search(r":\w+", part)) else None
            _apply(after, verb, name, value, first="if_not_exists" in part)
    return {name: value for name, value in after.items() if name not in _UNTOLD}


def _apply(after: Item, verb: str, name: str, value: Any, *, first: bool) -> None:
    if verb == "REMOVE":
        after.pop(name, None)
    elif verb == "SET":
        if not (first and name in after):
            after[name] = value
    elif "SS" in value:
        had = {*after.get(name, {"SS": []})["SS"]}
        left = had | {*value["SS"]} if verb == "ADD" else had - {*value["SS"]}
        # DynamoDB has no empty set.
        after[name] = {"SS": sorted(left)}
        if not left:
            del after[name]
    else:
        after[name] = {"N": str(int(after.get(name, {"N": "0"})["N"]) + int(value["N"]))}
