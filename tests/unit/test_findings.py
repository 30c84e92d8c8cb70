"""What a journey makes of the tables that it finds: who stays, of what less, and what the ledger and the consumer hear."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dzgrant.engines.contract import LoginState, Reach, Readable
from dzgrant.errors import DzgrantError, Misconfigured, Transient, Unsupported
from dzgrant.ledger import Claim, GrantOutcome
from dzgrant.model import (
    PATIENCE,
    WHOLE,
    AccountId,
    Admin,
    Environment,
    GrantRecord,
    GrantState,
    Principal,
    Region,
    Scope,
    Source,
    Table,
    TablePath,
)
from dzgrant.saga.findings import Findings
from dzgrant.saga.road import Aim

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRINCIPAL = Principal(
    environment=Environment(domain="dzd_1", project="p", id="e", account=AccountId("333333333333"), region=Region("eu-west-1")),
    source=Source(engine="postgresql", host="db", port=5432, database="shop"),
)
ADMIN = Admin(account=AccountId("222222222222"), region=Region("eu-west-1"), connection="c", secret="s")
SOME, OTHER = Scope(columns=frozenset({"id"})), Scope(columns=frozenset({"city"}))


def path(name: str) -> TablePath:
    return TablePath(name=f"public.{name}")


def table(name: str) -> Table:
    return Table(schema="public", name=name)


def view(name: str) -> Table:
    return Table(schema="views", name=f"{name}_1")


def record(
    name: str, *whole: str, state: GrantState = GrantState.GRANTED, viewed: bool = False, **scopes: Scope
) -> GrantRecord:
    return GrantRecord(
        principal=PRINCIPAL,
        path=path(name),
        table=table(name),
        subscriptions=frozenset({*whole, *scopes}),
        state=state,
        reason=None,
        since=NOW,
        updated_at=NOW,
        scopes=scopes,
        readable=view(name) if viewed else None,
    )


def claim(name: str, by: str) -> Claim:
    return Claim(subscription=by, principal=PRINCIPAL, admin=ADMIN, path=path(name))


def reach(name: str, *, viewed: bool = False, columns: tuple[str, ...] | None = None) -> Reach:
    readable = Readable(table=view(name) if viewed else table(name), columns=columns)
    return Reach(readable=readable, public=False, through=None)


def login(*tables: Table) -> LoginState:
    return LoginState(marked=True, enabled=True, tables=tables, sessions=0)


def surveyed(*claims: Claim, records: tuple[GrantRecord, ...]) -> Findings:
    found = Findings(claims=claims, records={one.path.key: one for one in records})
    found.survey()
    return found


REFUSED = Unsupported("no column city", do="correct it")


def test_an_end_narrows_what_others_have_filtered_and_leaves_alone_what_they_have_whole() -> None:
    found = surveyed(
        claim("orders", "ended"),
        claim("items", "ended"),
        claim("visits", "ended"),
        records=(record("orders", a=SOME), record("items", "b"), record("visits", viewed=True), record("clients", c=SOME)),
    )
    assert found.narrowing == {path("orders"): table("orders")}
    assert found.leaving == [path("visits")]
    assert found.keep == {table("orders"), table("items"), table("clients")}
    assert found.allowed(path("orders")) == {SOME}


def test_what_is_narrowed_is_recorded_and_the_consumer_hears_of_it() -> None:
    found = surveyed(
        claim("orders", "ended"), claim("visits", "ended"), records=(record("orders", a=SOME), record("visits", viewed=True))
    )
    found.reach[path("orders")] = reach("orders", viewed=True, columns=("id",))
    assert found.objects() == {"public.orders": "views.orders_1", "public.visits": None}
    by_path = {outcome.path: outcome for outcome in found.revoked()}
    assert by_path[path("orders")] == GrantOutcome(
        path=path("orders"),
        state=GrantState.GRANTED,
        table=table("orders"),
        readable=view("orders"),
        columns=("id",),
        settled=(0, frozenset({SOME})),
        ended=frozenset({"ended"}),
    )
    assert by_path[path("visits")].state is GrantState.REVOKED


def test_what_cannot_be_narrowed_goes() -> None:
    found = surveyed(claim("orders", "ended"), records=(record("orders", viewed=True, a=SOME), record("items", "b")))
    found.give_up(path("orders"), REFUSED)
    assert found.keep == {table("items")}
    assert [one.path for one in found.living] == [path("items")]
    assert found.objects() == {"public.orders": None}
    [outcome] = found.revoked()
    assert (outcome.state, outcome.ended, outcome.subscriptions) == (GrantState.FAILED, frozenset({"ended"}), frozenset({"a"}))
    assert outcome.reason
    assert "no column city" in outcome.reason


def test_a_claim_in_another_case_narrows_its_table_too() -> None:
    ended = replace(claim("orders", "ended"), path=TablePath(name="PUBLIC.Orders"))
    found = surveyed(ended, records=(record("orders", a=SOME),))
    assert found.narrowing == {ended.path: table("orders")}
    found.reach[ended.path] = reach("orders", viewed=True)
    [outcome] = found.revoked()
    # The claim is found in the ledger by the name that it was made with.
    assert (outcome.path, outcome.readable, outcome.state) == (ended.path, view("orders"), GrantState.GRANTED)


def test_a_table_that_is_wanted_whole_needs_no_look_at_the_ledger() -> None:
    found = Findings(claims=[claim("orders", "a"), claim("items", "a")], whole={path("orders").key})
    found.tables = {path("orders"): table("orders"), path("items"): table("items")}
    assert found.filtered == {path("items")}
    assert found.allowed(path("orders")) == WHOLE
    with pytest.raises(KeyError):
        found.allowed(path("items"))
    found.records = {path("items").key: record("items", a=SOME, b=OTHER)}
    assert found.allowed(path("items")) == {SOME, OTHER}


@pytest.mark.parametrize(
    ("reads", "excess"),
    [
        ((), False),
        ((table("items"), view("visits"), view("clients")), False),
        ((table("visits"),), False),
        ((table("orders"),), True),
        ((view("orders"),), True),
        ((view("unknown"),), True),
    ],
)
def test_a_refused_filter_must_not_leave_what_was_given_before(reads: tuple[Table, ...], excess: bool) -> None:
    records = (
        record("orders", viewed=True, a=SOME),
        record("items", "b"),
        record("visits", viewed=True, c=SOME),
        record("clients", a=SOME),
    )
    found = Findings(claims=[claim("orders", "a"), claim("clients", "a")], records={one.path.key: one for one in records})
    found.tables = {path("clients"): table("clients")}
    found.reach = {path("clients"): reach("clients", viewed=True)}
    found.refused = {TablePath(name="PUBLIC.ORDERS"): REFUSED}
    assert found.look_for_excess(login(*reads)) is excess
    assert found.keep == {table("items"), table("visits"), table("clients")}
    assert found.objects() == {"public.orders": None, "public.clients": "views.clients_1"}


def test_a_table_that_failed_its_proof_is_not_told_as_granted() -> None:
    found = Findings(claims=[claim("orders", "a")], records={path("orders").key: record("orders", a=SOME)})
    found.reach = {path("orders"): reach("orders", viewed=True)}
    found.refused = {path("orders"): REFUSED}
    assert [outcome.state for outcome in found.granted()] == [GrantState.FAILED]
    assert found.objects() == {}


MENDS = Misconfigured("the admin lacks a right", do="grant it")
HEALS = Transient("the database is down")
LATER = NOW + PATIENCE


@pytest.mark.parametrize(
    ("known", "error", "when", "state", "told"),
    [
        # A person must act: at once, and once.
        (GrantState.GRANTING, MENDS, NOW, GrantState.STUCK_GRANT, True),
        (GrantState.STUCK_GRANT, MENDS, NOW, GrantState.STUCK_GRANT, False),
        # What time should heal is waited for, but not in silence for ever.
        (GrantState.GRANTING, HEALS, NOW, GrantState.GRANTING, False),
        (GrantState.GRANTING, HEALS, LATER, GrantState.STUCK_GRANT, True),
        (GrantState.STUCK_GRANT, HEALS, LATER, GrantState.STUCK_GRANT, False),
        # What works goes on working; that it can't be made good is for a person all the same.
        (GrantState.GRANTED, HEALS, LATER, None, False),
        (GrantState.FAILED, HEALS, LATER, GrantState.GRANTING, False),
        (GrantState.FAILED, MENDS, LATER, GrantState.STUCK_GRANT, True),
        # A revoke could not go on, and then somebody wanted the table again.
        (GrantState.STUCK_REVOKE, HEALS, NOW, GrantState.STUCK_GRANT, True),
    ],
)
def test_a_grant_that_waits_is_stuck_when_people_have_to_hear_of_it(
    known: GrantState, error: DzgrantError, when: datetime, state: GrantState | None, told: bool
) -> None:
    before = replace(record("orders", "a", state=known), reason=str(error))
    found = Findings(claims=[claim("orders", "a")], records={before.path.key: before})
    found.wait({before.path: error}, when)
    assert found.suspended == [GrantOutcome(path=before.path, state=state, reason=str(error))]
    assert found.stuck == ({before.path.key: str(error)} if told else {})


@pytest.mark.parametrize(
    ("known", "error", "when", "state", "told"),
    [
        (GrantState.REVOKING, HEALS, NOW, GrantState.REVOKING, False),
        (GrantState.REVOKING, HEALS, LATER, GrantState.STUCK_REVOKE, True),
        (GrantState.REVOKING, MENDS, NOW, GrantState.STUCK_REVOKE, True),
        (GrantState.STUCK_REVOKE, HEALS, NOW, GrantState.STUCK_REVOKE, False),
        (GrantState.GRANTED, MENDS, NOW, GrantState.STUCK_REVOKE, True),
    ],
)
def test_a_revoke_that_waits_is_stuck_when_people_have_to_hear_of_it(
    known: GrantState, error: DzgrantError, when: datetime, state: GrantState, told: bool
) -> None:
    before = replace(record("orders", state=known), reason=str(error))
    found = surveyed(claim("orders", "ended"), records=(before,))
    found.wait(dict.fromkeys(found.leaving, error), when)
    assert found.suspended == [GrantOutcome(path=before.path, state=state, reason=str(error))]
    assert found.stuck == ({before.path.key: str(error)} if told else {})


def test_another_reason_is_told_where_a_person_must_act_and_not_where_the_weather_changed() -> None:
    before = replace(record("orders", "a", state=GrantState.STUCK_GRANT), reason="the password is wrong")
    for error, told in ((MENDS, {before.path.key: str(MENDS)}), (HEALS, {})):
        found = Findings(claims=[claim("orders", "a")], records={before.path.key: before})
        found.wait({before.path: error}, NOW)
        assert found.stuck == told


def test_what_people_could_not_be_told_is_told_when_it_is_tried_again() -> None:
    granting, granted = record("orders", "a", state=GrantState.GRANTING), record("items", "a")
    found = Findings(claims=[], records={one.path.key: one for one in (granting, granted)})
    found.wait({granting.path: MENDS, granted.path: MENDS}, NOW)
    found.hush()
    assert found.suspended == [
        GrantOutcome(path=granting.path, state=GrantState.GRANTING, reason=str(MENDS)),
        GrantOutcome(path=granted.path, state=None, reason=None),
    ]


def test_what_a_person_settled_is_closed_and_what_waited_to_be_granted_is_given_up() -> None:
    ended, waiting = record("orders"), record("items", "a", state=GrantState.STUCK_GRANT)
    living, meanwhile = record("visits", "b"), record("clients", "c")
    records = {one.path.key: one for one in (ended, waiting, living, meanwhile)}
    given_up = {waiting.path, meanwhile.path}
    found = Findings(claims=[claim("orders", "ended")], records=records, by_hand="by me: it is gone", given_up=given_up)
    found.survey()
    # What was granted since stays, and so does what nobody spoke of.
    assert {one.path for one in found.living} == {living.path, meanwhile.path}
    assert {outcome.path: outcome for outcome in found.revoked()} == {
        ended.path: GrantOutcome(
            path=ended.path, state=GrantState.REVOKED, reason="by me: it is gone", ended=frozenset({"ended"})
        ),
        waiting.path: GrantOutcome(
            path=waiting.path,
            state=GrantState.FAILED,
            reason="by me: it is gone",
            subscriptions=frozenset({"a"}),
            given_up=True,
        ),
    }


def test_of_what_was_given_up_nobody_hears_again_until_it_is_to_be_revoked() -> None:
    before = replace(record("orders", "a", state=GrantState.FAILED), given_up=True, reason="by me: it is gone")
    found = Findings(claims=[claim("orders", "a")], records={before.path.key: before})
    found.wait({before.path: MENDS}, LATER)
    assert (found.suspended, found.stuck) == ([], {})
    assert (found.abandoned(Aim.GRANT), found.abandoned(Aim.REVOKE)) == ("by me: it is gone", None)

    ended = replace(before, subscriptions=frozenset())
    found = surveyed(claim("orders", "a"), records=(ended,))
    found.wait({ended.path: MENDS}, LATER)
    assert [outcome.state for outcome in found.suspended] == [GrantState.STUCK_REVOKE]
