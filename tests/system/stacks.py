"""The two stacks, deployed into a local cloud that has nothing else, and a worker's process as ECS would start it there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from dzgrant.localcloud import process
from dzgrant.localcloud.places import BUS, CONSUMER, DOMAIN, GOVERNANCE, OUTCOMES, PRODUCER, QUEUE, REGION, queue_url
from dzgrant.model import AccountId
from tests.deploy.templates import DEPLOY, load, refusals
from tests.system import extension
from tests.system.cloud import Cloud

EXTERNAL_ID = "shibboleth"
WORKER = f"arn:aws:iam::{GOVERNANCE}:role/dzgrant-worker"
LISTED = "rds!cluster"
"""Name of an admin secret that is listed in the stack instead of being tagged, as RDS's own are."""

# moto's CloudFormation fails at it.
_LEFT_OUT = "Dashboard"
_GOVERNANCE = {
    "Image": "dzgrant:0.1.0",
    "DomainIds": DOMAIN,
    "MemberAccounts": f"{PRODUCER},{CONSUMER}",
    "ExternalId": EXTERNAL_ID,
    "DatabaseCidr": "127.0.0.0/8",
    "ExtendEnvironments": "true",
    "EnvironmentBoundary": extension.BOUNDARY,
    "EnvironmentPolicies": extension.POLICY,
    "LakeFormationTag": extension.SETTINGS["DZGRANT_LAKE_FORMATION_TAG"],
    "DeletionProtection": "false",
}
_MEMBER = {"GovernanceAccount": GOVERNANCE, "ExternalId": EXTERNAL_ID}
_PRODUCER = {
    **_MEMBER,
    "AccountKind": "producer",
    "MemberAccounts": f"{PRODUCER},{CONSUMER}",
    "AdminSecrets": f"arn:aws:secretsmanager:*:{PRODUCER}:secret:rds!*",
}
# The other way to bound the shares.
_CONSUMER = {**_MEMBER, "AccountKind": "consumer", "OrganizationId": "o-local12345", "ExtendEnvironments": "true"}


@contextmanager
def deployed() -> Iterator[Cloud]:
    """Its `local.environment` is a task's of the stack's service: its variables, and its role's credentials."""
    with process.running(empty=True) as local:
        admin = Cloud(local)
        vpc = admin.client("ec2").create_vpc(CidrBlock="127.0.0.0/16")["Vpc"]["VpcId"]
        subnet = admin.client("ec2").create_subnet(VpcId=vpc, CidrBlock="127.0.0.0/24")["Subnet"]["SubnetId"]
        _deploy(admin, GOVERNANCE, "ecs/governance.yaml", {**_GOVERNANCE, "VpcId": vpc, "SubnetIds": subnet})
        _deploy(admin, PRODUCER, "member-account/member.yaml", _PRODUCER)
        _deploy(admin, CONSUMER, "member-account/member.yaml", _CONSUMER)
        _listen(admin)
        pair = extension.SETTINGS["DZGRANT_LAKE_FORMATION_TAG"].split("=")
        admin.client("lakeformation", CONSUMER).create_lf_tag(TagKey=pair[0], TagValues=[pair[1]])
        cloud = Cloud(replace(local, environment=_task(admin)))
        try:
            yield cloud
        finally:
            admin.close()
            cloud.close()


def _deploy(cloud: Cloud, account: AccountId, path: str, given: Mapping[str, str]) -> None:
    template = load(DEPLOY / path)
    # moto asks for neither the parameters' constraints nor the template's rules.
    assert refusals(template, given) == []
    for part in ("Resources", "Outputs"):
        template[part] = {name: it for name, it in template[part].items() if name != _LEFT_OUT}
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
    stacks = cloud.client("cloudformation", account)
    stacks.create_stack(StackName="dzgrant", TemplateBody=json.dumps(template), Parameters=parameters)
    assert stacks.describe_stacks(StackName="dzgrant")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"


def _listen(cloud: Cloud) -> None:
    """What is told on the outcome bus goes into a queue, for the tests to read."""
    cloud.client("sqs").create_queue(QueueName=OUTCOMES)
    events = cloud.client("events")
    events.put_rule(Name=OUTCOMES, EventBusName=BUS, EventPattern=json.dumps({"source": ["dzgrant"]}))
    arn = f"arn:aws:sqs:{REGION}:{GOVERNANCE}:{OUTCOMES}"
    events.put_targets(Rule=OUTCOMES, EventBusName=BUS, Targets=[{"Id": "queue", "Arn": arn}])


def _task(cloud: Cloud) -> dict[str, str]:
    ecs, endpoint = cloud.client("ecs"), cloud.local.endpoint
    task = ecs.describe_task_definition(taskDefinition="dzgrant-worker")["taskDefinition"]
    (container,) = task["containerDefinitions"]
    variables = {it["name"]: it["value"] for it in container["environment"]}
    assert [it["name"] for it in container["secrets"]] == ["DZGRANT_EXTERNAL_ID"]
    assert variables["DZGRANT_QUEUE_URL"].endswith(f"/{GOVERNANCE}/{QUEUE}")
    return {
        **variables,
        # What ECS adds: the secret's value, where the role's credentials are, and its agent.
        "DZGRANT_EXTERNAL_ID": EXTERNAL_ID,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{endpoint}/_local/task/{WORKER}",
        "ECS_AGENT_URI": f"{endpoint}/_local/task/{WORKER}",
        # What makes this AWS the local one.
        "AWS_ENDPOINT_URL": endpoint,
        "DZGRANT_QUEUE_URL": queue_url(endpoint, QUEUE),
    }
