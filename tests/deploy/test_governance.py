"""The governance account's stack: what it promises of the service, what it refuses, and that its words are the code's own."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from dzgrant.intake.events import _KINDS
from dzgrant.reporting import EnvironmentOutcomeKind
from dzgrant.settings import Settings
from tests.deploy.templates import DEPLOY, complaints, load, refusals, resources

TEMPLATE = DEPLOY / "ecs" / "governance.yaml"
SOURCE = Path(__file__).parents[2] / "src" / "dzgrant"
EXAMPLES = sorted((DEPLOY / "ecs").glob("parameters.*.json"))


def example(path: Path) -> dict[str, str]:
    given: dict[str, str] = json.loads(path.read_text())["Parameters"]
    return given


PRODUCTION = example(DEPLOY / "ecs" / "parameters.production.json")


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, Any]]:
    return {name: it["Properties"] for name, it in resources(load(TEMPLATE), PRODUCTION).items()}


def test_the_linter_has_nothing_to_say() -> None:
    assert complaints(TEMPLATE) == []


def test_it_can_be_deployed_without_a_bucket() -> None:
    assert len(TEMPLATE.read_bytes()) <= 51_200


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_taken(path: Path) -> None:
    assert len(EXAMPLES) == 2
    assert refusals(load(TEMPLATE), example(path)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Name", "Dzgrant"),
        ("Image", "dzgrant:latest"),
        ("Image", "dzgrant"),
        ("DomainIds", "my-domain"),
        ("DomainIds", ""),
        ("MemberAccounts", "12345"),
        ("Regions", "Frankfurt"),
        ("SharedCatalogues", "222222222222"),
        ("OrganizationId", "ou-1234"),
        ("ExternalId", "with space"),
        ("HttpsCidr", "10.0.0.0"),
        ("DatabaseCidr", "everywhere"),
        ("PostgresqlPort", "70000"),
        ("TaskSize", "256/4096"),
        ("MaxTasks", "0"),
        ("MaxTasks", "1"),
        ("Capacity", "cheap"),
        ("SecretRecoveryDays", "3"),
        ("RotateAfterDays", "1"),
        ("RotationGraceHours", "48"),
        ("LakeFormationTag", "key"),
        ("ExtendEnvironments", "false"),
        ("ReconcileHours", "5"),
        ("AlarmTopicArn", "platform-team"),
        ("KmsKeyArn", "alias/aws/sqs"),
        ("SampleTables", "a-name"),
        ("Unknown", "x"),
    ],
)
def test_what_cannot_be_right_is_refused(name: str, value: str) -> None:
    assert refusals(load(TEMPLATE), PRODUCTION | {name: value})


def test_nothing_but_the_network_the_domain_and_the_image_is_asked_for() -> None:
    asked = {refusal.partition(":")[0] for refusal in refusals(load(TEMPLATE), {})}
    assert asked == {"Image", "VpcId", "SubnetIds", "DatabaseCidr"}


def test_the_rule_passes_the_events_that_the_worker_knows(made: dict[str, dict[str, Any]]) -> None:
    (rule,) = [it for it in made.values() if "EventPattern" in it]
    assert rule["EventPattern"]["source"] == ["aws.datazone"]
    assert sorted(rule["EventPattern"]["detail-type"]) == sorted(_KINDS)
    assert "EventBusName" not in rule
    (target,) = rule["Targets"]
    assert target["DeadLetterConfig"]["Arn"] == "<RuleDeadLetters.Arn>"
    # The whole envelope: the worker looks at source and kind.
    assert not {"Input", "InputPath", "InputTransformer"} & target.keys()


def test_the_ledger_outlasts_its_stack() -> None:
    ledger = load(TEMPLATE)["Resources"]["Ledger"]
    assert ledger["DeletionPolicy"].startswith("Retain")
    assert ledger["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert ledger["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
    assert "TimeToLiveSpecification" not in ledger["Properties"]


def test_the_container_runs_as_its_image_promises(made: dict[str, dict[str, Any]]) -> None:
    task = made["Task"]
    (container,) = task["ContainerDefinitions"]
    assert (task["Cpu"], task["Memory"]) == ("256", "512")
    assert container["ReadonlyRootFilesystem"] is True
    assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
    assert container["StopTimeout"] == 120
    dockerfile = (DEPLOY.parent / "Dockerfile").read_text()
    assert f"USER {container['User']}" in dockerfile
    check = container["HealthCheck"]
    spelled = re.search(
        r"HEALTHCHECK --interval=(\d+)s --timeout=(\d+)s --start-period=(\d+)s --retries=(\d) CMD (.*)", dockerfile
    )
    assert spelled
    assert [int(it) for it in spelled.groups()[:4]] == [check[it] for it in ("Interval", "Timeout", "StartPeriod", "Retries")]
    assert ["CMD", *json.loads(spelled[5])] == check["Command"]


def test_every_variable_of_the_container_is_a_setting(made: dict[str, dict[str, Any]]) -> None:
    (container,) = made["Task"]["ContainerDefinitions"]
    given = {it["Name"]: it["Value"] for it in container["Environment"]}
    names = {name.removeprefix("DZGRANT_").lower() for name in given if name.startswith("DZGRANT_")}
    assert names <= Settings.model_fields.keys()
    assert [it["Name"] for it in container["Secrets"]] == ["DZGRANT_EXTERNAL_ID"]
    # The drain fits into the time that ECS gives.
    assert Settings.model_fields["drain_seconds"].default < container["StopTimeout"]


def test_the_worker_admits_the_accounts_that_its_role_may_reach() -> None:
    made = resources(load(TEMPLATE), PRODUCTION | {"MemberAccounts": "222222222222,333333333333", "Regions": "eu-west-1"})
    (container,) = made["Task"]["Properties"]["ContainerDefinitions"]
    given = {it["Name"]: it["Value"] for it in container["Environment"]}
    assert (given["DZGRANT_ACCOUNTS"], given["DZGRANT_REGIONS"]) == ("222222222222,333333333333", "eu-west-1")


def test_what_the_alarms_listen_for_is_logged(made: dict[str, dict[str, Any]]) -> None:
    logged = {
        call.args[0].value
        for path in SOURCE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"debug", "info", "warning", "error", "exception"}
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
    heard = [found for it in made.values() for found in re.findall(r'\$\.event = "(\w+)"', it.get("FilterPattern", ""))]
    assert len(heard) == 5
    assert set(heard) <= logged | {f"environment_{kind}" for kind in EnvironmentOutcomeKind}


def test_every_alarm_has_its_metric(made: dict[str, dict[str, Any]]) -> None:
    counted = {
        (one["MetricNamespace"], one["MetricName"]) for it in made.values() for one in it.get("MetricTransformations", ())
    }
    alarms = [it for it in made.values() if "AlarmName" in it]
    assert len(alarms) == 10
    for alarm in alarms:
        own = not alarm["Namespace"].startswith(("AWS/", "ECS/"))
        assert not own or (alarm["Namespace"], alarm["MetricName"]) in counted, alarm["AlarmName"]
        assert alarm["AlarmActions"] == [PRODUCTION["AlarmTopicArn"]]


def test_nobody_else_gets_at_the_queues(made: dict[str, dict[str, Any]]) -> None:
    policies = [it["PolicyDocument"] for it in made.values() if "Queues" in it]
    allowed = [one for policy in policies for one in policy["Statement"] if one["Effect"] == "Allow"]
    assert allowed
    for statement in allowed:
        assert statement["Principal"] == {"Service": "events.amazonaws.com"}
        assert statement["Condition"]["ArnEquals"]["aws:SourceArn"] == "<Rule.Arn>"


def test_the_task_may_do_nothing_to_everything(made: dict[str, dict[str, Any]]) -> None:
    for policy in made["TaskRole"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert not [action for action in _several(statement["Action"]) if "*" in action]
            assert "*" not in _several(statement["Resource"])


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
