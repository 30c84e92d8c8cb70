"""One secret of a principal, by its name, in one account."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, Field, SecretStr

from dzgrant import strict_json
from dzgrant.accounts import AwsError, AwsFailure, Role, classify, code
from dzgrant.errors import DzgrantError, Refused, Transient
from dzgrant.model import Arn, Credentials, IamLogin, Principal

if TYPE_CHECKING:
    from types_aiobotocore_secretsmanager import SecretsManagerClient
    from types_aiobotocore_secretsmanager.type_defs import TagTypeDef

_Answer = TypeVar("_Answer")

Opening = Credentials | IamLogin
"""What opens a principal's tables."""

MARK = "dzgrant"
"""The tag that makes a secret dzgrant's own; its value is the principal's id."""

# The engine words of Secrets Manager's rotation templates, which clients like awswrangler read.
_ENGINE_WORDS = {"postgresql": "postgres"}
_CURRENT, _PENDING = "AWSCURRENT", "AWSPENDING"
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A producer secret as it is now. `fresh`: its password is new, and no login has it yet."""

    arn: Arn
    credentials: Opening
    fresh: bool
    objects: Mapping[str, str] = field(default_factory=dict)
    """The views that the consumer reads for tables, `<schema>.<name>` for `<schema>.<name>`; only its own copy names them."""
    since: datetime | None = None
    """When it was written; None where that was not asked."""
    intact: bool = True
    """All else in it is as dzgrant writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A secret of the name that was looked for."""

    tags: Mapping[str, str]
    scheduled: bool
    """It is to be deleted, and nothing but restoring it is possible until then."""
    pending: str | None
    """The version that a rotation made, if its label is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """`id`: VersionId."""

    id: str
    credentials: Credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """A producer secret in the midst of a rotation: what is in use (AWSCURRENT), and what is to be (AWSPENDING)."""

    current: Version
    pending: Version | None


class _Value(BaseModel):
    """What must be in a secret's JSON for a login; dzgrant writes more, for the consumer's tools."""

    username: str
    password: SecretStr | None = Field(default=None, min_length=1)
    authentication: Literal["iam"] | None = None
    """There is no password: the login shows a token of IAM's."""
    objects: dict[str, str] = {}


def secret_name(side: Role, principal: Principal) -> str:
    """What a principal's secret is called in the account of this side."""
    # A source's key is 16 hex digits: no name ends in a hyphen and six characters, which would read as an ARN's suffix.
    return f"dzgrant/{side}/{principal.environment.id}/{principal.source.key}"


