"""The catalogue: what should be, read from DataZone and Glue now.

Every method may raise `Transient` and `Misconfigured` for what AWS answers; `Refused` and `Unsupported` are about the
one subscription, asset or connection that was asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from dzgrant.accounts import Accounts
from dzgrant.catalog import filters, glue
from dzgrant.catalog.datazone import DataZone
from dzgrant.catalog.environments import Environments, EnvironmentState
from dzgrant.catalog.glue import Connection
from dzgrant.catalog.grants import SubscriptionGrant, SubscriptionGrants
from dzgrant.catalog.owners import Owners
from dzgrant.catalog.producers import Producers
from dzgrant.catalog.subscriptions import Listed, Subscriptions
from dzgrant.errors import DzgrantError
from dzgrant.model import (
    AccountId,
    Admin,
    Asset,
    AssetScope,
    Credentials,
    Environment,
    Principal,
    Region,
    Scope,
    Source,
    Subscription,
    TablePath,
    Wanted,
)
from dzgrant.settings import Settings
from dzgrant.together import both, together


@dataclass(frozen=True, slots=True, kw_only=True)
class _Located:
    """An asset's table and the way to it."""

    asset: Asset
    source: Source
    path: TablePath
    admin: Admin
    scope: Scope


class Catalog:
    """One for the process; tasks share it. What it caches is bounded, and is nothing that decides who has access now."""

    def __init__(self, accounts: Accounts, settings: Settings) -> None:
        self.limiter = AsyncLimiter(settings.datazone_rate, 1)
        """For whoever else calls DataZone; the reads are paced by themselves."""
        self._accounts = accounts
        self._domain_ids = settings.domain_ids
        self._datazone = datazone = DataZone(accounts, settings.datazone_rate)
        self._subscriptions = Subscriptions(datazone, honour_retain=settings.honour_retain_permissions)
        self._grants = SubscriptionGrants(datazone)
        self._environments = Environments(datazone, settings.environment_blueprints)
        self._owners = Owners(datazone, settings.shared_catalogues)
        self._producers = Producers(accounts)

    async def check(self) -> None:
        """At the start: every configured domain can be read and has the blueprints. Raises `Misconfigured`."""
        await together(self._environments.check(domain) for domain in self._domain_ids)

    async def subscription(
        self, domain: str, *, subscription: str | None, request: str | None, listing: str | None, project: str | None
    ) -> Subscription | None:
        """The subscription that these ids of an event lead to, as it is now; None when there is none.

        Its assets are the Glue tables of its listing while it is approved, or ended with permissions that the settings
        say to retain; else it has none.
        Raises `Unsupported` for a subscriber that is no project, or a listing that does not say its Glue table.
        """
        return await self._subscriptions.find(
            domain, subscription=subscription, request=request, listing=listing, project=project
        )

    def approved(self, domain: str, project: str) -> AsyncIterator[Subscription]:
        """The project's approved subscriptions. One that is refused is logged and left out: its absence says nothing."""
        return self._subscriptions.approved(domain, project)

    def every(self, domain: str, after: str = "") -> AsyncIterator[Listed]:
        """The domain's subscriptions of every status, the approved first, the oldest of a status first; left out as in
        `approved`. `after`: the place of the last one that was dealt with."""
        return self._subscriptions.every(domain, after)

    async def environments(self, domain: str, project: str) -> tuple[Environment, ...]:
        """The project's environments that get access, in order of their ids."""
        return await self._environments.of_project(domain, project)

    async def anchors(self, domain: str, project: str) -> tuple[Environment, ...]:
        """V2: the environments that stand for the project now; V1: none, since each stands for itself."""
        return await self._environments.of_project(domain, project) if await self._environments.is_v2(domain) else ()

    async def environment(self, domain: str, environment: str) -> EnvironmentState | None:
        """One environment of any blueprint; None when there is none."""
        return await self._environments.get(domain, environment)

    def admit(self, environment: Environment) -> None:
        """Raises `Refused` where the settings leave its account or Region out."""
        self._accounts.admit(environment.account, environment.region)

    async def subscription_grant(self, domain: str, grant: str) -> SubscriptionGrant | None:
        """One subscription grant and whose target it is for; None when there is none."""
        return await self._grants.get(domain, grant)

    async def custom_grants(self, subscription: Subscription) -> tuple[SubscriptionGrant, ...]:
        """The subscription's grants on custom subscription targets, also those that are to go."""
        grants = await self._grants.of_subscription(subscription.domain, subscription.id)
        return tuple(grant for grant in grants if grant.custom)

    async def custom_environments(self, grants: Collection[SubscriptionGrant]) -> tuple[Environment, ...]:
        """The live environments, of any blueprint, to which these grants bring their subscription."""
        places = sorted({(grant.domain, grant.environment) for grant in grants if grant.environment and not grant.leaving})
        found = await together(self._environments.get(domain, environment) for domain, environment in places)
        return tuple(state.environment for state in found if state and state.live)

    async def wanted(self, subscription: Subscription, environments: Collection[Environment]) -> tuple[Wanted, ...]:
        """A desired grant for each table of the subscription in each environment; none for tables not read through JDBC.

        Raises `Unenforceable` when an approval is bounded by a filter that can't be read for certain: filters are read anew
        each time, since they may change at any time.
        """
        return _wanted(subscription, environments, await self._tables(subscription))

    async def wanted_by_project(self, subscription: Subscription) -> tuple[tuple[Environment, ...], tuple[Wanted, ...]]:
        """The project's environments, and as `wanted` for them: neither read needs the other's answer, so both go at once."""
        reading = self.environments(subscription.domain, subscription.project)
        environments, located = await both(reading, self._tables(subscription))
        return environments, _wanted(subscription, environments, located)

    async def connection(self, account: AccountId, region: Region, name: str) -> Connection | None:
        """A Glue connection of a producer; None: it leads to no relational database. Raises as `wanted` does."""
        return await self._producers.connection(account, region, name)

    async def admin_credentials(self, admin: Admin, *, fresh: bool = False) -> Credentials:
        """The admin's username and password; `fresh` asks AWS again, for the source just refused the cached ones."""
        return await self._producers.credentials(admin, fresh=fresh)

    async def _tables(self, subscription: Subscription) -> list[_Located]:
        return [found for found in await together(self._located(subscription, it) for it in subscription.assets) if found]

    async def _located(self, subscription: Subscription, asset: Asset) -> _Located | None:
        try:
            # Before anything is asked of the account that the listing names.
            await self._owners.check(subscription.domain, subscription.owner, asset)
            return await self._locate(subscription.domain, asset)
        except DzgrantError as error:
            error.about(table=f"{asset.database}.{asset.table}")
            raise

    async def _locate(self, domain: str, asset: Asset) -> _Located | None:
        reference = await self._producers.reference(asset)
        if reference is None:
            return None
        connection = await self._producers.connection(asset.account, asset.region, reference.connection)
        if connection is None:
            return None
        scope = await self._scope(domain, asset.scope) if asset.scope else Scope()
        source, path = glue.place(reference.location, connection.source)
        admin = Admin(account=asset.account, region=asset.region, connection=reference.connection, secret=connection.secret)
        return _Located(asset=asset, source=source, path=path, admin=admin, scope=scope)

    async def _scope(self, domain: str, bounds: AssetScope) -> Scope:
        reading = (self._datazone.asset_filter(domain, bounds.asset, identifier) for identifier in bounds.filters)
        return filters.scope(bounds, await together(reading))


def _wanted(
    subscription: Subscription, environments: Collection[Environment], located: Collection[_Located]
) -> tuple[Wanted, ...]:
    return tuple(
        Wanted(
            principal=Principal(environment=environment, source=found.source),
            path=found.path,
            subscription=subscription.id,
            listing=found.asset.listing,
            asset=found.asset.id,
            admin=found.admin,
            scope=found.scope,
        )
        for environment in environments
        for found in located
    )
