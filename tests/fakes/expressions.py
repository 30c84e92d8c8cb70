"""DynamoDB's expressions upon top-level attributes, compiled once for each text.

Grammar: DynamoDB developer guide, "Condition and filter expressions, operators, and functions" and "Using update expressions".
Nested paths and list functions are not known here, and are refused loudly: the ledger has no use for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.fakes.answers import Refusal

Item = Mapping[str, Any]
Names = Mapping[str, str]
Values = Mapping[str, Any]
Test = Callable[[Item, Names, Values], bool]
Operand = Callable[[Item, Names, Values], Any]

_TOKEN = re.compile(r"\s*([#:]?[A-Za-z_]\w*|<>|<=|>=|[=<>(),+-])")
_SETS = ("SS", "NS", "BS")


def invalid(message: str) -> Refusal:
    return Refusal("ValidationException", message)


@dataclass(frozen=True, slots=True)
class Condition:
    """`used`: the `#names` and `:values` that the text has."""

    test: Test
    used: frozenset[str]


@dataclass(frozen=True, slots=True)
class Change:
    """An update: `sets` are computed of the item as it was, all of them."""

    sets: tuple[tuple[str, Operand], ...]
    removes: tuple[str, ...]
    adds: tuple[tuple[str, str], ...]
    deletes: tuple[tuple[str, str], ...]
    used: frozenset[str]

    def apply(self, item: Item, names: Names, values: Values) -> dict[str, Any]:
        paths = [named(path, names) for path in (*(path for path, _ in (*self.sets, *self.adds, *self.deletes)), *self.removes)]
        if len(set(paths)) < len(paths):
            raise invalid("Invalid UpdateExpression: Two document paths overlap with each other")
        after = dict(item)
        for path, operand in self.sets:
            after[named(path, names)] = operand(item, names, values)
        for path in self.removes:
            after.pop(named(path, names), None)
        for path, value in self.adds:
            _add(after, named(path, names), values[value])
        for path, value in self.deletes:
            _delete(after, named(path, names), values[value])
        return after


@lru_cache(maxsize=1024)
def condition(text: str) -> Condition:
    parser = _Parser(text)
    test = parser.disjunction()
    parser.end()
    return Condition(test, parser.used)


@lru_cache(maxsize=4096)
def change(text: str) -> Change:
    parser = _Parser(text)
    sets: list[tuple[str, Operand]] = []
    removes: list[str] = []
    pairs: dict[str, list[tuple[str, str]]] = {"ADD": [], "DELETE": []}
    while parser.more:
        verb = parser.take().upper()
        while True:
            path = _path(parser.take())
            if verb == "SET":
                parser.expect("=")
                sets.append((path, parser.sum()))
            elif verb == "REMOVE":
                removes.append(path)
            else:
                pairs[verb].append((path, parser.take()))
            if not parser.accept(","):
                break
    return Change(tuple(sets), tuple(removes), tuple(pairs["ADD"]), tuple(pairs["DELETE"]), parser.used)


@cache
def _reserved() -> frozenset[str]:
    """DynamoDB's reserved words, from moto's list of them (developer guide, "Reserved words in DynamoDB")."""
    moto = find_spec("moto")
    assert moto is not None
    assert moto.submodule_search_locations is not None
    words = Path(moto.submodule_search_locations[0]) / "dynamodb" / "parsing" / "reserved_keywords.txt"
    return frozenset(words.read_text().upper().split())


def _path(token: str) -> str:
    if token.upper() in _reserved():
        raise invalid(f"Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: {token}")
    return token


def named(path: str, names: Names) -> str:
    return names[path] if path.startswith("#") else path


def check_used(names: Names, values: Values, used: frozenset[str]) -> None:
    """DynamoDB refuses names and values that no expression has, and expressions whose names and values were not given."""
    given = names.keys() | values.keys()
    if unused := given - used:
        kind = "ExpressionAttributeNames" if any(name.startswith("#") for name in unused) else "ExpressionAttributeValues"
        raise invalid(f"Value provided in {kind} unused in expressions: keys: {{{', '.join(sorted(unused))}}}")
    if missing := {name for name in used if name[0] in "#:"} - given:
        raise invalid(f"An expression attribute name or value used in expression is not defined: {', '.join(sorted(missing))}")


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            if (found := _TOKEN.match(text, at)) is None:
                raise invalid(f"Invalid expression: Syntax error; token: {text[at : at + 1]!r}")
            self._tokens.append(found[1])
            at = found.end()
        self._at = 0
        self.used = frozenset(token for token in self._tokens if token[0] in "#:")

    @property
    def more(self) -> bool:
        return self._at < len(self._tokens)

    def take(self) -> str:
        if not self.more:
            raise invalid("Invalid expression: Syntax error; token: <EOF>")
        self._at += 1
        return self._tokens[self._at - 1]

    def accept(self, token: str) -> bool:
        found = self.more and self._tokens[self._at].upper() == token
        self._at += found
        return found

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise invalid(f"Invalid expression: Syntax error; token: {self.take()!r}, expected {token!r}")

    def end(self) -> None:
        if self.more:
            raise invalid(f"Invalid expression: Syntax error; token: {self.take()!r}")

    def disjunction(self) -> Test:
        tests = [self._conjunction()]
        while self.accept("OR"):
            tests.append(self._conjunction())
        return tests[0] if len(tests) == 1 else lambda item, names, values: any(one(item, names, values) for one in tests)

    def _conjunction(self) -> Test:
        tests = [self._negation()]
        while self.accept("AND"):
            tests.append(self._negation())
        return tests[0] if len(tests) == 1 else lambda item, names, values: all(one(item, names, values) for one in tests)

    def _negation(self) -> Test:
        if self.accept("NOT"):
            inner = self._negation()
            return lambda item, names, values: not inner(item, names, values)
        if self.accept("("):
            inner = self.disjunction()
            self.expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Test:
        if self._tokens[self._at] in _FUNCTIONS:
            function = _FUNCTIONS[self.take()]
            self.expect("(")
            arguments = self._list()
            return lambda item, names, values: function(*(one(item, names, values) for one in arguments))
        left = self._operand()
        if self.accept("BETWEEN"):
            low = self._operand()
            self.expect("AND")
            high = self._operand()
            return lambda item, names, values: _between(*(one(item, names, values) for one in (left, low, high)))
        if self.accept("IN"):
            self.expect("(")
            among = self._list()
            return lambda item, names, values: left(item, names, values) in [one(item, names, values) for one in among]
        sign = self.take()
        compare = _COMPARATORS[sign]
        right = self._operand()
        return lambda item, names, values: compare(left(item, names, values), right(item, names, values))

    def _list(self) -> Sequence[Operand]:
        found = [self._operand()]
        while self.accept(","):
            found.append(self._operand())
        self.expect(")")
        return found

    def sum(self) -> Operand:
        left = self._operand()
        for sign, factor in (("+", 1), ("-", -1)):
            if self.accept(sign):
                right = self._operand()
                return lambda item, names, values, left=left, right=right, factor=factor: {  # type: ignore[misc]  # bound at once
                    "N": str(_number(left(item, names, values)) + factor * _number(right(item, names, values)))
                }
        return left

    def _operand(self) -> Operand:
        token = self.take()
        if token.upper() in _reserved():
            raise invalid(f"Invalid expression: Attribute name is a reserved keyword; reserved keyword: {token}")
        if token == "if_not_exists":
            self.expect("(")
            path, otherwise = self._list()
            return lambda item, names, values: (
                found if (found := path(item, names, values)) is not None else otherwise(item, names, values)
            )
        if self.more and self._tokens[self._at] == "(":
            raise NotImplementedError(f"the fake DynamoDB has no {token}()")
        if token.startswith(":"):
            return lambda item, names, values: values[token]
        return lambda item, names, values: item.get(named(token, names))


def _number(value: Any) -> Decimal:
    if value is None or "N" not in value:
        raise invalid("An operand in the update expression has an incorrect data type")
    return Decimal(value["N"])


def plain(value: Any) -> tuple[str, Any]:
    """A value as what it is compared by: numbers by their value."""
    ((kind, content),) = value.items()
    if kind == "N":
        return kind, Decimal(content)
    return kind, frozenset(content) if kind in _SETS else content


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compared(left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        (kind, one), (other_kind, other) = plain(left), plain(right)
        return kind == other_kind and compare(one, other)

    return compared


def _equal(left: Any, right: Any) -> bool:
    return left is not None and right is not None and plain(left) == plain(right)


_COMPARATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": _equal,
    "<>": lambda left, right: not _equal(left, right),
    "<": _ordered(lambda left, right: bool(left < right)),
    "<=": _ordered(lambda left, right: bool(left <= right)),
    ">": _ordered(lambda left, right: bool(left > right)),
    ">=": _ordered(lambda left, right: bool(left >= right)),
}


def _between(value: Any, low: Any, high: Any) -> bool:
    return _COMPARATORS[">="](value, low) and _COMPARATORS["<="](value, high)


def _begins_with(value: Any, prefix: Any) -> bool:
    return value is not None and "S" in value and value["S"].startswith(prefix["S"])


def _contains(value: Any, wanted: Any) -> bool:
    if value is None:
        return False
    ((kind, content),) = value.items()
    return next(iter(wanted.values())) in content if kind in ("S", *_SETS) else wanted in content


_FUNCTIONS: dict[str, Callable[..., bool]] = {
    "attribute_exists": lambda value: value is not None,
    "attribute_not_exists": lambda value: value is None,
    "begins_with": _begins_with,
    "contains": _contains,
}


def _add(item: dict[str, Any], name: str, value: Any) -> None:
    ((kind, more),) = value.items()
    nothing: Any = {kind: "0"} if kind == "N" else {kind: []}
    known = item.get(name, nothing)
    if kind not in known or kind not in ("N", *_SETS):
        raise invalid("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD")
    if kind == "N":
        item[name] = {"N": str(Decimal(known["N"]) + Decimal(more))}
    else:
        item[name] = {kind: sorted({*known[kind], *more})}


def _delete(item: dict[str, Any], name: str, value: Any) -> None:
    ((kind, less),) = value.items()
    known = item.get(name)
    if known is None:
        return
    if kind not in known or kind not in _SETS:
        raise invalid("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: DELETE")
    if left := [one for one in known[kind] if one not in less]:
        item[name] = {kind: left}
    else:
        # A set is never empty.
        del item[name]
