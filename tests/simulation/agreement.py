"""Whether all is as it should be: desired = ledger = databases = secrets, and nothing is left to be done."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dzgrant.ledger import items, keys
from dzgrant.localcloud.places import CONSUMER, CONSUMER_ROLE, PRODUCER, REGION
from dzgrant.model import WHOLE, GrantRecord, GrantState, PrincipalRecord, PrincipalState, Scope, Table
from tests.fakes.answers import Caller
from tests.fakes.engine import Login
from tests.fakes.entities import Subscription
from tests.fakes.secretsmanager import Secret
from tests.simulation.world import World

_LIVE = frozenset({"ACTIVE", "UPDATING", "UPDATE_FAILED"})
_READER = Caller(CONSUMER, REGION, CONSUMER_ROLE)

Place = tuple[str, str]
"""A principal: the id of its environment and the key of its source."""


@dataclass(slots=True)
class Wish:
    """What of one table is wanted, and by which subscriptions."""

    scopes: set[Scope] = field(default_factory=set)
    subscriptions: set[str] = field(default_factory=set)

    @property
    def allowed(self) -> frozenset[Scope]:
        return WHOLE if Scope() in self.scopes else frozenset(self.scopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the ledger has of one principal."""

    record: PrincipalRecord
    held: bool
    grants: Mapping[Table | None, GrantRecord]


def desired(world: World) -> dict[Place, dict[Table, Wish]]:
    found: defaultdict[Place, dict[Table, Wish]] = defaultdict(dict)
    datazone = world.cloud.datazone
    for subscription in datazone.subscriptions.values():
        if subscription.status != "APPROVED":
            continue
        what = world.published[subscription.request.listing.id]
        for environment in datazone.environments_of[subscription.domain, subscription.request.by]:
            if environment.status in _LIVE and environment.blueprint.name in world.settings.environment_blueprints:
                wish = found[environment.id, what.source.key].setdefault(what.table, Wish())
                wish.scopes.add(_scope(world, subscription))
                wish.subscriptions.add(subscription.id)
    return dict(found)


def _scope(world: World, subscription: Subscription) -> Scope:
    """Of column filters alone; a simulation has no others."""
    if not subscription.filters:
        return Scope()
    kept = [world.cloud.datazone.filters[one].configuration["columnConfiguration"] for one in subscription.filters]
    return Scope(columns=frozenset(name for one in kept for name in one["includedColumnNames"]))


def recorded(world: World) -> dict[Place, Recorded]:
    principals: dict[Place, items.Holding] = {}
    grants: defaultdict[Place, dict[Table | None, GrantRecord]] = defaultdict(dict)
    for (_, sort), item in world.cloud.ledger.items.items():
        if sort.startswith(keys.PRINCIPAL):
            holding = items.holding(item)
            principals[_place(holding.record)] = holding
        elif sort.startswith(keys.GRANT):
            grant = items.grant_record(item)
            grants[_place(grant)][grant.table] = grant
    return {
        place: Recorded(record=holding.record, held=holding.nonce is not None, grants=grants[place])
        for place, holding in principals.items()
    }


def _place(record: PrincipalRecord | GrantRecord) -> Place:
    return record.principal.environment.id, record.principal.source.key


def differences(world: World) -> list[str]:
    """Empty: all agrees, and no message is left."""
    wanted, known = desired(world), recorded(world)
    return [
        *_messages(world),
        *_of_ledger(wanted, known),
        *_of_databases(world, wanted, known),
        *_of_secrets(world, wanted, known),
    ]


def _messages(world: World) -> Iterator[str]:
    for queue in (world.cloud.queue, world.cloud.dead_letters):
        for message in queue.messages.values():
            yield f"{queue.name}: {json.loads(message.body)['detail-type']}"


