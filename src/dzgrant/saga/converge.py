"""From a hint to the end state: what DataZone says now, against what the ledger says was done.

A hint only names a place to look. An approved subscription wants its tables for each environment of its project; any
other wants nothing, whatever the event said. So duplicate, late and reordered events change nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from dzgrant.catalog import Catalog, EnvironmentState, SubscriptionGrant
from dzgrant.errors import DzgrantError, EnvironmentEnded, Misconfigured, Refused, Transient, Unenforceable
from dzgrant.intake.events import EnvironmentHint, Hint, SubscriptionGrantHint, SubscriptionHint
from dzgrant.ledger import Claim, Ledger
from dzgrant.model import Environment, Subscription, SubscriptionStatus, Wanted
from dzgrant.reporting import GrantStatus, Reporter
from dzgrant.saga.extender import Extender
from dzgrant.saga.journey import Journey
from dzgrant.saga.runner import Runner

log = structlog.stdlib.get_logger(__name__)

# In one journey: its steps do the tables one after the other within one bound, and one transaction holds them all.
_TABLES_AT_ONCE = 25
_PRINCIPALS_AT_ONCE = 16
# DataZone may be behind its own event for seconds; what it never says is not so.
_MAY_STILL_APPEAR = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What a subscription wants now."""

    wanted: tuple[Wanted, ...]
    pending: tuple[SubscriptionGrant, ...]
    """Its grants on custom targets of which DataZone waits to hear."""


C = TypeVar("C", Wanted, Claim)
T = TypeVar("T")


