"""`dzgrant reconcile`: by the same path as an event, once, for one or every subscription."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from rich.table import Table
from rich.text import Text

from dzgrant import settings
from dzgrant.cli.console import console, table
from dzgrant.cli.parts import domains, with_parts
from dzgrant.errors import DzgrantError, Refused
from dzgrant.ledger import Ledger
from dzgrant.model import GrantState, Subscription
from dzgrant.together import together
from dzgrant.worker import Parts

log = structlog.stdlib.get_logger(__name__)

_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What became of one subscription: each table with its principal, from state to state; `-` is no grant."""

    subscription: Subscription
    changes: tuple[str, ...]
    unchanged: int
    error: str | None


def reconcile(subscription: str | None, domain: str | None, *, logged: bool) -> bool:
    """Prints or logs what was done; whether all could be. Raises `Refused` for a subscription that DataZone does not know."""
    loaded = settings.load()
    places = domains(domain, loaded)
    done = with_parts(lambda parts: _reconciled(parts, places, subscription), loaded, logged=logged)
    if logged:
        _log(done)
    else:
        console().print(_drawn(done) if done else "no subscription")
    return not any(one.error for one in done)


def _log(done: Sequence[_Done]) -> None:
    for one in done:
        if one.error:
            log.warning("reconcile_failed", subscription=one.subscription.id, error=one.error)
    changed = sum(len(one.changes) for one in done)
    failed = sum(bool(one.error) for one in done)
    unchanged = sum(one.unchanged for one in done)
    log.info("reconciled", subscriptions=len(done), changed=changed, unchanged=unchanged, failed=failed)


async def _reconciled(parts: Parts, places: Sequence[str], subscription: str | None) -> list[_Done]:
    found = await _every(parts, places) if subscription is None else [await _named(parts, places, subscription)]
    room = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(one: Subscription) -> _Done:
        async with room:
            return await _one(parts, one)

    return await together(in_turn(one) for one in found)


async def _every(parts: Parts, places: Sequence[str]) -> list[Subscription]:
    return [one for domain in places async for one in parts.catalog.every(domain)]


async def _named(parts: Parts, places: Sequence[str], subscription: str) -> Subscription:
    for domain in places:
        found = await parts.catalog.subscription(domain, subscription=subscription, request=None, listing=None, project=None)
        if found is not None:
            return found
    raise Refused(f"DataZone has no subscription {subscription} in {', '.join(places)}", do="check the id and --domain")


async def _one(parts: Parts, subscription: Subscription) -> _Done:
    before = await _states(parts.ledger, subscription)
    error = None
    try:
        await parts.converge.reconcile(subscription)
    except DzgrantError as failure:
        error = str(failure.about(subscription=subscription.id))
    after = await _states(parts.ledger, subscription)
    grants = sorted({*before, *after})
    changes = tuple(
        f"{path} for {principal}: {before.get((path, principal), '-')} → {after.get((path, principal), '-')}"
        for path, principal in grants
        if before.get((path, principal)) is not after.get((path, principal))
    )
    return _Done(subscription=subscription, changes=changes, unchanged=len(grants) - len(changes), error=error)


async def _states(ledger: Ledger, subscription: Subscription) -> dict[tuple[str, str], GrantState]:
    """By table and principal."""
    found = ledger.find(subscription=subscription.id)
    return {(str(grant.path), grant.principal.id): grant.state async for grant in found}


def _drawn(done: Sequence[_Done]) -> Table:
    drawn = table("subscription", "domain", "project", "status", "changed", "as before", "error")
    for one in done:
        it = one.subscription
        changed, error = "\n".join(one.changes) or "nothing", Text(one.error or "", "red")
        drawn.add_row(it.id, it.domain, it.project, it.status, changed, str(one.unchanged), error)
    return drawn