def _of_ledger(wanted: Mapping[Place, Mapping[Table, Wish]], known: Mapping[Place, Recorded]) -> Iterator[str]:
    for place in wanted.keys() | known.keys():
        tables, has = wanted.get(place, {}), known.get(place)
        if has is None:
            yield f"ledger: no principal {place}"
            continue
        if has.held:
            yield f"ledger: {place} is held"
        states = (PrincipalState.ACTIVE, PrincipalState.PENDING) if tables else (PrincipalState.REMOVED,)
        if has.record.state not in states:
            yield f"ledger: {place} is {has.record.state}"
        for table in tables.keys() | has.grants.keys():
            grant, wish = has.grants.get(table), tables.get(table) if table else None
            if grant is None or wish is None:
                yield f"ledger: {place} {'lacks' if grant is None else 'has'} {table}"
            elif grant.state is not GrantState.GRANTED or grant.subscriptions != wish.subscriptions or grant.leaving:
                yield f"ledger: {place} {table} is {grant.state} for {set(grant.subscriptions)}, not {wish.subscriptions}"
            elif grant.allowed != wish.allowed:
                yield f"ledger: {place} {table} has {grant.allowed}, not {wish.allowed}"


def _of_databases(world: World, wanted: Mapping[Place, Mapping[Table, Wish]], known: Mapping[Place, Recorded]) -> Iterator[str]:
    for key, server in world.servers.items():
        expected: dict[str, Mapping[Table, Wish]] = {}
        for place, tables in wanted.items():
            if place[1] == key and (has := known.get(place)) is not None:
                expected |= dict.fromkeys(has.record.logins, tables)
        for name in expected.keys() | server.logins.keys():
            login, wishes = server.logins.get(name), expected.get(name)
            if login is None or wishes is None:
                yield f"database: {name} {'is not there' if login is None else 'is there'}"
            elif not login.enabled or login.tables != {table: wish.allowed for table, wish in wishes.items()}:
                yield f"database: {name} {'reads' if login.enabled else 'is disabled and has'} {login.tables}"


def _of_secrets(world: World, wanted: Mapping[Place, Mapping[Table, Wish]], known: Mapping[Place, Recorded]) -> Iterator[str]:
    expected = set()
    for place in wanted:
        names = tuple(f"dzgrant/{side}/{place[0]}/{place[1]}" for side in ("producer", "consumer"))
        expected |= set(names)
        if (has := known.get(place)) is not None:
            yield from _of_pair(world, has, *names)
    for account in (PRODUCER, CONSUMER):
        for name, secret in world.cloud.secrets.secrets[account, REGION].items():
            if name.startswith("dzgrant/") and name not in expected:
                if secret.deleted_at is None:
                    yield f"secrets: {name} is there"
                if secret.policy is not None:
                    yield f"secrets: {name} is shared still"


def _of_pair(world: World, has: Recorded, producers: str, consumers: str) -> Iterator[str]:
    producer, consumer = alive(world, PRODUCER, producers), alive(world, CONSUMER, consumers)
    if producer is None or consumer is None:
        yield f"secrets: {producers} or its copy is not there"
        return
    if not world.cloud.secrets.readable(producer, _READER):
        yield f"secrets: {producers} is not shared"
    if opened(producer) != opened(consumer):
        yield f"secrets: {producers} and its copy differ"
    if not works(world.servers[has.record.principal.source.key].logins, producer):
        yield f"secrets: {producers} does not open the database"
    if has.record.spare is None and "AWSPENDING" in producer.stages:
        yield f"secrets: {producers} has a pending version"


def alive(world: World, account: str, name: str) -> Secret | None:
    found = world.cloud.secrets.secrets[account, REGION].get(name)
    return found if found is not None and found.deleted_at is None else None


def opened(secret: Secret) -> tuple[str, str]:
    """Login and password, by the version in use."""
    value = json.loads(secret.value() or "{}")
    return value.get("username", ""), value.get("password", "")


def works(logins: Mapping[str, Login], secret: Secret) -> bool:
    name, password = opened(secret)
    login = logins.get(name)
    return login is not None and login.enabled and password in login.passwords
