"""DataZone's answers: each entity in the shape of botocore's service model (datazone/2018-05-10)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dzgrant.localcloud import environments
from dzgrant.localcloud.places import GOVERNANCE, REGION
from dzgrant.localcloud.state import (
    AssetFilter,
    Blueprint,
    Domain,
    Environment,
    Grant,
    Listing,
    Principal,
    Project,
    Subscription,
    Target,
)

ASSET_TYPE = "GlueTableAssetType"
_USER = "44f864b8-50a1-70cc-736f-c1f763934ab7"
_REVISION = "1"


def domain(it: Domain) -> dict[str, Any]:
    return {
        "id": it.id,
        "name": it.id,
        "arn": f"arn:aws:datazone:{REGION}:{GOVERNANCE}:domain/{it.id}",
        "domainExecutionRole": f"arn:aws:iam::{GOVERNANCE}:role/service-role/AmazonDataZoneDomainExecution",
        "status": "AVAILABLE",
        "domainVersion": it.version,
        "createdAt": it.created.timestamp(),
    }


def project(it: Project) -> dict[str, Any]:
    return {
        "domainId": it.domain,
        "id": it.id,
        "name": it.name,
        "projectStatus": "ACTIVE",
        "createdBy": _USER,
        "createdAt": _iso(it.created),
    }


def blueprint(it: Blueprint) -> dict[str, Any]:
    category = {"blueprintCategory": "TOOLING"} if it.tooling else {}
    return {
        "id": it.id,
        "name": it.name,
        "provider": it.provider,
        "provisioningProperties": {"cloudFormation": {"templateUrl": "https://example.com/blueprint.yaml"}},
        **category,
    }


def environment_summary(it: Environment) -> dict[str, Any]:
    """Without the blueprint's id, as in AWS."""
    place = {"awsAccountId": it.account, "awsAccountRegion": it.region}
    return {
        "id": it.id,
        "domainId": it.domain,
        "projectId": it.project,
        "name": f"{it.blueprint.name} {it.id}",
        "provider": it.blueprint.provider,
        "status": it.status,
        "createdBy": _USER,
        "createdAt": _iso(it.created),
        **{name: value for name, value in place.items() if value},
    }


def environment(it: Environment) -> dict[str, Any]:
    return {
        **environment_summary(it),
        "environmentBlueprintId": it.blueprint.id,
        "provisionedResources": [
            {"name": name, "type": "string", "value": value, "provider": it.blueprint.provider}
            for name, value in environments.resources(it).items()
        ],
    }


def listing(it: Listing) -> dict[str, Any]:
    return {
        "domainId": it.domain,
        "id": it.id,
        "listingRevision": _REVISION,
        "name": it.name,
        "description": "",
        "status": "ACTIVE" if it.active else "INACTIVE",
        "createdAt": it.created.timestamp(),
        "item": _listing_item(it),
    }


def _listing_item(it: Listing) -> dict[str, Any]:
    if it.asset:
        return {
            "assetListing": {
                "assetId": it.asset.id,
                "assetRevision": _REVISION,
                "assetType": ASSET_TYPE,
                "forms": it.asset.forms,
                "owningProjectId": it.project,
            }
        }
    return {
        "dataProductListing": {
            "dataProductId": it.id,
            "dataProductRevision": _REVISION,
            "forms": "{}",
            "owningProjectId": it.project,
            "items": [{"listingId": item.id, "listingRevision": _REVISION} for item in it.items],
        }
    }


def asset_filter_summary(it: AssetFilter) -> dict[str, Any]:
    error = {"errorMessage": it.error} if it.error else {}
    return {
        "id": it.id,
        "domainId": it.domain,
        "assetId": it.asset,
        "name": it.name,
        "description": it.description,
        "status": "INVALID" if it.error else "VALID",
        "createdAt": it.created.timestamp(),
        **error,
    }


