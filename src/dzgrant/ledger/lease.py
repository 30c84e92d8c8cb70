"""The right to work on one principal for a while.

Two clocks: others compare `leased_until` with their wall clocks, and take a lease over only well after it; the holder
counts on its own monotonic clock, from before the request that gave the lease was sent. Clocks decide only who may
try; that a late holder writes nothing is the fence's work.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from dzgrant.errors import LeaseLost
from dzgrant.ledger import items, keys
from dzgrant.ledger.store import Store
from dzgrant.ledger.writes import change
from dzgrant.model import Principal, PrincipalRecord

_log = structlog.get_logger(__name__)

MARGIN_SECONDS = 1.0
"""Between `check` and the moment when the server begins the statement that it allows."""


class Lease:
    """Held by one task; given by `Ledger.acquire`, ended by `Ledger.settle` or `Ledger.release`."""

    def __init__(
        self,
        store: Store,
        record: PrincipalRecord,
        *,
        prior: PrincipalRecord | None,
        nonce: str,
        seconds: float,
        asked: float,
        clock: Callable[[], float],
    ) -> None:
        """`asked`: the monotonic time just before the lease was asked for; `clock`: the wall clock, as `time.time`."""
        self.record = record
        """The principal as it is now, with this lease's fence."""
        self.prior = prior
        """The principal as it was before; None: the ledger did not know it."""
        self.nonce = nonce
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self._expires = asked + seconds

    @property
    def principal(self) -> Principal:
        return self.record.principal

    @property
    def fence(self) -> int:
        return self.record.fence

    def check(self, seconds: float) -> None:
        """Raises `LeaseLost` unless the lease outlasts so many seconds from now, and a margin."""
        left = self._expires - time.monotonic()
        if left < seconds + MARGIN_SECONDS:
            raise self._lost(f"{max(left, 0.0):.1f} s are left of the lease, {seconds + MARGIN_SECONDS:.1f} s are needed")

    async def renew(self) -> None:
        """The lease in its full length from now. Raises `LeaseLost` when it was given back or taken over."""
        asked = time.monotonic()
        renewed = await self._store.update(
            change(
                keys.principal(self.principal),
                sets={"leased_until": items.number(until(self._clock(), self._seconds))},
                where="#fence = :mine AND #nonce = :my_nonce",
                given={"mine": items.number(self.fence), "my_nonce": items.text(self.nonce)},
            )
        )
        if renewed is None:
            self.end()
            raise self.lost("the lease was given back, or another worker took it over")
        self._expires = asked + self._seconds

    def end(self) -> None:
        """From now on every check fails; for the ledger alone."""
        self._expires = float("-inf")

    def lost(self, what: str) -> LeaseLost:
        """For whoever found in the ledger that it is so."""
        _log.warning("lease_lost", principal=self.principal.id, fence=self.fence, why=what)
        return self._lost(what)

    def _lost(self, what: str) -> LeaseLost:
        return LeaseLost(what).about(environment=self.principal.environment.id, source=self.principal.source)


def until(now: float, seconds: float) -> int:
    """`leased_until`: milliseconds since 1970."""
    return round((now + seconds) * 1000)
