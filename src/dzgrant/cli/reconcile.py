"""`dzgrant reconcile`: a sweep, once, of a domain or of one subscription and all that it has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

from rich.table import Table
from rich.text import Text

from dzgrant import settings
from dzgrant.cli.console import console, table
from dzgrant.cli.parts import domains, with_parts
from dzgrant.errors import Refused
from dzgrant.model import Subscription
from dzgrant.saga.sweep import Finding, Step, Sweep, Swept
from dzgrant.saga.sweeper import Tally
from dzgrant.worker import Parts, sweep


def reconcile(subscription: str | None, domain: str | None, *, logged: bool, report: bool) -> bool:
    """Prints or logs what was found; whether all is as it should be now. Raises `Refused` for a subscription that DataZone
    does not know."""
    loaded = settings.load()
    places = domains(domain, loaded)

    async def work(parts: Parts) -> tuple[list[Finding], Tally]:
        sweeping = sweep(parts, repair=not report)
        if subscription is not None:
            return await _one(parts, sweeping, await _named(parts, places, subscription))
        return await _every(sweeping, places)

    found, tally = with_parts(work, loaded, logged=logged)
    if logged:
        tally.log(" ".join(places))
    else:
        console().print(_drawn(found) if found else "nothing to mend")
        console().print(str(tally))
    return all(one.repaired or not one.ours for one in found)


async def _every(sweeping: Sweep, places: Sequence[str]) -> tuple[list[Finding], Tally]:
    found: list[Finding] = []
    tally = Tally()
    for domain in places:
        async with aclosing(sweeping.domain(domain)) as steps:
            async for step in steps:
                tally.add(step)
                found += [finding for swept in step.swept for finding in swept.findings]
    return found, tally


async def _one(parts: Parts, sweeping: Sweep, subscription: Subscription) -> tuple[list[Finding], Tally]:
    done: list[Swept] = [await sweeping.subscription(subscription)]
    principals = dict.fromkeys(claim.principal for claim in await parts.ledger.claims(subscription.id))
    known = [await parts.sweeps.principal(principal) for principal in principals]
    done += [await sweeping.principal(holding.record) for holding in known if holding]
    tally = Tally()
    tally.add(Step(cursor="", swept=tuple(done)))
    return [finding for swept in done for finding in swept.findings], tally


async def _named(parts: Parts, places: Sequence[str], subscription: str) -> Subscription:
    for domain in places:
        found = await parts.catalog.subscription(domain, subscription=subscription, request=None, listing=None, project=None)
        if found is not None:
            return found
    raise Refused(f"DataZone has no subscription {subscription} in {', '.join(places)}", do="check the id and --domain")


def _drawn(found: Sequence[Finding]) -> Table:
    drawn = table("subscription", "found", "principal", "table", "what", "mended", "why not")
    for one in found:
        it = one.drift
        drawn.add_row(
            it.subscription or "-",
            it.kind,
            it.principal.id if it.principal else "",
            it.table or it.login or it.secret or "",
            Text(it.what),
            "yes" if one.repaired else Text("no", "red"),
            Text(one.reason or "", "red"),
        )
    return drawn