def asset_filter(it: AssetFilter) -> dict[str, Any]:
    return {**asset_filter_summary(it), "configuration": it.configuration}


def subscription(it: Subscription) -> dict[str, Any]:
    what = it.request.listing
    return {
        "id": it.id,
        "domainId": it.domain,
        "status": it.status,
        "createdBy": _USER,
        "createdAt": it.created.timestamp(),
        "updatedAt": it.updated.timestamp(),
        "subscribedPrincipal": _principal(it.request.principal),
        "subscribedListing": {
            "id": what.id,
            "revision": _REVISION,
            "name": what.name,
            "description": "",
            "ownerProjectId": what.project,
            "item": _subscribed_item(what, it.filters),
        },
        "subscriptionRequestId": it.request.id,
        "retainPermissions": it.retain,
    }


def _principal(it: Principal) -> dict[str, Any]:
    if it.kind == "iam":
        return {"iam": {"principalArn": it.id}}
    return {"project": {"id": it.id, "name": it.id}} if it.kind == "project" else {"user": {"id": it.id}}


def _subscribed_item(what: Listing, filters: tuple[str, ...]) -> dict[str, Any]:
    if what.asset:
        asset = what.asset.id
        scope = {"assetScope": {"assetId": asset, "filterIds": list(filters), "status": "APPLIED"}} if filters else {}
        entity = {"entityId": asset, "entityRevision": _REVISION, "entityType": ASSET_TYPE, "forms": what.asset.forms}
        return {"assetListing": {**entity, **scope}}
    assets = [{"entityId": asset.id, "entityRevision": _REVISION, "entityType": ASSET_TYPE} for asset in what.assets]
    return {
        "productListing": {"entityId": what.id, "entityRevision": _REVISION, "name": what.name, "assetListings": assets},
    }


def target(it: Target) -> dict[str, Any]:
    return {
        "id": it.id,
        "domainId": it.domain,
        "projectId": it.environment.project,
        "environmentId": it.environment.id,
        "name": it.provider,
        "type": "BaseSubscriptionTargetType",
        "provider": it.provider,
        "authorizedPrincipals": [arn] if (arn := environments.resources(it.environment).get("userRoleArn")) else [],
        "applicableAssetTypes": [ASSET_TYPE],
        "subscriptionTargetConfig": [],
        "subscriptionGrantCreationMode": "AUTOMATIC" if it.automatic else "MANUAL",
        "createdBy": _USER,
        "createdAt": it.created.timestamp(),
    }


def grant(it: Grant) -> dict[str, Any]:
    assets = [
        {
            "assetId": asset,
            "assetRevision": _REVISION,
            "status": outcome.status,
            **({"failureCause": {"message": outcome.failure}} if outcome.failure else {}),
        }
        for asset, outcome in it.assets.items()
    ]
    return {
        "id": it.id,
        "domainId": it.domain,
        "environmentId": it.target.environment.id,
        "subscriptionTargetId": it.target.id,
        "subscriptionId": it.subscription.id,
        "grantedEntity": {"listing": {"id": it.subscription.request.listing.id, "revision": _REVISION}},
        "status": _overall([outcome.status for outcome in it.assets.values()]),
        "assets": assets,
        "createdBy": "SYSTEM",
        "createdAt": it.created.timestamp(),
        "updatedAt": it.created.timestamp(),
    }


def _overall(statuses: Iterable[str]) -> str:
    """A grant's status from those of its assets: the least finished, then the worst."""
    found = set(statuses)
    if any(status.endswith("_PENDING") for status in found):
        return "PENDING"
    if any(status.endswith("_IN_PROGRESS") for status in found):
        return "IN_PROGRESS"
    if {"GRANT_FAILED", "REVOKE_FAILED"} <= found:
        return "GRANT_AND_REVOKE_FAILED"
    return next((status for status in found if status.endswith("_FAILED")), "COMPLETED")


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")
