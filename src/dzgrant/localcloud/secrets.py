"""What moto's Secrets Manager does wrongly: reads across accounts, secrets scheduled for deletion, KMS keys, public policies.

Who may call is `iam.guard`'s to say, before.
"""

from __future__ import annotations

from typing import Any

from moto.kms.models import kms_backends
from moto.secretsmanager.models import SecretsManagerBackend, SecretsStore, secretsmanager_backends

from dzgrant.localcloud.calls import Answer, Call, error
from dzgrant.localcloud.iam.documents import parsed

DEFAULT_KEY = "alias/aws/secretsmanager"
# The operations whose documentation names "The secret is scheduled for deletion" as a cause of InvalidRequestException
# and that moto carries out all the same (GetSecretValue and UpdateSecret it refuses).
_NOT_WHEN_SCHEDULED = frozenset(
    {
        "PutSecretValue",
        "UpdateSecretVersionStage",
        "PutResourcePolicy",
        "GetResourcePolicy",
        "DeleteResourcePolicy",
        "TagResource",
        "UntagResource",
    }
)


class Store(SecretsStore):
    """moto's dictionary of secrets by name, found by ARN too without a walk over all of them."""

    def _find(self, key: str) -> Any:
        if not key.startswith("arn:"):
            return dict.get(self, key)
        resource = key.split(":", 6)[-1]
        secret = dict.get(self, resource[:-7])
        # A complete ARN, or a partial one, which lacks the hyphen and six random characters.
        return secret if secret is not None and secret.arn == key else dict.get(self, resource)

    def get(self, key: str) -> Any:  # type: ignore[override]  # as moto narrows it
        return self._find(key)

    def __getitem__(self, key: str) -> Any:
        if (secret := self._find(key)) is None:
            raise KeyError(key)
        return secret

    def __contains__(self, key: object) -> bool:
        return self._find(str(key)) is not None

    def pop(self, key: str) -> Any:  # type: ignore[override]  # as moto narrows it
        secret = self._find(key)
        return dict.pop(self, secret.name) if secret is not None else None


class Backend(SecretsManagerBackend):
    """moto's backend of one account and Region, on the quicker store."""

    # moto looks for a service's routes beside the module of its backend's class.
    __module__ = SecretsManagerBackend.__module__

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.secrets = Store()

    def update_secret_version_stage(
        self, secret_id: str, version_stage: str, remove_from_version_id: str, move_to_version_id: str
    ) -> tuple[str, str]:
        """As moto's, and the version that became AWSCURRENT is read from then on."""
        told = super().update_secret_version_stage(secret_id, version_stage, remove_from_version_id, move_to_version_id)
        if version_stage == "AWSCURRENT" and move_to_version_id:
            secret: Any = self.secrets[secret_id]
            secret.set_default_version_id(move_to_version_id)
        return told


def admit(call: Call) -> Call | Answer:
    """The call as moto may carry it out, upon the owner's account, or AWS's refusal of it."""
    asked = call.json()
    identifier = str(asked.get("SecretId") or asked.get("Name") or "")
    owner = owner_of(identifier) or call.account
    secret: Any = secretsmanager_backends[owner][call.region].secrets.get(identifier)
    if owner != call.account and secret is not None and (secret.kms_key_id or DEFAULT_KEY) == DEFAULT_KEY:
        return error("AccessDeniedException", "Access to KMS is not allowed")
    if secret is not None and secret.is_deleted():
        if call.operation == "CreateSecret":
            return _invalid("You can't create this secret because a secret with this name is already scheduled for deletion.")
        if call.operation in _NOT_WHEN_SCHEDULED:
            return _invalid("You can't perform this operation on the secret because it was marked for deletion.")
    if (key := asked.get("KmsKeyId")) and not _key_exists(call, str(key)):
        return _no_key(call, str(key))
    blocks = call.operation == "PutResourcePolicy" and asked.get("BlockPublicPolicy")
    if blocks and parsed("share", asked["ResourcePolicy"]).public:
        return error("PublicPolicyException", "You can't attach a policy that allows broad access to the secret.")
    return call.of(owner)


def owner_of(identifier: str) -> str | None:
    """The account in an ARN; None for a name."""
    parts = identifier.split(":", 6)
    return parts[4] if len(parts) == 7 else None


def _key_exists(call: Call, key: str) -> bool:
    name = key.rpartition(":")[2]
    if name.startswith("alias/aws/"):
        return True
    keys = kms_backends[call.account][call.region]
    return bool(keys.alias_exists(name) if name.startswith("alias/") else name.removeprefix("key/") in keys.keys)


def _no_key(call: Call, key: str) -> Answer:
    kind = f"Alias arn:aws:kms:{call.region}:{call.account}:{key}" if key.startswith("alias/") else f"Key '{key}'"
    return error("EncryptionFailure", f"Secrets Manager can't encrypt the secret value: {kind} is not found.")


def _invalid(message: str) -> Answer:
    return error("InvalidRequestException", message)
