"""A login that another program made for an environment becomes a principal's second way in, for a while.

The principal's own login and secrets are made by the same road as any other's; the adopted one opens beside them until its
time, as after a rotation: whoever revokes a table takes it from both, and the end of the grace drops it. So its password,
which dzgrant did not make, never comes into dzgrant's own secrets.

The order is the promise: the ledger knows of the login before it is marked, so that no crash leaves a marked login that a
revoke would not find.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from dzgrant.engines.contract import Database, Owner
from dzgrant.errors import Misconfigured, Refused
from dzgrant.ledger import Lease, Settlement
from dzgrant.model import Admin, Principal, PrincipalRecord, PrincipalState, Spare, Table, TablePath
from dzgrant.saga.step import Means, bounded

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What a person decided. `keep`: the tables that are approved; the login loses every other."""

    principal: Principal
    admin: Admin
    login: str
    until: datetime
    """When the login is dropped (UTC)."""
    keep: Collection[TablePath]


async def record_intent(means: Means, lease: Lease, wish: Adoption) -> PrincipalRecord:
    """Writes the spare into the ledger, and gives the lease back. Raises `Misconfigured` while a rotation has the place."""
    prior = lease.prior
    if prior and prior.spare and prior.spare.login != wish.login:
        until = prior.spare.until
        await means.ledger.release(lease)
        raise Misconfigured(
            f"what {wish.principal.id} had before a rotation opens still, and there are two ways in at most",
            do=f"apply the plan again after {until:%Y-%m-%d %H:%M}Z" if until else "apply the plan again after the rotation",
        )
    # Nothing is known of a login that is being made: what is REMOVED would be left alone by a revoke.
    known = prior is not None and prior.state is not PrincipalState.REMOVED
    record = replace(
        lease.record,
        state=prior.state if prior and known else PrincipalState.PENDING,
        spare=Spare(login=wish.login, until=wish.until),
    )
    await _settle(means, lease, record)
    return record


async def take_over(means: Means, lease: Lease, wish: Adoption, bound: float) -> bool:
    """Marks the login and takes from it what is not approved; whether it was there. `bound`: the seconds of one step."""
    environment = wish.principal.environment
    owner = Owner(domain=environment.domain, project=environment.project, environment=environment.id)

    async def mark(database: Database) -> bool:
        return await database.adopt(wish.login, owner, lease)

    async def narrow(database: Database) -> None:
        keep = [table for path in wish.keep if (table := await _resolved(database, path))]
        state = await database.describe(wish.login)
        # Its sessions end with what is taken: where nothing is, its reader notices nothing.
        if state and not {*state.tables} <= {*keep}:
            await database.revoke(wish.login, keep, lease)

    sources, source = means.sources, wish.principal.source
    try:
        there = await bounded(lease, bound, "adopt", lambda: sources.run(source, wish.admin, mark))
    except Refused:
        # It is somebody else's, and was never dzgrant's to end.
        await _settle(means, lease, replace(lease.record, spare=None))
        raise
    if there:
        await bounded(lease, bound, "narrow", lambda: sources.run(source, wish.admin, narrow))
    await _settle(means, lease, lease.record if there else replace(lease.record, spare=None))
    log.info("login_adopted" if there else "login_to_adopt_is_gone", principal=wish.principal.id, login=wish.login)
    return there


async def _resolved(database: Database, path: TablePath) -> Table | None:
    try:
        return await database.resolve(path)
    except Refused:
        return None


async def _settle(means: Means, lease: Lease, record: PrincipalRecord) -> None:
    settlement = Settlement(
        state=record.state,
        producer_secret=record.producer_secret,
        consumer_secret=record.consumer_secret,
        login=record.login,
        password_at=record.password_at,
        spare=record.spare,
    )
    await means.ledger.settle(lease, settlement)
