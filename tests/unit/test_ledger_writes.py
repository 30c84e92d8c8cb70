"""What the ledger's transactions consist of: order, size, and expressions."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from dzgrant.ledger import Claim, GrantOutcome, items, keys
from dzgrant.ledger.keys import Key
from dzgrant.ledger.writes import MOST, Write, batches, change, delete, intents, outcomes
from dzgrant.model import AccountId, Admin, Environment, GrantState, Principal, Region, Source, TablePath, Wanted

NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
REGION = Region("eu-central-1")
ADMIN = Admin(account=AccountId("222222222222"), region=REGION, connection="shop", secret=None)
PRINCIPAL = Principal(
    environment=Environment(domain="dzd_1", project="sales", id="env1", account=AccountId("333333333333"), region=REGION),
    source=Source(engine="mysql", host="db.example.com", port=3306, database="shop"),
)
PATHS = [TablePath(name=name) for name in ("orders", "clients", "visits")]


def wanted(by: str, path: TablePath) -> Wanted:
    return Wanted(principal=PRINCIPAL, path=path, subscription=by, listing="lst", asset="ast", admin=ADMIN)


def kinds(writes: list[Write]) -> list[str]:
    return [f"{write.action} {write.key.sk.partition('#')[0]}" for write in writes]


def test_an_update_names_every_attribute_by_placeholder() -> None:
    write = change(
        Key("p", "s"),
        sets={"state": items.text("A")},
        first={"since": items.number(1)},
        removes=("reason",),
        adds={"more": items.texts({"b", "a"})},
        deletes={"less": items.texts({"c"})},
        where="attribute_exists(#pk) AND #fence = :mine",
        given={"mine": items.number(7)},
    )
    assert write.arguments == {
        "Key": {"pk": {"S": "p"}, "sk": {"S": "s"}},
        "UpdateExpression": (
            "SET #state = :state, #since = if_not_exists(#since, :since) REMOVE #reason ADD #more :more DELETE #less :less"
        ),
        "ConditionExpression": "attribute_exists(#pk) AND #fence = :mine",
        "ExpressionAttributeNames": {f"#{name}": name for name in ("state", "since", "reason", "more", "less", "pk", "fence")},
        "ExpressionAttributeValues": {
            ":state": {"S": "A"},
            ":since": {"N": "1"},
            ":more": {"SS": ["a", "b"]},
            ":less": {"SS": ["c"]},
            ":mine": {"N": "7"},
        },
    }


def test_claims_are_written_before_grants_and_end_after_them() -> None:
    begun = list(intents(PRINCIPAL, [wanted("sub1", path) for path in PATHS], [], NOW))
    assert kinds(begun) == ["Update SUBSCRIPTION", *["Update GRANT"] * 3]
    ended = [GrantOutcome(path=path, state=GrantState.REVOKED, ended=frozenset({"sub1"})) for path in PATHS]
    assert kinds(list(outcomes(PRINCIPAL, ended, NOW))) == [*["Delete GRANT", "Update HISTORY"] * 3, "Update SUBSCRIPTION"]


def test_one_write_for_each_item() -> None:
    wishes = [wanted("sub1", PATHS[0]), wanted("sub2", PATHS[0]), wanted("sub2", PATHS[1])]
    claims = [Claim.of(wanted("sub3", PATHS[2])), Claim.of(wanted("sub4", PATHS[2]))]
    writes = list(intents(PRINCIPAL, wishes, claims, NOW))
    assert len({write.key for write in writes}) == len(writes) == 2 + 2 + 1
    shared = next(write for write in writes if write.key == keys.grant(PRINCIPAL, PATHS[0]))
    assert shared.arguments["ExpressionAttributeValues"][":subscriptions"] == {"SS": ["sub1", "sub2"]}


def test_spellings_that_differ_in_case_are_one_grant() -> None:
    wishes = [wanted("sub1", TablePath(name="Orders")), wanted("sub2", TablePath(name="ORDERS"))]
    assert kinds(list(intents(PRINCIPAL, wishes, [], NOW))) == ["Update SUBSCRIPTION"] * 2 + ["Update GRANT"]


@given(st.lists(st.integers(0, 150), max_size=400), st.integers(1, 2))
def test_batches_keep_order_size_and_distinct_keys(numbers: list[int], beside: int) -> None:
    writes = [delete(Key("p", str(number))) for number in numbers]
    found = batches(writes, beside=beside)
    assert found
    assert [write for batch in found for write in batch] == writes
    for batch in found:
        assert len(batch) + beside <= MOST
        assert len({write.key for write in batch}) == len(batch)


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_tables_never_share_a_key(one: str, other: str) -> None:
    here, there = TablePath(name=one), TablePath(name=other)
    assert (keys.grant(PRINCIPAL, here) == keys.grant(PRINCIPAL, there)) == (here.key == there.key)
    made = keys.history(PRINCIPAL, here, "sub", GrantState.GRANTED).sk
    assert made.count("#") == 4
