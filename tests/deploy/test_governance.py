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


_KEY = "arn:aws:kms:eu-central-1:111111111111:key/1234abcd-12ab-34cd-56ef-1234567890ab"
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
        ("SweepMinutes", "5"),
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


def test_no_queue_is_in_the_clear_and_redrive_is_the_last_resort(made: dict[str, dict[str, Any]]) -> None:
    with_key = resources(load(TEMPLATE), PRODUCTION | {"KmsKeyArn": _KEY})
    for queue in ("Events", "DeadLetters", "RuleDeadLetters"):
        assert made[queue]["SqsManagedSseEnabled"] is True
        assert with_key[queue]["Properties"]["KmsMasterKeyId"] == _KEY
        assert made[queue]["MessageRetentionPeriod"] == 1209600
    assert made["Events"]["RedrivePolicy"] == {"deadLetterTargetArn": "<DeadLetters.Arn>", "maxReceiveCount": 1000}
    encrypted = {it["Sid"] for it in with_key["TaskRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]}
    assert "KeyOfTheQueues" in encrypted


def test_the_ledger_outlasts_its_stack() -> None:
    ledger = load(TEMPLATE)["Resources"]["Ledger"]
    assert ledger["DeletionPolicy"].startswith("Retain")
    assert resources(load(TEMPLATE), PRODUCTION)["Ledger"]["Properties"]["DeletionProtectionEnabled"] == "true"
    assert ledger["Properties"]["SSESpecification"] == {"SSEEnabled": True}
    assert ledger["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert ledger["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
    assert "TimeToLiveSpecification" not in ledger["Properties"]


def test_what_stays_of_the_stacks_is_what_the_page_says() -> None:
    kept = {
        name
        for path in (TEMPLATE, DEPLOY / "member-account" / "member.yaml")
        for name, it in load(path)["Resources"].items()
        if it.get("DeletionPolicy", "").startswith("Retain")
    }
    assert kept == {"Ledger", "Log", "Key"}
    (stays,) = re.findall(
        r"\*\*What stays, on purpose\*\*: (.*?)\n\n", (DEPLOY.parent / "docs" / "deploy.md").read_text(), re.DOTALL
    )
    for word in ("the ledger", "KMS keys", "the log group"):
        assert word in stays


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


@pytest.mark.parametrize("architecture", ["ARM64", "X86_64"])
def test_it_runs_on_both_kinds_of_machine(architecture: str) -> None:
    task = resources(load(TEMPLATE), PRODUCTION | {"Architecture": architecture})["Task"]["Properties"]
    assert task["RuntimePlatform"] == {"OperatingSystemFamily": "LINUX", "CpuArchitecture": architecture}
    assert task["RequiresCompatibilities"] == ["FARGATE"]


@pytest.mark.parametrize(
    ("capacity", "providers"),
    [
        ("on-demand", [("FARGATE", 0, 1)]),
        ("spot-beyond-one", [("FARGATE", 1, 0), ("FARGATE_SPOT", 0, 1)]),
        ("spot", [("FARGATE_SPOT", 0, 1)]),
    ],
)
def test_the_service_rolls_back_and_takes_spot_where_it_is_told_to(
    capacity: str, providers: list[tuple[str, int, int]]
) -> None:
    service = resources(load(TEMPLATE), PRODUCTION | {"Capacity": capacity})["Service"]["Properties"]
    strategy = service["CapacityProviderStrategy"]
    assert [(it["CapacityProvider"], it.get("Base", 0), it["Weight"]) for it in strategy] == providers
    deployment = service["DeploymentConfiguration"]
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    # The old task goes when the new one is well.
    assert deployment["MinimumHealthyPercent"] == 100
    # It would undo the scaling at each update.
    assert "DesiredCount" not in service


def test_tasks_follow_the_backlog_and_a_busy_one_is_not_ended(made: dict[str, dict[str, Any]]) -> None:
    bounds = made["ScalableTarget"]
    assert (bounds["MinCapacity"], bounds["MaxCapacity"]) == (PRODUCTION["MinTasks"], PRODUCTION["MaxTasks"])
    waiting, tasks, backlog = made["Scaling"]["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"][
        "Metrics"
    ]
    assert waiting["MetricStat"]["Metric"]["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert tasks["MetricStat"]["Metric"]["MetricName"] == "RunningTaskCount"
    assert (backlog["Expression"], [it["ReturnData"] for it in (waiting, tasks)]) == ("waiting / tasks", [False, False])
    assert made["Cluster"]["ClusterSettings"] == [{"Name": "containerInsights", "Value": "enabled"}]
    (container,) = made["Task"]["ContainerDefinitions"]
    assert {"Name": "DZGRANT_TASK_PROTECTION", "Value": "true"} in container["Environment"]
    allowed = {
        action for it in made["TaskRole"]["Policies"][0]["PolicyDocument"]["Statement"] for action in _several(it["Action"])
    }
    assert "ecs:UpdateTaskProtection" in allowed


def test_whatever_is_asked_for_or_given_is_said(made: dict[str, dict[str, Any]]) -> None:
    template = load(TEMPLATE)
    for name, parameter in template["Parameters"].items():
        assert parameter["Description"], name
        bounded = {"AllowedPattern", "AllowedValues", "MinValue"} & parameter.keys() or parameter["Type"].count("AWS::")
        assert bounded, f"{name} takes anything"
        assert ("AllowedPattern" in parameter) == ("ConstraintDescription" in parameter), name
    grouped = [
        name for it in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"] for name in it["Parameters"]
    ]
    assert sorted(grouped) == sorted(template["Parameters"])
    assert all(it["Description"] for it in template["Outputs"].values())


def test_the_page_calls_things_by_the_names_that_they_get(made: dict[str, dict[str, Any]]) -> None:
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text()
    (named,) = re.findall(r"run-task --cluster (\S+) --task-definition (\S+)", page)
    assert named == (made["Cluster"]["ClusterName"], made["Task"]["Family"])
    (container,) = made["Task"]["ContainerDefinitions"]
    assert re.findall(r'containerOverrides": \[\{"name": "(\w+)"', page) == [container["Name"]]
    declared = load(TEMPLATE)["Parameters"].keys() | load(DEPLOY / "member-account" / "member.yaml")["Parameters"].keys()
    said = set(re.findall(r"`((?:[A-Z][a-z0-9]+){2,})(?:=\w+)?`", page))
    assert len(said) > 8
    assert said - declared - {"SecurityGroupId"} == set()


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
    logged: dict[str, list[set[str | None]]] = {f"environment_{kind}": [] for kind in EnvironmentOutcomeKind}
    for path in SOURCE.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            match call:
                case ast.Call(
                    func=ast.Attribute(attr="debug" | "info" | "warning" | "error"), args=[ast.Constant(str(event)), *_]
                ):
                    logged.setdefault(event, []).append({it.arg for it in call.keywords})
    filters = [it for it in made.values() if "FilterPattern" in it]
    assert len(filters) == 6
    for it in filters:
        (transformation,) = it["MetricTransformations"]
        read = [transformation["MetricValue"], *(one["Value"] for one in transformation.get("Dimensions", ()))]
        fields = {one.removeprefix("$.") for one in read if one.startswith("$.")}
        heard = re.findall(r'\$\.event = "(\w+)"', it["FilterPattern"])
        assert heard
        for event in heard:
            assert event in logged, f"nothing logs {event}"
            assert all(fields <= words for words in logged[event]), f"{event} is logged without {fields}"


def test_every_alarm_has_its_metric(made: dict[str, dict[str, Any]]) -> None:
    counted = {
        (one["MetricNamespace"], one["MetricName"]) for it in made.values() for one in it.get("MetricTransformations", ())
    }
    alarms = [it for it in made.values() if "AlarmName" in it]
    assert {it["AlarmName"].removeprefix("dzgrant-"): it["Threshold"] for it in alarms} == {
        "dead-letters": 0,
        "rule-dead-letters": 0,
        "oldest-message": 60,
        "long-wait": "60",
        "grants-stuck": 0,
        "revokes-stuck": 0,
        "environments-stuck": 0,
        "no-reconcile": 1,
        "leases-lost": 5,
        "bugs": 0,
        "no-task": 1,
    }
    # An hour between two sweeps: the second that is late is worth an alarm. Nothing at all is no good sign there.
    assert made["NoReconcileAlarm"]["EvaluationPeriods"] * made["NoReconcileAlarm"]["Period"] == 4 * 3600
    assert {name for name, it in made.items() if it.get("TreatMissingData") == "breaching"} == {
        "NoReconcileAlarm",
        "NoTaskAlarm",
    }
    for alarm in alarms:
        own = not alarm["Namespace"].startswith(("AWS/", "ECS/"))
        assert not own or (alarm["Namespace"], alarm["MetricName"]) in counted, alarm["AlarmName"]
        assert alarm["AlarmActions"] == [PRODUCTION["AlarmTopicArn"]]


def test_the_dashboard_shows_metrics_that_there_are(made: dict[str, dict[str, Any]]) -> None:
    widgets = json.loads(made["Dashboard"]["DashboardBody"])["widgets"]
    shown = [row for it in widgets for row in it["properties"].get("metrics", ())]
    counted = {one["MetricName"] for it in made.values() for one in it.get("MetricTransformations", ())}
    assert {row[1] for row in shown if row[0] == "dzgrant"} == counted - {"reconciled"}
    assert [it["properties"]["query"].split("'")[1] for it in widgets if it["type"] == "log"] == ["<Log>", "<Log>"]


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
