"""What a sweep calls drift, by comparison alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from dzgrant.engines.contract import LoginState
from dzgrant.model import (
    AccountId,
    Admin,
    Arn,
    Credentials,
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
    Subscription,
    SubscriptionStatus,
    Table,
    TablePath,
    Wanted,
)
from dzgrant.saga.drift import Seen, against_desired, against_reality, to_be_seen
from dzgrant.secrets import Kept, Look
from dzgrant.secrets.policy import same, shared

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO, LATER = NOW - timedelta(hours=1), NOW + timedelta(seconds=1)
PRINCIPAL = Principal(
    environment=Environment(domain="dzd_1", project="p", id="e", account=AccountId("333333333333"), region=Region("eu-west-1")),
    source=Source(engine="postgresql", host="db", port=5432, database="shop"),
)
ORDERS, TABLE = TablePath(name="public.Orders"), Table(schema="public", name="orders")
VIEW, OTHER = Table(schema="v", name="orders"), Table(schema="public", name="salaries")
ADMIN = Admin(account=AccountId("222222222222"), region=Region("eu-west-1"), connection="c", secret="s")
SUBSCRIPTION = Subscription(
    domain="dzd_1", id="s", status=SubscriptionStatus.APPROVED, project="p", owner="o", retain_permissions=False, assets=()
)
WISH = Wanted(principal=PRINCIPAL, path=ORDERS, subscription="s", listing="l", asset="a", admin=ADMIN)
FEW = Scope(columns=frozenset({"id"}))
GRANT = GrantRecord(
    principal=PRINCIPAL,
    path=ORDERS,
    table=TABLE,
    subscriptions=frozenset({"s"}),
    state=GrantState.GRANTED,
    reason=None,
    since=LONG_AGO,
    updated_at=LONG_AGO,
)
RECORD = PrincipalRecord(
    principal=PRINCIPAL,
    admin=ADMIN,
    state=PrincipalState.ACTIVE,
    producer_secret=None,
    consumer_secret=None,
    fence=1,
    updated_at=LONG_AGO,
    login=PRINCIPAL.login,
)


@pytest.mark.parametrize(
    ("wanted", "recorded", "kinds"),
    [
        ([WISH], [GRANT], []),
        ([WISH], [], ["not_granted"]),
        ([WISH], [replace(GRANT, subscriptions=frozenset({"another"}))], ["not_granted"]),
        ([WISH], [replace(GRANT, state=GrantState.FAILED)], ["not_granted"]),
        ([WISH], [replace(GRANT, state=GrantState.GRANTING)], ["not_granted"]),
        ([WISH], [replace(GRANT, state=GrantState.GRANTING, updated_at=LATER)], []),
        ([replace(WISH, scope=FEW)], [GRANT], ["filters"]),
        ([replace(WISH, scope=FEW)], [replace(GRANT, scopes={"s": FEW})], []),
        # Listed twice, once in whole: the wider counts.
        ([replace(WISH, scope=FEW), WISH], [GRANT], []),
        ([WISH, replace(WISH, scope=FEW)], [GRANT], []),
        ([], [GRANT], ["not_revoked"]),
        ([], [replace(GRANT, state=GrantState.REVOKING)], ["not_revoked"]),
        ([], [replace(GRANT, state=GrantState.STUCK_REVOKE, updated_at=LATER)], []),
    ],
)
def test_what_is_recorded_against_what_is_desired(wanted: list[Wanted], recorded: list[GrantRecord], kinds: list[str]) -> None:
    assert [one.kind.value for one in against_desired(SUBSCRIPTION, wanted, recorded, (), since=NOW)] == kinds


KEPT = Kept(arn=Arn("arn"), credentials=Credentials(username=PRINCIPAL.login, password=SecretStr("a")), fresh=False, objects={})
CHANGED = replace(KEPT, credentials=Credentials(username=PRINCIPAL.login, password=SecretStr("b")))
SECRETS = Look(producer=KEPT, shared=True, consumer=KEPT)
LOGIN = LoginState(marked=True, enabled=True, tables=(TABLE,), sessions=0)
SEEN = Seen(secrets=SECRETS, login=LOGIN, opens=True)


@pytest.mark.parametrize(
    ("seen", "kinds"),
    [
        (SEEN, []),
        (replace(SEEN, opens=None), []),
        (replace(SEEN, login=None, opens=None), ["login"]),
        (replace(SEEN, login=replace(LOGIN, marked=False), opens=None), ["login"]),
        (replace(SEEN, login=replace(LOGIN, enabled=False), opens=None), ["login"]),
        (replace(SEEN, opens=False), ["password"]),
        (replace(SEEN, login=replace(LOGIN, tables=())), ["privilege_missing"]),
        (replace(SEEN, login=replace(LOGIN, tables=(TABLE, OTHER))), ["privilege_extra"]),
        (replace(SEEN, login=replace(LOGIN, beyond=("SELECT on the whole server",))), ["privilege_extra"]),
        (replace(SEEN, secrets=replace(SECRETS, producer=None)), ["producer_secret"]),
        (replace(SEEN, secrets=replace(SECRETS, producer=replace(KEPT, intact=False))), ["producer_secret"]),
        (replace(SEEN, secrets=replace(SECRETS, shared=False)), ["share"]),
        (replace(SEEN, secrets=replace(SECRETS, consumer=None)), ["consumer_secret"]),
        (replace(SEEN, secrets=replace(SECRETS, consumer=CHANGED)), ["consumer_secret"]),
        (replace(SEEN, secrets=replace(SECRETS, consumer=replace(KEPT, intact=False))), ["consumer_secret"]),
        (replace(SEEN, secrets=replace(SECRETS, consumer=replace(KEPT, objects={"t": "v"}))), ["consumer_secret"]),
        (replace(SEEN, secrets=replace(SECRETS, producer=None, consumer=None)), ["producer_secret", "consumer_secret"]),
    ],
)
def test_what_is_against_what_is_recorded(seen: Seen, kinds: list[str]) -> None:
    assert [one.kind.value for one in against_reality(RECORD, [GRANT], seen)] == kinds


def test_of_a_filtered_table_its_view_is_to_be_read_and_named() -> None:
    filtered = replace(GRANT, readable=VIEW, scopes={"s": FEW})
    copy = replace(KEPT, objects={str(TABLE): str(VIEW)})
    seen = Seen(secrets=replace(SECRETS, consumer=copy), login=replace(LOGIN, tables=(VIEW,)), opens=True)
    assert list(against_reality(RECORD, [filtered], seen)) == []
    wide = replace(seen, login=replace(LOGIN, tables=(TABLE, VIEW)))
    assert [one.kind.value for one in against_reality(RECORD, [filtered], wide)] == ["privilege_extra"]


def test_what_was_cut_off_is_told_and_what_goes_on_is_let_alone() -> None:
    pending = replace(RECORD, state=PrincipalState.PENDING)
    assert [one.kind.value for one in against_reality(pending, [GRANT], SEEN)] == ["unfinished"]
    assert to_be_seen(RECORD, [GRANT])
    assert not to_be_seen(RECORD, [replace(GRANT, state=GrantState.GRANTING)])
    assert not to_be_seen(replace(RECORD, state=PrincipalState.REMOVED), [GRANT])
    assert not to_be_seen(replace(RECORD, spare=Spare(login="x", until=None)), [GRANT])


def test_two_policies_are_the_same_in_whatever_order() -> None:
    role = Arn("arn:aws:iam::333333333333:role/dzgrant-consumer")
    statement = {
        "Resource": ["*"],
        "Principal": {"AWS": [role]},
        "Effect": "Allow",
        "Sid": "DzgrantConsumer",
        "Action": ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
    }
    reordered = json.dumps({"Statement": statement, "Version": "2012-10-17"})
    assert same(shared(role), reordered)
    assert not same(shared(role), shared(Arn(role + "-2")))
    assert not same(shared(role), shared(role).replace("GetSecretValue", "*"))
