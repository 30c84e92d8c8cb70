"""An extension's item: an environment, and what its role and Glue databases had before dzgrant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from dzgrant.ledger import items, keys
from dzgrant.ledger.writes import Write, change
from dzgrant.model import (
    AccountId,
    Environment,
    ExtensionRecord,
    ExtensionState,
    Region,
    Touched,
    Trait,
    TraitKind,
)

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef

    from dzgrant.ledger.items import Item


def write(record: ExtensionRecord, now: datetime) -> Write:
    """The next revision, on the condition that this one is the latest."""
    place = record.environment
    environment = {"domain": place.domain, "project": place.project, "account": place.account, "region": place.region}
    return change(
        keys.extension(place.id),
        sets={
            "v": items.number(items.SCHEMA),
            "environment": {"M": {name: {"S": value} for name, value in environment.items()}},
            "state": items.text(record.state),
            "touched": {"L": [{"M": _touched(one)} for one in record.touched]},
            "revision": items.number(record.revision + 1),
            "updated_at": items.moment(now),
        },
        where="#revision = :known" if record.revision else "attribute_not_exists(#pk)",
        given={"known": items.number(record.revision)} if record.revision else {},
    )


@items.careful
def record(item: Item) -> ExtensionRecord:
    place = item["environment"]["M"]
    return ExtensionRecord(
        environment=Environment(
            domain=place["domain"]["S"],
            project=place["project"]["S"],
            id=items.identifier(item),
            account=AccountId(place["account"]["S"]),
            region=Region(place["region"]["S"]),
        ),
        state=ExtensionState(item["state"]["S"]),
        touched=tuple(_known(one["M"]) for one in item["touched"]["L"]),
        revision=int(item["revision"]["N"]),
    )


def _touched(one: Touched) -> dict[str, AttributeValueTypeDef]:
    found: dict[str, AttributeValueTypeDef] = {
        "kind": {"S": one.trait.kind},
        "of": {"S": one.trait.of},
        "name": {"S": one.trait.name},
        # A set can't be empty in DynamoDB.
        "ours": {"L": [{"S": value} for value in sorted(one.ours)]},
    }
    return found if one.before is None else {**found, "before": {"S": one.before}}


def _known(parts: Mapping[str, AttributeValueTypeDef]) -> Touched:
    return Touched(
        trait=Trait(kind=TraitKind(parts["kind"]["S"]), of=parts["of"]["S"], name=parts["name"]["S"]),
        before=parts["before"]["S"] if "before" in parts else None,
        ours=frozenset(value["S"] for value in parts["ours"]["L"]),
    )
