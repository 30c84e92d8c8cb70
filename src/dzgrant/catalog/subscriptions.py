"""Subscriptions as DataZone states them now, with the Glue tables that they stand for.

A subscription carries its listing, and mostly the listing's forms, so that one read says all. A data product carries
no forms: its listing names the listings of its assets, and each of these is read. Only a subscription that stands is
read that far: what was revoked must not fail because its listing is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from cachetools import TTLCache

from dzgrant.catalog import listing as listings
from dzgrant.catalog.datazone import DataZone
from dzgrant.errors import DzgrantError, Refused, Unsupported
from dzgrant.model import Asset, AssetScope, Subscription, SubscriptionStatus
from dzgrant.together import together

if TYPE_CHECKING:
    from types_aiobotocore_datazone.type_defs import (
        AssetListingTypeDef,
        AssetScopeTypeDef,
        GetSubscriptionOutputTypeDef,
        SubscribedListingTypeDef,
        SubscriptionSummaryTypeDef,
    )

log = structlog.get_logger()

_CACHED_LISTINGS = 2048
_CACHE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One subscription in the list of all."""

    subscription: Subscription
    place: str
    """Where to go on after it, however much later: DataZone's own tokens end, but a date of creation never changes."""
    changed: datetime
    """When DataZone last changed it (UTC)."""


class Subscriptions:
    def __init__(self, datazone: DataZone, *, honour_retain: bool) -> None:
        self._datazone = datazone
        self._honour_retain = honour_retain
        # A revision of a listing never changes.
        self._listings: TTLCache[tuple[str, str, str], tuple[Asset, ...]] = TTLCache(_CACHED_LISTINGS, _CACHE_SECONDS)

    async def find(
        self, domain: str, *, subscription: str | None, request: str | None, listing: str | None, project: str | None
    ) -> Subscription | None:
        """The subscription of this id; else the one that this request led to; else the project's to this listing.

        No AWS page promises which id a subscription's event carries, so the two others are tried where the first is
        none. Of several, an approved one counts, else the one changed last. Raises as `_stated` does.
        """
        if subscription and (found := await self._datazone.subscription(domain, subscription)):
            return await self._stated(domain, found)
        queries: list[dict[str, str]] = []
        if request:
            queries.append({"subscriptionRequestIdentifier": request})
        if listing and project:
            queries.append({"subscribedListingId": listing, "owningProjectId": project})
        for query in queries:
            for status in SubscriptionStatus:
                items = [item async for item in self._datazone.subscriptions(domain, status, **query)]
                if items:
                    return await self._stated(domain, max(items, key=lambda item: item["updatedAt"]))
        return None

    async def approved(self, domain: str, project: str) -> AsyncIterator[Subscription]:
        async for item in self._datazone.subscriptions(domain, SubscriptionStatus.APPROVED, owningProjectId=project):
            if stated := await self._readable(domain, item):
                yield stated

    async def every(self, domain: str, after: str = "") -> AsyncIterator[Listed]:
        statuses = list(SubscriptionStatus)
        begun, _, since = after.partition(" ")
        if begun:
            statuses = statuses[statuses.index(SubscriptionStatus(begun)) :]
        for status in statuses:
            async for item in self._datazone.subscriptions(domain, status, sortBy="CREATED_AT", sortOrder="ASCENDING"):
                # Several may be of one instant, so those of the last one come again.
                if since and status == begun and item["createdAt"] < datetime.fromisoformat(since):
                    continue
                if stated := await self._readable(domain, item):
                    place = f"{status} {item['createdAt'].isoformat()}"
                    yield Listed(subscription=stated, place=place, changed=item["updatedAt"])

    async def _readable(self, domain: str, item: SubscriptionSummaryTypeDef) -> Subscription | None:
        """None, and a line in the log, for what dzgrant refuses: one of them must not hide the others."""
        try:
            return await self._stated(domain, item)
        except Refused as error:
            log.warning("subscription_left_out", domain=domain, subscription=item["id"], reason=str(error))
            return None

    async def _stated(self, domain: str, item: GetSubscriptionOutputTypeDef | SubscriptionSummaryTypeDef) -> Subscription:
        """Raises `Unsupported` for a subscriber that is no project, and for a listing that can't be read."""
        project = item["subscribedPrincipal"].get("project", {}).get("id")
        try:
            if not project:
                kind = next(iter(item["subscribedPrincipal"]), "nobody")
                raise Unsupported(f"the subscriber is of kind {kind}, not a project", do="subscribe as a project")
            status = SubscriptionStatus(item["status"])
            retained = item.get("retainPermissions", False)
            stands = status is SubscriptionStatus.APPROVED or (retained and self._honour_retain)
            assets = await self._assets(domain, item["subscribedListing"]) if stands else ()
        except DzgrantError as error:
            error.about(subscription=item["id"])
            raise
        return Subscription(
            domain=domain,
            id=item["id"],
            status=status,
            project=project,
            owner=item["subscribedListing"]["ownerProjectId"],
            retain_permissions=retained,
            assets=assets,
        )

    async def _assets(self, domain: str, subscribed: SubscribedListingTypeDef) -> tuple[Asset, ...]:
        asset = subscribed["item"].get("assetListing")
        scope = _scope(asset["assetScope"]) if asset and "assetScope" in asset else None
        if asset and (kind := asset.get("entityType")):
            if not listings.is_glue_table(kind):
                return ()
            if (forms := asset.get("forms")) and (entity := asset.get("entityId")):
                found = listings.asset(listing=subscribed["id"], entity=entity, forms=forms, scope=scope)
                return (found,) if found else ()
        read = await self._listing(domain, subscribed["id"], subscribed.get("revision"))
        return tuple(replace(asset, scope=scope) for asset in read)

    async def _listing(self, domain: str, listing: str, revision: str | None) -> tuple[Asset, ...]:
        """The Glue tables of a listing: one, none, or those of all the listings that a data product holds."""
        key = (domain, listing, revision or "")
        if (cached := self._listings.get(key)) is not None:
            return cached
        answer = await self._datazone.listing(domain, listing, revision)
        if answer is None:
            raise Refused(f"DataZone has no listing {listing} any more", do="publish it again, or revoke the subscription")
        if product := answer["item"].get("dataProductListing"):
            members = (item for item in product.get("items", []) if "listingId" in item)
            groups = await together(self._listing(domain, item["listingId"], item.get("listingRevision")) for item in members)
            assets = [asset for group in groups for asset in group]
        else:
            assets = [asset] if (asset := _published(listing, answer["item"].get("assetListing", {}))) else []
        if revision:
            self._listings[key] = tuple(assets)
        return tuple(assets)


def _scope(stated: AssetScopeTypeDef) -> AssetScope:
    """DataZone names no statuses; one that is as bad as a filter's is taken for what it says."""
    error = stated.get("errorMessage") or ("it is INVALID" if stated.get("status") == "INVALID" else None)
    return AssetScope(asset=stated.get("assetId", ""), filters=tuple(stated.get("filterIds", ())), error=error)


def _published(listing: str, item: AssetListingTypeDef) -> Asset | None:
    if not listings.is_glue_table(item.get("assetType")):
        return None
    return listings.asset(listing=listing, entity=item.get("assetId", ""), forms=item.get("forms", ""), scope=None)
