"""The evaluation of policies against AWS's own rules (IAM user guide, "Policy evaluation logic", "Condition operators")."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dzgrant.localcloud.iam.documents import Caller, Policy, parsed
from dzgrant.localcloud.iam.evaluation import Decision, Request, decide
from dzgrant.localcloud.iam.patterns import NotUnderstood

HERE, THERE = "222222222222", "333333333333"
ROLE, SESSION = f"arn:aws:iam::{HERE}:role/app", f"arn:aws:sts::{HERE}:assumed-role/app/session"
CALLER = Caller(account=HERE, role=ROLE, arn=SESSION)
SECRET = f"arn:aws:secretsmanager:eu-central-1:{HERE}:secret:a/b-AbCdEf"
READ = "secretsmanager:GetSecretValue"
ANYTHING = {"Action": "*", "Resource": "*"}


def policy(*statements: dict[str, Any], name: str = "policy") -> Policy:
    every = [{"Effect": "Allow", "Action": READ, "Resource": "*", **statement} for statement in statements]
    return parsed(name, json.dumps({"Version": "2012-10-17", "Statement": every}))


def ask(
    *identity: dict[str, Any],
    resource: Policy | None = None,
    boundary: Policy | None = None,
    account: str = HERE,
    must: bool = False,
    context: dict[str, tuple[str, ...]] | None = None,
    caller: Caller = CALLER,
) -> Decision:
    request = Request(action=READ, resource=SECRET, account=account, context=context or {}, policy=resource, must=must)
    return decide(caller, request, (policy(*identity),) if identity else (), boundary)


def allowed(decision: Decision) -> bool:
    assert bool(decision.why) is not bool(decision.by)
    return not decision.why


def to(*principals: str) -> Policy:
    return policy({"Principal": {"AWS": list(principals)}})


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({}, True),
        ({"Action": "secretsmanager:*"}, True),
        ({"Action": ["kms:Decrypt", "secretsmanager:getsecretvalue"]}, True),
        ({"Action": "secretsmanager:GetSecret"}, False),
        ({"Action": "secretsmanager:GetSecretValu?"}, True),
        ({"Resource": f"arn:aws:secretsmanager:*:{HERE}:secret:a/*"}, True),
        ({"Resource": f"arn:aws:secretsmanager:*:{THERE}:secret:a/*"}, False),
        # A wildcard stays within its part of an ARN.
        ({"Resource": "arn:aws:*:secret:a/*"}, False),
        ({"Resource": "arn:*:secretsmanager:*:*:secret:a/b-??????"}, True),
    ],
)
def test_a_statement_speaks_of_actions_and_resources(statement: dict[str, Any], *, expected: bool) -> None:
    assert allowed(ask(statement)) is expected


def test_nothing_is_allowed_by_itself() -> None:
    assert ask().why == f"because no identity-based policy allows the {READ} action"


def test_not_action_and_not_resource_are_everything_else() -> None:
    def only(**statement: str) -> Policy:
        whole = {"Effect": "Allow", "Resource": "*", "Action": READ, **statement}
        kept = {key: value for key, value in whole.items() if f"Not{key}" not in whole}
        return parsed("policy", json.dumps({"Version": "2012-10-17", "Statement": kept}))

    def asked(given: Policy) -> bool:
        return allowed(decide(CALLER, Request(action=READ, resource=SECRET, account=HERE, context={}), (given,)))

    assert not asked(only(NotAction="secretsmanager:*"))
    assert asked(only(NotAction="kms:*"))
    assert not asked(only(NotResource=SECRET))
    assert asked(only(NotResource="arn:aws:secretsmanager:*:*:secret:c/*"))


@pytest.mark.parametrize("where", ["identity", "resource", "boundary"])
def test_an_explicit_deny_wins_wherever_it_is(where: str) -> None:
    deny = {"Effect": "Deny", **ANYTHING}
    if where == "identity":
        decision = ask(ANYTHING, deny)
    elif where == "resource":
        decision = ask(ANYTHING, resource=policy({"Principal": {"AWS": ROLE}}, {**deny, "Principal": "*"}))
    else:
        decision = ask(ANYTHING, boundary=policy(ANYTHING, deny))
    assert decision.why.startswith("with an explicit deny in a")


def test_in_one_account_either_side_is_enough() -> None:
    assert allowed(ask(ANYTHING))
    assert allowed(ask(resource=to(ROLE)))
    assert allowed(ask(resource=to("*")))
    # The account as a principal only lets its own policies decide.
    assert not allowed(ask(resource=to(f"arn:aws:iam::{HERE}:root")))
    assert not allowed(ask(resource=to(f"arn:aws:iam::{HERE}:role/other")))


def test_across_accounts_both_sides_are_needed() -> None:
    assert not allowed(ask(ANYTHING, account=THERE))
    assert not allowed(ask(resource=to(ROLE), account=THERE))
    assert not allowed(ask(ANYTHING, resource=to(THERE), account=THERE))
    assert allowed(ask(ANYTHING, resource=to(ROLE), account=THERE))
    assert allowed(ask(ANYTHING, resource=to(HERE), account=THERE))
    assert {right.policy for right in ask(ANYTHING, resource=to(ROLE), account=THERE).by} == {"policy"}


def test_a_key_and_a_trust_must_allow_in_their_own_account_too() -> None:
    assert not allowed(ask(ANYTHING, must=True))
    assert not allowed(ask(ANYTHING, resource=to(THERE), must=True))
    assert allowed(ask(ANYTHING, resource=to(HERE), must=True))
    assert not allowed(ask(resource=to(HERE), must=True))
    assert allowed(ask(resource=to(ROLE), must=True))


def test_a_boundary_bounds_the_role_but_not_what_names_its_session() -> None:
    narrow = policy({"Action": "kms:*"})
    assert ask(ANYTHING, boundary=narrow).why.startswith("because no permissions boundary allows")
    assert allowed(ask(ANYTHING, boundary=policy(ANYTHING)))
    assert not allowed(ask(boundary=policy(ANYTHING)))
    assert not allowed(ask(resource=to(ROLE), boundary=narrow))
    assert allowed(ask(resource=to(SESSION), boundary=narrow))


def test_a_service_is_let_in_by_its_name() -> None:
    events = Caller(account=HERE, role=None, arn="events", service="events.amazonaws.com")
    assert allowed(ask(resource=policy({"Principal": {"Service": "events.amazonaws.com"}}), must=True, caller=events))
    assert not allowed(ask(resource=policy({"Principal": {"Service": "sns.amazonaws.com"}}), must=True, caller=events))
    assert not allowed(ask(resource=to(HERE), must=True, caller=events))


TAG = "aws:ResourceTag/team"
GIVEN: dict[str, tuple[str, ...]] = {
    "aws:resourcetag/team": ("blue",),
    "aws:resourcetag/": (),
    "aws:tagkeys": ("dzgrant", "owner"),
    "aws:principalarn": (ROLE,),
    "aws:principaltag/team": ("blue",),
    "aws:principaltag/": (),
    "aws:securetransport": ("true",),
    "sts:externalid": (),
}


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "expected"),
    [
        ("StringEquals", TAG, "blue", True),
        ("StringEquals", TAG, ["red", "blue"], True),
        ("StringEquals", TAG, "Blue", False),
        ("StringEquals", "AWS:resourcetag/TEAM", "blue", True),
        ("StringEquals", TAG, "bl*", False),
        ("StringEqualsIgnoreCase", TAG, "Blue", True),
        ("StringLike", TAG, "bl*", True),
        ("StringLike", TAG, "b?", False),
        ("StringNotEquals", TAG, ["red", "blue"], False),
        ("StringNotEquals", TAG, "red", True),
        ("StringNotLike", TAG, "bl*", False),
        # What the request lacks: a condition fails, unless it is negated or asks only where there is something.
        ("StringEquals", "aws:ResourceTag/other", "blue", False),
        ("StringEqualsIfExists", "aws:ResourceTag/other", "blue", True),
        ("StringEqualsIfExists", TAG, "red", False),
        ("StringNotEquals", "aws:ResourceTag/other", "blue", True),
        ("StringEquals", "sts:ExternalId", "x", False),
        ("Null", "sts:ExternalId", "true", True),
        ("Null", "sts:ExternalId", "false", False),
        ("Null", TAG, "false", True),
        ("Bool", "aws:SecureTransport", "true", True),
        ("Bool", "aws:SecureTransport", True, True),
        ("Bool", "aws:SecureTransport", "false", False),
        ("ArnEquals", "aws:PrincipalArn", ROLE, True),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/a*", True),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*", False),
        ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*", True),
        ("ForAnyValue:StringLike", "aws:TagKeys", "own*", True),
        ("ForAnyValue:StringLike", "aws:TagKeys", "cost", False),
        ("ForAnyValue:StringEquals", "sts:ExternalId", "x", False),
        ("ForAllValues:StringEquals", "aws:TagKeys", ["dzgrant", "owner", "cost"], True),
        ("ForAllValues:StringEquals", "aws:TagKeys", "dzgrant", False),
        ("ForAllValues:StringEquals", "sts:ExternalId", "x", True),
        ("StringEquals", TAG, "${aws:PrincipalTag/team}", True),
        ("StringEquals", TAG, "${aws:PrincipalTag/other}", False),
        ("StringEquals", TAG, "${aws:PrincipalTag/other, 'blue'}", True),
        ("StringLike", TAG, "${aws:PrincipalTag/team}*", True),
        ("StringLike", TAG, "${*}", False),
    ],
)
def test_a_condition_holds(operator: str, key: str, wanted: object, *, expected: bool) -> None:
    assert allowed(ask({"Condition": {operator: {key: wanted}}}, context=GIVEN)) is expected


def test_every_condition_must_hold() -> None:
    both = {"StringEquals": {TAG: "blue"}, "Bool": {"aws:SecureTransport": "false"}}
    assert not allowed(ask({"Condition": both}, context=GIVEN))


def test_a_variable_in_a_resource_is_the_callers() -> None:
    own = {"Resource": f"arn:aws:secretsmanager:*:{HERE}:secret:${{aws:PrincipalTag/team}}/*"}
    assert not allowed(ask(own, context=GIVEN))
    assert allowed(ask(own, context={**GIVEN, "aws:principaltag/team": ("a",)}))
    # A value is no pattern.
    assert not allowed(ask(own, context={**GIVEN, "aws:principaltag/team": ("*",)}))


@pytest.mark.parametrize(
    "statement",
    [
        {"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}},
        {"Condition": {"IpAddress": {TAG: "10.0.0.0/8"}}},
        {"Principal": {"Federated": "x"}},
        {"NotPrincipal": "*"},
        {"Effect": "Perhaps"},
    ],
)
def test_what_is_not_understood_is_said(statement: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstood):
        ask(statement, context=GIVEN)


def test_a_policy_is_public_only_without_a_condition() -> None:
    assert policy({"Principal": "*"}).public
    assert policy({"Principal": {"AWS": ["*"]}}).public
    assert not policy({"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}).public
    assert not to(ROLE).public
