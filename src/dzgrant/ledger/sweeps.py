"""The sweep of a domain: one item says how far it has come, who is at it, and when one last came to its end.

It is elected as a principal is leased: a compare-and-set on the fence and the lease that were seen. The lease only spares
the others the same work: what a sweep changes, it changes under the leases of the principals.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from dzgrant.errors import LeaseLost
from dzgrant.ledger import items, keys
from dzgrant.ledger.bid import unchanged
from dzgrant.ledger.items import Holding
from dzgrant.ledger.keys import Key
from dzgrant.ledger.lease import until
from dzgrant.ledger.ledger import SKEW_SECONDS
from dzgrant.ledger.store import Store
from dzgrant.ledger.writes import change
from dzgrant.model import Principal, PrincipalRecord, PrincipalState

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

    from dzgrant.ledger.items import Item, Value

log = structlog.stdlib.get_logger(__name__)

_LEASE = ("owner", "nonce", "leased_until")
_MINE = "#fence = :mine AND #nonce = :my_nonce"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRecord:
    """What the ledger has of a domain's sweep."""

    fence: int = 0
    cursor: str = ""
    """Where to go on; empty: at the beginning."""
    ended: datetime | None = None
    """When a whole sweep last came to its end (UTC)."""
    nonce: str | None = None
    leased_until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A principal, and where to go on after it."""

    holding: Holding
    place: str


class SweepLease:
    """Held by one task, which renews it before its `seconds` are over."""

    def __init__(
        self,
        store: Store,
        domain: str,
        *,
        fence: int,
        nonce: str,
        cursor: str,
        seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self.domain = domain
        self.cursor = cursor
        self.seconds = seconds
        self._store = store
        self._clock = clock
        self._given = {"mine": items.number(fence), "my_nonce": items.text(nonce)}

    async def advance(self, cursor: str) -> None:
        """All before the cursor is done; the lease in its full length. Raises `LeaseLost` when another has it."""
        self.cursor = cursor
        await self.renew()

    async def renew(self) -> None:
        """Raises `LeaseLost` when another has it."""
        leased = {"leased_until": items.number(until(self._clock(), self.seconds)), "cursor": items.text(self.cursor)}
        await self._change(sets=leased)

    async def finish(self) -> None:
        """The sweep came to its end. Raises `LeaseLost` when another has it."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        await self._change(sets={"ended_at": items.moment(now)}, removes=(*_LEASE, "cursor", "began_at"))

    async def release(self) -> None:
        """Another may go on from the cursor. Raises `LeaseLost` when another does already."""
        await self._change(sets={"cursor": items.text(self.cursor)}, removes=_LEASE)

    async def _change(self, *, sets: dict[str, Value], removes: tuple[str, ...] = ()) -> None:
        write = change(keys.sweep(self.domain), sets=sets, removes=removes, where=_MINE, given=self._given)
        if await self._store.update(write) is None:
            log.warning("sweep_lost", domain=self.domain, cursor=self.cursor)
            raise LeaseLost(f"another worker goes on with the sweep of {self.domain}")


class Sweeps:
    """The ledger as the sweep sees it. Tasks share it; raises as `Ledger` does. `owner` names this process."""

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

    async def record(self, domain: str) -> SweepRecord:
        """Strongly consistent."""
        found = await self._store.get(keys.sweep(domain))
        return _record(found) if found else SweepRecord()

    async def take(self, domain: str, seen: SweepRecord, period: timedelta) -> SweepLease | None:
        """The lease, where a sweep is due or one was cut off; None: neither, or another has it. `seen`: by `record`."""
        now = self._clock()
        if seen.nonce is not None and seen.leased_until / 1000 + SKEW_SECONDS > now:
            return None
        if not seen.cursor and seen.ended is not None and seen.ended.timestamp() + period.total_seconds() > now:
            return None
        nonce, fence = uuid4().hex, seen.fence + 1
        where, given = unchanged(seen.fence, seen.nonce, seen.leased_until)
        write = change(
            keys.sweep(domain),
            sets={
                "v": items.number(items.SCHEMA),
                "fence": items.number(fence),
                "owner": items.text(self._owner),
                "nonce": items.text(nonce),
                "leased_until": items.number(until(now, self._seconds)),
            },
            first={"began_at": items.moment(datetime.fromtimestamp(now, UTC))},
            where=where,
            given=given,
        )
        # The SDK asks again when an answer is lost: then it is this very bid that is in the way.
        if await self._store.update(write) is None and (await self.record(domain)).nonce != nonce:
            return None
        return SweepLease(
            self._store,
            domain,
            fence=fence,
            nonce=nonce,
            cursor=seen.cursor,
            seconds=self._seconds,
            clock=self._clock,
        )

    async def principals(self, domain: str, after: str = "") -> AsyncIterator[Placed]:
        """The domain's principals of which something may be left, in an order that lasts. `after`: the place of the last
        one that was dealt with. Eventually consistent."""
        begun, _, name = after.partition(" ")
        states = list(PrincipalState)
        for state in states[states.index(PrincipalState(begun)) if begun else 0 :]:
            if state is PrincipalState.REMOVED:
                continue
            start = _key(name) if state == begun and name else None
            async for item in self._store.query(state, keys.PRINCIPAL, attribute="state", after=start):
                holding = items.holding(item)
                if holding.record.principal.environment.domain == domain:
                    yield Placed(holding=holding, place=f"{state} {holding.record.principal.id}")

    async def everything(self) -> AsyncIterator[PrincipalRecord]:
        """The principals of all domains, also those of which nothing is left. Eventually consistent."""
        for state in PrincipalState:
            async for item in self._store.query(state, keys.PRINCIPAL, attribute="state"):
                yield items.holding(item).record

    async def known(self, names: Collection[str]) -> Mapping[str, PrincipalRecord]:
        """Those of so named principals, `<environment id>/<source key>`, that there are. Strongly consistent."""
        found = [items.holding(item).record for item in await self._store.get_all([*map(_key, names)])]
        return {record.principal.id: record for record in found}

    async def principal(self, of: Principal) -> Holding | None:
        """Strongly consistent."""
        found = await self._store.get(keys.principal(of))
        return items.holding(found) if found else None


def _key(principal: str) -> Key:
    environment, _, source = principal.rpartition("/")
    return Key(keys.partition(environment), keys.PRINCIPAL + source)


def _record(item: Item) -> SweepRecord:
    return SweepRecord(
        fence=int(item["fence"]["N"]),
        cursor=item["cursor"]["S"] if "cursor" in item else "",
        ended=datetime.fromisoformat(item["ended_at"]["S"]).astimezone(UTC) if "ended_at" in item else None,
        nonce=item["nonce"]["S"] if "nonce" in item else None,
        leased_until=int(item["leased_until"]["N"]) if "leased_until" in item else 0,
    )
