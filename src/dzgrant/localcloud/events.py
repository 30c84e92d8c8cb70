"""The EventBridge envelopes that DataZone sends, and where they go: the worker's queue.

AWS publishes one payload only (Subscription Request Created, DataZone user guide, "Events via Amazon EventBridge default
bus"); the others have the members that public fulfilment code reads. Their delivery is best effort.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from dzgrant.localcloud.places import GOVERNANCE, REGION
from dzgrant.localcloud.shapes import ASSET_TYPE
from dzgrant.localcloud.state import Entity, Environment, Grant, Request, Subscription

_USER = "44f864b8-50a1-70cc-736f-c1f763934ab7"


class Events:
    """Sends envelopes with `put`, and remembers the latest of each entity, so that it can be sent once more."""

    def __init__(self, put: Callable[[str], None]) -> None:
        self._put = put
        self._latest: dict[str, str] = {}

    def repeat(self, key: str) -> bool:
        """Sends an entity's latest event again; False when it had none."""
        if key not in self._latest:
            return False
        self._put(self._latest[key])
        return True

    def request(self, kind: str, it: Request) -> None:
        data = {
            "autoApproved": False,
            "requesterId": _USER,
            "status": "ACCEPTED" if it.subscription else "PENDING",
            "subscribedListings": [_listing(it)],
            "subscribedPrincipals": [_principal(it)],
        }
        self._send(kind, it, "SubscriptionRequestEntityType", _owner(it), data)

    def subscription(self, kind: str, it: Subscription) -> None:
        data = {
            "status": it.status,
            "subscribedListing": _listing(it.request),
            "subscribedPrincipal": _principal(it.request),
            "subscriptionRequestId": it.request.id,
        }
        self._send(kind, it, "SubscriptionEntityType", _owner(it.request), data)

    def grant(self, kind: str, it: Grant, asset: str) -> None:
        """It does not carry the subscription's id: GetSubscriptionGrant does."""
        target = it.target
        data = {
            "status": it.assets[asset].status,
            "asset": {
                "id": asset,
                "typeName": ASSET_TYPE,
                "listingId": it.subscription.request.listing.id,
                "listingVersion": "1",
            },
            "projectId": target.environment.project,
            "subscriptionTarget": {
                "id": target.id,
                "environmentId": target.environment.id,
                "typeName": "BaseSubscriptionTargetType",
            },
        }
        self._send(kind, it, "SubscriptionGrantEntityType", target.environment.project, data, user="SYSTEM")

    def environment(self, kind: str, it: Environment) -> None:
        data = {"environmentId": it.id, "projectId": it.project}
        self._send(kind, it, "EnvironmentEntityType", it.project, data)

    def _send(self, kind: str, it: Entity, type_name: str, project: str, data: Mapping[str, Any], *, user: str = _USER) -> None:
        envelope = {
            "version": "0",
            "id": str(uuid4()),
            "detail-type": kind,
            "source": "aws.datazone",
            "account": GOVERNANCE,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": REGION,
            "resources": [],
            "detail": {
                "version": "655",
                "metadata": {
                    "domain": it.domain,
                    "user": user,
                    "id": it.id,
                    "version": "1",
                    "typeName": type_name,
                    "owningProjectId": project,
                    "awsAccountId": GOVERNANCE,
                    "clientToken": str(uuid4()),
                },
                "data": data,
            },
        }
        self._latest[it.id] = json.dumps(envelope)
        self._put(self._latest[it.id])


def _listing(it: Request) -> dict[str, Any]:
    """An asset's listing names the asset; a data product's does not."""
    asset = it.listing.asset
    item = {"item": {"assetListing": {"entityId": asset.id, "entityType": ASSET_TYPE}}} if asset else {}
    return {"id": it.listing.id, "ownerProjectId": it.listing.project, "version": "1", **item}


def _owner(it: Request) -> str:
    """Always a project: the subscriber, or the listing's where a user or a role subscribes."""
    return it.principal.id if it.principal.kind == "project" else it.listing.project


def _principal(it: Request) -> dict[str, str]:
    return {"id": it.principal.id, "type": it.principal.kind.upper()}
