"""The writes that a transaction is made of; nothing here talks to DynamoDB.

Order matters where one transaction can't hold all: an intent writes claims before grants, and an outcome removes grants
before claims, so that a crash in between leaves a claim, by which a revoke finds its way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from dzgrant.ledger import items, keys
from dzgrant.ledger.keys import Key
from dzgrant.ledger.records import Claim, GrantOutcome
from dzgrant.model import GrantState, Principal, Scope, TablePath, Wanted

if TYPE_CHECKING:
    from dzgrant.ledger.items import Value

    Values = Mapping[str, Value]

_Thing = TypeVar("_Thing")

MOST = 100
"""Items in one transaction (DynamoDB's limit)."""

# A grant keeps the time at which it came into its state; coming into this one forgets these others.
_FORGETS: Mapping[GrantState, tuple[str, ...]] = {
    GrantState.GRANTING: ("granted_at", "revoking_at", "failed_at"),
    GrantState.GRANTED: ("revoking_at", "failed_at"),
    GrantState.REVOKING: ("failed_at",),
    GrantState.FAILED: ("granted_at", "revoking_at"),
}


@dataclass(frozen=True, slots=True)
class Write:
    """One item of a transaction: what to do, where, and the rest of DynamoDB's arguments but the table's name."""

    action: Literal["Update", "Delete", "ConditionCheck"]
    key: Key
    arguments: Mapping[str, Any]


def change(
    key: Key,
    *,
    sets: Values | None = None,
    first: Values | None = None,
    removes: Sequence[str] = (),
    adds: Values | None = None,
    deletes: Values | None = None,
    where: str | None = None,
    given: Values | None = None,
) -> Write:
    """An update. `first` sets an attribute only where there is none; `given` are further values that `where` names.

    Names are always written `#name`, since many of ours are DynamoDB's reserved words.
    """
    clauses = {
        "SET": [f"#{name} = :{name}" for name in sets or ()]
        + [f"#{name} = if_not_exists(#{name}, :{name})" for name in first or ()],
        "REMOVE": [f"#{name}" for name in removes],
        "ADD": [f"#{name} :{name}" for name in adds or ()],
        "DELETE": [f"#{name} :{name}" for name in deletes or ()],
    }
    expression = " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts)
    values = {f":{name}": value for part in (sets, first, adds, deletes, given) for name, value in (part or {}).items()}
    arguments: dict[str, Any] = {"Key": _key(key), "UpdateExpression": expression} | _names(expression, where)
    if values:
        arguments["ExpressionAttributeValues"] = values
    return Write("Update", key, arguments)


def check(key: Key, where: str, given: Values | None = None) -> Write:
    """Nothing written; the transaction only happens where this holds."""
    arguments: dict[str, Any] = {"Key": _key(key)} | _names("", where)
    if given:
        arguments["ExpressionAttributeValues"] = {f":{name}": value for name, value in given.items()}
    return Write("ConditionCheck", key, arguments)


def delete(key: Key) -> Write:
    return Write("Delete", key, {"Key": _key(key)})


def intents(principal: Principal, wanted: Collection[Wanted], unwanted: Iterable[Claim], now: datetime) -> Iterator[Write]:
    """What acquiring a lease records: claims and grants that are to be, and grants that lose a subscription.

    Claims have the condition that their subscription has not ended; a grant that is to lose one must be there.
    """
    when = items.moment(now)
    for subscription, claims in _grouped(wanted, lambda one: one.subscription):
        yield change(
            keys.subscription(subscription),
            sets={"v": items.number(items.SCHEMA), principal.login: _claimant(principal, claims[-1]), "updated_at": when},
            removes=("state", "reason", "failed_at"),
            adds={items.tables(principal): items.texts(claim.path.name for claim in claims)},
            where="attribute_not_exists(#ended_at)",
        )
    for _, claims in _grouped(wanted, lambda one: one.path.key):
        yield _wanted(principal, claims, when)
    for _, ending in _grouped(unwanted, lambda one: one.path.key):
        # A grant that no subscription wants any more reads as REVOKING; one that another wants stays as it is.
        yield change(
            keys.grant(principal, ending[0].path),
            sets={"updated_at": when},
            removes=sorted({items.scope_name(claim.subscription) for claim in ending}),
            # A deleted environment's claims are found by what its grants say, until the end of each is recorded.
            adds={"intents": items.number(1), "leaving": items.texts({claim.subscription for claim in ending})},
            deletes={"subscriptions": items.texts({claim.subscription for claim in ending})},
            where="attribute_exists(#pk)",
        )


def _wanted(principal: Principal, wishes: Sequence[Wanted], when: Value) -> Write:
    """A grant that is to be, with what each of its filtered subscriptions lets be read. Its version never goes back."""
    # A spelling that differs in case is the same table; should one subscription have it twice, the wider scope counts.
    whole = {wish.subscription for wish in wishes if wish.scope == Scope()}
    scopes = {
        items.scope_name(wish.subscription): items.scope(wish.subscription, wish.scope)
        for wish in wishes
        if wish.subscription not in whole
    }
    named = _named(principal, wishes[0].path)
    schema = {"v": named.pop("v")}
    return change(
        keys.grant(principal, wishes[0].path),
        sets=named | {"updated_at": when} | ({"v": items.number(items.FILTERED)} | scopes if scopes else {}),
        first={"state": items.text(GrantState.GRANTING), "granting_at": when} | ({} if scopes else schema),
        removes=sorted(items.scope_name(subscription) for subscription in whole),
        adds={"subscriptions": items.texts({wish.subscription for wish in wishes}), "intents": items.number(1)},
        deletes={"leaving": items.texts({wish.subscription for wish in wishes})},
    )


def outcomes(principal: Principal, grants: Collection[GrantOutcome], now: datetime) -> Iterator[Write]:
    """What settling records: grants as they are now, history, and claims that end."""
    for outcome in grants:
        yield _grant(principal, outcome, now)
        if outcome.state in (GrantState.GRANTED, GrantState.FAILED):
            for subscription in sorted(outcome.subscriptions):
                yield _history(principal, outcome, subscription, outcome.state, now)
        for subscription in sorted(outcome.ended):
            yield _history(principal, outcome, subscription, GrantState.REVOKED, now)
    ended = [(subscription, outcome.path.name) for outcome in grants for subscription in outcome.ended]
    for subscription, pairs in _grouped(ended, lambda pair: pair[0]):
        yield change(
            keys.subscription(subscription),
            sets={"v": items.number(items.SCHEMA), "updated_at": items.moment(now)},
            deletes={items.tables(principal): items.texts({path for _, path in pairs})},
        )


def batches(writes: Iterable[Write], *, beside: int = 1) -> list[list[Write]]:
    """The writes in order, in transactions that leave room for `beside` more; no transaction has a key twice. One at least."""
    found: list[list[Write]] = [[]]
    seen: set[Key] = set()
    for write in writes:
        if len(found[-1]) == MOST - beside or write.key in seen:
            found.append([])
            seen.clear()
        found[-1].append(write)
        seen.add(write.key)
    return found


def _grouped(things: Iterable[_Thing], key: Callable[[_Thing], str]) -> list[tuple[str, list[_Thing]]]:
    return [(name, list(group)) for name, group in groupby(sorted(things, key=key), key=key)]


def _claimant(principal: Principal, wanted: Wanted) -> Value:
    return {"M": {"principal": items.principal(principal), "admin": items.admin(wanted.admin)}}


def _named(principal: Principal, path: TablePath) -> dict[str, Value]:
    return {
        "v": items.number(items.SCHEMA),
        "principal": items.principal(principal),
        "project": items.text(principal.environment.project),
        "source": items.text(principal.source.key),
        "path": items.text(path.name),
    }


def _grant(principal: Principal, outcome: GrantOutcome, now: datetime) -> Write:
    key = keys.grant(principal, outcome.path)
    if outcome.state is GrantState.REVOKED:
        return delete(key)
    sets: dict[str, Value] = {"updated_at": items.moment(now)} | _table(outcome)
    first: dict[str, Value] = {}
    forgotten: tuple[str, ...] = ()
    if outcome.state is not None:
        state = items.STUCK.get(outcome.state, outcome.state)
        sets["state"] = items.text(state)
        first[f"{state.lower()}_at"] = items.moment(now)
        forgotten = (*_FORGETS[state], "reason")
        if outcome.state in items.STUCK:
            sets["stuck"] = items.text(state)
        else:
            forgotten += ("stuck",)
        if outcome.given_up:
            sets["given_up"] = items.moment(now)
        else:
            forgotten += ("given_up",)
    if outcome.table is not None:
        readable = _readable(outcome)
        sets |= readable
        forgotten += tuple(name for name in ("readable", "columns", "settled") if name not in readable)
    if outcome.reason is not None:
        sets["reason"] = items.text(outcome.reason)
        forgotten = tuple(name for name in forgotten if name != "reason")
    over = {"leaving": items.texts(outcome.ended)} if outcome.ended else {}
    return change(key, sets=sets, first=first, removes=forgotten, deletes=over, where="attribute_exists(#pk)")


def _history(principal: Principal, outcome: GrantOutcome, subscription: str, state: GrantState, now: datetime) -> Write:
    reason = {} if outcome.reason is None else {"reason": items.text(outcome.reason)}
    return change(
        keys.history(principal, outcome.path, subscription, state),
        sets=_named(principal, outcome.path)
        | {"subscription": items.text(subscription), "state": items.text(state), "last_at": items.moment(now)}
        | _table(outcome)
        | reason,
        first={"first_at": items.moment(now)},
    )


def _table(outcome: GrantOutcome) -> dict[str, Value]:
    return {} if outcome.table is None else {"table": items.table(outcome.table)}


def _readable(outcome: GrantOutcome) -> dict[str, Value]:
    view = {} if outcome.readable is None else {"readable": items.table(outcome.readable)}
    columns: dict[str, Value] = (
        {} if outcome.columns is None else {"columns": {"L": [items.text(name) for name in outcome.columns]}}
    )
    settled = {} if outcome.settled is None else {"settled": items.settled(*outcome.settled)}
    return view | columns | settled


def _key(key: Key) -> dict[str, Value]:
    return {"pk": items.text(key.pk), "sk": items.text(key.sk)}


def _names(expression: str, where: str | None) -> dict[str, Any]:
    condition = {} if where is None else {"ConditionExpression": where}
    return condition | {
        "ExpressionAttributeNames": {f"#{name}": name for name in re.findall(r"#(\w+)", f"{expression} {where}")}
    }
