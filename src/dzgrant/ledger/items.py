"""The codec between frozen types and DynamoDB items.

Each item carries the schema's version `v`. New attributes that older code may ignore don't change it: during a
deployment two versions work on one table. A grant that is filtered has version 2: what does not know of filters would
give the whole table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial, wraps
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter

from dzgrant.errors import Misconfigured
from dzgrant.ledger.records import Claim, HistoryRecord, Refusal
from dzgrant.model import (
    AccountId,
    Admin,
    Arn,
    Environment,
    GrantRecord,
    GrantState,
    Principal,
    PrincipalRecord,
    PrincipalState,
    Region,
    Scope,
    Source,
    Spare,
    Table,
    TablePath,
)

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import AttributeValueTypeDef, UniversalAttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]
    Value = UniversalAttributeValueTypeDef

SCHEMA = 1
FILTERED = 2
"""The version of a grant's item from its first filtered subscription on."""

STUCK = {GrantState.STUCK_GRANT: GrantState.GRANTING, GrantState.STUCK_REVOKE: GrantState.REVOKING}
"""What a grant that is stuck has for `state`, which older code knows; the same once more in `stuck` says that it is."""

_TABLES = "_tables"
_SCOPE = "scope_"
_SCOPES = TypeAdapter(Scope)

