"""Items of every released version of the ledger, read by today's code. tests/system/test_ledger.py writes the newest."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from dzgrant.errors import Misconfigured
from dzgrant.ledger import Claim, GrantOutcome, HistoryRecord, Refusal, items
from dzgrant.ledger.writes import outcomes
from dzgrant.model import (
    WHOLE,
    AccountId,
    Admin,
    AllOf,
    AnyOf,
    Arn,
    Comparison,
    Environment,
    GrantRecord,
    GrantState,
    Operator,
    Principal,
    PrincipalRecord,
    PrincipalState,
    Region,
    Scope,
    Source,
    Table,
    TablePath,
)
from tests.model import items as model_items

if TYPE_CHECKING:
    from dzgrant.ledger.items import Item

WHEN = datetime(2027, 1, 15, 8, tzinfo=UTC)
REGION = Region("eu-central-1")
ADMIN = Admin(account=AccountId("222222222222"), region=REGION, connection="shop", secret="arn:admin")
ORDERS = TablePath(name="public.orders")
SOURCE = Source(engine="postgresql", host="db.example.com", port=5432, database="shop")
PRINCIPAL = Principal(
    environment=Environment(domain="dzd_1", project="sales", id="env1", account=AccountId("333333333333"), region=REGION),
    source=SOURCE,
)


def written(version: int) -> dict[tuple[str, str], Item]:
    path = Path(__file__).parent / "golden" / f"ledger_v{version}.json"
    return {(item["pk"]["S"], item["sk"]["S"]): item for item in json.loads(path.read_text())}


@pytest.fixture
def golden() -> dict[tuple[str, str], Item]:
    return written(1)


def test_a_principal(golden: dict[tuple[str, str], Item]) -> None:
    found = items.holding(golden["ENVIRONMENT#env1", f"PRINCIPAL#{SOURCE.key}"])
    assert found == items.Holding(
        record=PrincipalRecord(
            principal=PRINCIPAL,
            admin=ADMIN,
            state=PrincipalState.ACTIVE,
            producer_secret=Arn("arn:producer"),
            consumer_secret=Arn("arn:consumer"),
            fence=2,
            updated_at=WHEN,
            login=PRINCIPAL.login,
        )
    )


def test_a_principal_that_is_held(golden: dict[tuple[str, str], Item]) -> None:
    found = items.holding(golden["ENVIRONMENT#env2", f"PRINCIPAL#{SOURCE.key}"])
    assert (found.nonce, found.leased_until) == ("nonce", int(WHEN.timestamp() + 30) * 1000)
    assert (found.record.state, found.record.producer_secret, found.record.fence) == (PrincipalState.PENDING, None, 1)


def test_grants(golden: dict[tuple[str, str], Item]) -> None:
    granted = items.grant_record(golden["ENVIRONMENT#env1", f"GRANT#{SOURCE.key}#public.orders"])
    assert granted == GrantRecord(
        principal=PRINCIPAL,
        path=ORDERS,
        table=Table(schema="public", name="orders"),
        subscriptions=frozenset({"sub2"}),
        state=GrantState.GRANTED,
        reason=None,
        since=WHEN,
        updated_at=WHEN,
        intents=2,
    )
    failed = items.grant_record(golden["ENVIRONMENT#env1", f"GRANT#{SOURCE.key}#public.clients"])
    assert (failed.state, failed.table, failed.reason) == (GrantState.FAILED, None, "no such table")
    begun = items.grant_record(golden["ENVIRONMENT#env2", f"GRANT#{SOURCE.key}#public.orders"])
    assert (begun.state, begun.table, begun.since) == (GrantState.GRANTING, None, WHEN)


def test_filtered_grants() -> None:
    golden = written(2)
    assert {item["v"]["N"] for item in golden.values()} == {str(items.FILTERED)}
    orders = items.grant_record(golden["ENVIRONMENT#env1", f"GRANT#{SOURCE.key}#public.orders"])
    rows = AnyOf(
        parts=(
            AllOf(parts=(Comparison(column="city", operator=Operator.IN, values=("Paris", "O'Hare")),)),
            Comparison(column="city", operator=Operator.IS_NULL),
        )
    )
    assert orders.scopes == {"sub-1": Scope(columns=frozenset({"id", "city"})), "sub-2": Scope(rows=rows)}
    assert orders.allowed == set(orders.scopes.values())
    assert (orders.readable, orders.columns) == (Table(schema="dz_views", name="orders_1"), ("id", "city"))
    clients = items.grant_record(golden["ENVIRONMENT#env1", f"GRANT#{SOURCE.key}#public.clients"])
    assert (clients.state, clients.scopes, clients.readable) == (GrantState.GRANTING, {"sub-1": Scope(rows=rows)}, None)


def test_an_approval_without_a_filter_makes_the_table_whole() -> None:
    orders = items.grant_record(written(2)["ENVIRONMENT#env1", f"GRANT#{SOURCE.key}#public.orders"])
    assert replace(orders, subscriptions=orders.subscriptions | {"sub-3"}).allowed == WHOLE
    assert replace(orders, subscriptions=frozenset({"sub-1"})).allowed == {orders.scopes["sub-1"]}


def test_claims(golden: dict[tuple[str, str], Item]) -> None:
    found = items.claims(golden["SUBSCRIPTION#sub2", "SUBSCRIPTION"])
    assert found == tuple(
        Claim(subscription="sub2", principal=PRINCIPAL, admin=ADMIN, path=path)
        for path in (TablePath(name="public.clients"), ORDERS)
    )
    assert items.claims(golden["SUBSCRIPTION#sub1", "SUBSCRIPTION"]) == ()


def test_a_refusal(golden: dict[tuple[str, str], Item]) -> None:
    assert items.refusal(golden["SUBSCRIPTION#sub4", "SUBSCRIPTION"]) == Refusal(
        domain="dzd_1",
        project="sales",
        subscription="sub4",
        state=GrantState.FAILED,
        reason="filters",
        since=WHEN,
        updated_at=WHEN,
    )


def test_history(golden: dict[tuple[str, str], Item]) -> None:
    assert items.history(golden["ENVIRONMENT#env1", f"HISTORY#{SOURCE.key}#public.orders#sub1#REVOKED"]) == HistoryRecord(
        principal=PRINCIPAL,
        path=ORDERS,
        table=Table(schema="public", name="orders"),
        subscription="sub1",
        state=GrantState.REVOKED,
        reason=None,
        first=WHEN,
        last=WHEN,
    )


def test_no_item_is_left_unread(golden: dict[tuple[str, str], Item]) -> None:
    """The marks of what has ended are read by conditions alone."""
    kinds = {sk.partition("#")[0] for _, sk in golden}
    assert kinds == {"PRINCIPAL", "GRANT", "HISTORY", "SUBSCRIPTION", "ENVIRONMENT"}
    assert all(item["v"] == {"N": str(items.SCHEMA)} for item in golden.values())


def test_an_item_of_a_newer_version_is_not_guessed_at(golden: dict[tuple[str, str], Item]) -> None:
    item = {**golden["SUBSCRIPTION#sub2", "SUBSCRIPTION"], "v": items.number(items.SCHEMA + 1)}
    with pytest.raises(Misconfigured, match="SUBSCRIPTION#sub2 SUBSCRIPTION was written by a newer dzgrant"):
        items.claims(item)  # type: ignore[arg-type]  # written as a value, read as an answer


def test_an_attribute_of_a_newer_version_is_left_alone(golden: dict[tuple[str, str], Item]) -> None:
    item = dict(golden["SUBSCRIPTION#sub4", "SUBSCRIPTION"])
    item["colour"] = {"S": "blue"}
    assert items.refusal(item).reason == "filters"


@pytest.mark.parametrize("damage", [{}, {"state": {"S": "BLUE"}}, {"updated_at": {"S": "yesterday"}}, {"path": {"N": "1"}}])
def test_a_damaged_item_is_named(golden: dict[tuple[str, str], Item], damage: dict[str, dict[str, str]]) -> None:
    item = {**golden["ENVIRONMENT#env1", f"GRANT#{SOURCE.key}#public.orders"], **damage}
    if not damage:
        del item["principal"]
    with pytest.raises(Misconfigured, match=r"ENVIRONMENT#env1 GRANT#.* is damaged"):
        items.grant_record(item)  # type: ignore[arg-type]  # damaged on purpose


def moved(item: Item, state: GrantState, *, by: Literal["old", "new"] = "new") -> Item:
    """The grant's item after an outcome; the code before knew nothing of `stuck`, and left it as it was."""
    stuck = item.get("stuck")
    (write,) = outcomes(PRINCIPAL, [GrantOutcome(path=ORDERS, state=state, reason="it waits")], WHEN)
    key = f"{write.key.pk}|{write.key.sk}"
    found: dict[str, Item] = json.loads(model_items.written(json.dumps({key: item}), [write]))
    return found[key] if by == "new" else {**found[key], **({"stuck": stuck} if stuck else {})}


