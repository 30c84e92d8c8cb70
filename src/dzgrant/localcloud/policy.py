"""Resource and trust policies, as far as dzgrant's own use them: who is allowed, who is denied, what is public.

A condition that is not understood never matches an Allow: the local cloud is stricter than AWS there, never laxer.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

_NO_CONTEXT: Mapping[str, str] = {}


def allows(document: str, action: str, names: Collection[str], context: Mapping[str, str] = _NO_CONTEXT) -> bool:
    """Whether the policy allows one of these principal names the action, and denies it to none of them.

    `context`: the condition keys of the request, such as `sts:ExternalId`.
    """
    statements = [
        statement
        for statement in _statements(document)
        if _acts(statement, action) and _admits(statement, names) and _holds(statement, context)
    ]
    effects = {statement.get("Effect") for statement in statements}
    return "Allow" in effects and "Deny" not in effects


def public(document: str) -> bool:
    """Whether everybody is allowed something, without a condition."""
    return any(
        statement.get("Effect") == "Allow" and "*" in _principals(statement) and not statement.get("Condition")
        for statement in _statements(document)
    )


def _statements(document: str) -> list[dict[str, Any]]:
    found = json.loads(document)["Statement"]
    return found if isinstance(found, list) else [found]


def _acts(statement: dict[str, Any], action: str) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in _several(statement.get("Action")))


def _admits(statement: dict[str, Any], names: Collection[str]) -> bool:
    principals = _principals(statement)
    return "*" in principals or not principals.isdisjoint(names)


def _principals(statement: dict[str, Any]) -> frozenset[str]:
    principal = statement.get("Principal")
    return frozenset(_several(principal.get("AWS") if isinstance(principal, dict) else principal))


def _holds(statement: dict[str, Any], context: Mapping[str, str]) -> bool:
    conditions: dict[str, dict[str, Any]] = statement.get("Condition") or {}
    return all(
        operator == "StringEquals" and context.get(key) in _several(wanted)
        for operator, tests in conditions.items()
        for key, wanted in tests.items()
    )


def _several(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
