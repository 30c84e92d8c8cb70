"""What the local DataZone knows: its entities, by id. One lock guards them all; the callers take it."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from typing import Any, Literal, TypeVar

_ID_LETTERS = string.ascii_lowercase + string.digits


class UnknownId(LookupError):
    """No such entity."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"{kind} {key} does not exist")


def new_id() -> str:
    """14 characters as DataZone's own ids, which may begin with a digit."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(14))


@dataclass(slots=True, kw_only=True)
class Entity:
    id: str
    domain: str
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True, kw_only=True)
class Domain(Entity):
    version: Literal["V1", "V2"]


@dataclass(slots=True, kw_only=True)
class Project(Entity):
    name: str


@dataclass(slots=True, kw_only=True)
class Blueprint(Entity):
    name: str
    provider: str
    tooling: bool


@dataclass(slots=True, kw_only=True)
class Environment(Entity):
    project: str
    blueprint: Blueprint
    account: str | None
    region: str | None
    status: str


@dataclass(slots=True, kw_only=True)
class Asset:
    """A Glue table. `forms` is the JSON text that GetListing and GetSubscription give."""

    id: str
    forms: str


@dataclass(slots=True, kw_only=True)
class AssetFilter(Entity):
    """`configuration` as CreateAssetFilter and UpdateAssetFilter take it; `error`: why it is INVALID."""

    asset: str
    name: str
    configuration: dict[str, Any]
    description: str = ""
    error: str | None = None


@dataclass(slots=True, kw_only=True)
class Listing(Entity):
    """Of one asset, or of a data product: then `items` are its assets' listings."""

    project: str
    name: str
    asset: Asset | None = None
    items: tuple[Listing, ...] = ()
    active: bool = True

    @property
    def assets(self) -> tuple[Asset, ...]:
        return (self.asset,) if self.asset else tuple(asset for item in self.items for asset in item.assets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    kind: Literal["project", "user", "iam"]
    id: str


@dataclass(slots=True, kw_only=True)
class Request(Entity):
    listing: Listing
    principal: Principal
    subscription: str | None = None


@dataclass(slots=True, kw_only=True)
class Subscription(Entity):
    request: Request
    filters: tuple[str, ...]
    status: Literal["APPROVED", "REVOKED", "CANCELLED"] = "APPROVED"
    retain: bool = False
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True, kw_only=True)
class Target(Entity):
    environment: Environment
    provider: str
    automatic: bool


@dataclass(slots=True, kw_only=True)
class AssetGrant:
    status: str
    failure: str | None = None


@dataclass(slots=True, kw_only=True)
class Grant(Entity):
    """`assets`: what became of each, by asset id."""

    subscription: Subscription
    target: Target
    assets: dict[str, AssetGrant]


E = TypeVar("E", bound=Entity)


class State:
    """Every entity, in order of creation. Hold `lock` to read or change them."""

    def __init__(self) -> None:
        self.lock = RLock()
        self._entities: dict[tuple[type[Entity], str, str], Entity] = {}

    def add(self, entity: E) -> E:
        self._entities[type(entity), entity.domain, entity.id] = entity
        return entity

    def remove(self, entity: Entity) -> None:
        del self._entities[type(entity), entity.domain, entity.id]

    def get(self, kind: type[E], domain: str, key: str) -> E:
        """Raises `UnknownId`."""
        found = self._entities.get((kind, domain, key))
        if not isinstance(found, kind):
            raise UnknownId(kind.__name__, key)
        return found

    def find(self, kind: type[E], key: str) -> E:
        """By an id alone, in whatever domain. Raises `UnknownId`."""
        found = next((entity for entity in self.all(kind) if entity.id == key), None)
        if found is None:
            raise UnknownId(kind.__name__, key)
        return found

    def all(self, kind: type[E], domain: str | None = None) -> list[E]:
        return [
            entity
            for entity in self._entities.values()
            if isinstance(entity, kind) and (domain is None or entity.domain == domain)
        ]