class Converge:
    """Tasks share it."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        ledger: Ledger,
        runner: Runner,
        extender: Extender,
        reporter: Reporter,
        honour_retain: bool,
    ) -> None:
        self._catalog = catalog
        self._ledger = ledger
        self._runner = runner
        self._extender = extender
        self._reporter = reporter
        self._honour_retain = honour_retain

    async def handle(self, hint: Hint) -> None:
        """Brings what the hint names to its end state. Raises a `DzgrantError` when that can't be done (yet)."""
        match hint:
            case SubscriptionHint():
                await self._subscription_hint(hint)
            case SubscriptionGrantHint():
                await self._subscription_grant_hint(hint)
            case EnvironmentHint():
                await self._environment_hint(hint)

    async def _subscription_hint(self, hint: SubscriptionHint) -> None:
        try:
            found = await self._catalog.subscription(
                hint.domain, subscription=hint.subscription, request=hint.request, listing=hint.listing, project=hint.project
            )
        except Refused as refused:
            if known := refused.subject.subscription or hint.subscription:
                await self._refuse(refused, hint.domain, known, hint.project)
            raise
        if found is not None and _young(hint) and hint.ended and found.status is SubscriptionStatus.APPROVED:
            raise Transient("DataZone says that the subscription is approved (still)").about(subscription=found.id)
        if found is not None:
            await self.subscription(found)
        elif _young(hint):
            raise Transient("DataZone does not know the subscription (yet)").about(subscription=hint.subscription)
        elif hint.subscription is not None:
            # Deleted in DataZone: nobody approves it any more.
            await self.end(hint.subscription)

    async def subscription(self, subscription: Subscription) -> None:
        """Brings every principal of the subscription to what its status says."""
        if self.stands(subscription):
            environments, wanted = await self._noting(subscription, self._catalog.wanted_by_project(subscription))
            if not wanted:
                self._reporter.nothing_wanted(subscription, environments)
            await self._grant(wanted)
        else:
            await self.end(subscription.id)

    def stands(self, subscription: Subscription) -> bool:
        """Whether it wants its tables: it is approved, or its owner kept the permissions and the settings honour that."""
        if subscription.status is SubscriptionStatus.APPROVED:
            return True
        return self._honour_retain and subscription.retain_permissions

    async def reconcile(self, subscription: Subscription) -> None:
        """As `subscription` and all of its custom targets, and takes away what it once wanted and no longer does: an
        environment or a table that went."""
        # Read before what is desired: a claim that comes in between is newer than that, and is not to go.
        claims = await self._ledger.claims(subscription.id)
        desired = await self._noting(subscription, self.desired(subscription))
        if self.stands(subscription):
            wanted = {(one.principal.id, one.path.key) for one in desired.wanted}
            await self._revoke([claim for claim in claims if (claim.principal.id, claim.path.key) not in wanted])
        waiting = {grant.environment for grant in desired.pending}
        rest = [one for one in desired.wanted if one.principal.environment.id not in waiting]
        first = partial(self._grant, rest) if desired.wanted else partial(self.subscription, subscription)
        answers = [partial(self._custom_grant, it, it.environment, subscription) for it in desired.pending if it.environment]
        await _one_by_one([first, *answers])

    async def desired(self, subscription: Subscription) -> Desired:
        """All that an approved subscription wants, custom subscription targets included; no table of one that ended.

        Only reads. Raises as `Catalog.wanted` does.
        """
        grants = await self._catalog.custom_grants(subscription)
        pending = tuple(grant for grant in grants if grant.pending and grant.environment)
        if not self.stands(subscription):
            return Desired(wanted=(), pending=pending)
        environments = await self._catalog.environments(subscription.domain, subscription.project)
        custom = await self._catalog.custom_environments(grants)
        every = tuple(dict.fromkeys((*environments, *custom)))
        return Desired(wanted=await self._catalog.wanted(subscription, every), pending=pending)

    async def _wanted(self, subscription: Subscription, environments: Sequence[Environment]) -> tuple[Wanted, ...]:
        return await self._noting(subscription, self._catalog.wanted(subscription, environments))

    async def _noting(self, subscription: Subscription, reading: Awaitable[T]) -> T:
        try:
            return await reading
        except Refused as refused:
            await self._refuse(refused, subscription.domain, subscription.id, subscription.project)
            if isinstance(refused, Unenforceable):
                await self._revoke(await self._ledger.claims(subscription.id))
            raise
        except Misconfigured as wrong:
            await self._refuse(wrong, subscription.domain, subscription.id, subscription.project)
            raise

    async def _refuse(self, why: Refused | Misconfigured, domain: str, subscription: str, project: str | None) -> None:
        """Puts the reason into the ledger, where people look for what they miss."""
        reason, stuck = str(why.about(subscription=subscription)), isinstance(why, Misconfigured)
        await self._ledger.refuse(domain=domain, subscription=subscription, project=project, reason=reason, stuck=stuck)
        if stuck:
            log.warning("subscription_stuck", aim="grant", subscription=subscription, reason=reason)

    async def _environment_hint(self, hint: EnvironmentHint) -> None:
        found = await self._catalog.environment(hint.domain, hint.environment)
        if found is None or (hint.deleted and not found.live):
            await self._close(hint)
        elif hint.deleted and _young(hint):
            raise Transient("DataZone says that the environment lives (still)").about(environment=hint.environment)
        elif not found.live:
            await self._extender.resume(hint.environment)
            if found.status == "CREATING" and _young(hint):
                raise Transient("DataZone says that the environment is being deployed (still)").about(
                    environment=hint.environment
                )
        elif await self._open(hint.domain, hint.environment):
            await self._serve(found)

    async def _serve(self, found: EnvironmentState) -> None:
        """Extends a live environment, then grants what its project is subscribed to, whether it could be extended or not:
        a subscription's own event does not ask either."""
        works = [partial(self._extender.extend, found.environment, found.provisioned)]
        if found.eligible:
            works.append(partial(self._backfill, found.environment))
        await _one_by_one(works)

    async def _open(self, domain: str, environment: str) -> bool:
        """Takes the mark of its deletion off a live environment; whether it is live still.

        Its deletion may have begun since it was looked at, and found nothing to take away: so it is looked at again.
        """
        if not await self._ledger.reopen_environment(environment):
            return True
        found = await self._catalog.environment(domain, environment)
        if found is not None and found.live:
            return True
        await self._revoke(await self._ledger.end_environment(environment))
        return False

    async def _close(self, hint: EnvironmentHint) -> None:
        claims = await self._ledger.end_environment(hint.environment)
        # In this order, and each whatever becomes of the others: access ends first, and waits for nobody's IAM.
        works = [partial(self._revoke, claims), partial(self._extender.restore, hint.environment)]
        if hint.project is not None:
            works.append(partial(self._appoint, hint.domain, hint.project))
        await _one_by_one(works)

    async def _appoint(self, domain: str, project: str) -> None:
        """Another environment may stand for the project from now on."""
        for anchor in await self._catalog.anchors(domain, project):
            if (found := await self._catalog.environment(domain, anchor.id)) is not None and found.live:
                await self._serve(found)

    async def _backfill(self, environment: Environment) -> None:
        wanted: list[Wanted] = []
        failures: list[DzgrantError] = []
        async for subscription in self._catalog.approved(environment.domain, environment.project):
            try:
                wanted += await self._wanted(subscription, (environment,))
            except DzgrantError as failure:
                failures.append(failure.about(subscription=subscription.id))
        await self._grant(wanted, failures)

    async def _subscription_grant_hint(self, hint: SubscriptionGrantHint) -> None:
        grant = await self._catalog.subscription_grant(hint.domain, hint.grant)
        if grant is None or grant.subscription is None:
            return
        subscription = await self._catalog.subscription(
            hint.domain, subscription=grant.subscription, request=None, listing=None, project=None
        )
        if subscription is None:
            return
        if grant.custom and grant.environment is not None:
            await self._custom_grant(grant, grant.environment, subscription)
        elif grant.environment is not None and grant.provider is None and grant.leaving:
            # Its target went first: nobody waits for an answer.
            await self._withdraw(subscription, grant.environment)
        else:
            await self.subscription(subscription)

    async def _custom_grant(self, grant: SubscriptionGrant, environment: str, subscription: Subscription) -> None:
        found = await self._catalog.environment(grant.domain, environment)
        wanted = not grant.leaving and self.stands(subscription) and found is not None and found.live
        try:
            if wanted and found is not None:
                await self._grant(await self._wanted(subscription, (found.environment,)))
                # It may have been withdrawn meanwhile, by an event that found nothing to take away yet.
                now = await self._catalog.subscription_grant(grant.domain, grant.id)
                wanted = now is not None and not now.leaving
            if not wanted:
                await self._withdraw(subscription, environment)
        except Refused as refused:
            await self._answer(grant, "GRANT_FAILED" if wanted else "REVOKE_FAILED", str(refused))
            raise
        await self._answer(grant, "GRANTED" if wanted else "REVOKED", None)

    async def _withdraw(self, subscription: Subscription, environment: str) -> None:
        """Takes the subscription's tables from one environment. Raises `Refused` where its blueprint gives it them anyway."""
        if not self.stands(subscription):
            await self.end(subscription.id)
            return
        if any(one.id == environment for one in await self._catalog.environments(subscription.domain, subscription.project)):
            raise Refused(
                "the environment's blueprint has access as long as the subscription is approved",
                do="cancel the subscription, or take the blueprint out of DZGRANT_ENVIRONMENT_BLUEPRINTS",
            ).about(subscription=subscription.id, environment=environment)
        claims = await self._ledger.claims(subscription.id)
        await self._revoke([claim for claim in claims if claim.principal.environment.id == environment])

    async def _answer(self, grant: SubscriptionGrant, status: GrantStatus, failure: str | None) -> None:
        for asset in grant.assets:
            limiter = self._catalog.limiter
            await self._reporter.grant_status(grant.domain, grant.id, asset.id, status, failure, limiter=limiter)

    async def end(self, subscription: str) -> None:
        """Takes all that the subscription wanted, for ever."""
        await self._revoke(await self._ledger.end(subscription))

    async def _grant(self, wanted: Iterable[Wanted], refusals: Iterable[DzgrantError] = ()) -> None:
        """Environments that are not to be served are refused before anything is done for them, and hinder no others."""
        admitted: list[Wanted] = []
        outside: dict[tuple[str, Environment], Refused] = {}
        for one in wanted:
            place = one.principal.environment
            try:
                self._catalog.admit(place)
                admitted.append(one)
            except Refused as refused:
                outside[one.subscription, place] = refused.about(environment=place.id)
        try:
            await self._each_principal(admitted, self._runner.grant, (*refusals, *outside.values()))
        finally:
            # Last: a grant to another environment takes the subscription's refusal out of the ledger.
            for (subscription, place), why in outside.items():
                await self._refuse(why, place.domain, subscription, place.project)

    async def _revoke(self, claims: Iterable[Claim]) -> None:
        await self._each_principal(claims, self._runner.revoke)

    async def _each_principal(
        self,
        claims: Iterable[C],
        move: Callable[[Sequence[C]], Awaitable[Journey]],
        refusals: Iterable[DzgrantError] = (),
    ) -> None:
        """Moves the principals side by side. One that can't go on does not stop the others; of several errors the one that
        asks for another try is raised."""
        errors = list(refusals)
        by_principal: dict[str, list[C]] = defaultdict(list)
        for claim in claims:
            by_principal[claim.principal.id].append(claim)

        async def one(group: Sequence[C]) -> None:
            try:
                for start in range(0, len(group), _TABLES_AT_ONCE):
                    journey = await move(group[start : start + _TABLES_AT_ONCE])
                    errors.extend((journey.found.refused | journey.found.waiting)[path] for path in journey.found.failed)
            except EnvironmentEnded as ended:
                place = group[0].principal.environment
                await self._open(place.domain, place.id)
                errors.append(ended)
            except DzgrantError as error:
                errors.append(error.about(subscription=group[0].subscription))

        principals = asyncio.Semaphore(_PRINCIPALS_AT_ONCE)

        async def paced(group: Sequence[C]) -> None:
            async with principals:
                await one(group)

        async with asyncio.TaskGroup() as tasks:
            for group in by_principal.values():
                tasks.create_task(paced(group))
        if errors:
            raise _worst(errors)


async def _one_by_one(works: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """One that fails does not stop the next; of several errors the one that asks for another try is raised."""
    errors: list[DzgrantError] = []
    for work in works:
        try:
            await work()
        except DzgrantError as error:
            errors.append(error)
    if errors:
        raise _worst(errors)


def _worst(errors: Sequence[DzgrantError]) -> DzgrantError:
    """What asks for another try goes before what never will be."""
    return min(errors, key=lambda error: isinstance(error, Refused))


def _young(hint: Hint) -> bool:
    # One from the future would be young for ever.
    return abs(datetime.now(UTC) - hint.time) < _MAY_STILL_APPEAR