_Decoded = TypeVar("_Decoded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A principal's record and the lease on it, if there is one. `leased_until` is in milliseconds since 1970."""

    record: PrincipalRecord
    nonce: str | None = None
    leased_until: int = 0


def text(value: str) -> Value:
    return {"S": value}


def number(value: int) -> Value:
    return {"N": str(value)}


def texts(values: Iterable[str]) -> Value:
    return {"SS": sorted(values)}


def moment(value: datetime) -> Value:
    return {"S": value.isoformat(timespec="milliseconds")}


def principal(of: Principal) -> Value:
    place, source = of.environment, of.source
    return {
        "M": {
            "domain": {"S": place.domain},
            "project": {"S": place.project},
            "environment": {"S": place.id},
            "account": {"S": place.account},
            "region": {"S": place.region},
            "engine": {"S": source.engine},
            "host": {"S": source.host},
            "port": {"N": str(source.port)},
            "database": {"S": source.database},
        }
    }


def admin(of: Admin) -> Value:
    parts: dict[str, AttributeValueTypeDef] = {
        "account": {"S": of.account},
        "region": {"S": of.region},
        "connection": {"S": of.connection},
    }
    if of.secret is not None:
        parts["secret"] = {"S": of.secret}
    return {"M": parts}


def tables(of: Principal) -> str:
    """The attribute of a subscription's item that holds the names of the principal's tables."""
    return of.login + _TABLES


def spare(of: Spare) -> Value:
    parts: dict[str, AttributeValueTypeDef] = {"login": {"S": of.login}}
    if of.until is not None:
        parts["until"] = {"S": of.until.isoformat(timespec="milliseconds")}
    return {"M": parts}


def table(of: Table) -> Value:
    return {"M": {"schema": {"S": of.schema}, "name": {"S": of.name}}}


def scope_name(subscription: str) -> str:
    """The attribute of a grant's item that holds what a filtered subscription lets be read. Ids may hold `-`, names may not."""
    return _SCOPE + sha256(subscription.encode()).hexdigest()[:16]


def scope(subscription: str, of: Scope) -> Value:
    return {"M": {"subscription": text(subscription), "scope": text(_stated(of))}}


def settled(intents: int, allowed: Iterable[Scope]) -> Value:
    """What marks that so many intents have come to their end, and with what: one that comes later makes it history."""
    digest = sha256(repr(sorted(map(_stated, allowed))).encode()).hexdigest()
    return text(f"{intents} {digest[:16]}")


def _stated(of: Scope) -> str:
    stated = _SCOPES.dump_python(of, mode="json")
    if of.columns is not None:
        stated["columns"] = sorted(of.columns)
    return json.dumps(stated)


def careful(decode: Callable[[Item], _Decoded], newest: int = SCHEMA) -> Callable[[Item], _Decoded]:
    """Raises `Misconfigured` for an item that is damaged, or that a newer dzgrant wrote."""

    @wraps(decode)
    def decoded(item: Item) -> _Decoded:
        try:
            newer = int(item["v"]["N"]) > newest
            found = None if newer else decode(item)
        except (KeyError, ValueError) as fault:
            raise Misconfigured(
                f"the ledger's item {_where(item)} is damaged: {fault!r}", do="restore it from the table's backup"
            ) from None
        if found is None:
            raise Misconfigured(
                f"the ledger's item {_where(item)} was written by a newer dzgrant", do="deploy that version here too"
            )
        return found

    return decoded


@careful
def holding(item: Item) -> Holding:
    return Holding(
        record=PrincipalRecord(
            principal=_principal(item),
            admin=_admin(item),
            state=PrincipalState(item["state"]["S"]),
            producer_secret=_arn(item, "producer_secret"),
            consumer_secret=_arn(item, "consumer_secret"),
            fence=int(item["fence"]["N"]),
            updated_at=_moment(item, "updated_at"),
            login=_text(item, "login") or _principal(item).login,
            password_at=_moment(item, "password_at") if "password_at" in item else None,
            spare=_spare(item),
            removed_at=_moment(item, "removed_at") if "removed_at" in item else None,
        ),
        nonce=_text(item, "nonce"),
        leased_until=int(item["leased_until"]["N"]) if "leased_until" in item else 0,
    )


@partial(careful, newest=FILTERED)
def grant_record(item: Item) -> GrantRecord:
    state = GrantState(item["state"]["S"])
    since = f"{state.lower()}_at"
    if "subscriptions" not in item and state in (GrantState.GRANTING, GrantState.GRANTED):
        state, since = GrantState.REVOKING, "updated_at"
    # Older code moves on without a word of `stuck`: it counts only for the state that it was written for.
    state = next((stuck for stuck, of in STUCK.items() if of is state and _text(item, "stuck") == of), state)
    record = GrantRecord(
        principal=_principal(item),
        path=TablePath(name=item["path"]["S"]),
        table=_table(item),
        subscriptions=_set(item, "subscriptions"),
        leaving=_set(item, "leaving"),
        state=state,
        reason=_text(item, "reason"),
        since=_moment(item, since),
        updated_at=_moment(item, "updated_at"),
        scopes=_scopes(item),
        readable=_table(item, "readable"),
        columns=tuple(part["S"] for part in item["columns"]["L"]) if "columns" in item else None,
        intents=int(item["intents"]["N"]) if "intents" in item else 0,
        given_up=state is GrantState.FAILED and "given_up" in item,
    )
    return replace(record, settled=item.get("settled") == settled(record.intents - 1, record.allowed))


@careful
def claims(item: Item) -> tuple[Claim, ...]:
    """What a subscription's item holds: for each principal, under its login's name, who it is and which tables."""
    return tuple(
        Claim(
            subscription=identifier(item),
            principal=_principal(item[login]["M"]),
            admin=_admin(item[login]["M"]),
            path=TablePath(name=path),
        )
        for login in sorted(name.removesuffix(_TABLES) for name in item if name.endswith(_TABLES))
        for path in sorted(item[login + _TABLES]["SS"])
    )


@careful
def refusal(item: Item) -> Refusal:
    return Refusal(
        domain=item["domain"]["S"],
        project=_text(item, "project"),
        subscription=identifier(item),
        state=GrantState(item["state"]["S"]),
        reason=item["reason"]["S"],
        since=_moment(item, "failed_at"),
        updated_at=_moment(item, "updated_at"),
    )


@careful
def history(item: Item) -> HistoryRecord:
    return HistoryRecord(
        principal=_principal(item),
        path=TablePath(name=item["path"]["S"]),
        table=_table(item),
        subscription=item["subscription"]["S"],
        state=GrantState(item["state"]["S"]),
        reason=_text(item, "reason"),
        first=_moment(item, "first_at"),
        last=_moment(item, "last_at"),
    )


def _principal(item: Item) -> Principal:
    parts = item["principal"]["M"]
    return Principal(
        environment=Environment(
            domain=parts["domain"]["S"],
            project=parts["project"]["S"],
            id=parts["environment"]["S"],
            account=AccountId(parts["account"]["S"]),
            region=Region(parts["region"]["S"]),
        ),
        source=Source(
            engine=parts["engine"]["S"],
            host=parts["host"]["S"],
            port=int(parts["port"]["N"]),
            database=parts["database"]["S"],
        ),
    )


def _admin(item: Item) -> Admin:
    parts = item["admin"]["M"]
    return Admin(
        account=AccountId(parts["account"]["S"]),
        region=Region(parts["region"]["S"]),
        connection=parts["connection"]["S"],
        secret=parts["secret"]["S"] if "secret" in parts else None,
    )


def _scopes(item: Item) -> dict[str, Scope]:
    found = [item[name]["M"] for name in sorted(item) if name.startswith(_SCOPE)]
    return {parts["subscription"]["S"]: _SCOPES.validate_json(parts["scope"]["S"]) for parts in found}


def _table(item: Item, name: str = "table") -> Table | None:
    if name not in item:
        return None
    parts = item[name]["M"]
    return Table(schema=parts["schema"]["S"], name=parts["name"]["S"])


def _spare(item: Item) -> Spare | None:
    if "spare" not in item:
        return None
    parts = item["spare"]["M"]
    return Spare(login=parts["login"]["S"], until=_moment(parts, "until") if "until" in parts else None)


def _set(item: Item, name: str) -> frozenset[str]:
    """A set that became empty is not there."""
    return frozenset(item[name]["SS"]) if name in item else frozenset()


def _text(item: Item, name: str) -> str | None:
    return item[name]["S"] if name in item else None


def _arn(item: Item, name: str) -> Arn | None:
    return Arn(item[name]["S"]) if name in item else None


def _moment(item: Item, name: str) -> datetime:
    return datetime.fromisoformat(item[name]["S"]).astimezone(UTC)


def identifier(item: Item) -> str:
    """The subscription's or environment's id, by the item's partition."""
    return item["pk"]["S"].partition("#")[2]


def _where(item: Item) -> str:
    return " ".join(str(item[name].get("S")) for name in ("pk", "sk") if name in item)
