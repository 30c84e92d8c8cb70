"""What DataZone makes in an account for an environment, made in moto: the user role with its boundary, the Glue databases.

It goes to moto's own state under the services' locks, since a call for each would take longer than all else of an
environment. A role's name is what is seen in the field; nobody may rely on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from moto.glue.models import glue_backends
from moto.iam.models import iam_backends
from moto.lakeformation.models import lakeformation_backends

from dzgrant.localcloud.places import ACCOUNTS

if TYPE_CHECKING:
    from dzgrant.localcloud.aws import Aws
    from dzgrant.localcloud.state import Environment

BOUNDARY = "AmazonDataZoneEnvironmentRolePermissionsBoundary"
"""AWS's own policy, which bounds each new role."""

_TRUST = {"Effect": "Allow", "Principal": {"Service": "datazone.amazonaws.com"}, "Action": "sts:AssumeRole"}
# As the managed blueprints name what they provision.
_ROLES = frozenset({"DefaultDataLake", "DefaultDataWarehouse", "CustomAwsService", "Tooling", "ToolingLite"})
_DATABASES = {"DefaultDataLake": {"glueProducerDBName": "_pub_db", "glueConsumerDBName": "_sub_db"}}
_DATABASES |= {"DataLake": {"glueDBName": "_db"}}


def resources(it: Environment) -> dict[str, str]:
    """The environment's `provisionedResources`, by their names; none where it has no account."""
    if it.account is None:
        return {}
    kind = it.blueprint.name
    named = {name: f"{it.id}{suffix}" for name, suffix in _DATABASES.get(kind, {}).items()}
    return {"userRoleArn": f"arn:aws:iam::{it.account}:role/{_role(it)}"} | named if _has_role(it) else named


def make(aws: Aws, it: Environment) -> None:
    """Nothing, where the environment's account or Region is none of the local cloud's; nor twice, in two domains."""
    if it.account not in ACCOUNTS or it.region is None:
        return
    if _has_role(it):
        with aws.lock("iam"):
            iam = iam_backends[it.account]["aws"]
            if all(role.name != _role(it) for role in iam.roles.values()):
                role = iam.create_role(_role(it), _document(_TRUST), "/", None, "", [], "3600")
                # moto takes none of AWS's own policies here.
                role.permissions_boundary_arn = f"arn:aws:iam::aws:policy/{BOUNDARY}"
    with aws.lock("glue"):
        glue = glue_backends[it.account][it.region]
        for name in _databases(it):
            if name not in glue.databases:
                glue.create_database(name, {"Name": name})


def unmake(aws: Aws, it: Environment) -> None:
    """As AWS's: whatever is still attached to the role goes with it. What somebody removed before is no matter."""
    if it.account not in ACCOUNTS or it.region is None:
        return
    with aws.lock("iam"):
        iam = iam_backends[it.account]["aws"]
        for role in [role for role in iam.roles.values() if role.name == _role(it)]:
            for policy in list(role.managed_policies.values()):
                policy.detach_from(role)
            iam.delete_role(role.name)
    with aws.lock("glue"), aws.lock("lakeformation"):
        for name in _databases(it):
            glue_backends[it.account][it.region].databases.pop(name, None)
            lakeformation_backends[it.account][it.region].lf_database_tags.pop((it.account, name), None)


def _document(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _has_role(it: Environment) -> bool:
    return it.blueprint.tooling or it.blueprint.name in _ROLES


def _role(it: Environment) -> str:
    return f"datazone_usr_role_{it.project}_{it.id}"


def _databases(it: Environment) -> list[str]:
    return [name for key, name in resources(it).items() if key != "userRoleArn"]