class Secret:
    """One secret, by its name, in the account of its client."""

    def __init__(self, client: SecretsManagerClient, side: Role, principal: Principal, key: str | None) -> None:
        self._client = client
        self._principal = principal
        self._key = key
        self.name = secret_name(side, principal)

    async def keep(self, credentials: Opening, objects: Mapping[str, str] = _NOTHING, *, since: datetime | None = None) -> Kept:
        """Makes the secret with these credentials, or finds what is there; one that was to be deleted comes back with them.

        `since`: what was written before is of an earlier life, and is not kept.
        """
        key = {"KmsKeyId": self._key} if self._key else {}
        try:
            made = await self._client.create_secret(
                Name=self.name,
                Description=f"Opens the tables that DataZone environment {self._principal.environment.id} is subscribed to.",
                SecretString=self._value(credentials, objects),
                Tags=_listed(self._tags()),
                **key,  # type: ignore[arg-type]  # an optional keyword
            )
        except AwsError as error:
            if code(error) not in ("ResourceExistsException", "InvalidRequestException"):
                raise self._explained(error, "made") from error
            return await self._reclaimed(credentials, objects, since)
        return Kept(arn=Arn(made["ARN"]), credentials=credentials, fresh=True, objects=objects)

    async def _reclaimed(self, credentials: Opening, objects: Mapping[str, str], since: datetime | None) -> Kept:
        """What is there under the name, mended; it gets these credentials when it has none that can be used."""
        found = await self._look()
        if found is None:
            # A deletion for ever still keeps the name for a while.
            raise Transient(f"the name {self.name} is not free yet")
        if MARK not in found.tags:
            raise Refused(
                f"the secret {self.name} exists and has no tag {MARK}: it is not dzgrant's",
                do="delete or rename it, then retry",
            )
        if found.scheduled:
            await self._ask(self._client.restore_secret(SecretId=self.name), "restored")
            # Who could read the secret in its earlier life must not know a password in this one, nor the next.
            await self._unlabel(found.pending)
        if not self._tags().items() <= found.tags.items():
            await self._ask(self._client.tag_resource(SecretId=self.name, Tags=_listed(self._tags())), "tagged")
        current = None if found.scheduled else await self.read()
        if current and since and current.since and current.since < since:
            # Whoever restored it got no further.
            await self._unlabel(found.pending)
            current = None
        if current is None or not isinstance(current.credentials, type(credentials)):
            return await self.put(credentials, objects)
        if not current.intact:
            await self.put(current.credentials, current.objects)
        return current

    async def renew(self, credentials: Opening) -> Kept:
        """Gives the secret these credentials, and makes it where it was lost."""
        try:
            answer = await self._client.put_secret_value(SecretId=self.name, SecretString=self._value(credentials, _NOTHING))
        except AwsError as error:
            if code(error) in _GONE:
                return await self.keep(credentials)
            raise self._explained(error, "written") from error
        return Kept(arn=Arn(answer["ARN"]), credentials=credentials, fresh=True)

    async def put(self, credentials: Opening, objects: Mapping[str, str]) -> Kept:
        # Each put has a token of its own, by the SDK: a token made from the value would let a repair be ignored.
        answer = await self._ask(
            self._client.put_secret_value(SecretId=self.name, SecretString=self._value(credentials, objects)), "written"
        )
        return Kept(arn=Arn(answer["ARN"]), credentials=credentials, fresh=True, objects=objects)

    async def read(self) -> Kept | None:
        """The secret with its credentials; None when it is not there, or holds none for this login."""
        try:
            answer = await self._client.get_secret_value(SecretId=self.name)
        except AwsError as error:
            if code(error) in _GONE:
                return None
            raise self._explained(error, "read") from error
        found = _read(answer.get("SecretString"))
        credentials = _credentials(found)
        if found is None or credentials is None or credentials.username not in self._principal.logins:
            return None
        return Kept(
            arn=Arn(answer["ARN"]),
            credentials=credentials,
            fresh=False,
            objects=found.objects,
            since=answer["CreatedDate"],
            intact=json.loads(answer["SecretString"]) == json.loads(self._value(credentials, found.objects)),
        )

    async def policy(self) -> str | None:
        """Its resource policy; None where it has none, or is not there."""
        try:
            return (await self._client.get_resource_policy(SecretId=self.name)).get("ResourcePolicy")
        except AwsError as error:
            if code(error) in _GONE:
                return None
            raise self._explained(error, "looked at") from error

    async def versions(self) -> Versions | None:
        """None when the secret is not there, or holds no password in use."""
        current = await self._version(_CURRENT)
        if current is None:
            return None
        return Versions(current=current, pending=await self._version(_PENDING))

    async def _version(self, stage: str) -> Version | None:
        try:
            answer = await self._client.get_secret_value(SecretId=self.name, VersionStage=stage)
        except AwsError as error:
            if code(error) in _GONE:
                return None
            raise self._explained(error, "read") from error
        found = opening(answer.get("SecretString"))
        if not isinstance(found, Credentials) or found.username not in self._principal.logins:
            return None
        return Version(id=answer["VersionId"], credentials=found)

    async def put_pending(self, credentials: Credentials) -> Version:
        call = self._client.put_secret_value(
            SecretId=self.name, SecretString=self._value(credentials, _NOTHING), VersionStages=[_PENDING]
        )
        answer = await self._ask(call, "written")
        return Version(id=answer["VersionId"], credentials=credentials)

    async def promote(self, versions: Versions) -> None:
        """Makes the pending version the current one, in one step."""
        if versions.pending is None:
            raise AssertionError("what is promoted is there")
        call = self._client.update_secret_version_stage(
            SecretId=self.name,
            VersionStage=_CURRENT,
            MoveToVersionId=versions.pending.id,
            RemoveFromVersionId=versions.current.id,
        )
        await self._ask(call, "promoted")

    async def forget_pending(self) -> None:
        found = await self._look()
        if found is not None and not found.scheduled:
            await self._unlabel(found.pending)

    async def _unlabel(self, version: str | None) -> None:
        if version is not None:
            call = self._client.update_secret_version_stage(
                SecretId=self.name, VersionStage=_PENDING, RemoveFromVersionId=version
            )
            await self._ask(call, "unlabelled")

    async def unshare(self, arn: Arn | None) -> None:
        await self._unless_gone(arn, lambda secret: self._client.delete_resource_policy(SecretId=secret), "unshared")

    async def delete(self, arn: Arn | None, recovery_days: int) -> None:
        """0 days: at once and for ever."""

        def call(secret: str) -> Awaitable[object]:
            if recovery_days:
                return self._client.delete_secret(SecretId=secret, RecoveryWindowInDays=recovery_days)
            return self._client.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)

        await self._unless_gone(arn, call, "deleted")

    async def _unless_gone(self, arn: Arn | None, call: Callable[[str], Awaitable[object]], done: str) -> None:
        """Makes the call upon the secret; one that is gone or scheduled for deletion needs none."""
        if arn is None:
            found = await self._look()
            if found is None or found.scheduled or MARK not in found.tags:
                return
        try:
            await call(arn or self.name)
        except AwsError as error:
            if code(error) == "ResourceNotFoundException":
                if arn is not None:
                    # The name may have been taken again since, by a grant that did not get as far as the ledger.
                    await self._unless_gone(None, call, done)
                return
            found = await self._look() if code(error) == "InvalidRequestException" else None
            if found is None or not found.scheduled:
                raise self._explained(error, done) from error

    async def _look(self) -> _Found | None:
        try:
            answer = await self._client.describe_secret(SecretId=self.name)
        except AwsError as error:
            if code(error) == "ResourceNotFoundException":
                return None
            raise self._explained(error, "described") from error
        tags = {tag.get("Key", ""): tag.get("Value", "") for tag in answer.get("Tags", [])}
        stages = answer.get("VersionIdsToStages", {})
        pending = next((version for version, labels in stages.items() if _PENDING in labels), None)
        return _Found(tags=tags, scheduled="DeletedDate" in answer, pending=pending)

    async def _ask(self, call: Awaitable[_Answer], done: str) -> _Answer:
        try:
            return await call
        except AwsError as error:
            raise self._explained(error, done) from error

    def _explained(self, error: AwsFailure, done: str) -> DzgrantError:
        if code(error) == "InvalidRequestException":
            # A name is still taken for a while after a deletion for ever.
            return Transient(f"the secret {self.name} can't be {done} yet: {code(error)}")
        if code(error) == "InvalidParameterException":
            # A label is not where it was a moment ago: this very call was carried out, and its answer lost.
            return Transient(f"the secret {self.name} can't be {done} now: {code(error)}")
        what = f"the secret {self.name} can't be {done}"
        return classify(error, what, do="give the role its rights on secret and KMS key (docs/security.md)")

    def _value(self, credentials: Opening, objects: Mapping[str, str]) -> str:
        source = self._principal.source
        if isinstance(credentials, IamLogin):
            opens = {"authentication": "iam"}
        else:
            opens = {"password": credentials.password.get_secret_value()}
        return json.dumps(
            {
                "engine": _ENGINE_WORDS.get(source.engine, source.engine),
                "host": source.host,
                "port": source.port,
                "dbname": source.database,
                "db_name": source.database,
                "username": credentials.username,
            }
            | opens
            | ({"objects": dict(objects)} if objects else {})
        )

    def _tags(self) -> dict[str, str]:
        environment = self._principal.environment
        return {
            "AmazonDataZoneDomain": environment.domain,
            "AmazonDataZoneProject": environment.project,
            "AmazonDataZoneEnvironment": environment.id,
            MARK: self._principal.id,
        }


# What a secret answers that is not there, or is scheduled for deletion.
_GONE = frozenset({"ResourceNotFoundException", "InvalidRequestException"})


def _listed(tags: Mapping[str, str]) -> list[TagTypeDef]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def _read(value: str | None) -> _Value | None:
    try:
        return _Value.model_validate(strict_json.read(value or ""))
    except ValueError:
        return None


def opening(value: str | None) -> Opening | None:
    """What opens the tables, by a secret's text; None when that is not dzgrant's."""
    return _credentials(_read(value))


def _credentials(found: _Value | None) -> Opening | None:
    if found is None:
        return None
    if found.authentication == "iam":
        return IamLogin(username=found.username)
    return Credentials(username=found.username, password=found.password) if found.password else None
