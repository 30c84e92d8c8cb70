"""What `explain` calls a difference, from each of its sides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dzgrant.engines.contract import LoginState
from dzgrant.model import (
    AccountId,
    Admin,
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
from dzgrant.saga.difference import PrincipalView, Seen, compare

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRINCIPAL = Principal(
    environment=Environment(domain="dzd_1", project="p", id="e", account=AccountId("333333333333"), region=Region("eu-west-1")),
    source=Source(engine="postgresql", host="db", port=5432, database="shop"),
)
ORDERS = TablePath(name="public.Orders")
TABLE = Table(schema="public", name="orders")
ADMIN = Admin(account=AccountId("222222222222"), region=Region("eu-west-1"), connection="c", secret="s")
RECORD = PrincipalRecord(
    principal=PRINCIPAL,
    admin=ADMIN,
    state=PrincipalState.ACTIVE,
    producer_secret=None,
    consumer_secret=None,
    fence=1,
    updated_at=NOW,
    login=PRINCIPAL.login,
)
GRANT = GrantRecord(
    principal=PRINCIPAL,
    path=ORDERS,
    table=TABLE,
    subscriptions=frozenset({"mine"}),
    state=GrantState.GRANTED,
    reason=None,
    since=NOW,
    updated_at=NOW,
)
LOGIN = LoginState(marked=True, enabled=True, tables=(TABLE,), sessions=0)
GOOD = Seen(login=LOGIN, tables={ORDERS: TABLE}, producer_secret=True, consumer_secret=True, opens=True)
GONE = Seen(login=None, tables={ORDERS: TABLE}, producer_secret=False, consumer_secret=False, opens=None)


def view(
    seen: Seen | str,
    *grants: GrantRecord,
    desired: tuple[TablePath, ...] = (ORDERS,),
    record: PrincipalRecord | None = RECORD,
    scope: Scope = Scope(),  # noqa: B008  # frozen
) -> PrincipalView:
    wanted = dict.fromkeys(desired, scope)
    return compare(PRINCIPAL, subscription="mine", desired=wanted, record=record, grants=grants, seen=seen)


def every(found: PrincipalView) -> list[str]:
    return [*found.differences, *(difference for table in found.tables for difference in table.differences)]


def test_granted_recorded_and_readable_agree() -> None:
    assert view(GOOD, GRANT).agrees


def test_nothing_wanted_recorded_or_left_agrees() -> None:
    assert view(GONE, desired=(), record=replace(RECORD, state=PrincipalState.REMOVED)).agrees


def test_a_path_in_another_case_is_the_same_table() -> None:
    assert view(
        replace(GOOD, tables={TablePath(name="public.orders"): TABLE}), GRANT, desired=(TablePath(name="public.orders"),)
    ).agrees


def test_wanted_and_nowhere() -> None:
    assert every(view(GONE, record=None)) == [
        "the login is not there",
        "the producer secret is not there",
        "the consumer secret is not there",
        "not recorded",
        "the login can't read it",
    ]


def test_a_refused_table_says_why() -> None:
    failed = replace(GRANT, state=GrantState.FAILED, table=None, reason="no such table")
    seen = replace(GOOD, login=replace(LOGIN, tables=()), tables={ORDERS: None})
    assert every(view(seen, failed)) == ["recorded as FAILED: no such table", "the database has no one table of this name"]


def test_ended_and_still_there() -> None:
    assert every(view(GOOD, GRANT, desired=())) == [
        "the login is still there",
        "the producer secret is still there",
        "the consumer secret is still there",
        "recorded, but not wanted any more",
        "the login can still read it",
    ]


def test_what_another_subscription_wants_may_stay() -> None:
    assert view(GOOD, replace(GRANT, subscriptions=frozenset({"other"})), desired=()).agrees


def test_a_claim_that_ended_differs_although_another_holds_the_table() -> None:
    shared = replace(GRANT, subscriptions=frozenset({"mine", "other"}))
    assert every(view(GOOD, shared, desired=())) == ["recorded, but not wanted any more"]


@pytest.mark.parametrize(
    ("seen", "differences"),
    [
        (replace(GOOD, consumer_secret=False, opens=None), ["the consumer secret is not there"]),
        (replace(GOOD, opens=False), ["the consumer secret does not open the login"]),
        (replace(GOOD, login=replace(LOGIN, tables=())), ["the login can't read it"]),
        (replace(GOOD, login=replace(LOGIN, enabled=False)), ["the login is disabled", "the login can't read it"]),
        (replace(GOOD, login=replace(LOGIN, marked=False)), ["the login is not dzgrant's"]),
        ("the database is down", ["the database is down"]),
    ],
)
def test_drift_is_named(seen: Seen | str, differences: list[str]) -> None:
    assert every(view(seen, GRANT)) == differences


def test_a_table_that_nobody_wants_is_found() -> None:
    more = replace(GOOD, login=replace(LOGIN, tables=(Table(schema="public", name="salaries"), TABLE)))
    assert every(view(more, GRANT)) == ["the login can read public.salaries, which nobody wants"]


def test_a_login_that_could_only_be_disabled_is_as_recorded() -> None:
    kept = replace(GONE, login=replace(LOGIN, enabled=False, tables=()))
    assert view(kept, desired=(), record=replace(RECORD, state=PrincipalState.DISABLED)).agrees
    assert every(view(kept, desired=(), record=replace(RECORD, state=PrincipalState.REMOVED))) == ["the login is still there"]


SOME = Scope(columns=frozenset({"id"}))
VIEW = Table(schema="dz_views", name="orders_1")
FILTERED = replace(GRANT, scopes={"mine": SOME}, readable=VIEW, columns=("id",))


def test_a_view_stands_for_its_table() -> None:
    seen = replace(GOOD, login=replace(LOGIN, tables=(VIEW,)))
    assert view(seen, FILTERED, scope=SOME).agrees
    assert [(table.object, table.columns) for table in view(seen, FILTERED, scope=SOME).tables] == [(VIEW, ("id",))]


def test_a_table_that_is_readable_beside_its_view_is_too_much() -> None:
    seen = replace(GOOD, login=replace(LOGIN, tables=(VIEW, TABLE)))
    assert every(view(seen, FILTERED, scope=SOME)) == ["the login can read the table itself, not only dz_views.orders_1"]


@pytest.mark.parametrize(("recorded", "now"), [(FILTERED, Scope()), (GRANT, SOME), (FILTERED, Scope(columns=frozenset({"a"})))])
def test_a_filter_that_changed_since_is_a_difference(recorded: GrantRecord, now: Scope) -> None:
    seen = replace(GOOD, login=replace(LOGIN, tables=(recorded.readable or TABLE,)))
    assert every(view(seen, recorded, scope=now)) == ["recorded with other filters than those of the approval now"]


def test_a_second_login_is_a_rotation_s_alone() -> None:
    rotating = replace(RECORD, spare=Spare(login=PRINCIPAL.logins[1], until=None))
    both = replace(GOOD, second=LOGIN)
    assert view(both, GRANT, record=rotating).agrees
    assert every(view(both, GRANT)) == ["a second login is there, and no rotation goes on"]
    reads_more = replace(both, second=replace(LOGIN, tables=(TABLE, Table(schema="public", name="clients"))))
    assert every(view(reads_more, GRANT, record=rotating)) == ["the second login can read public.clients, which nobody wants"]
    assert every(view(replace(GONE, second=LOGIN), desired=())) == ["the second login is still there"]
