"""A policy's text as statements, parsed once for each text."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from dzgrant.localcloud.iam.conditions import Condition, condition
from dzgrant.localcloud.iam.patterns import Context, NotUnderstood, matches, matches_arn

_VERSIONS = ("2012-10-17", "2008-10-17")
_ELEMENTS = frozenset({"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"})

Match = Literal["session", "named", "account"]
"""How a statement means a caller: by its session; by its role, or as anybody; by its account, which must then allow it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls. `role`: ARN of the assumed role, None for an administrator. `arn`: how error messages name the caller."""

    account: str
    role: str | None
    arn: str
    service: str | None = None
    """AWS's own, such as `events.amazonaws.com`; then there is no role."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """`principals` and `services` are empty in a policy of an identity. `sid` is the statement's number where it has no Sid."""

    sid: str
    allows: bool
    principals: frozenset[str]
    services: frozenset[str]
    actions: tuple[str, ...]
    other_actions: bool
    resources: tuple[str, ...]
    other_resources: bool
    conditions: tuple[Condition, ...]

    def speaks_of(self, action: str, resource: str, context: Context) -> bool:
        return (
            any(matches(pattern, action.lower(), context) for pattern in self.actions) is not self.other_actions
            and any(matches_arn(pattern, resource, context) for pattern in self.resources) is not self.other_resources
            and all(condition.holds(context) for condition in self.conditions)
        )

    def means(self, caller: Caller) -> Match | None:
        if caller.service is not None:
            return "named" if caller.service in self.services or "*" in self.principals else None
        if caller.role is not None and caller.arn in self.principals:
            return "session"
        if not self.principals.isdisjoint({"*", caller.role, caller.arn} - {None}):
            return "named"
        account = {caller.account, f"arn:aws:iam::{caller.account}:root"}
        return None if self.principals.isdisjoint(account) else "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`name`: how a record of rights calls it."""

    name: str
    statements: tuple[Statement, ...]

    @property
    def public(self) -> bool:
        """Whether everybody is allowed something, without a condition."""
        return any(it.allows and "*" in it.principals and not it.conditions for it in self.statements)


@lru_cache(1024)
def parsed(name: str, text: str) -> Policy:
    """Raises `NotUnderstood` for what is no policy, or has elements that are not known here (NotPrincipal)."""
    document = json.loads(text)
    if document.get("Version", _VERSIONS[1]) not in _VERSIONS:
        raise NotUnderstood(f"policy {name} has the version {document['Version']}")
    every = enumerate(_several(document["Statement"]))
    return Policy(name=name, statements=tuple(_statement(name, number, raw) for number, raw in every))


def _statement(name: str, number: int, raw: Mapping[str, Any]) -> Statement:
    if (unknown := raw.keys() - _ELEMENTS) or raw.get("Effect") not in ("Allow", "Deny"):
        raise NotUnderstood(f"policy {name}, statement {number}: {', '.join(unknown) or 'Effect'} is not known here")
    principal = raw.get("Principal")
    by_kind = principal if isinstance(principal, dict) else {"AWS": principal}
    if unknown := by_kind.keys() - {"AWS", "Service"}:
        raise NotUnderstood(f"policy {name}, statement {number}: principals by {', '.join(unknown)} are not known here")
    return Statement(
        sid=str(raw.get("Sid", number)),
        allows=raw["Effect"] == "Allow",
        principals=frozenset(_several(by_kind.get("AWS"))),
        services=frozenset(_several(by_kind.get("Service"))),
        actions=tuple(str(one).lower() for one in _several(raw.get("Action", raw.get("NotAction")))),
        other_actions="NotAction" in raw,
        # A trust policy has none: it is the role's own.
        resources=tuple(map(str, _several(raw.get("Resource", raw.get("NotResource", "*"))))),
        other_resources="NotResource" in raw,
        conditions=tuple(
            condition(kind, key, tuple(_text(value) for value in _several(wanted)))
            for kind, tests in raw.get("Condition", {}).items()
            for key, wanted in tests.items()
        ),
    )


def _several(value: Any) -> Collection[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
