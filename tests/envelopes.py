"""DataZone's events as EventBridge puts them on the queue.

`VERBATIM` is the one payload that AWS publishes in full (DataZone user guide, "Events via Amazon EventBridge default bus").
The others are reconstructed from what deployed code reads; they are not verbatim.
"""

from __future__ import annotations

import json
from typing import Any

DOMAIN = "dzd_bc8e1ez8r2a6xz"

VERBATIM = """{"version": "0", "id": "bd3d6239-2877-f464-0572-b1d76760e085", "detail-type": "Subscription Request Created",
"source": "aws.datazone", "account": "111111111111", "time": "2023-11-13T17:57:00Z", "region": "us-east-1", "resources": [],
"detail": {"version": "655", "metadata": {"domain": "dzd_bc8e1ez8r2a6xz", "user": "44f864b8-50a1-70cc-736f-c1f763934ab7",
"id": "5jbc0lie0sr99j", "version": "1", "typeName": "SubscriptionRequestEntityType", "owningProjectId": "6oy92hwk937pgn",
"awsAccountId": "111111111111", "clientToken": "e781b7b5-78c5-4608-961e-3792a6c3ff0d"}, "data": {"autoApproved": true,
"requesterId": "44f864b8-50a1-70cc-736f-c1f763934ab7", "status": "PENDING", "subscribedListings": [{"id": "ayzstznnx4dxyf",
"ownerProjectId": "5a3se66qm88947", "version": "12"}], "subscribedPrincipals": [{"id": "6oy92hwk937pgn", "type": "PROJECT"}]}}}
"""


def envelope(kind: str, entity: str | None, data: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """A whole event; `entity` is the id of what it is about."""
    return {
        "version": "0",
        "id": "0e1d3a52-9f5e-4b1c-8f7a-3c2b1a0d9e8f",
        "detail-type": kind,
        "source": "aws.datazone",
        "account": "111111111111",
        "time": "2024-01-08T16:24:04Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": {
            "version": "12",
            "metadata": {"domain": DOMAIN, "user": "SYSTEM", "id": entity, "owningProjectId": "consumer1", **metadata},
            "data": data,
        },
    }


def subscription(kind: str = "Subscription Created", entity: str | None = "sub1", **data: Any) -> dict[str, Any]:
    return envelope(
        kind,
        entity,
        {
            "status": "APPROVED",
            "subscribedListing": {
                "id": "listing1",
                "ownerProjectId": "producer1",
                "version": "1",
                "item": {"assetListing": {"entityId": "asset1", "entityType": "GlueTableAssetType"}},
            },
            "subscribedPrincipal": {"id": "consumer1", "type": "PROJECT"},
            "subscriptionRequestId": "request1",
            **data,
        },
    )


def body(entity: str = "sub1") -> str:
    """The body of a message about a created subscription."""
    return json.dumps(subscription(entity=entity))
