"""One subscription, looked at from all sides: DataZone and Glue, the ledger, the database, both accounts. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dzgrant.catalog import Catalog
from dzgrant.engines.contract import Database
from dzgrant.errors import DzgrantError, Refused
from dzgrant.ledger import Ledger, Sweeps
from dzgrant.model import (
    Admin,
    GrantRecord,
    Principal,
    SubscriptionStatus,
    Table,
    TablePath,
    Wanted,
)
from dzgrant.saga.converge import Converge
from dzgrant.saga.difference import PrincipalView, Seen, compare
from dzgrant.saga.proof import opens, something_readable
from dzgrant.saga.sources import Sources
from dzgrant.secrets import Opening, Secrets
from dzgrant.together import together


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`status` is None when DataZone does not know the subscription, or dzgrant refuses to read it."""

    subscription: str
    domain: str
    status: SubscriptionStatus | None
    refused: str | None
    """Why it can't be served as it is."""
    principals: tuple[PrincipalView, ...]

    @property
    def agrees(self) -> bool:
        return self.refused is None and all(principal.agrees for principal in self.principals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """From where a subscription is looked at."""

    catalog: Catalog
    converge: Converge
    ledger: Ledger
    secrets: Secrets
    sources: Sources
    sweeps: Sweeps


async def explain(sides: Sides, domain: str, subscription: str) -> Explanation:
    """Raises `Transient` or `Misconfigured` when DataZone, Glue or the ledger can't be read. A database or a secret that
    can't is a difference of its principal."""
    status: SubscriptionStatus | None = None
    wanted: tuple[Wanted, ...] = ()
    refused: str | None = None
    try:
        found = await sides.catalog.subscription(domain, subscription=subscription, request=None, listing=None, project=None)
        if found is not None:
            status = found.status
            wanted = (await sides.converge.desired(found)).wanted
    except Refused as error:
        refused = str(error.about(subscription=subscription))
    principals = await _principals(subscription, wanted, sides)
    views = await together(_view(subscription, one, wanted, sides) for one in principals)
    return Explanation(
        subscription=subscription,
        domain=domain,
        status=status,
        refused=refused,
        principals=tuple(views),
    )


async def _principals(subscription: str, wanted: Sequence[Wanted], sides: Sides) -> list[Principal]:
    """All that the subscription has, or ever had, to do with."""
    found = {one.principal for one in wanted}
    found |= {claim.principal for claim in await sides.ledger.claims(subscription)}
    found |= {record.principal async for record in sides.ledger.history(subscription=subscription)}
    return sorted(found, key=lambda principal: principal.id)


async def _view(subscription: str, principal: Principal, wanted: Sequence[Wanted], sides: Sides) -> PrincipalView:
    mine = [one for one in wanted if one.principal == principal]
    known = await sides.ledger.principals(principal.environment.id)
    record = next((one for one in known if one.principal == principal), None)
    grants = await sides.ledger.grants(principal)
    paths = {one.path for one in mine} | {grant.path for grant in grants if subscription in grant.subscriptions}
    admin = mine[0].admin if mine else record.admin if record else None
    return compare(
        principal,
        subscription=subscription,
        desired={one.path: one.scope for one in mine},
        record=record,
        grants=grants,
        seen=await _seen(principal, record.login if record else principal.login, admin, paths=paths, grants=grants, sides=sides)
        if admin
        else "the ledger does not know the way to its database",
    )


async def _seen(
    principal: Principal,
    login: str,
    admin: Admin,
    *,
    paths: Collection[TablePath],
    grants: Collection[GrantRecord],
    sides: Sides,
) -> Seen | str:
    """What is, or why it can't be seen. `login`: the one in use."""
    try:
        consumer = await sides.secrets.read_consumer(principal)
        producer = await sides.secrets.read_producer(principal, admin)
        return await sides.sources.run(
            principal.source,
            admin,
            lambda database: _in_database(
                database, principal, login, paths=paths, grants=grants, producer=producer, consumer=consumer
            ),
        )
    except DzgrantError as error:
        return f"can't be looked at: {error}"


async def _in_database(
    database: Database,
    principal: Principal,
    in_use: str,
    *,
    paths: Collection[TablePath],
    grants: Collection[GrantRecord],
    producer: Opening | None,
    consumer: Opening | None,
) -> Seen:
    first, second = principal.logins
    login = await database.describe(in_use)
    readable = something_readable(login.tables, grants) if login and login.enabled else None
    return Seen(
        login=login,
        tables={path: await _resolved(database, path) for path in paths},
        producer_secret=producer is not None,
        consumer_secret=consumer is not None,
        opens=await opens(database, consumer, readable) if consumer and readable else None,
        second=await database.describe(first if in_use == second else second),
    )


async def _resolved(database: Database, path: TablePath) -> Table | None:
    try:
        return await database.resolve(path)
    except Refused:
        return None
