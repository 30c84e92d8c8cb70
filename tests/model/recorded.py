"""What the ledger's grants and subscriptions become, by the real writes and the real findings of a journey.

All of it is pure, and remembered: an exploration asks the same again and again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

from dzgrant.engines.contract import Reach, Readable
from dzgrant.errors import Misconfigured
from dzgrant.ledger import Claim, GrantOutcome, keys
from dzgrant.ledger import items as codec
from dzgrant.ledger.writes import change, intents, outcomes
from dzgrant.model import (
    AccountId,
    Admin,
    Environment,
    GrantRecord,
    Principal,
    Region,
    Source,
    Table,
    TablePath,
    Wanted,
)
from dzgrant.saga.findings import Findings
from dzgrant.saga.road import Aim
from tests.model.items import Unmet, item, items, written

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRINCIPAL = Principal(
    environment=Environment(domain="dzd_1", project="p", id="e", account=AccountId("333333333333"), region=Region("eu-west-1")),
    source=Source(engine="postgresql", host="db", port=5432, database="shop"),
)
ADMIN = Admin(account=AccountId("222222222222"), region=Region("eu-west-1"), connection="c", secret="s")


class Wish(NamedTuple):
    """A subscription and the one table that it is for."""

    subscription: str
    table: str

    @property
    def path(self) -> TablePath:
        return TablePath(name=f"public.{self.table}")

    @property
    def claim(self) -> Claim:
        return Claim(subscription=self.subscription, principal=PRINCIPAL, admin=ADMIN, path=self.path)

    @property
    def wanted(self) -> Wanted:
        return Wanted(principal=PRINCIPAL, path=self.path, subscription=self.subscription, listing="l", asset="a", admin=ADMIN)


class Survey(NamedTuple):
    """What a revoke found under its lease. `content`: the grants then; `keep`: the tables that may be read on."""

    content: str
    others: bool
    leaving: bool
    keep: frozenset[str]


@cache
def intended(content: str, aim: Aim, wish: Wish, *, heeding: bool) -> str | None:
    """What the ledger holds once the intent is recorded; None: the subscription has ended. `heeding`: whether that counts."""
    granting = aim is Aim.GRANT
    writes = list(intents(PRINCIPAL, [wish.wanted] if granting else [], [] if granting else [wish.claim], NOW))
    while True:
        try:
            return written(content, writes)
        except Unmet as unmet:
            if unmet.key.sk != keys.SUBSCRIPTION:
                # As in `Ledger`: a claim may outlive its grant.
                writes = [write for write in writes if write.key != unmet.key]
            elif heeding:
                return None
            else:
                for write in writes:
                    write.arguments.pop("ConditionExpression", None)  # type: ignore[attr-defined]  # the broken rule


@cache
def ended(content: str, wish: Wish) -> str:
    """With the mark that the subscription has ended, as `Ledger.end` writes it."""
    mark = change(
        keys.subscription(wish.subscription),
        sets={"v": codec.number(codec.SCHEMA), "updated_at": codec.moment(NOW)},
        first={"ended_at": codec.moment(NOW)},
    )
    return written(content, [mark])


@cache
def claimed(content: str, wish: Wish) -> bool:
    """Whether the subscription still has its claim on the table."""
    found = item(content, keys.subscription(wish.subscription))
    return bool(found and codec.claims(found))


@cache
def over(content: str, wish: Wish) -> bool:
    """Whether the ledger has the mark of the subscription's end."""
    return "ended_at" in (item(content, keys.subscription(wish.subscription)) or {})


@cache
def grants(content: str) -> dict[str, GrantRecord]:
    """The grants by the keys of their paths."""
    found = (codec.grant_record(one) for name, one in items(content).items() if f"|{keys.GRANT}" in name)
    return {record.path.key: record for record in found}


@cache
def surveyed(content: str, wish: Wish) -> Survey:
    found = _revoking(content, wish)
    others = any(record.path.key in found.kept for record in found.living)
    return Survey(_grants_alone(content), others, bool(found.leaving), frozenset(table.name for table in found.keep))


def _grants_alone(content: str) -> str:
    return json.dumps({name: one for name, one in items(content).items() if f"|{keys.GRANT}" in name}, sort_keys=True)


@cache
def settled(content: str, wish: Wish, survey: Survey | None) -> str:
    """With the outcome of a journey that came to its end."""
    found = _granting(wish).granted() if survey is None else _revoking(survey.content, wish).revoked()
    return _with(content, found)


@cache
def suspended(content: str, wish: Wish, survey: Survey | None) -> str:
    """With what a journey says that has to wait for a person, as `Journey.suspend` does."""
    found = _granting(wish) if survey is None else _revoking(survey.content, wish)
    if survey is None:
        found.records = grants(content)
    waiting = (wish.path,) if survey is None else found.leaving
    found.wait(dict.fromkeys(waiting, Misconfigured("it waits", do="help it")), NOW)
    return _with(content, found.suspended)


def _granting(wish: Wish) -> Findings:
    table = Table(schema="public", name=wish.table)
    found = Findings(claims=[wish.claim], whole={wish.path.key})
    found.tables[wish.path] = table
    found.reach[wish.path] = Reach(readable=Readable(table=table), public=False, through=None)
    return found


def _revoking(content: str, wish: Wish) -> Findings:
    found = Findings(claims=[wish.claim], records=grants(content))
    found.survey()
    return found


def _with(content: str, found: Iterable[GrantOutcome]) -> str:
    writes = list(outcomes(PRINCIPAL, list(found), NOW))
    while True:
        try:
            return written(content, writes)
        except Unmet as unmet:
            writes = [write for write in writes if write.key != unmet.key]
