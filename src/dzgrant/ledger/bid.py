"""A try to take the lease on a principal: a compare-and-set on what is known of it.

The condition names the fence and the lease that were seen, not the fence alone. While one fence is valid its holder
may still settle; a record that was read before would then be old, though its fence is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from typing import TYPE_CHECKING

from dzgrant.ledger import items, keys
from dzgrant.ledger.items import Holding
from dzgrant.ledger.writes import Write, change
from dzgrant.model import Admin, Principal, PrincipalRecord, PrincipalState

if TYPE_CHECKING:
    from dzgrant.ledger.items import Value


class Purpose(Enum):
    """What a principal is taken for."""

    GRANT = auto()
    REVOKE = auto()
    ROTATE = auto()


@dataclass(frozen=True, slots=True)
class Bid:
    """`record` is what the principal becomes if `write` succeeds; `prior` what it was."""

    prior: PrincipalRecord | None
    record: PrincipalRecord
    nonce: str
    write: Write


def bid(
    principal: Principal,
    admin: Admin,
    seen: Holding | None,
    *,
    purpose: Purpose,
    owner: str,
    nonce: str,
    leased_until: int,
    now: datetime,
) -> Bid:
    """`seen`: the principal as last seen, None when the ledger is not known to have it."""
    prior = seen.record if seen else None
    record = _next(principal, admin, prior, purpose=purpose, now=now)
    where, given = unchanged(seen.record.fence, seen.nonce, seen.leased_until) if seen else unchanged(0, None, 0)
    write = change(
        keys.principal(principal),
        sets={
            "v": items.number(items.SCHEMA),
            "principal": items.principal(principal),
            "admin": items.admin(record.admin),
            "state": items.text(record.state),
            "fence": items.number(record.fence),
            "owner": items.text(owner),
            "nonce": items.text(nonce),
            "leased_until": items.number(leased_until),
            "updated_at": items.moment(now),
        },
        where=where,
        given=given,
    )
    return Bid(prior, record, nonce, write)


def _next(
    principal: Principal, admin: Admin, prior: PrincipalRecord | None, *, purpose: Purpose, now: datetime
) -> PrincipalRecord:
    if prior is None:
        return PrincipalRecord(
            principal=principal,
            admin=admin,
            state=PrincipalState.PENDING,
            producer_secret=None,
            consumer_secret=None,
            fence=1,
            updated_at=now,
            login=principal.login,
        )
    # Intent before effect: a grant may bring a removed login back, a revoke may leave one that no longer works.
    removed = prior.state is PrincipalState.REMOVED
    # A rotation leaves what works working, at every instant.
    wanted = purpose is Purpose.GRANT
    pending = removed if wanted else purpose is Purpose.REVOKE and not removed
    # A revoke may come with an older claim's admin; only a grant brings a newer one. As long as something may be left of
    # the principal, its secret lies where its first admin is: another way to the same database must not lead elsewhere.
    newer = wanted and (removed or (admin.account, admin.region) == (prior.admin.account, prior.admin.region))
    return replace(
        prior,
        principal=principal,
        admin=admin if newer else prior.admin,
        state=PrincipalState.PENDING if pending else prior.state,
        fence=prior.fence + 1,
        updated_at=now,
    )


def unchanged(fence: int, nonce: str | None, leased_until: int) -> tuple[str, dict[str, Value]]:
    """The condition that an item still has this fence (0: is not there) and this lease, and the values that it names."""
    if not fence:
        return "attribute_not_exists(#pk)", {}
    given = {"known": items.number(fence)}
    if nonce is None:
        return "#fence = :known AND attribute_not_exists(#nonce)", given
    given |= {"theirs": items.text(nonce), "their_end": items.number(leased_until)}
    return "#fence = :known AND #nonce = :theirs AND #leased_until = :their_end", given
