"""What a call asks for, as the Service Authorization Reference names it: its actions, upon which resources, with which
condition keys. A call that is not listed here is not understood, so nobody's role may make it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.iam.models import iam_backends

from dzgrant.localcloud.calls import Call
from dzgrant.localcloud.iam.asking import policy_of, request
from dzgrant.localcloud.iam.documents import Caller
from dzgrant.localcloud.iam.evaluation import Request
from dzgrant.localcloud.iam.patterns import NotUnderstood
from dzgrant.localcloud.iam.sealed import of_secrets
from dzgrant.localcloud.places import ACCOUNTS

QueuePolicy = Callable[[str, str, str], str | None]
"""The text of a queue's policy, by account, Region and name."""

_DOMAIN = re.compile(r"^/v2/domains/([^/]+)")


def requests(call: Call, queue_policy: QueuePolicy) -> Iterator[Request]:
    """Raises `NotUnderstood`."""
    if call.service == "sqs":
        yield _sqs(call, queue_policy)
    elif (known := _OF_SERVICES.get(call.service)) is not None:
        yield from known(call)
    else:
        raise NotUnderstood(f"{call.service} {call.operation} is not known here")


def _sqs(call: Call, queue_policy: QueuePolicy) -> Request:
    given = call.json()
    name = given.get("QueueName") or str(given.get("QueueUrl", "")).rpartition("/")[2]
    arn = f"arn:aws:sqs:{call.region}:{call.account}:{name}"
    action = f"sqs:{call.operation.removesuffix('Batch')}"
    return request(
        call.caller, action, arn, call.account, policy=policy_of(name, queue_policy(call.account, call.region, name))
    )


_TABLE_READS = frozenset({"GetItem", "Query", "Scan", "UpdateItem", "DeleteItem", "PutItem", "DescribeTable"})
_IN_TRANSACTION = {"Update": "UpdateItem", "Delete": "DeleteItem", "Put": "PutItem", "ConditionCheck": "ConditionCheckItem"}


def _dynamodb(call: Call) -> Iterator[Request]:
    given = call.json()
    if call.operation == "TransactWriteItems":
        wanted = [(_IN_TRANSACTION[kind], one["TableName"]) for item in given["TransactItems"] for kind, one in item.items()]
    elif call.operation == "BatchGetItem":
        wanted = [(call.operation, name) for name in given["RequestItems"]]
    elif call.operation in _TABLE_READS:
        index = f"/index/{given['IndexName']}" if "IndexName" in given else ""
        wanted = [(call.operation, given["TableName"] + index)]
    else:
        raise NotUnderstood(f"dynamodb {call.operation} is not known here")
    for operation, table in dict.fromkeys(wanted):
        arn = table if table.startswith("arn:") else f"arn:aws:dynamodb:{call.region}:{call.account}:table/{table}"
        yield request(call.caller, f"dynamodb:{operation}", arn, arn.split(":")[4])


def _datazone(call: Call) -> Iterator[Request]:
    domain = _DOMAIN.match(call.path)
    if domain is None:
        raise NotUnderstood(f"datazone {call.operation} is not known here")
    arn = f"arn:aws:datazone:{call.region}:{call.account}:domain/{domain[1]}"
    yield request(call.caller, f"datazone:{call.operation}", arn, call.account)


def _events(call: Call) -> Iterator[Request]:
    if call.operation != "PutEvents":
        raise NotUnderstood(f"events {call.operation} is not known here")
    for bus in dict.fromkeys(entry.get("EventBusName", "default") for entry in call.json()["Entries"]):
        arn = bus if bus.startswith("arn:") else f"arn:aws:events:{call.region}:{call.account}:event-bus/{bus}"
        yield request(call.caller, "events:PutEvents", arn, arn.split(":")[4])


def _sts(call: Call) -> Iterator[Request]:
    if call.operation == "GetCallerIdentity":
        # It needs no right.
        return
    if call.operation != "AssumeRole":
        raise NotUnderstood(f"sts {call.operation} is not known here")
    form = call.form()
    arn = form.get("RoleArn", "")
    parts = arn.split(":")
    account = parts[4] if len(parts) == 6 else ""
    yield assuming(call.caller, arn, account, {"sts:ExternalId": form.get("ExternalId")})


def assuming(caller: Caller, arn: str, account: str, given: Mapping[str, str | None]) -> Request:
    role = role_of(arn)
    trust = policy_of(f"trust of {role.name}", role.assume_role_policy_document) if role is not None else None
    return request(caller, "sts:AssumeRole", arn, account, given, policy=trust, must=True)


def role_of(arn: str) -> Any:
    """moto's role of this ARN, or None."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[4] not in ACCOUNTS:
        return None
    # Copied, since IAM's lock is not held here.
    return next((role for role in list(iam_backends[parts[4]]["aws"].roles.values()) if role.arn == arn), None)


def _glue(call: Call) -> Iterator[Request]:
    given = call.json()
    if call.operation == "GetTable":
        paths = [f"database/{given['DatabaseName']}", f"table/{given['DatabaseName']}/{given['Name']}"]
    elif call.operation == "GetConnection":
        paths = [f"connection/{given['Name']}"]
    else:
        raise NotUnderstood(f"glue {call.operation} is not known here")
    owner = str(given.get("CatalogId") or call.account)
    # Whatever is in the catalog needs the right to the catalog, too.
    for path in ["catalog", *paths]:
        yield request(call.caller, f"glue:{call.operation}", f"arn:aws:glue:{call.region}:{owner}:{path}", owner)


_IAM = frozenset(
    {
        "GetRole",
        "ListAttachedRolePolicies",
        "AttachRolePolicy",
        "DetachRolePolicy",
        "PutRolePermissionsBoundary",
        "DeleteRolePermissionsBoundary",
    }
)


def _iam(call: Call) -> Iterator[Request]:
    if call.operation not in _IAM:
        raise NotUnderstood(f"iam {call.operation} is not known here")
    form = call.form()
    roles = list(iam_backends[call.account]["aws"].roles.values())
    role: Any = next((role for role in roles if role.name == form["RoleName"]), None)
    arn = role.arn if role is not None else f"arn:aws:iam::{call.account}:role/{form['RoleName']}"
    # Of a boundary that is to be set, the new one; else the one that the role has.
    boundary = form.get("PermissionsBoundary") or (role.permissions_boundary_arn if role is not None else None)
    keys = {"iam:PermissionsBoundary": boundary, "iam:PolicyARN": form.get("PolicyArn")}
    yield request(call.caller, f"iam:{call.operation}", arn, call.account, keys)


def _lake_formation(call: Call) -> Iterator[Request]:
    yield request(call.caller, f"lakeformation:{call.path.removeprefix('/')}", "*", call.account)


_OF_SERVICES: dict[str, Callable[[Call], Iterator[Request]]] = {
    "dynamodb": _dynamodb,
    "datazone": _datazone,
    "events": _events,
    "sts": _sts,
    "glue": _glue,
    "iam": _iam,
    "lakeformation": _lake_formation,
    "secretsmanager": of_secrets,
}
