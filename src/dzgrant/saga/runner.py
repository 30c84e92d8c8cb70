"""One principal at a time: take its lease, walk its road, give the lease back whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from weakref import WeakValueDictionary

import structlog

from dzgrant.engines.contract import Dropped
from dzgrant.errors import DzgrantError, LeaseLost, Misconfigured, Refused
from dzgrant.ledger import Claim, Lease
from dzgrant.model import WHOLE, Admin, Principal, PrincipalRecord, PrincipalState, Scope, TablePath, Wanted
from dzgrant.saga import rotation
from dzgrant.saga.adoption import Adoption, record_intent, take_over
from dzgrant.saga.findings import Findings
from dzgrant.saga.journey import Journey, Tell
from dzgrant.saga.road import Aim, Effect, Progress, next_effect
from dzgrant.saga.rotation import Rotation, Turn
from dzgrant.saga.step import Means, Observe, bounded

log = structlog.stdlib.get_logger(__name__)

Decide = Callable[[PrincipalRecord], Turn | None]
"""What a principal is due for, by what the ledger has of it under the lease."""


class Runner:
    """Tasks share it; two journeys of one principal never overlap in this process, nor, by the lease, in any two."""

    def __init__(
        self,
        means: Means,
        *,
        tell: Tell,
        tell_rotated: rotation.Tell,
        effect_seconds: float,
        grace: timedelta,
        observe: Observe,
    ) -> None:
        """`grace`: how long what was in use before a rotation opens still."""
        self._means = means
        self._tell_rotated = tell_rotated
        self._grace = grace
        self._tell = tell
        self._bound = effect_seconds
        self._observe = observe
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def grant(self, wanted: Sequence[Wanted]) -> Journey:
        """Gives one principal these tables. Raises what stopped it; tables refused for good are in `Journey.refused`."""
        principal, admin = wanted[0].principal, wanted[0].admin
        async with self._locks.setdefault(principal.id, asyncio.Lock()):
            lease = await self._means.ledger.acquire(principal, admin, wanted=wanted)
            trusted = lease.prior is not None and lease.prior.state is PrincipalState.ACTIVE
            whole = {one.path.key for one in wanted if one.scope == Scope()}
            found = Findings(claims=[Claim.of(one) for one in wanted], whole=whole)
            return await self._walk(lease, Progress(aim=Aim.GRANT, trusted=trusted), found)

    async def revoke(self, claims: Sequence[Claim]) -> Journey:
        """Takes away what one principal has by these claims alone. Raises what stopped it."""
        return await self._take(claims[0].principal, claims[0].admin, claims)

    async def remove(self, known: PrincipalRecord) -> Journey:
        """Takes away all that one principal has, whoever wants it. Raises what stopped it.

        No subscription is marked as ended: one that is still approved is granted anew when it is next looked at.
        """
        claims = [
            Claim(subscription=subscription, principal=known.principal, admin=known.admin, path=grant.path)
            for grant in await self._means.ledger.grants(known.principal)
            for subscription in sorted(grant.subscriptions | grant.leaving)
        ]
        return await self.take(known, claims)

    async def take(self, known: PrincipalRecord, claims: Sequence[Claim]) -> Journey:
        """As `revoke`, also where no claim is left: what nobody wants any more goes."""
        return await self._take(known.principal, known.admin, claims)

    async def _take(self, principal: Principal, admin: Admin, claims: Sequence[Claim]) -> Journey:
        async with self._locks.setdefault(principal.id, asyncio.Lock()):
            lease = await self._means.ledger.acquire(principal, admin, unwanted=claims)
            return await self._walk(lease, Progress(aim=Aim.REVOKE), Findings(claims=claims))

    async def resolve(
        self, known: PrincipalRecord, claims: Sequence[Claim], *, given_up: Collection[TablePath], why: str
    ) -> Journey:
        """As `take`, where a person has settled what is in the database: it is not asked, and nothing is claimed of it.

        The tables `given_up` are FAILED from then on. Raises what stopped it.
        """
        async with self._locks.setdefault(known.principal.id, asyncio.Lock()):
            lease = await self._means.ledger.acquire(known.principal, known.admin, unwanted=claims)
            found = Findings(claims=claims, given_up=frozenset(given_up), by_hand=why)
            return await self._walk(lease, Progress(aim=Aim.REVOKE, by_hand=True), found)

    async def mend(self, known: PrincipalRecord) -> Journey | None:
        """Makes good all that one principal has, by what the ledger says it should have: secrets, login, tables, and no more
        than these. None: it has nothing. Raises what stopped it."""
        principal = known.principal
        async with self._locks.setdefault(principal.id, asyncio.Lock()):
            lease = await self._means.ledger.hold(known)
            try:
                grants = await self._means.ledger.grants(principal)
            except BaseException:
                await self._give_back(lease)
                raise
            claims = [
                Claim(subscription=subscription, principal=principal, admin=lease.record.admin, path=grant.path)
                for grant in grants
                for subscription in sorted(grant.subscriptions)
            ]
            if not claims:
                await self._give_back(lease)
                return None
            whole = {grant.path.key for grant in grants if grant.allowed >= WHOLE}
            return await self._walk(lease, Progress(aim=Aim.GRANT, excess=True), Findings(claims=claims, whole=whole))

    async def clear_login(self, known: PrincipalRecord, login: str) -> Dropped | None:
        """Drops a login that a principal does not have any more; None: it has it, by what the ledger says under the lease."""
        async with self._cleared(known) as lease:
            if lease.record.state is not PrincipalState.REMOVED and login in lease.record.logins:
                return None
            dropped: Dropped = await bounded(lease, self._bound, "clear", lambda: self._dropped(lease, login))
            return dropped

    async def clear_secrets(self, known: PrincipalRecord) -> bool:
        """Deletes both secrets of a principal of which nothing is left; False: something is, as in `clear_login`."""
        async with self._cleared(known) as lease:
            if lease.record.state is not PrincipalState.REMOVED:
                return False
            await bounded(lease, self._bound, "clear", lambda: self._delete_secrets(lease))
            return True

    @asynccontextmanager
    async def _cleared(self, known: PrincipalRecord) -> AsyncIterator[Lease]:
        principal = known.principal
        async with self._locks.setdefault(principal.id, asyncio.Lock()):
            lease = await self._means.ledger.hold(known)
            try:
                yield lease
            except DzgrantError as error:
                raise error.about(environment=principal.environment.id, source=principal.source) from error.__cause__
            finally:
                await self._give_back(lease)

    async def _dropped(self, lease: Lease, login: str) -> Dropped:
        known = lease.record
        return await self._means.sources.run(known.principal.source, known.admin, lambda database: database.drop(login, lease))

    async def _delete_secrets(self, lease: Lease) -> None:
        principal, admin = lease.principal, lease.record.admin
        await self._means.secrets.unshare(principal, admin)
        await self._means.secrets.delete_consumer(principal)
        await self._means.secrets.delete_producer(principal, admin)

    async def adopt(self, wish: Adoption) -> bool:
        """Makes a login that dzgrant did not make a principal's second way in; whether it was there. Safe to repeat."""
        principal = wish.principal
        async with self._locks.setdefault(principal.id, asyncio.Lock()):
            known = await record_intent(self._means, await self._means.ledger.acquire(principal, wish.admin), wish)
            lease = await self._means.ledger.hold(known)
            try:
                return await take_over(self._means, lease, wish, self._bound)
            except LeaseLost:
                raise
            except BaseException as error:
                if isinstance(error, DzgrantError):
                    error.about(environment=principal.environment.id, source=principal.source)
                await self._give_back(lease)
                raise

    async def turn(self, known: PrincipalRecord, decide: Decide) -> Rotation | None:
        """Rotates or retires what the principal is due for; None: nothing. Raises what stopped it.

        A login by IAM has no password to rotate; what a rotation left, before its source turned to IAM, goes all the same.
        """
        by_iam = self._means.secrets.by_iam(known.principal)
        if by_iam and decide(known) is not Turn.RETIRE:
            return None
        async with self._locks.setdefault(known.principal.id, asyncio.Lock()):
            lease = await self._means.ledger.hold(known)
            turning = Rotation(
                means=self._means,
                lease=lease,
                bound=self._bound,
                grace=self._grace,
                observe=self._observe,
                tell=self._tell_rotated,
            )
            try:
                match decide(lease.record):
                    case Turn.ROTATE if not by_iam:
                        await turning.rotate()
                    case Turn.RETIRE:
                        await turning.retire()
                    case _:
                        await self._give_back(lease)
                        return None
            except LeaseLost:
                raise
            except BaseException as error:
                if isinstance(error, DzgrantError):
                    error.about(environment=known.principal.environment.id, source=known.principal.source)
                await self._give_back(lease)
                raise
            return turning

    async def _walk(self, lease: Lease, progress: Progress, found: Findings) -> Journey:
        journey = Journey(
            means=self._means,
            tell=self._tell,
            bound=self._bound,
            lease=lease,
            progress=progress,
            found=found,
        )
        try:
            if journey.progress.aim is Aim.REVOKE:
                await journey.survey()
            while (effect := next_effect(journey.progress)) is not None:
                await self._step(journey, effect)
        except LeaseLost:
            raise
        except DzgrantError as error:
            error.about(environment=journey.principal.environment.id, source=journey.principal.source)
            await self._suspend(journey, error)
            if why := journey.found.abandoned(journey.progress.aim):
                raise Refused(why, do="dzgrant reconcile tries it again", subject=error.subject) from error
            raise
        except BaseException:
            await self._give_back(lease)
            raise
        return journey

    async def _suspend(self, journey: Journey, error: DzgrantError) -> None:
        """Says in the ledger what it waits for. Where the ledger itself is what failed, the lease is left to expire."""
        try:
            await journey.suspend(error)
        except DzgrantError as unwritten:
            log.warning("suspension_not_recorded", principal=journey.principal.id, error=str(unwritten))

    async def _step(self, journey: Journey, effect: Effect) -> None:
        began = time.monotonic()
        try:
            await journey.perform(effect)
        except Refused as refused:
            if journey.progress.aim is Aim.GRANT:
                raise
            # A revoke is never given up: what stands in its way is for a person to move.
            raise Misconfigured(refused.what, do=refused.do, subject=refused.subject) from refused
        finally:
            self._observe(effect, journey.principal.source.engine, time.monotonic() - began)

    async def _give_back(self, lease: Lease) -> None:
        """Best effort, also while being cancelled: a lease that stays is free again when it expires."""
        try:
            async with asyncio.timeout(2):
                await asyncio.shield(self._means.ledger.release(lease))
        except (DzgrantError, TimeoutError):
            return
