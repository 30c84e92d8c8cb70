"""From a message's body to a hint: every kind, what may be missing, and what must never crash."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dzgrant.errors import Malformed
from dzgrant.intake.events import EnvironmentHint, Hint, Ignored, SubscriptionGrantHint, SubscriptionHint, parse
from tests.envelopes import DOMAIN, VERBATIM, envelope, subscription


def read(event: dict[str, Any], *domains: str) -> Hint | Ignored:
    return parse(json.dumps(event), domains)


def named(event: dict[str, Any]) -> SubscriptionHint:
    hint = read(event)
    assert isinstance(hint, SubscriptionHint)
    return hint


@pytest.mark.parametrize("kind", ["Subscription Created", "Subscription Revoked", "Subscription Cancelled"])
def test_a_subscription_is_named_in_every_way_that_the_event_knows(kind: str) -> None:
    assert read(subscription(kind)) == SubscriptionHint(
        event="0e1d3a52-9f5e-4b1c-8f7a-3c2b1a0d9e8f",
        kind=kind,
        time=datetime(2024, 1, 8, 16, 24, 4, tzinfo=UTC),
        domain=DOMAIN,
        subscription="sub1",
        request="request1",
        listing="listing1",
        project="consumer1",
        ended=kind != "Subscription Created",
    )


def test_without_its_own_id_a_subscription_is_named_by_its_request() -> None:
    hint = named(subscription(entity=None))
    assert (hint.subscription, hint.request) == (None, "request1")


def test_without_a_principal_the_project_is_the_owning_one() -> None:
    event = subscription()
    del event["detail"]["data"]["subscribedPrincipal"]
    assert named(event).project == "consumer1"


def test_a_principal_that_is_no_project_is_left_to_the_catalog() -> None:
    event = subscription(subscribedPrincipal={"id": "arn:aws:iam::111111111111:role/analyst", "type": "IAM"})
    assert named(event).subscription == "sub1"


def test_a_subscription_that_nothing_names_is_malformed() -> None:
    with pytest.raises(Malformed, match="names no subscription"):
        read(subscription(entity=None, subscriptionRequestId=None, subscribedListing=None))


@pytest.mark.parametrize(
    ("kind", "revoke"), [("Subscription Grant Requested", False), ("Subscription Grant Revoke Requested", True)]
)
def test_a_grant_event_names_the_grant_and_its_environment(kind: str, revoke: bool) -> None:
    event = envelope(
        kind,
        "grant1",
        {
            "status": "GRANT_PENDING",
            "asset": {"id": "asset1", "typeName": "GlueTableAssetType", "listingId": "listing1", "listingVersion": "1"},
            "projectId": "consumer1",
            "subscriptionTarget": {"id": "target1", "environmentId": "env1", "typeName": "BaseSubscriptionTargetType"},
        },
    )
    hint = read(event)
    assert isinstance(hint, SubscriptionGrantHint)
    assert (hint.grant, hint.environment, hint.revoke) == ("grant1", "env1", revoke)
    del event["detail"]["data"]["subscriptionTarget"]
    hint = read(event)
    assert isinstance(hint, SubscriptionGrantHint)
    assert hint.environment is None
    event["detail"]["metadata"]["id"] = None
    with pytest.raises(Malformed, match="names no subscription grant"):
        read(event)


@pytest.mark.parametrize(
    ("kind", "deleted"), [("Environment Deployment Completed", False), ("Environment Deletion Started", True)]
)
def test_an_environment_event_names_the_environment(kind: str, deleted: bool) -> None:
    hint = read(envelope(kind, "entity1", {"environmentId": "env1", "projectId": "project1"}))
    assert isinstance(hint, EnvironmentHint)
    assert (hint.environment, hint.project, hint.deleted) == ("env1", "project1", deleted)
    hint = read(envelope(kind, "env1", {}))
    assert isinstance(hint, EnvironmentHint)
    assert (hint.environment, hint.project) == ("env1", "consumer1")
    with pytest.raises(Malformed, match="names no environment"):
        read(envelope(kind, None, {}))


def test_the_domain_may_be_called_domain_id() -> None:
    event = subscription()
    metadata = event["detail"]["metadata"]
    metadata["domainId"] = metadata.pop("domain")
    assert named(event).domain == DOMAIN


def test_other_kinds_are_ignored() -> None:
    assert parse(VERBATIM) == Ignored(reason="other kind", kind="Subscription Request Created")
    trail = envelope("AWS API Call via CloudTrail", None, {})
    trail["detail"] = {"eventSource": "datazone.amazonaws.com", "eventName": "CreateSubscriptionRequest"}
    assert read(trail) == Ignored(reason="other kind", kind="AWS API Call via CloudTrail")


def test_other_sources_are_ignored() -> None:
    assert read({**subscription(), "source": "example.test"}) == Ignored(reason="other source", kind="Subscription Created")


def test_other_domains_are_ignored() -> None:
    assert read(subscription(), "dzd_other") == Ignored(reason="other domain", kind="Subscription Created")
    assert isinstance(read(subscription(), "dzd_other", DOMAIN), SubscriptionHint)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["detail", "metadata", "domain"], "dz_1"),
        (["detail", "metadata", "domain"], "dzd_1\n"),
        (["detail", "metadata", "domain"], None),
        (["detail", "metadata", "id"], "x" * 37),
        (["detail", "metadata", "id"], "sub;1"),
        (["detail", "metadata", "id"], 1),
        (["detail", "data", "subscriptionRequestId"], "a b"),
        (["detail", "data"], []),
        (["detail"], None),
        (["time"], "yesterday"),
        (["time"], "2024-01-08T16:24:04"),
        (["id"], ""),
        (["source"], None),
        (["detail-type"], 7),
    ],
)
def test_a_member_of_the_wrong_shape_is_malformed_and_its_value_is_not_told(path: list[str], value: object) -> None:
    event = subscription()
    at = event
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(Malformed) as caught:
        read(event)
    line = str(caught.value)
    assert path[-1] in line
    assert "\n" not in line
    if isinstance(value, str) and value:
        assert value not in line


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        '"Subscription Created"',
        "\ufeff" + json.dumps(subscription()),
        json.dumps(subscription())[:-1],
        "[" * 200_000,
        '{"a":' * 100_000,
        '{"source": "aws.datazone", "source": "aws.datazone", "detail-type": "Subscription Created"}',
        '{"source": NaN, "detail-type": "x"}',
        '{"source": "aws.datazone", "detail-type": "x", "n": ' + "9" * 5000 + "}",
        "b'" + json.dumps(subscription()) + "'",
        json.dumps(subscription()).encode("utf-16").decode("latin-1"),
        json.dumps({**subscription(), "pad": "x" * 1_048_576}),
    ],
)
def test_what_is_no_event_is_malformed(body: str) -> None:
    with pytest.raises(Malformed):
        parse(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
PATHS = [("id",), ("time",), ("source",), ("detail-type",), ("detail",), ("detail", "metadata"), ("detail", "data")] + [
    ("detail", part, member)
    for part, members in {
        "metadata": ["domain", "id", "owningProjectId"],
        "data": ["subscribedListing", "subscribedPrincipal", "subscriptionRequestId"],
    }.items()
    for member in members
]


def read_or_refused(body: str) -> Hint | Ignored | Malformed:
    try:
        return parse(body)
    except Malformed as refused:
        return refused


@given(st.text() | JSON.map(json.dumps))
def test_any_text_is_read_or_refused_in_one_line(body: str) -> None:
    found = read_or_refused(body)
    assert isinstance(found, Ignored | Malformed)
    assert "\n" not in str(found)


@given(path=st.sampled_from(PATHS), value=JSON)
def test_any_value_anywhere_is_read_or_refused_in_one_line(path: tuple[str, ...], value: object) -> None:
    event = subscription()
    at = event
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    found = read_or_refused(json.dumps(event))
    assert isinstance(found, SubscriptionHint | Ignored | Malformed)
    assert "\n" not in str(found)
