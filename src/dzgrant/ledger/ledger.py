"""Work on principals: who holds which, what is intended, and what came of it.

A grant costs two writes: `acquire` takes the lease and records the intent, `settle` records the outcome and gives the
lease back. What the ledger last saw of a principal is remembered in the process, so neither needs a read before.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from cachetools import LRUCache

from dzgrant.errors import EnvironmentEnded, LeaseHeld, Transient
from dzgrant.ledger import extensions, items, keys, listing
from dzgrant.ledger.bid import Bid, Purpose, bid
from dzgrant.ledger.items import Holding
from dzgrant.ledger.lease import Lease, until
from dzgrant.ledger.records import Claim, HistoryRecord, Refusal, Settlement
from dzgrant.ledger.store import Cancelled, Store
from dzgrant.ledger.writes import Write, batches, change, check, intents, outcomes
from dzgrant.model import (
    Admin,
    ExtensionRecord,
    ExtensionState,
    GrantRecord,
    GrantState,
    Principal,
    PrincipalRecord,
    PrincipalState,
    Spare,
    Wanted,
)

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

    from dzgrant.ledger.items import Value

SKEW_SECONDS = 3.0
"""How far the clocks of two workers may differ before one takes a lease over that the other still counts on."""

_REMEMBERED = 4096
_BIDS = 4
# Most work on a principal takes about a second, so a lease that is held is asked for again long before it ends.
_PATIENCE_SECONDS = 2.0

_log = structlog.get_logger(__name__)


class Ledger:
    """Tasks share it. `owner` names this process; `clock` is the wall clock, in seconds since 1970.

    Every method raises `Transient` when the table does not answer and `Misconfigured` when it can't be used.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        owner: str,
        lease_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = Store(client, table)
        self._owner = owner
        self._seconds = lease_seconds
        self._clock = clock
        # Records of principals that nobody holds, as far as this process knows.
        self._free: LRUCache[str, PrincipalRecord] = LRUCache(_REMEMBERED)

    async def acquire(
        self, principal: Principal, admin: Admin, *, wanted: Sequence[Wanted] = (), unwanted: Sequence[Claim] = ()
    ) -> Lease:
        """Takes the principal and records what is about to be done: all in one transaction, up to about a hundred items.

        Raises `LeaseHeld` while another has it, and `Transient` when a subscription or the environment has ended
        meanwhile: an approval must not overtake its own end.
        """
        guard = [check(keys.ending(principal.environment.id), "attribute_not_exists(#pk)")] if wanted else []
        first, *rest = batches(intents(principal, wanted, unwanted, self._now()), beside=2)
        purpose = Purpose.GRANT if wanted else Purpose.REVOKE
        lease = await self._take(principal, admin, [*guard, *first], purpose=purpose)
        try:
            for batch in rest:
                await self._apply(_held(lease), [*guard, *batch])
        except Cancelled:
            raise lease.lost("another worker took the lease over") from None
        except BaseException:
            await self.release(lease)
            raise
        return lease

    async def hold(self, known: PrincipalRecord) -> Lease:
        """Takes a principal to rotate its password: its state stays as it is. Raises `LeaseHeld` while another has it."""
        return await self._take(known.principal, known.admin, [], purpose=Purpose.ROTATE)

    async def intend(self, lease: Lease, spare: Spare) -> None:
        """Records what a rotation is about to make, and what it makes it of. Raises `LeaseLost`."""
        after = await self._store.update(
            change(
                keys.principal(lease.principal),
                sets={"spare": items.spare(spare), "updated_at": items.moment(self._now())},
                where="#fence = :mine",
                given={"mine": items.number(lease.fence)},
            )
        )
        if after is None:
            raise lease.lost("another worker took the lease over")
        lease.record = replace(lease.record, spare=spare)

    async def _take(self, principal: Principal, admin: Admin, writes: Sequence[Write], *, purpose: Purpose) -> Lease:
        known = self._free.pop(principal.id, None)
        seen = Holding(record=known) if known else None
        for _ in range(_BIDS):
            asked = time.monotonic()
            offer = bid(
                principal,
                admin,
                seen,
                purpose=purpose,
                owner=self._owner,
                nonce=uuid4().hex,
                leased_until=until(self._clock(), self._seconds),
                now=self._now(),
            )
            try:
                await self._apply(offer.write, writes)
            except Cancelled as cancelled:
                seen = items.holding(cancelled.first) if cancelled.first else None
                # The SDK asks again when an answer is lost: then it is this very bid that is in the way.
                if seen is None or seen.nonce != offer.nonce:
                    self._refuse_while_held(seen)
                    continue
            return self._lease(offer, asked)
        raise LeaseHeld("others take the principal again and again", retry_after=_patience(_PATIENCE_SECONDS)).about(
            environment=principal.environment.id, source=principal.source
        )

    async def _apply(self, head: Write, writes: Sequence[Write]) -> None:
        """The writes on the condition of `head`. A change of a grant that is not there is left out: a claim may outlive it."""
        while True:
            try:
                return await self._store.transact([head, *writes])
            except Cancelled as cancelled:
                if 0 in cancelled.failed:
                    raise
                for at in cancelled.failed:
                    key = writes[at - 1].key
                    if key.sk == keys.ENVIRONMENT:
                        raise EnvironmentEnded("the environment is being deleted", do="its status is read again") from None
                    if key.sk == keys.SUBSCRIPTION:
                        raise Transient("the subscription has ended meanwhile", do="its status is read again") from None
                writes = [write for at, write in enumerate(writes, 1) if at not in cancelled.failed]

    def _refuse_while_held(self, seen: Holding | None) -> None:
        if seen is None or seen.nonce is None:
            return
        left = seen.leased_until / 1000 + SKEW_SECONDS - self._clock()
        principal = seen.record.principal
        if left > 0:
            raise LeaseHeld("another worker has the principal", retry_after=_patience(left)).about(
                environment=principal.environment.id, source=principal.source
            )
        _log.warning("lease_expired", principal=principal.id, fence=seen.record.fence)

    def _lease(self, won: Bid, asked: float) -> Lease:
        return Lease(
            self._store,
            won.record,
            prior=won.prior,
            nonce=won.nonce,
            seconds=self._seconds,
            asked=asked,
            clock=self._clock,
        )

    async def settle(self, lease: Lease, settlement: Settlement) -> None:
        """Records the outcome and gives the lease back, in one transaction up to about a hundred items.

        Raises `LeaseLost`, with nothing written, when another worker has the principal by now, and when the lease was given
        back already: by an outcome whose answer was lost, which must not be written over.
        """
        now = self._now()
        gone = settlement.state in _GONE and settlement.state is not lease.record.state
        record = replace(
            lease.record,
            state=settlement.state,
            producer_secret=settlement.producer_secret,
            consumer_secret=settlement.consumer_secret,
            login=settlement.login,
            password_at=settlement.password_at,
            spare=settlement.spare,
            removed_at=now if gone else lease.record.removed_at,
            updated_at=now,
        )
        *earlier, last = batches(outcomes(lease.principal, settlement.grants, now))
        try:
            for batch in earlier:
                await self._apply(_held(lease), batch)
            await self._apply(_closing(record, lease.nonce), last)
        except Cancelled:
            raise lease.lost("another worker took the lease over") from None
        finally:
            lease.end()
        self._free[lease.principal.id] = record

    async def release(self, lease: Lease) -> None:
        """Gives the lease back without an outcome. A lease that is not held any more is released already."""
        lease.end()
        # The fence moves on, so that a write under this lease that is still on its way comes too late.
        after = await self._store.update(
            change(
                keys.principal(lease.principal),
                sets={"fence": items.number(lease.fence + 1)},
                removes=_LEASE,
                where=_MINE,
                given=_mine(lease.fence, lease.nonce),
            )
        )
        if after is not None:
            self._free[lease.principal.id] = items.holding(after).record

    async def end(self, subscription: str) -> tuple[Claim, ...]:
        """Marks that the subscription has ended, for ever, and returns its claims: one strongly consistent call.

        From now on no lease is given for a grant that it wants.
        """
        when = items.moment(self._now())
        after = await self._store.update(
            change(
                keys.subscription(subscription),
                sets={"v": items.number(items.SCHEMA), "updated_at": when},
                first={"ended_at": when},
                removes=_REFUSAL,
            )
        )
        return items.claims(after) if after else ()

    async def end_environment(self, environment: str) -> tuple[Claim, ...]:
        """Marks that the environment is being deleted, and returns the claims on it, those too whose end was begun and not
        recorded. No grant in it is begun any more."""
        when = items.moment(self._now())
        await self._store.update(
            change(
                keys.ending(environment),
                sets={"v": items.number(items.SCHEMA), "updated_at": when},
                first={"ended_at": when},
            )
        )
        admins = {record.principal.id: record.admin for record in await self.principals(environment)}
        grants = [grant async for grant in self.find(environment=environment)]
        return tuple(
            Claim(subscription=subscription, principal=grant.principal, admin=admins[grant.principal.id], path=grant.path)
            for grant in grants
            for subscription in sorted(grant.subscriptions | grant.leaving)
        )

    async def reopen_environment(self, environment: str) -> bool:
        """Takes the mark off, for the environment lives (again); whether there was one."""
        return await self._store.delete(keys.ending(environment))

    async def extension(self, environment: str) -> ExtensionRecord | None:
        """What was done to its role and Glue databases. Strongly consistent."""
        found = await self._store.get(keys.extension(environment))
        return extensions.record(found) if found else None

    async def keep_extension(self, record: ExtensionRecord) -> ExtensionRecord:
        """Writes it over the one it was made from, and returns it with its new revision.

        Raises `Transient` where another worker has written meanwhile, and `EnvironmentEnded` where an extension would be
        begun though the environment's deletion has.
        """
        begun = record.state is ExtensionState.EXTENDING
        guard = [check(keys.ending(record.environment.id), "attribute_not_exists(#pk)")] if begun else []
        try:
            await self._apply(extensions.write(record, self._now()), guard)
        except Cancelled:
            raise Transient("another worker works on the environment's role and databases").about(
                environment=record.environment.id
            ) from None
        return replace(record, revision=record.revision + 1)

    async def refuse(self, *, domain: str, subscription: str, project: str | None, reason: str, stuck: bool = False) -> None:
        """Records why a subscription can't be served, until it is or has ended; `stuck`: or until a person has acted.

        Users and roles have no `project`.
        """
        when = items.moment(self._now())
        await self._store.update(
            change(
                keys.subscription(subscription),
                sets={
                    "v": items.number(items.SCHEMA),
                    "domain": items.text(domain),
                    **({"project": items.text(project)} if project else {}),
                    "state": items.text(GrantState.STUCK_GRANT if stuck else GrantState.FAILED),
                    "reason": items.text(reason),
                    "updated_at": when,
                },
                first={"failed_at": when},
                where="attribute_not_exists(#ended_at)",
            )
        )

    async def claims(self, subscription: str) -> tuple[Claim, ...]:
        """Strongly consistent."""
        found = await self._store.get(keys.subscription(subscription))
        return items.claims(found) if found else ()

    async def grants(self, principal: Principal) -> tuple[GrantRecord, ...]:
        """Strongly consistent."""
        found = self._store.query(keys.partition(principal.environment.id), keys.grants(principal.source))
        return tuple([items.grant_record(item) async for item in found])

    async def principals(self, environment: str) -> tuple[PrincipalRecord, ...]:
        """Strongly consistent."""
        found = self._store.query(keys.partition(environment), keys.PRINCIPAL)
        return tuple([items.holding(item).record async for item in found])

    def find(
        self,
        *,
        subscription: str | None = None,
        environment: str | None = None,
        project: str | None = None,
        source: str | None = None,
        state: GrantState | None = None,
    ) -> AsyncIterator[GrantRecord]:
        """Live grants that fit every filter; `source` is a `Source.key`.

        With `state` REVOKED: what was revoked, once for each subscription, which is the one in `subscriptions`.
        Strongly consistent by `environment` and, for live grants, by `subscription`; else for listing only.
        """
        wish = listing.Filter(subscription=subscription, environment=environment, project=project, source=source, state=state)
        return listing.find(self._store, wish)

    def waiting(self) -> AsyncIterator[GrantRecord]:
        """What is on its way, stuck or not. Eventually consistent; without a revoke that was cut off before it could say
        anything, which `find` knows."""
        return listing.waiting(self._store)

    def every_principal(self) -> AsyncIterator[PrincipalRecord]:
        """All of which something may be left. Eventually consistent."""
        return listing.principals(self._store)

    def extensions(self) -> AsyncIterator[ExtensionRecord]:
        """Of the environments that are extended, or on the way to or from it. Eventually consistent."""
        return listing.extensions(self._store)

    def refusals(self) -> AsyncIterator[Refusal]:
        """The subscriptions that can't be served. Eventually consistent."""
        return listing.refusals(self._store)

    def history(self, *, subscription: str | None = None, environment: str | None = None) -> AsyncIterator[HistoryRecord]:
        """What happened for a subscription (eventually consistent), or in an environment; both: what fits both."""
        return listing.history(self._store, subscription=subscription, environment=environment)

    async def check(self) -> None:
        """Raises `Misconfigured` in one line when the table is missing, unreadable or another's."""
        await self._store.check()

    def _now(self) -> datetime:
        now = datetime.fromtimestamp(self._clock(), UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


_LEASE = ("owner", "nonce", "leased_until")
_REFUSAL = ("state", "reason", "failed_at")


_GONE = (PrincipalState.REMOVED, PrincipalState.DISABLED)
_MINE = "#fence = :mine AND #nonce = :my_nonce"


def _mine(fence: int, nonce: str) -> dict[str, Value]:
    return {"mine": items.number(fence), "my_nonce": items.text(nonce)}


def _held(lease: Lease) -> Write:
    return check(keys.principal(lease.principal), _MINE, _mine(lease.fence, lease.nonce))


def _closing(record: PrincipalRecord, nonce: str) -> Write:
    perhaps = {
        "producer_secret": items.text(record.producer_secret) if record.producer_secret else None,
        "consumer_secret": items.text(record.consumer_secret) if record.consumer_secret else None,
        "login": items.text(record.login) if record.login != record.principal.login else None,
        "password_at": items.moment(record.password_at) if record.password_at else None,
        "removed_at": items.moment(record.removed_at) if record.removed_at else None,
        "spare": items.spare(record.spare) if record.spare else None,
    }
    return change(
        keys.principal(record.principal),
        sets={
            "state": items.text(record.state),
            "updated_at": items.moment(record.updated_at),
            **{name: value for name, value in perhaps.items() if value is not None},
        },
        removes=(*_LEASE, *(name for name, value in perhaps.items() if value is None)),
        where=_MINE,
        given=_mine(record.fence, nonce),
    )


def _patience(left: float) -> float:
    return min(left, _PATIENCE_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311  # spreads retries, hides nothing
