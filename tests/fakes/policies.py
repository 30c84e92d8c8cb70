"""What a resource's own policy says to a caller whose own policies allow everything."""

from __future__ import annotations

import json
from collections.abc import Mapping

from dzgrant.localcloud.iam import documents
from dzgrant.localcloud.iam.documents import parsed
from dzgrant.localcloud.iam.evaluation import Request, decide
from tests.fakes.answers import Caller

_ANYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


def allows(document: str, action: str, resource: str, caller: Caller, context: Mapping[str, str] | None = None) -> bool:
    """`context`: the condition keys of the request, such as `sts:ExternalId`, which it knows always."""
    keys = {key.lower(): (value,) for key, value in (context or {}).items()}
    account = resource.split(":")[4] if resource.startswith("arn:") else ""
    request = Request(
        action=action,
        resource=resource,
        account=account,
        context={"sts:externalid": (), **keys},
        policy=parsed("resource", document),
        must=True,
    )
    role = f"arn:aws:iam::{caller.account}:role/{caller.role}" if caller.role else None
    who = documents.Caller(account=caller.account, role=role, arn=caller.arn)
    return not decide(who, request, (parsed("anything", _ANYTHING),)).why
