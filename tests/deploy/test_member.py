"""A member account's stack: whom it trusts, how little it gives, and that its patterns are the code's own names."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import botocore.session
import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

from tests.deploy.templates import ACCOUNT, DEPLOY, complaints, load, refusals, resources

TEMPLATE = DEPLOY / "member-account" / "member.yaml"
GIVEN: dict[str, str] = {
    it["ParameterKey"]: it["ParameterValue"]
    for it in json.loads((DEPLOY / "member-account" / "parameters.example.json").read_text())
}
_AWS = "AmazonDataZoneEnvironmentRolePermissionsBoundary"
# Actions that IAM names otherwise than the API, or that no API has.
_OUTSIDE = {"sqlworkbench", "redshift", "s3"}


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, Any]]:
    return {name: it["Properties"] for name, it in resources(load(TEMPLATE), GIVEN).items()}


def several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(made: dict[str, dict[str, Any]], name: str) -> list[dict[str, Any]]:
    it = made[name]
    documents = [policy["PolicyDocument"] for policy in it["Policies"]] if "Policies" in it else [it["PolicyDocument"]]
    return [statement for document in documents for statement in document["Statement"]]


def test_the_linter_has_nothing_to_say() -> None:
    assert complaints(TEMPLATE) == []
    assert len(TEMPLATE.read_bytes()) <= 51_200


def test_the_example_is_taken() -> None:
    assert refusals(load(TEMPLATE), GIVEN) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Name", "Dzgrant"),
        ("AccountKind", "governance"),
        ("HomeRegion", "Frankfurt"),
        ("GovernanceAccount", "12345"),
        ("ExternalId", "with space"),
        ("OrganizationId", ""),
        ("OrganizationId", "ou-1234"),
        ("MemberAccounts", "111111111111,12"),
        ("AdminSecrets", "my-secret"),
        ("ExtendEnvironments", "yes"),
        ("EnvironmentRoles", "*"),
        ("OtherBoundaries", "a-name"),
    ],
)
def test_what_cannot_be_right_is_refused(name: str, value: str) -> None:
    assert refusals(load(TEMPLATE), GIVEN | {name: value})


@pytest.mark.parametrize("role", ["ProducerRole", "ConsumerRole"])
def test_the_roles_trust_the_task_alone(made: dict[str, dict[str, Any]], role: str) -> None:
    (trust,) = made[role]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": "arn:aws:iam::111111111111:root"}
    assert trust["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/dzgrant-worker"},
        "StringEquals": {"sts:ExternalId": GIVEN["ExternalId"]},
    }
    assert made[role]["MaxSessionDuration"] == 3600


@pytest.mark.parametrize(("kind", "roles"), [("producer", {"ProducerRole"}), ("consumer", {"ConsumerRole"})])
def test_an_account_of_one_kind_has_one_role(kind: str, roles: set[str]) -> None:
    found = resources(load(TEMPLATE), GIVEN | {"AccountKind": kind})
    assert {name for name, it in found.items() if it["Type"] == "AWS::IAM::Role"} == roles
    assert ("Key" in found) is (kind == "producer")


def test_another_region_of_an_account_has_its_key_alone() -> None:
    found = resources(load(TEMPLATE), GIVEN | {"HomeRegion": "eu-west-1"})
    assert set(found) == {"Key", "KeyAlias"}


@pytest.mark.parametrize("name", ["ProducerRole", "ConsumerRole", "EnvironmentRights"])
def test_no_right_is_for_everything(made: dict[str, dict[str, Any]], name: str) -> None:
    for statement in statements(made, name):
        assert not [action for action in several(statement["Action"]) if "*" in action]
        # Lake Formation knows no resources in IAM, nor does the list of secrets.
        assert "*" not in several(statement["Resource"]) or statement["Sid"] in {"TagEnvironmentDatabases", "ListSecrets"}


@pytest.mark.parametrize(("role", "side"), [("ProducerRole", "producer"), ("ConsumerRole", "consumer")])
def test_the_patterns_fit_the_secrets_that_the_worker_makes(made: dict[str, dict[str, Any]], role: str, side: str) -> None:
    arn = f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:dzgrant/{side}/abc123/0807124d6b3ad890-AbCdEf"
    for statement in statements(made, role):
        if statement["Sid"].startswith(("Make", "Keep", "Share")):
            assert any(fnmatchcase(arn, pattern) for pattern in several(statement["Resource"])), statement["Sid"]


def test_whoever_shares_may_not_share_with_everybody(made: dict[str, dict[str, Any]]) -> None:
    (share,) = [it for it in statements(made, "ProducerRole") if "secretsmanager:PutResourcePolicy" in several(it["Action"])]
    assert share["Condition"] == {"Bool": {"secretsmanager:BlockPublicPolicy": "true"}}


def test_the_key_opens_through_secrets_manager_alone(made: dict[str, dict[str, Any]]) -> None:
    for statement in made["Key"]["KeyPolicy"]["Statement"]:
        uses = {"kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt", "kms:*"} & set(several(statement["Action"]))
        assert not uses or "kms:ViaService" in statement["Condition"]["StringEquals"]
    assert made["Key"]["EnableKeyRotation"] is True


@pytest.mark.parametrize("name", ["EnvironmentBoundary", "EnvironmentPolicy"])
def test_a_managed_policy_may_be_so_long(made: dict[str, dict[str, Any]], name: str) -> None:
    assert len(json.dumps(made[name]["PolicyDocument"], separators=(",", ":"))) <= 6144


@cache
def _operations(service: str) -> frozenset[str]:
    """The service's API, which IAM's actions are named for."""
    return frozenset(botocore.session.get_session().get_service_model(service).operation_names)


def test_the_boundary_allows_what_awss_own_does_and_what_dzgrant_adds(made: dict[str, dict[str, Any]]) -> None:
    theirs = json.loads(aws_managed_policies_data)[_AWS]["Document"]["Statement"]
    allowed = {action for it in theirs if it["Effect"] == "Allow" for action in several(it["Action"])}
    ours = made["EnvironmentBoundary"]["PolicyDocument"]["Statement"]
    added = {"ReadOwnSecrets", "DecryptOwnSecrets", "InvokeOwnConnectors", "ProvisionProducts"}
    assert added < {it["Sid"] for it in ours}
    patterns = {action for it in ours if it["Effect"] == "Allow" and it["Sid"] not in added for action in several(it["Action"])}

    missing = {action for action in allowed if not any(fnmatchcase(action, pattern) for pattern in patterns)}
    assert missing == set()
    # A pattern of ours means what AWS names one by one, and nothing else that there is.
    for pattern in patterns - allowed:
        service, _, name = pattern.partition(":")
        if service in _OUTSIDE:
            continue
        meant = {f"{service}:{operation}" for operation in _operations(service) if fnmatchcase(operation, name)}
        more = {action for action in meant if not any(fnmatchcase(action, their) for their in allowed)}
        assert more == set(), pattern


def test_the_policy_gives_no_more_than_its_purpose(made: dict[str, dict[str, Any]]) -> None:
    actions = {action for it in made["EnvironmentPolicy"]["PolicyDocument"]["Statement"] for action in several(it["Action"])}
    assert not [action for action in actions if "*" in action]
    assert {action.partition(":")[0] for action in actions} == {"secretsmanager", "athena", "lambda", "s3", "servicecatalog"}
