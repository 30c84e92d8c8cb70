"""What can't go on: which tables, for whom, since when; and how a person has it tried at once, or settles it by hand."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from dzgrant.catalog import Catalog
from dzgrant.errors import DzgrantError
from dzgrant.intake.events import SubscriptionHint
from dzgrant.ledger import Claim, Ledger, Refusal
from dzgrant.metrics import Metrics
from dzgrant.model import PATIENCE, GrantRecord, GrantState, PrincipalRecord
from dzgrant.saga.converge import Converge
from dzgrant.saga.runner import Runner

log = structlog.stdlib.get_logger(__name__)

_PERIOD = timedelta(minutes=5)
_MOVING = (GrantState.GRANTING, GrantState.REVOKING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """`subscriptions`: those that want the table; of a revoke those that wanted it, as far as it was ever granted."""

    record: GrantRecord
    subscriptions: frozenset[str]

    @property
    def revoke(self) -> bool:
        return not self.record.subscriptions


def is_stuck(record: GrantRecord, now: datetime) -> bool:
    """Also what has waited for long and never said why: a worker died, and the message is lost."""
    return record.stuck or (record.state in _MOVING and now - record.since >= PATIENCE)


async def stuck(ledger: Ledger) -> list[Stuck]:
    """All of them, by principal and table. Eventually consistent."""
    now = datetime.now(UTC)
    waiting = [record async for record in ledger.waiting()]
    # A revoke that was cut off at once is among the grants that live.
    waiting += [record async for record in ledger.find(state=GrantState.REVOKING)]
    found = {(record.principal.id, record.path.key): record for record in waiting if is_stuck(record, now)}
    return [Stuck(record=record, subscriptions=await _subscriptions(ledger, record)) for _, record in sorted(found.items())]


async def never_begun(ledger: Ledger) -> list[Refusal]:
    """Subscriptions that a person must do something for before they come to a login. Eventually consistent."""
    found = [one async for one in ledger.refusals() if one.state is GrantState.STUCK_GRANT]
    return sorted(found, key=lambda one: one.subscription)


async def watch(ledger: Ledger, metrics: Metrics) -> None:
    """Keeps count, until it is cancelled."""
    while True:
        # Workers that started together look at different times.
        await asyncio.sleep(_PERIOD.total_seconds() * random.uniform(0.5, 1.0))  # noqa: S311  # spreads the load, hides nothing
        try:
            await count(ledger, metrics)
        except DzgrantError as error:
            log.warning("stuck_not_counted", error=str(error))


async def count(ledger: Ledger, metrics: Metrics) -> None:
    """By two lookups in the index: a revoke that was cut off at once is only found by a listing, and by reconcile."""
    now = datetime.now(UTC)
    stuck = [one async for one in ledger.waiting() if is_stuck(one, now)]
    aims = Counter("grant" if one.subscriptions else "revoke" for one in stuck)
    aims["grant"] += len(await never_begun(ledger))
    for aim in ("grant", "revoke"):
        metrics.stuck.labels(aim).set(aims[aim])


async def _subscriptions(ledger: Ledger, record: GrantRecord) -> frozenset[str]:
    if record.subscriptions:
        return record.subscriptions
    history = ledger.history(environment=record.principal.environment.id)
    had = {one.subscription async for one in history if (one.principal, one.path) == (record.principal, record.path)}
    return frozenset({by for by in had if _claim(await ledger.claims(by), record)})


def _claim(claims: Collection[Claim], record: GrantRecord) -> bool:
    return any((claim.principal.id, claim.path.key) == (record.principal.id, record.path.key) for claim in claims)


async def retried(
    waiting: Collection[Stuck],
    unbegun: Collection[Refusal],
    *,
    ledger: Ledger,
    catalog: Catalog,
    converge: Converge,
    runner: Runner,
) -> AsyncIterator[DzgrantError]:
    """Tries them now, by the same steps as after an event; gives what stopped it. Raises when the ledger can't be read."""
    by_principal: dict[str, list[Stuck]] = defaultdict(list)
    for one in waiting:
        by_principal[one.record.principal.id].append(one)
    for group in by_principal.values():
        if revokes := [one for one in group if one.revoke]:
            known = await principal_of(ledger, revokes[0].record)
            try:
                await runner.take(known, claims(known, revokes))
            except DzgrantError as error:
                yield error
    wanting = {(one.domain, one.subscription) for one in unbegun}
    wanting |= {(one.record.principal.environment.domain, by) for one in waiting if not one.revoke for by in one.subscriptions}
    for domain, subscription in sorted(wanting):
        try:
            await _converge(domain, subscription, catalog, converge)
        except DzgrantError as error:
            yield error.about(subscription=subscription)


async def _converge(domain: str, subscription: str, catalog: Catalog, converge: Converge) -> None:
    found = await catalog.subscription(domain, subscription=subscription, request=None, listing=None, project=None)
    if found is not None:
        await converge.reconcile(found)
        return
    # DataZone knows it no more: as after an event that is old enough to believe it.
    await converge.handle(
        SubscriptionHint(
            event="retry",
            kind="retry",
            time=datetime.fromtimestamp(0, UTC),
            domain=domain,
            subscription=subscription,
            request=None,
            listing=None,
            project=None,
            ended=True,
        )
    )


async def principal_of(ledger: Ledger, of: GrantRecord) -> PrincipalRecord:
    """The ledger has one wherever it has a grant."""
    known = await ledger.principals(of.principal.environment.id)
    return next(one for one in known if one.principal == of.principal)


def claims(known: PrincipalRecord, revokes: Collection[Stuck]) -> list[Claim]:
    """What ends with these revokes."""
    return [
        Claim(subscription=by, principal=known.principal, admin=known.admin, path=one.record.path)
        for one in revokes
        for by in sorted(one.subscriptions)
    ]
