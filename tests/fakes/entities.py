"""What DataZone knows, and the answers that it makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

ASSET_TYPE = "GlueTableAssetType"
REVISION = "1"
_USER = "44f864b8-50a1-70cc-736f-c1f763934ab7"


@dataclass(slots=True, kw_only=True)
class Stated:
    """Something with a status. A read may be behind: it then says what was before; None: that there is no such thing."""

    id: str
    domain: str
    status: str
    changed: float
    before: str | None = None

    def seen(self, now: float, lag: float) -> str | None:
        return self.status if self.changed + lag <= now else self.before

    def change(self, status: str, now: float) -> None:
        self.status, self.before, self.changed = status, self.status, now


@dataclass(slots=True, kw_only=True)
class Blueprint:
    id: str
    name: str
    provider: str
    tooling: bool

    def answer(self) -> dict[str, Any]:
        category = {"blueprintCategory": "TOOLING"} if self.tooling else {}
        return {
            "id": self.id,
            "name": self.name,
            "provider": self.provider,
            "provisioningProperties": {"cloudFormation": {"templateUrl": "https://templates.example/blueprint"}},
            **category,
        }


@dataclass(slots=True, kw_only=True)
class Domain:
    id: str
    version: str
    blueprints: dict[str, Blueprint]
    subscriptions: list[Subscription] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Environment(Stated):
    project: str
    blueprint: Blueprint
    account: str | None
    region: str | None

    def summary(self, status: str) -> dict[str, Any]:
        """Without the blueprint's id, as in AWS."""
        place = {"awsAccountId": self.account, "awsAccountRegion": self.region}
        return {
            "id": self.id,
            "domainId": self.domain,
            "projectId": self.project,
            "name": self.id,
            "provider": self.blueprint.provider,
            "status": status,
            "createdBy": _USER,
            **{name: value for name, value in place.items() if value},
        }


@dataclass(slots=True, kw_only=True)
class Listing:
    id: str
    domain: str
    project: str
    name: str
    asset: str | None = None
    forms: str = "{}"
    items: tuple[Listing, ...] = ()
    active: bool = True

    @property
    def assets(self) -> tuple[str, ...]:
        return (self.asset,) if self.asset else tuple(asset for item in self.items for asset in item.assets)

    def answer(self) -> dict[str, Any]:
        if self.asset:
            asset = {"assetId": self.asset, "assetRevision": REVISION, "assetType": ASSET_TYPE, "forms": self.forms}
            item: dict[str, Any] = {"assetListing": {**asset, "owningProjectId": self.project}}
        else:
            members = [{"listingId": one.id, "listingRevision": REVISION} for one in self.items]
            item = {"dataProductListing": {"dataProductId": self.id, "dataProductRevision": REVISION, "items": members}}
        status = "ACTIVE" if self.active else "INACTIVE"
        return {"domainId": self.domain, "id": self.id, "listingRevision": REVISION, "status": status, "item": item}


@dataclass(slots=True, kw_only=True)
class Request:
    """`kind`: project, user or iam; `by`: its id."""

    id: str
    domain: str
    listing: Listing
    kind: str
    by: str
    subscription: str | None = None


@dataclass(slots=True, kw_only=True)
class Subscription(Stated):
    request: Request
    filters: tuple[str, ...]
    created: float
    retain: bool = False

    def answer(self, status: str) -> dict[str, Any]:
        what, request = self.request.listing, self.request
        principals = {"project": {"id": request.by, "name": request.by}, "user": {"id": request.by}}
        return {
            "id": self.id,
            "domainId": self.domain,
            "status": status,
            "createdBy": _USER,
            "createdAt": datetime.fromtimestamp(self.created, UTC),
            "updatedAt": datetime.fromtimestamp(self.changed, UTC),
            "subscribedPrincipal": {request.kind: principals.get(request.kind, {"principalArn": request.by})},
            "subscribedListing": {
                "id": what.id,
                "revision": REVISION,
                "name": what.name,
                "ownerProjectId": what.project,
                "item": self._item(what),
            },
            "subscriptionRequestId": request.id,
            "retainPermissions": self.retain,
        }

    def _item(self, what: Listing) -> dict[str, Any]:
        if what.asset is None:
            return {"productListing": {"entityId": what.id, "entityRevision": REVISION, "name": what.name}}
        scope = {"assetScope": {"assetId": what.asset, "filterIds": list(self.filters), "status": "APPLIED"}}
        entity = {"entityId": what.asset, "entityRevision": REVISION, "entityType": ASSET_TYPE, "forms": what.forms}
        return {"assetListing": entity | (scope if self.filters else {})}


@dataclass(slots=True, kw_only=True)
class Filter:
    """`configuration` as CreateAssetFilter takes it; `error`: why it is INVALID."""

    id: str
    domain: str
    asset: str
    name: str
    configuration: dict[str, Any]
    error: str | None = None

    def answer(self) -> dict[str, Any]:
        found = {"id": self.id, "domainId": self.domain, "assetId": self.asset, "name": self.name}
        status = {"status": "INVALID", "errorMessage": self.error} if self.error else {"status": "VALID"}
        return {**found, **status, "configuration": self.configuration}


@dataclass(slots=True, kw_only=True)
class Target:
    id: str
    domain: str
    environment: Environment
    provider: str
    automatic: bool

    def answer(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "domainId": self.domain,
            "projectId": self.environment.project,
            "environmentId": self.environment.id,
            "name": self.provider,
            "type": "BaseSubscriptionTargetType",
            "provider": self.provider,
            "applicableAssetTypes": [ASSET_TYPE],
        }


@dataclass(slots=True, kw_only=True)
class Grant:
    """`assets`: the status of each, and why it failed."""

    id: str
    domain: str
    subscription: Subscription
    target: Target
    assets: dict[str, tuple[str, str | None]]

    def answer(self) -> dict[str, Any]:
        assets = [
            {"assetId": asset, "assetRevision": REVISION, "status": status}
            | ({"failureCause": {"message": failure}} if failure else {})
            for asset, (status, failure) in self.assets.items()
        ]
        return {
            "id": self.id,
            "domainId": self.domain,
            "environmentId": self.target.environment.id,
            "subscriptionTargetId": self.target.id,
            "subscriptionId": self.subscription.id,
            "grantedEntity": {"listing": {"id": self.subscription.request.listing.id, "revision": REVISION}},
            "assets": assets,
        }
