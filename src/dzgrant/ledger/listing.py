"""How people look things up: by subscription, environment, project, source or state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dzgrant.ledger import extensions as _extensions
from dzgrant.ledger import items, keys
from dzgrant.ledger.records import HistoryRecord, Refusal
from dzgrant.ledger.store import Store
from dzgrant.model import ExtensionRecord, ExtensionState, GrantRecord, GrantState, PrincipalRecord, PrincipalState

if TYPE_CHECKING:
    from dzgrant.ledger.items import Item

_LIVE = (GrantState.FAILED, GrantState.REVOKING, GrantState.GRANTING, GrantState.GRANTED)
_WRITTEN = {
    # A revoke that was cut off before it could say anything has lost its subscriptions, and its state is what it was.
    GrantState.REVOKING: (GrantState.REVOKING, GrantState.GRANTING, GrantState.GRANTED),
    **{stuck: (of,) for stuck, of in items.STUCK.items()},
}
"""The states that the items have which read as this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a grant must fit; None fits all. `source` is a `Source.key`."""

    subscription: str | None
    environment: str | None
    project: str | None
    source: str | None
    state: GrantState | None

    def fits(self, grant: GrantRecord) -> bool:
        """Whether the grant fits, but for the subscription: the lookup by subscription has seen to that."""
        place = grant.principal.environment
        return (
            self.environment in (None, place.id)
            and self.project in (None, place.project)
            and self.source in (None, grant.principal.source.key)
            and self.state in (None, grant.state)
        )


async def find(store: Store, wish: Filter) -> AsyncIterator[GrantRecord]:
    async for item in _items(store, wish):
        found = _ended(items.history(item)) if wish.state is GrantState.REVOKED else items.grant_record(item)
        if wish.fits(found):
            yield found


async def waiting(store: Store) -> AsyncIterator[GrantRecord]:
    for state in items.STUCK.values():
        async for item in store.query(state, keys.GRANT, attribute="state"):
            yield items.grant_record(item)


async def principals(store: Store) -> AsyncIterator[PrincipalRecord]:
    for state in PrincipalState:
        if state is not PrincipalState.REMOVED:
            async for item in store.query(state, keys.PRINCIPAL, attribute="state"):
                yield items.holding(item).record


async def extensions(store: Store) -> AsyncIterator[ExtensionRecord]:
    for state in ExtensionState:
        if state is not ExtensionState.RESTORED:
            async for item in store.query(state, keys.EXTENSION, attribute="state"):
                yield _extensions.record(item)


async def refusals(store: Store) -> AsyncIterator[Refusal]:
    for state in (GrantState.FAILED, GrantState.STUCK_GRANT):
        async for item in store.query(state, keys.SUBSCRIPTION, attribute="state"):
            yield items.refusal(item)


async def history(store: Store, *, subscription: str | None, environment: str | None) -> AsyncIterator[HistoryRecord]:
    if environment is not None:
        found = store.query(keys.partition(environment), keys.HISTORY)
    elif subscription is not None:
        found = store.query(subscription, keys.HISTORY, attribute="subscription")
    else:
        raise ValueError("the history of what?")
    async for item in found:
        record = items.history(item)
        if subscription in (None, record.subscription):
            yield record


async def _items(store: Store, wish: Filter) -> AsyncIterator[Item]:
    if wish.subscription is not None and wish.state is not GrantState.REVOKED:
        subscription = await store.get(keys.subscription(wish.subscription))
        claims = items.claims(subscription) if subscription else ()
        for item in await store.get_all(list({keys.grant(claim.principal, claim.path): None for claim in claims})):
            yield item
        return
    prefix = keys.HISTORY if wish.state is GrantState.REVOKED else keys.GRANT
    for attribute, value in _places(wish):
        async for item in store.query(value, prefix, attribute=attribute):
            yield item


def _places(wish: Filter) -> list[tuple[str, str]]:
    """The narrowest lookups, each an attribute and its value, that together hold all that fits."""
    if wish.subscription is not None:
        return [("subscription", wish.subscription)]
    if wish.environment is not None:
        return [("pk", keys.partition(wish.environment))]
    if wish.source is not None:
        return [("source", wish.source)]
    if wish.project is not None:
        return [("project", wish.project)]
    return [("state", state) for state in (_LIVE if wish.state is None else _WRITTEN.get(wish.state, (wish.state,)))]


def _ended(record: HistoryRecord) -> GrantRecord:
    return GrantRecord(
        principal=record.principal,
        path=record.path,
        table=record.table,
        subscriptions=frozenset({record.subscription}),
        state=record.state,
        reason=record.reason,
        since=record.first,
        updated_at=record.last,
    )
