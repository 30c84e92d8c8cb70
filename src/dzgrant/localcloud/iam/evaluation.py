"""AWS's policy evaluation logic (IAM user guide, "Policy evaluation logic"), for identity policies, a permissions boundary
and a resource's policy. Organisations' and sessions' policies are not modelled: dzgrant uses none.

- An explicit deny in any of them decides.
- In one account, the identity's policies or the resource's must allow; across accounts, both.
- A role's trust and a KMS key's policy must allow in any case: by the caller's name, or through its account, which then
  decides by its identity policies.
- A boundary bounds what the identity's policies allow, and what a resource's policy allows the role by its name; it does
  not bound what that policy allows the session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dzgrant.localcloud.iam.documents import Caller, Match, Policy, Statement
from dzgrant.localcloud.iam.patterns import Context

_NEARNESS: tuple[Match, ...] = ("session", "named", "account")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One action upon one resource: its ARN, or `*` where the action knows none."""

    action: str
    resource: str
    account: str
    """Whose resource it is."""
    context: Context
    policy: Policy | None = None
    """The resource's own."""
    must: bool = False
    """Whether the resource's policy must allow in its own account, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """A statement that allowed something. Only what is used can be told from what is merely given."""

    policy: str
    sid: str
    action: str
    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`by`: what allows it. `why`: as AWS's refusals end; '' when it is allowed."""

    by: tuple[Right, ...] = ()
    why: str = ""


def decide(caller: Caller, request: Request, identity: Sequence[Policy], boundary: Policy | None = None) -> Decision:
    """Raises `NotUnderstood`."""
    if kind := _denied(caller, request, identity, boundary):
        return Decision(why=f"with an explicit deny in {kind}")
    own = next(_allowing(identity, request), None)
    match, given = _given(caller, request)
    across = request.account != caller.account
    if given is None and (across or request.must):
        return Decision(why=f"because no resource-based policy allows the {request.action} action")
    directly = match in ("session", "named") and not across
    if own is None and not directly:
        return Decision(why=f"because no identity-based policy allows the {request.action} action")
    if boundary is not None and match != "session" and next(_allowing((boundary,), request), None) is None:
        return Decision(why=f"because no permissions boundary allows the {request.action} action")
    return Decision(by=tuple(right for right in (own, given) if right is not None))


def _denied(caller: Caller, request: Request, identity: Sequence[Policy], boundary: Policy | None) -> str | None:
    bounds = (boundary,) if boundary is not None else ()
    for kind, policies in (("an identity-based policy", identity), ("a permissions boundary", bounds)):
        if any(not it.allows and _speaks(it, request) for policy in policies for it in policy.statements):
            return kind
    statements = request.policy.statements if request.policy is not None else ()
    denied = any(not it.allows and it.means(caller) and _speaks(it, request) for it in statements)
    return "a resource-based policy" if denied else None


def _allowing(policies: Iterable[Policy], request: Request) -> Iterator[Right]:
    for policy in policies:
        for it in policy.statements:
            if it.allows and _speaks(it, request):
                yield _right(policy, it, request)


def _given(caller: Caller, request: Request) -> tuple[Match, Right] | tuple[None, None]:
    """What the resource's policy allows, and how near it names the caller."""
    if request.policy is None:
        return None, None
    found = {it.means(caller): it for it in request.policy.statements if it.allows and _speaks(it, request)}
    for match in _NEARNESS:
        if match in found:
            return match, _right(request.policy, found[match], request)
    return None, None


def _speaks(statement: Statement, request: Request) -> bool:
    return statement.speaks_of(request.action, request.resource, request.context)


def _right(policy: Policy, statement: Statement, request: Request) -> Right:
    return Right(policy=policy.name, sid=statement.sid, action=request.action, resource=request.resource)
