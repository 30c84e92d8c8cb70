"""All of a domain, looked at from what should be to what is, and mended. It streams: nothing is held but what is in work.

First each subscription of DataZone against the ledger, for events that were lost; then each principal of the ledger against
DataZone, its database and its secrets. What agrees is read and no more; what does not is mended by the same
path as an event, under the same leases, and looked at again: what is reported as repaired was seen to be.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from dzgrant.catalog import Listed
from dzgrant.errors import DzgrantError, Refused
from dzgrant.ledger.sweeps import Placed
from dzgrant.model import GrantRecord, LoginOutcome, Principal, PrincipalRecord, Subscription
from dzgrant.reporting import Drift, DriftKind, Reporter
from dzgrant.saga import looks, orphans
from dzgrant.saga.explain import Sides
from dzgrant.saga.runner import Runner
from dzgrant.together import together

T = TypeVar("T")
_Looking = Callable[[datetime], Awaitable[list[Drift] | None]]
"""What is not as it should be, but for what came into work after that time; None: it can't be told."""

_AT_ONCE = 8
# Of so many subscriptions is known that DataZone has them; of more each is asked for.
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    drift: Drift
    repaired: bool
    reason: str | None
    """Why it was not."""
    ours: bool = True
    """Not: an orphan that may be another dzgrant's, which is told and left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What was looked at, and what was found."""

    subscription: str | None = None
    principal: Principal | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Some of a domain. `cursor`: where to go on."""

    cursor: str
    swept: tuple[Swept, ...]


class Sweep:
    """`repair`: whether what is found is mended. `patience`: for how long what was changed may be in work still."""

    def __init__(
        self,
        *,
        sides: Sides,
        runner: Runner,
        reporter: Reporter,
        repair: bool,
        patience: timedelta,
    ) -> None:
        self._sides = sides
        self._runner = runner
        self._reporter = reporter
        self._repair = repair
        self._patience = patience
        self._existing: set[str] = set()

    async def domain(self, domain: str, cursor: str = "") -> AsyncGenerator[Step, None]:
        """Everything, from where a cursor says. Raises where ledger, DataZone or the outcome bus can't be had."""
        self._existing.clear()
        stages: dict[str, Callable[[str], AsyncGenerator[Step, None]]] = {
            "subscriptions": partial(self._subscriptions, domain),
            "principals": partial(self._principals, domain),
            "orphans": partial(self._orphans, domain),
        }
        names = list(stages)
        begun, _, place = cursor.partition("|")
        if begun not in names:
            # Of another version: from the beginning.
            begun, place = names[0], ""
        for name in names[names.index(begun) :]:
            async with aclosing(stages[name](place)) as steps:
                async for step in steps:
                    yield Step(cursor=f"{name}|{step.cursor}", swept=step.swept)
            place = ""

    async def _subscriptions(self, domain: str, after: str) -> AsyncGenerator[Step, None]:
        async for group in _groups(self._sides.catalog.every(domain, after)):
            swept = await together(self._listed(one) for one in group)
            yield Step(cursor=group[-1].place, swept=tuple(swept))

    async def _principals(self, domain: str, after: str) -> AsyncGenerator[Step, None]:
        async for group in _groups(self._sides.sweeps.principals(domain, after)):
            swept = await together(self._placed(one) for one in group)
            yield Step(cursor=group[-1].place, swept=tuple(swept))

    async def _orphans(self, domain: str, _: str) -> AsyncGenerator[Step, None]:
        grounds = await orphans.grounds(self._sides, domain)
        for orphan in await orphans.logins(self._sides, domain, grounds.sources):
            yield Step(cursor="", swept=(await self._cleared(orphan),))
        for place in sorted(grounds.places):
            async with aclosing(orphans.secrets(self._sides, domain, place)) as found:
                async for orphan in found:
                    yield Step(cursor="", swept=(await self._cleared(orphan),))

    async def _cleared(self, orphan: orphans.Orphan) -> Swept:
        """Takes an orphan away, where it is to be and may be."""
        repaired, reason = False, None
        if self._repair and orphan.record is not None:
            try:
                reason = await self._clear(orphan.record, orphan.login)
                repaired = reason is None
            except DzgrantError as error:
                reason = str(error)
        found = Finding(drift=orphan.drift, repaired=repaired, reason=reason, ours=orphan.record is not None)
        await self._reporter.drift(found.drift, repaired=repaired, reason=reason)
        return Swept(findings=(found,))

    async def _clear(self, record: PrincipalRecord, login: str | None) -> str | None:
        """Why it is there still; None: it is not, or is none any more."""
        if login is None:
            await self._runner.clear_secrets(record)
            return None
        dropped = await self._runner.clear_login(record, login)
        disabled = dropped is not None and dropped.outcome is LoginOutcome.DISABLED
        return (dropped.detail or "it could only be disabled") if dropped and disabled else None

    async def _listed(self, listed: Listed) -> Swept:
        if len(self._existing) < _REMEMBERED:
            self._existing.add(listed.subscription.id)
        if listed.changed > self._since():
            # Its event is on the way.
            return Swept(subscription=listed.subscription.id)
        return await self.subscription(listed.subscription)

    async def subscription(self, subscription: Subscription) -> Swept:
        """One subscription, as DataZone has it, against the ledger."""

        async def look(since: datetime) -> list[Drift]:
            return await looks.at_subscription(self._sides, subscription, since)

        unseen = Drift(
            kind=DriftKind.UNSEEN,
            domain=subscription.domain,
            what="the subscription can't be looked at",
            subscription=subscription.id,
        )
        findings = await self._found(look, lambda: self._sides.converge.reconcile(subscription), unseen)
        return Swept(subscription=subscription.id, findings=findings)

    async def _placed(self, placed: Placed) -> Swept:
        return await self.principal(placed.holding.record)

    async def principal(self, record: PrincipalRecord) -> Swept:
        """One principal of the ledger, against DataZone, its database and its secrets."""
        grants = await self._sides.ledger.grants(record.principal)

        async def look(since: datetime) -> list[Drift] | None:
            return await looks.at_rest(self._sides, record, grants, since)

        unseen = Drift(
            kind=DriftKind.UNSEEN,
            domain=record.principal.environment.domain,
            what="the principal can't be looked at",
            principal=record.principal,
            login=record.login,
        )
        findings = await self._unknown_subscriptions(record.principal, grants)
        findings += await self._found(look, lambda: self._mend(record.principal), unseen)
        return Swept(principal=record.principal, findings=findings)

    async def _mend(self, principal: Principal) -> None:
        holding = await self._sides.sweeps.principal(principal)
        if holding is not None:
            journey = await self._runner.mend(holding.record)
            if journey and journey.found.failed:
                path = journey.found.failed[0]
                raise (journey.found.refused | journey.found.waiting)[path]

    async def _unknown_subscriptions(self, principal: Principal, grants: Sequence[GrantRecord]) -> tuple[Finding, ...]:
        still = (grant for grant in grants if grant.updated_at < self._since())
        claimed = {by for grant in still for by in grant.subscriptions | grant.leaving}
        found: list[Finding] = []
        for subscription in sorted(claimed - self._existing):
            found += await self._known(principal, subscription)
        return tuple(found)

    async def _known(self, principal: Principal, subscription: str) -> tuple[Finding, ...]:
        domain = principal.environment.domain
        drift = partial(Drift, domain=domain, principal=principal, subscription=subscription)

        async def look(_: datetime) -> list[Drift]:
            if await self._exists(domain, subscription) or not await self._sides.ledger.claims(subscription):
                return []
            what = "granted for a subscription that DataZone does not know"
            return [drift(kind=DriftKind.UNKNOWN_SUBSCRIPTION, what=what)]

        unseen = drift(kind=DriftKind.UNSEEN, what="its subscription can't be looked at")
        return await self._found(look, lambda: self._sides.converge.end(subscription), unseen)

    async def _exists(self, domain: str, subscription: str) -> bool:
        try:
            found = await self._sides.catalog.subscription(
                domain, subscription=subscription, request=None, listing=None, project=None
            )
        except Refused:
            return True
        if found is not None and len(self._existing) < _REMEMBERED:
            self._existing.add(subscription)
        return found is not None

    async def _found(self, look: _Looking, repair: Callable[[], Awaitable[None]], unseen: Drift) -> tuple[Finding, ...]:
        """What a look shows, mended where it is to be; each is told before the sweep goes on."""
        reason, left = None, None
        try:
            if not (drifts := await look(self._since())):
                return ()
        except DzgrantError as error:
            drifts, reason = [unseen], str(error)
        else:
            if self._repair:
                reason, left = await _mended(look, repair)
        findings = tuple(
            Finding(drift=drift, repaired=mended, reason=None if mended else reason)
            for drift in drifts
            for mended in (left is not None and drift not in left,)
        )
        for one in findings:
            await self._reporter.drift(one.drift, repaired=one.repaired, reason=one.reason)
        return findings

    def _since(self) -> datetime:
        return datetime.now(UTC) - self._patience


async def _mended(look: _Looking, repair: Callable[[], Awaitable[None]]) -> tuple[str | None, list[Drift] | None]:
    """Why it could not be mended, if so, and what is left; None: it is not known."""
    reason = None
    try:
        await repair()
    except DzgrantError as error:
        reason = str(error)
    try:
        left = await look(datetime.now(UTC))
    except DzgrantError as error:
        return reason or str(error), None
    return reason or (
        None if left is not None else "it can't be told yet: somebody works on it, or it has less than before"
    ), left


async def _groups(every: AsyncIterator[T]) -> AsyncIterator[Sequence[T]]:
    group: list[T] = []
    async for one in every:
        group.append(one)
        if len(group) == _AT_ONCE:
            yield group
            group = []
    if group:
        yield group
