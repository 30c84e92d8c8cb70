"""What a call of Secrets Manager asks for: of the secret, and of the key that it is sealed with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from moto.kms.models import kms_backends
from moto.secretsmanager.models import secretsmanager_backends

from dzgrant.localcloud.calls import Call
from dzgrant.localcloud.iam.asking import policy_of, request
from dzgrant.localcloud.iam.evaluation import Request
from dzgrant.localcloud.secrets import DEFAULT_KEY, owner_of

# What Secrets Manager asks of a secret's key, in the name of whoever calls (its user guide, "Permissions for the KMS key").
_USES = {
    "CreateSecret": ("GenerateDataKey", "Decrypt"),
    "PutSecretValue": ("GenerateDataKey", "Decrypt"),
    "GetSecretValue": ("Decrypt",),
}
# What it says instead of the ARN when it only tries the key of a secret that is to be made.
_VALIDATION = "RequestToValidateKeyAccess"


def of_secrets(call: Call) -> Iterator[Request]:
    given = call.json()
    identifier = str(given.get("SecretId") or given.get("Name") or "")
    owner = owner_of(identifier) or call.account
    secret: Any = secretsmanager_backends[owner][call.region].secrets.get(identifier)
    if secret is not None and identifier.startswith("arn:") and secret.arn != identifier:
        # Another account is reached by the whole ARN only.
        secret = None if owner != call.caller.account else secret
    arn = secret.arn if secret is not None else identifier
    if not arn.startswith("arn:"):
        # The six characters are not known before it is made.
        arn = f"arn:aws:secretsmanager:{call.region}:{owner}:secret:{identifier}-??????"
    tags = {tag["Key"]: tag["Value"] for tag in given.get("Tags", ())}
    keys: dict[str, str | None] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    if secret is not None:
        keys |= {f"aws:ResourceTag/{tag['Key']}": tag["Value"] for tag in secret.tags or ()}
    if "BlockPublicPolicy" in given:
        keys["secretsmanager:BlockPublicPolicy"] = str(given["BlockPublicPolicy"]).lower()
    policy = policy_of("share", secret.policy) if secret is not None and secret.policy else None
    actions = [call.operation, "TagResource"] if call.operation == "CreateSecret" and tags else [call.operation]
    for action in actions:
        yield request(call.caller, f"secretsmanager:{action}", arn, owner, keys, policy=policy)
    key_id = given.get("KmsKeyId") if call.operation == "CreateSecret" else getattr(secret, "kms_key_id", None)
    if key_id and key_id != DEFAULT_KEY and call.operation in _USES:
        yield from _of_key(call, str(key_id), owner, [_VALIDATION, arn] if call.operation == "CreateSecret" else [arn])


def _of_key(call: Call, key_id: str, owner: str, secrets: Sequence[str]) -> Iterator[Request]:
    """`secrets`: what the encryption context says, in one request after the other."""
    keys = kms_backends[owner][call.region]
    name = key_id.rpartition(":")[2]
    key = keys.keys.get((keys.get_key_id_from_alias(name) if name.startswith("alias/") else name.removeprefix("key/")) or "")
    if key is None:
        # Secrets Manager refuses that itself.
        return
    policy = policy_of("key", key.policy)
    given = {"kms:ViaService": f"secretsmanager.{call.region}.amazonaws.com", "kms:CallerAccount": call.caller.account}
    for use in _USES[call.operation]:
        for secret in secrets:
            context = {**given, "kms:EncryptionContext:SecretARN": secret}
            yield request(call.caller, f"kms:{use}", key.arn, owner, context, policy=policy, must=True)
