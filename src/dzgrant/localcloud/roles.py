"""What moto's STS does wrongly: it hands out any role of any account to anybody."""

from __future__ import annotations

import json
from typing import Any

from moto.iam.models import iam_backends

from dzgrant.localcloud import policy
from dzgrant.localcloud.calls import Answer, Call, query_error
from dzgrant.localcloud.places import ACCOUNTS


def admit(call: Call) -> Call | Answer:
    """The call, or AWS's refusal: the role must be there, and its trust policy must admit the caller."""
    if call.operation != "AssumeRole":
        return call
    form = call.form()
    arn = form.get("RoleArn", "")
    role = _role(arn)
    context = {"sts:ExternalId": form["ExternalId"]} if "ExternalId" in form else {}
    trust = role.assume_role_policy_document if role is not None else None
    if trust is None or not policy.allows(_text(trust), "sts:AssumeRole", call.caller.names, context):
        message = f"User: {call.caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        return query_error("AccessDenied", message)
    return call


def _role(arn: str) -> Any:
    parts = arn.split(":")
    account = parts[4] if len(parts) == 6 else ""
    if account not in ACCOUNTS:
        return None
    # Copied, since IAM's lock is not held here.
    return next((role for role in list(iam_backends[account]["aws"].roles.values()) if role.arn == arn), None)


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)
