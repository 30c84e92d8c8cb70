"""What the tests of the environment workflows see of an environment in its account, as its administrator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.environments import BOUNDARY as AWS_BOUNDARY
from dzgrant.localcloud.places import CONSUMER, CONSUMER_PROJECT
from tests.system.cloud import Cloud

BOUNDARY, OTHER_BOUNDARY = "dzgrant-environment-boundary", "team/stricter"
POLICY, OTHER_POLICY = "dzgrant-environment", "theirs"

SETTINGS = {
    "DZGRANT_EXTEND_ENVIRONMENTS": "true",
    "DZGRANT_ENVIRONMENT_BOUNDARY": BOUNDARY,
    "DZGRANT_ENVIRONMENT_POLICIES": POLICY,
    "DZGRANT_LAKE_FORMATION_TAG": "access=dzgrant",
}

_ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def arn(policy: str) -> str:
    return f"arn:aws:iam::{CONSUMER}:policy/{policy}"


def prepare(cloud: Cloud) -> None:
    """What the member account's stack has, and a Lake Formation administrator makes, before any environment."""
    iam = cloud.client("iam", CONSUMER)
    for policy in (BOUNDARY, OTHER_BOUNDARY, POLICY, OTHER_POLICY):
        path, _, name = f"/{policy}".rpartition("/")
        iam.create_policy(PolicyName=name, Path=f"{path}/", PolicyDocument=json.dumps(_ANYTHING))
    cloud.client("lakeformation", CONSUMER).create_lf_tag(TagKey="access", TagValues=["dzgrant", "before", "later"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One environment. `changes` of its command: another blueprint, say."""

    cloud: Cloud
    domain: str
    id: str

    @classmethod
    def made(cls, cloud: Cloud, *, domain: str | None = None, events: bool = False, **changes: object) -> Place:
        """A new one, in a new domain unless it is given; its event is lost unless `events`."""
        place = domain or cloud.control.do(c.AddDomain()).id
        command = c.AddEnvironment.model_validate({"domain": place, "events": events, **changes})
        return cls(cloud=cloud, domain=place, id=cloud.control.do(command).id)

    @property
    def role(self) -> str:
        return f"datazone_usr_role_{CONSUMER_PROJECT}_{self.id}"

    @property
    def iam(self) -> Any:
        return self.cloud.client("iam", CONSUMER)

    def boundary(self) -> str | None:
        """The policy's name."""
        found = self.iam.get_role(RoleName=self.role)["Role"].get("PermissionsBoundary")
        return str(found["PermissionsBoundaryArn"]).partition(":policy/")[2] if found else None

    def policies(self) -> set[str]:
        """The names of those that are attached."""
        attached = self.iam.list_attached_role_policies(RoleName=self.role)["AttachedPolicies"]
        return {policy["PolicyArn"].partition(":policy/")[2] for policy in attached}

    def tags(self, database: str) -> dict[str, list[str]]:
        lake = self.cloud.client("lakeformation", CONSUMER)
        answer = lake.get_resource_lf_tags(Resource={"Database": {"Name": database}})
        return {tag["TagKey"]: tag["TagValues"] for tag in answer.get("LFTagOnDatabase", [])}

    def tag(self, database: str, value: str) -> None:
        lake = self.cloud.client("lakeformation", CONSUMER)
        pair = {"TagKey": "access", "TagValues": [value]}
        assert not lake.add_lf_tags_to_resource(Resource={"Database": {"Name": database}}, LFTags=[pair])["Failures"]

    def bound(self, boundary: str) -> None:
        """By hand."""
        self.iam.put_role_permissions_boundary(RoleName=self.role, PermissionsBoundary=arn(boundary))

    def deploy(self) -> None:
        """`Environment Deployment Completed`, the first time or again."""
        self.cloud.control.do(c.SetEnvironmentStatus(environment=self.id, status="ACTIVE"))

    def delete(self) -> None:
        self.cloud.control.do(c.DeleteEnvironment(environment=self.id))

    def is_extended(self, *databases: str) -> None:
        """Asserts that it has all of `SETTINGS`."""
        assert (self.boundary(), self.policies()) == (BOUNDARY, {POLICY})
        for database in databases:
            assert self.tags(database) == {"access": ["dzgrant"]}
        assert self.state() == "EXTENDED"

    def is_as_made(self, *databases: str) -> None:
        """Asserts that it has what DataZone gave it and no more."""
        assert (self.boundary(), self.policies()) == (AWS_BOUNDARY, set())
        for database in databases:
            assert self.tags(database) == {}

    def state(self) -> str | None:
        """The ledger's."""
        for item in self.cloud.ledger():
            if (item["pk"]["S"], item["sk"]["S"]) == (f"ENVIRONMENT#{self.id}", "EXTENSION"):
                return str(item["state"]["S"])
        return None

    def outcomes(self) -> list[tuple[str, str | None]]:
        """What was told of it on the bus: the kind and the reason."""
        told = [event for event in self.cloud.outcomes() if event["detail-type"].startswith("Environment ")]
        mine = [event for event in told if event["detail"]["environment"] == self.id]
        return [(event["detail-type"].removeprefix("Environment "), event["detail"]["reason"]) for event in mine]

    def role_is_gone(self) -> bool:
        try:
            self.iam.get_role(RoleName=self.role)
        except ClientError as error:
            return bool(error.response["Error"]["Code"] == "NoSuchEntity")
        return False
