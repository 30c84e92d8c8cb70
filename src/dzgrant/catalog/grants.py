"""Subscription grants: what DataZone asks of a subscription target that is not its own, and waits to hear of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachetools import TTLCache

from dzgrant.catalog.datazone import DataZone

if TYPE_CHECKING:
    from types_aiobotocore_datazone.type_defs import GetSubscriptionGrantOutputTypeDef, SubscriptionGrantSummaryTypeDef

_CACHED_TARGETS = 1024
_CACHE_SECONDS = 300.0
_OWN_PROVIDER = "Amazon DataZone"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedAsset:
    """One asset of a grant; `status` is GRANT_PENDING, GRANTED, REVOKE_PENDING, ... (SubscriptionGrantStatus)."""

    id: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionGrant:
    """A subscription grant as DataZone states it now."""

    domain: str
    id: str
    subscription: str | None
    environment: str | None
    target: str
    provider: str | None
    """Of the target; None when the target or the environment is gone."""
    listing: str
    assets: tuple[GrantedAsset, ...]

    @property
    def custom(self) -> bool:
        """Whether DataZone waits for a status from outside: it fulfils the targets of its own provider itself
        (DataZone user guide, "Using existing IAM roles to fulfill subscriptions")."""
        return self.provider is not None and self.provider != _OWN_PROVIDER

    @property
    def leaving(self) -> bool:
        """Whether all of its assets are to be revoked, or are."""
        return bool(self.assets) and all(asset.status.startswith("REVOKE") for asset in self.assets)

    @property
    def pending(self) -> bool:
        """Whether DataZone waits to hear of some of its assets."""
        return any(asset.status.endswith("_PENDING") for asset in self.assets)


class SubscriptionGrants:
    def __init__(self, datazone: DataZone) -> None:
        self._datazone = datazone
        self._providers: TTLCache[tuple[str, str, str], str] = TTLCache(_CACHED_TARGETS, _CACHE_SECONDS)

    async def get(self, domain: str, grant: str) -> SubscriptionGrant | None:
        """None when there is no such grant."""
        found = await self._datazone.subscription_grant(domain, grant)
        return await self._stated(domain, found) if found else None

    async def of_subscription(self, domain: str, subscription: str) -> tuple[SubscriptionGrant, ...]:
        items = self._datazone.subscription_grants(domain, subscription)
        return tuple([await self._stated(domain, item) async for item in items])

    async def _stated(
        self, domain: str, item: GetSubscriptionGrantOutputTypeDef | SubscriptionGrantSummaryTypeDef
    ) -> SubscriptionGrant:
        environment, target = item.get("environmentId"), item["subscriptionTargetId"]
        return SubscriptionGrant(
            domain=domain,
            id=item["id"],
            subscription=item.get("subscriptionId"),
            environment=environment,
            target=target,
            provider=await self._provider(domain, environment, target) if environment else None,
            listing=item["grantedEntity"].get("listing", {}).get("id", ""),
            assets=tuple(GrantedAsset(id=asset["assetId"], status=asset["status"]) for asset in item.get("assets", [])),
        )

    async def _provider(self, domain: str, environment: str, target: str) -> str | None:
        key = (domain, environment, target)
        if (cached := self._providers.get(key)) is not None:
            return cached
        found = await self._datazone.subscription_target(domain, environment, target)
        if found is None:
            return None
        self._providers[key] = found["provider"]
        return found["provider"]
