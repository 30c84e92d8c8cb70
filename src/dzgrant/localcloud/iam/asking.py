"""One request for IAM to decide, with the condition keys that every call has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from dzgrant.localcloud.iam.documents import Caller, Policy, parsed
from dzgrant.localcloud.iam.evaluation import Request
from dzgrant.localcloud.places import ACCOUNTS, ORGANIZATION

# What a condition may ask for. A key that a call does not have is known and has no value.
_KEYS = (
    "aws:PrincipalArn",
    "aws:PrincipalAccount",
    "aws:PrincipalOrgID",
    "aws:RequestTag/",
    "aws:ResourceAccount",
    "aws:ResourceOrgID",
    "aws:ResourceTag/",
    "aws:SecureTransport",
    "aws:SourceAccount",
    "aws:SourceArn",
    "iam:PermissionsBoundary",
    "iam:PolicyARN",
    "kms:CallerAccount",
    "kms:EncryptionContext:SecretARN",
    "kms:ViaService",
    "secretsmanager:BlockPublicPolicy",
    "sts:ExternalId",
)
_UNKNOWN: dict[str, tuple[str, ...]] = {key.lower(): () for key in _KEYS}


def request(
    caller: Caller,
    action: str,
    resource: str,
    account: str,
    given: Mapping[str, str | None] = MappingProxyType({}),
    *,
    policy: Policy | None = None,
    must: bool = False,
) -> Request:
    """`given`: condition keys beside those of every call; None: the call has none such."""
    keys: dict[str, tuple[str, ...]] = dict(_UNKNOWN)
    own = {"aws:PrincipalArn": caller.role or caller.arn, "aws:PrincipalAccount": caller.account}
    # The SDK speaks TLS to AWS; the loopback needs none.
    own |= {"aws:ResourceAccount": account, "aws:SecureTransport": "true"}
    own |= {"aws:PrincipalOrgID": ORGANIZATION} if caller.account in ACCOUNTS else {}
    own |= {"aws:ResourceOrgID": ORGANIZATION} if account in ACCOUNTS else {}
    own |= {key: value for key, value in given.items() if value is not None}
    keys |= {key.lower(): (value,) for key, value in own.items()}
    return Request(action=action, resource=resource, account=account, context=keys, policy=policy, must=must)


def policy_of(name: str, text: object) -> Policy | None:
    """moto keeps some as text and some as they were in a template."""
    if not text:
        return None
    return parsed(name, text if isinstance(text, str) else json.dumps(text))