@pytest.mark.parametrize(
    ("stuck", "calm"),
    [(GrantState.STUCK_GRANT, GrantState.GRANTING), (GrantState.STUCK_REVOKE, GrantState.REVOKING)],
)
def test_a_grant_that_is_stuck_is_read_by_the_code_before(
    golden: dict[tuple[str, str], Item], stuck: GrantState, calm: GrantState
) -> None:
    """It knows five states, reads `v` 1, and leaves alone what it does not know."""
    item = golden["ENVIRONMENT#env1", f"GRANT#{SOURCE.key}#public.orders"]
    written = moved(item, stuck)
    assert (written["state"], written["v"]) == (items.text(calm), items.number(1))
    assert set(written) - set(moved(item, calm)) == {"stuck"}
    found = items.grant_record(written)
    assert (found.state, found.stuck, found.since) == (stuck, True, WHEN)


@pytest.mark.parametrize("by", ["old", "new"])
def test_what_goes_on_is_not_stuck_any_more_whichever_code_moved_it(
    golden: dict[tuple[str, str], Item], by: Literal["old", "new"]
) -> None:
    item = golden["ENVIRONMENT#env1", f"GRANT#{SOURCE.key}#public.orders"]
    granted = moved(moved(item, GrantState.STUCK_GRANT), GrantState.GRANTED, by=by)
    assert ("stuck" in granted) is (by == "old")
    assert items.grant_record(granted).state is GrantState.GRANTED
    assert items.grant_record(moved(granted, GrantState.REVOKING, by=by)).state is GrantState.REVOKING
    # A claim that ends turns a stuck grant into a revoke that has only begun.
    ended = {name: value for name, value in moved(item, GrantState.STUCK_GRANT).items() if name != "subscriptions"}
    assert items.grant_record(ended).state is GrantState.REVOKING
