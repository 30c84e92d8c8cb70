"""The looks of a sweep: what is read, and handed to the comparison. They change nothing.

For a subscription: its item and grants in the ledger (2 calls); only where it stands, DataZone's environments and
subscription grants (2) and Glue's table (1 each). For a principal: its grants in the ledger (1), both secrets and the
policy (3), and in its database what the login has, and a login with its password.
"""

from __future__ import annotations

import time
from datetime import datetime

from dzgrant.engines.contract import Database
from dzgrant.errors import Refused
from dzgrant.ledger.items import Holding
from dzgrant.ledger.ledger import SKEW_SECONDS
from dzgrant.model import GrantRecord, GrantState, PrincipalRecord, Subscription
from dzgrant.reporting import Drift, DriftKind
from dzgrant.saga.drift import Seen, against_desired, against_reality, to_be_seen
from dzgrant.saga.explain import Sides
from dzgrant.saga.proof import opens, something_readable
from dzgrant.secrets import Look


async def at_subscription(sides: Sides, subscription: Subscription, since: datetime) -> list[Drift]:
    """What came into work after `since` is left to whoever works on it."""
    recorded = [grant async for grant in sides.ledger.find(subscription=subscription.id)]
    if not recorded and not sides.converge.stands(subscription):
        return []
    try:
        desired = await sides.converge.desired(subscription)
    except Refused as refused:
        what = f"{subscription.status}, and refused: {refused}"
        return [Drift(kind=DriftKind.NOT_GRANTED, domain=subscription.domain, what=what, subscription=subscription.id)]
    return list(against_desired(subscription, desired.wanted, recorded, desired.pending, since=since))


async def at_rest(
    sides: Sides, record: PrincipalRecord, grants: tuple[GrantRecord, ...], since: datetime
) -> list[Drift] | None:
    """The principal. None: it can't be told, since somebody works on it, or did after `since`, or it has less than before."""
    had = _granted(grants)
    while record.updated_at <= since:
        if not (found := await _at_principal(sides, record, grants)):
            return []
        now = await sides.sweeps.principal(record.principal)
        if now is None or _held(now):
            return None
        if now.record.fence == record.fence:
            return found
        record, grants = now.record, await sides.ledger.grants(record.principal)
        if not had <= _granted(grants):
            return None
    return None


def _granted(grants: tuple[GrantRecord, ...]) -> frozenset[str]:
    return frozenset(grant.path.key for grant in grants if grant.state is GrantState.GRANTED)


def _held(holding: Holding) -> bool:
    return holding.nonce is not None and holding.leased_until / 1000 + SKEW_SECONDS > time.time()


async def _at_principal(sides: Sides, record: PrincipalRecord, grants: tuple[GrantRecord, ...]) -> list[Drift]:
    if not to_be_seen(record, grants):
        return []
    secrets = await sides.secrets.look(record.principal, record.admin)
    seen = await sides.sources.run(
        record.principal.source, record.admin, lambda database: _in_database(database, record, grants, secrets)
    )
    return list(against_reality(record, grants, seen))


async def _in_database(database: Database, record: PrincipalRecord, grants: tuple[GrantRecord, ...], secrets: Look) -> Seen:
    login = await database.describe(record.login)
    readable = something_readable(login.tables, grants) if login and login.enabled and login.marked else None
    kept = secrets.producer or secrets.consumer
    return Seen(
        secrets=secrets,
        login=login,
        opens=await opens(database, kept.credentials, readable) if kept and readable else None,
    )
