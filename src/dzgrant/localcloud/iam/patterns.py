"""The patterns of policies: `*` and `?` as wildcards, and variables such as `${aws:PrincipalTag/team}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

Context = Mapping[str, tuple[str, ...]]
"""A request's condition keys, in lower case as they are compared, with their values; none: known, but not in the request.
A key that ends in a slash stands for a family, such as `aws:requesttag/`."""

_VARIABLE = re.compile(r"\$\{(?P<name>[^},]+)(?:,\s*'(?P<default>[^']*)')?\}")
# How a pattern writes the three characters that mean something in it (IAM user guide, "policy variables").
_LITERAL = frozenset("*?$")


class NotUnderstood(Exception):
    """A policy or a call says something that this evaluation does not know: a bug of the test or of this room."""


def values(context: Context, key: str) -> tuple[str, ...]:
    """The request's values of a condition key; none: the request has no such key. Raises `NotUnderstood`."""
    folded = key.lower()
    if folded in context:
        return context[folded]
    if folded.partition("/")[0] + "/" in context:
        return ()
    raise NotUnderstood(f"the condition key {key} is not known here")


def matches(pattern: str, text: str, context: Context) -> bool:
    """Whether the whole text fits the pattern. A variable without a value fits nothing."""
    if "$" not in pattern:
        return _compiled(pattern).fullmatch(text) is not None
    parts, at = [], 0
    for found in _VARIABLE.finditer(pattern):
        value = _value(found, context)
        if value is None:
            return False
        parts += [_expression(pattern[at : found.start()]), re.escape(value)]
        at = found.end()
    return re.fullmatch("".join([*parts, _expression(pattern[at:])]), text, re.DOTALL) is not None


def filled(text: str, context: Context) -> str | None:
    """The text with its variables' values, without wildcards; None: a variable has no value."""
    parts, at = [], 0
    for found in _VARIABLE.finditer(text):
        value = _value(found, context)
        if value is None:
            return None
        parts += [text[at : found.start()], value]
        at = found.end()
    return "".join([*parts, text[at:]])


def matches_arn(pattern: str, text: str, context: Context) -> bool:
    """As `matches`, but each of an ARN's six parts by itself: a wildcard does not reach across a colon. `*` is every ARN."""
    if pattern == "*":
        return True
    asked, there = pattern.split(":", 5), text.split(":", 5)
    return len(asked) == len(there) and all(matches(one, other, context) for one, other in zip(asked, there, strict=True))


def _value(found: re.Match[str], context: Context) -> str | None:
    name = found["name"].strip()
    if name in _LITERAL:
        return name
    given = values(context, name)
    # A key of several values can't be a variable.
    return given[0] if len(given) == 1 else found["default"]


@lru_cache(4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_expression(pattern), re.DOTALL)


def _expression(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(letter) or re.escape(letter) for letter in pattern)
