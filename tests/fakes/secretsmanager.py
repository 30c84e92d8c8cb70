"""Secrets Manager: versions and their labels, deletion with a recovery window, policies, reads from other accounts.

By the API reference of 2017-10-17. What takes AWS a moment takes one here: a policy counts after `policy_seconds`, and the
name of a secret that was deleted for ever is free after `name_seconds`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from random import Random

from dzgrant.localcloud.iam.documents import parsed
from tests.fakes import policies
from tests.fakes.answers import Caller, Members, Refusal

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
_DAY = 86_400.0
_PAGE = 100
_DEFAULT_KEY = "alias/aws/secretsmanager"


@dataclass(slots=True)
class Secret:
    """`versions`: the texts by VersionId, `made`: when each was; `stages`: the version that each label is on.

    Times are seconds since 1970.
    """

    arn: str
    name: str
    key: str
    tags: dict[str, str]
    versions: dict[str, str] = field(default_factory=dict)
    made: dict[str, float] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)
    policy: str | None = None
    policy_at: float = 0.0
    policy_before: str | None = None
    deleted_at: float | None = None
    gone_at: float | None = None

    def value(self, stage: str = CURRENT) -> str | None:
        return self.versions.get(self.stages.get(stage, ""))

    def move(self, stage: str, version: str) -> None:
        """Where AWSCURRENT was is AWSPREVIOUS afterwards."""
        known = self.stages.get(CURRENT)
        if stage == CURRENT and known is not None and known != version:
            self.stages[PREVIOUS] = known
        self.stages[stage] = version


Place = tuple[str, str]
"""Account and Region."""


class SecretsManager:
    """Every account's secrets. `keys`: the aliases of KMS keys that exist, by account."""

    def __init__(
        self, clock: Callable[[], float], rng: Random, *, policy_seconds: float = 0.0, name_seconds: float = 0.0
    ) -> None:
        self._clock = clock
        self._rng = rng
        self.policy_seconds = policy_seconds
        self.name_seconds = name_seconds
        self.keys: defaultdict[str, set[str]] = defaultdict(set)
        self.secrets: defaultdict[Place, dict[str, Secret]] = defaultdict(dict)
        self._names: dict[str, str] = {}

    def create_secret(self, given: Members, caller: Caller) -> Members:
        place, name, token = (caller.account, caller.region), given["Name"], self._token(given)
        self._check_key(given, caller)
        known = self._alive(place, name)
        if known is not None:
            if known.deleted_at is not None:
                raise _scheduled("create this secret because a secret with this name is already scheduled for deletion")
            if known.versions.get(token) != given["SecretString"]:
                raise Refusal("ResourceExistsException", f"The operation failed because the secret {name} already exists.")
            return {"ARN": known.arn, "Name": name, "VersionId": token}
        suffix = "".join(self._rng.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=6))
        arn = f"arn:aws:secretsmanager:{caller.region}:{caller.account}:secret:{name}-{suffix}"
        made = Secret(arn, name, given.get("KmsKeyId", _DEFAULT_KEY), _tags(given))
        made.versions[token], made.made[token] = given["SecretString"], self._clock()
        made.stages[CURRENT] = token
        self.secrets[place][name] = made
        self._names[arn] = name
        return {"ARN": arn, "Name": name, "VersionId": token}

    def describe_secret(self, given: Members, caller: Caller) -> Members:
        secret = self._found(given, caller, "DescribeSecret")
        labels: defaultdict[str, list[str]] = defaultdict(list)
        for stage, version in secret.stages.items():
            labels[version].append(stage)
        return _described(secret) | {"VersionIdsToStages": dict(labels)}

    def list_secrets(self, given: Members, caller: Caller) -> Members:
        """In order of creation; the token is a place in it. Filters by name's beginning, by a tag's key or value."""
        start, most = int(given.get("NextToken", "0")), given.get("MaxResults", _PAGE)
        found: list[Members] = []
        for at, secret in enumerate(islice(list(self.secrets[caller.account, caller.region].values()), start, None), start):
            gone = secret.deleted_at is not None and not given.get("IncludePlannedDeletion")
            if gone or not secret.versions or not all(_fits(secret, one) for one in given.get("Filters", ())):
                continue
            if len(found) == most:
                return {"SecretList": found, "NextToken": str(at)}
            found.append(_described(secret))
        return {"SecretList": found}

    def get_secret_value(self, given: Members, caller: Caller) -> Members:
        secret = self._usable(given, caller, "GetSecretValue")
        stage = given.get("VersionStage", CURRENT)
        version = given.get("VersionId") or secret.stages.get(stage)
        value = secret.versions.get(version or "")
        if version is None or value is None:
            raise Refusal(
                "ResourceNotFoundException", f"Secrets Manager can't find the specified secret value for staging label: {stage}"
            )
        labels = [stage for stage, at in secret.stages.items() if at == version]
        return {
            "ARN": secret.arn,
            "Name": secret.name,
            "VersionId": version,
            "SecretString": value,
            "VersionStages": labels,
            "CreatedDate": datetime.fromtimestamp(secret.made[version], UTC),
        }

    def put_secret_value(self, given: Members, caller: Caller) -> Members:
        secret, token = self._usable(given, caller, "PutSecretValue"), self._token(given)
        text = given["SecretString"]
        if secret.versions.get(token, text) != text:
            raise Refusal("ResourceExistsException", "The version exists already, with another value")
        stages = given.get("VersionStages", [CURRENT])
        # "If a version with this ID already exists and the contents are the same, the operation doesn't modify it."
        if token not in secret.versions:
            secret.versions[token], secret.made[token] = text, self._clock()
            for stage in stages if CURRENT in secret.stages else [*stages, CURRENT]:
                secret.move(stage, token)
            self._prune(secret)
        return {"ARN": secret.arn, "Name": secret.name, "VersionId": token, "VersionStages": stages}

    def update_secret_version_stage(self, given: Members, caller: Caller) -> Members:
        secret = self._usable(given, caller, "UpdateSecretVersionStage")
        stage, to, off = given["VersionStage"], given.get("MoveToVersionId"), given.get("RemoveFromVersionId")
        at = secret.stages.get(stage)
        for version in (to, off):
            if version is not None and version not in secret.versions:
                raise Refusal("ResourceNotFoundException", f"Secrets Manager can't find the version {version}.")
        # "If the label is attached and you either do not specify this parameter, or the version ID does not match, then the
        # operation fails" (RemoveFromVersionId).
        if (off is not None and at != off) or (to is not None and off is None and at not in (None, to)):
            raise Refusal("InvalidParameterException", f"The staging label {stage} is not attached to version {off}.")
        if to is not None:
            secret.move(stage, to)
        elif off is not None:
            if stage == CURRENT:
                raise Refusal("InvalidParameterException", "You can only move staging label AWSCURRENT to a different version.")
            del secret.stages[stage]
        self._prune(secret)
        return {"ARN": secret.arn, "Name": secret.name}

    def put_resource_policy(self, given: Members, caller: Caller) -> Members:
        secret = self._usable(given, caller, "PutResourcePolicy")
        if given.get("BlockPublicPolicy") and parsed("share", given["ResourcePolicy"]).public:
            raise Refusal("PublicPolicyException", "You can't attach a policy that allows broad access to the secret.")
        self._set_policy(secret, given["ResourcePolicy"])
        return {"ARN": secret.arn, "Name": secret.name}

    def get_resource_policy(self, given: Members, caller: Caller) -> Members:
        secret = self._usable(given, caller, "GetResourcePolicy")
        told = {"ARN": secret.arn, "Name": secret.name}
        return told | ({"ResourcePolicy": secret.policy} if secret.policy else {})

    def delete_resource_policy(self, given: Members, caller: Caller) -> Members:
        secret = self._usable(given, caller, "DeleteResourcePolicy")
        self._set_policy(secret, None)
        return {"ARN": secret.arn, "Name": secret.name}

    def delete_secret(self, given: Members, caller: Caller) -> Members:
        forever = given.get("ForceDeleteWithoutRecovery", False)
        try:
            secret = self._found(given, caller, "DeleteSecret")
        except Refusal as refusal:
            # Forced, there is no error for one that is not there (DeleteSecret, ForceDeleteWithoutRecovery).
            if not forever or refusal.code != "ResourceNotFoundException":
                raise
            return {"Name": given["SecretId"], "DeletionDate": datetime.fromtimestamp(self._clock(), UTC)}
        if secret.deleted_at is not None and not forever:
            raise _scheduled("perform the operation on a secret that's currently marked deleted")
        now = self._clock()
        secret.deleted_at = now
        secret.gone_at = now + (self.name_seconds if forever else given.get("RecoveryWindowInDays", 30) * _DAY)
        if forever:
            self._names.pop(secret.arn, None)
            secret.versions.clear()
            if not self.name_seconds:
                del self.secrets[_place(secret.arn)][secret.name]
        return {"ARN": secret.arn, "Name": secret.name, "DeletionDate": datetime.fromtimestamp(secret.gone_at, UTC)}

    def restore_secret(self, given: Members, caller: Caller) -> Members:
        secret = self._found(given, caller, "RestoreSecret")
        secret.deleted_at = secret.gone_at = None
        return {"ARN": secret.arn, "Name": secret.name}

    def tag_resource(self, given: Members, caller: Caller) -> Members:
        self._usable(given, caller, "TagResource").tags.update(_tags(given))
        return {}

    def readable(self, secret: Secret, caller: Caller) -> bool:
        """Whether this caller, of any account, reads the value by now."""
        try:
            self.get_secret_value({"SecretId": secret.arn}, caller)
        except Refusal:
            return False
        return True

    def _token(self, given: Members) -> str:
        """The client makes one where the caller does not: it becomes the VersionId."""
        token: str = given.get("ClientRequestToken") or f"{self._rng.getrandbits(128):032x}"
        if not 32 <= len(token) <= 64:
            raise Refusal("InvalidParameterException", "ClientRequestToken must be 32-64 characters long.")
        return token

    def _check_key(self, given: Members, caller: Caller) -> None:
        key = given.get("KmsKeyId", "")
        if key and not key.startswith("alias/aws/") and key not in self.keys[caller.account]:
            raise Refusal("EncryptionFailure", f"Secrets Manager can't encrypt the secret value: Alias {key} is not found.")

    def _prune(self, secret: Secret) -> None:
        """A version without a label is deprecated, and AWS may delete it: here at once, so that nobody relies on one."""
        for version in secret.versions.keys() - set(secret.stages.values()):
            del secret.versions[version], secret.made[version]

    def _set_policy(self, secret: Secret, document: str | None) -> None:
        secret.policy_before, secret.policy, secret.policy_at = secret.policy, document, self._clock() + self.policy_seconds

    def _alive(self, place: Place, name: str) -> Secret | None:
        known = self.secrets[place].get(name)
        if known is not None and known.gone_at is not None and known.gone_at <= self._clock():
            del self.secrets[place][name]
            self._names.pop(known.arn, None)
            return None
        return known

    def _found(self, given: Members, caller: Caller, operation: str) -> Secret:
        identifier: str = given["SecretId"]
        by_arn = identifier.startswith("arn:")
        place = _place(identifier) if by_arn else (caller.account, caller.region)
        name = self._names.get(identifier, "") if by_arn else identifier
        secret = self._alive(place, name)
        if place[0] != caller.account:
            self._admit(secret, identifier, caller, operation)
        # A secret that was deleted for ever only holds its name.
        if secret is None or not secret.versions or (by_arn and secret.arn != identifier):
            raise Refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return secret

    def _usable(self, given: Members, caller: Caller, operation: str) -> Secret:
        secret = self._found(given, caller, operation)
        if secret.deleted_at is not None:
            raise _scheduled("perform this operation on the secret because it was marked for deletion")
        return secret

    def _admit(self, secret: Secret | None, identifier: str, caller: Caller, operation: str) -> None:
        action = f"secretsmanager:{operation}"
        document = None
        if secret is not None and secret.arn == identifier:
            document = secret.policy if secret.policy_at <= self._clock() else secret.policy_before
        if secret is None or not document or not policies.allows(document, action, identifier, caller):
            raise Refusal(
                "AccessDeniedException",
                f"User: {caller.arn} is not authorized to perform: {action} on resource: {identifier} "
                f"because no resource-based policy allows the {action} action",
            )
        if operation == "GetSecretValue" and secret.key == _DEFAULT_KEY:
            raise Refusal("AccessDeniedException", "Access to KMS is not allowed")


def _described(secret: Secret) -> Members:
    told: Members = {"ARN": secret.arn, "Name": secret.name}
    if secret.tags:
        told["Tags"] = [{"Key": name, "Value": value} for name, value in secret.tags.items()]
    if secret.key != _DEFAULT_KEY:
        told["KmsKeyId"] = secret.key
    if secret.deleted_at is not None:
        told["DeletedDate"] = datetime.fromtimestamp(secret.deleted_at, UTC)
    return told


def _fits(secret: Secret, asked: Members) -> bool:
    texts = {"name": [secret.name], "tag-key": secret.tags.keys(), "tag-value": secret.tags.values()}[asked["Key"]]
    return any(text.startswith(value) for text in texts for value in asked["Values"])


def _place(arn: str) -> Place:
    parts = arn.split(":")
    return parts[4], parts[3]


def _tags(given: Members) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in given.get("Tags", ())}


def _scheduled(what: str) -> Refusal:
    return Refusal("InvalidRequestException", f"You can't {what}.")
