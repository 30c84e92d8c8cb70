"""The two secrets of a principal: the producer's, shared with one role of the consumer account, and the consumer's own copy.

Their names follow from the principal alone, so that whoever comes after a crash finds what is there. A name without a
tag of ours is somebody else's secret and is refused. Limits and error codes: Secrets Manager's service model, 2017-10-17.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, Field, SecretStr, ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from dzgrant.accounts import Accounts, AwsError, AwsFailure, Role, classify, code
from dzgrant.errors import DzgrantError, Misconfigured, Refused, Transient
from dzgrant.model import Admin, Arn, Credentials, IamLogin, Principal, Region
from dzgrant.passwords import new_password
from dzgrant.settings import Settings

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
_POLICY_SECONDS = 5.0
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A producer secret as it is now. `fresh`: its password is new, and no login has it yet."""

    arn: Arn
    credentials: Opening
    fresh: bool
    objects: Mapping[str, str] = field(default_factory=dict)
    """The views that the consumer reads for tables, `<schema>.<name>` for `<schema>.<name>`; only its own copy names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A secret of the name that was looked for."""

    tags: Mapping[str, str]
    scheduled: bool
    """It is to be deleted, and nothing but restoring it is possible until then."""


class _Value(BaseModel):
    """What must be in a secret's JSON for a login; dzgrant writes more, for the consumer's tools."""

    username: str
    password: SecretStr | None = Field(default=None, min_length=1)
    authentication: Literal["iam"] | None = None
    """There is no password: the login shows a token of IAM's."""
    objects: dict[str, str] = {}


class Secrets:
    """Tasks share it. Raises `Transient`, `Misconfigured`, and `Refused` for a secret that is not dzgrant's."""

    def __init__(self, accounts: Accounts, settings: Settings) -> None:
        self._accounts = accounts
        self._producer_key = settings.kms_key_alias
        self._consumer_key = settings.consumer_kms_key_alias
        self._recovery_days = settings.secret_recovery_days
        self._iam_sources = settings.iam_sources

    async def keep_producer(self, principal: Principal, admin: Admin) -> Kept:
        """The producer secret, made where there is none. One that exists keeps its password: a login may have it."""
        producer = await self._producer(principal, admin)
        return await producer.keep(self._new(principal))

    async def renew_producer(self, principal: Principal, admin: Admin) -> Kept:
        """The producer secret with a new password."""
        producer = await self._producer(principal, admin)
        return await producer.renew(self._new(principal))

    async def share(self, principal: Principal, admin: Admin, arn: Arn) -> None:
        """Lets exactly the consumer role of the principal's account read the producer secret."""
        environment = principal.environment
        role = self._accounts.role_arn("consumer", environment.account, environment.region)
        statement = {
            "Sid": "DzgrantConsumer",
            "Effect": "Allow",
            "Principal": {"AWS": role},
            "Action": ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
            "Resource": "*",
        }
        client = await self._accounts.secrets("producer", admin.account, admin.region)
        try:
            await client.put_resource_policy(
                SecretId=arn,
                ResourcePolicy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
                BlockPublicPolicy=True,
            )
        except AwsError as error:
            do = f"deploy deploy/member-account in {environment.account}: the role {role} must exist"
            raise classify(error, f"the secret {arn} can't be shared", do=do) from error

    async def read_shared(self, principal: Principal, arn: Arn) -> Opening:
        """Reads the producer secret as the consumer role: the proof of the share. A new policy may take a moment to count."""
        # A secret lives in its own Region, which need not be the consumer's.
        client = await self._accounts.secrets("consumer", principal.environment.account, Region(arn.split(":")[3]))
        patience = AsyncRetrying(
            retry=retry_if_exception_type(Misconfigured),
            stop=stop_after_delay(_POLICY_SECONDS),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            reraise=True,
        )
        found: Opening = await patience(_shared, client, arn)
        return found

    async def keep_consumer(
        self, principal: Principal, credentials: Opening, objects: Mapping[str, str | None] = _NOTHING
    ) -> Arn:
        """The consumer's copy with these credentials and DataZone's tags, made or mended.

        `objects`: for tables, the views that are read for them from now on, or None; what it says of others stays.
        """
        consumer = await self._consumer(principal)
        kept = await consumer.keep(credentials, _merged({}, objects))
        merged = _merged(kept.objects, objects)
        if (kept.credentials, kept.objects) != (credentials, merged):
            await consumer.put(credentials, merged)
        return kept.arn

    async def point_consumer(self, principal: Principal, objects: Mapping[str, str | None]) -> None:
        """As `keep_consumer`, for the objects alone. A copy that can't be used is left for the next grant to mend."""
        consumer = await self._consumer(principal)
        kept = await consumer.read()
        if kept is not None and (merged := _merged(kept.objects, objects)) != kept.objects:
            await consumer.put(kept.credentials, merged)

    async def find_consumer(self, principal: Principal) -> Kept | None:
        """What the consumer finds; None when there is nothing that it can use, as a password where IAM is asked for now."""
        consumer = await self._consumer(principal)
        found = await consumer.read()
        return found if found and isinstance(found.credentials, IamLogin) is self._by_iam(principal) else None

    async def read_consumer(self, principal: Principal) -> Opening | None:
        """As `find_consumer`: what opens the tables."""
        found = await self.find_consumer(principal)
        return found.credentials if found else None

    async def read_producer(self, principal: Principal, admin: Admin) -> Opening | None:
        """What the producer keeps; None when there is nothing that can be used."""
        producer = await self._producer(principal, admin)
        found = await producer.read()
        return found.credentials if found else None

    async def unshare(self, principal: Principal, admin: Admin, arn: Arn | None = None) -> None:
        """Takes the policy off the producer secret. One that is gone, or about to be, is not shared.

        `arn`: as the ledger has it. Without it, here and below, a look (one more call) tells whether the secret is dzgrant's;
        another's is left alone.
        """
        producer = await self._producer(principal, admin)
        await producer.unshare(arn)

    async def delete_consumer(self, principal: Principal, arn: Arn | None = None) -> None:
        await (await self._consumer(principal)).delete(arn, self._recovery_days)

    async def delete_producer(self, principal: Principal, admin: Admin, arn: Arn | None = None) -> None:
        await (await self._producer(principal, admin)).delete(arn, self._recovery_days)

    def _new(self, principal: Principal) -> Opening:
        if self._by_iam(principal):
            return IamLogin(username=principal.login)
        return Credentials(username=principal.login, password=new_password())

    def _by_iam(self, principal: Principal) -> bool:
        return any(fnmatchcase(str(principal.source), pattern) for pattern in self._iam_sources)

    async def _producer(self, principal: Principal, admin: Admin) -> _Secret:
        client = await self._accounts.secrets("producer", admin.account, admin.region)
        return _Secret(client, "producer", principal, self._producer_key)

    async def _consumer(self, principal: Principal) -> _Secret:
        environment = principal.environment
        client = await self._accounts.secrets("consumer", environment.account, environment.region)
        return _Secret(client, "consumer", principal, self._consumer_key)


class _Secret:
    """One secret, by its name, in the account of its client."""

    def __init__(self, client: SecretsManagerClient, side: Role, principal: Principal, key: str | None) -> None:
        self._client = client
        self._principal = principal
        self._key = key
        # A source's key is 16 hex digits: no name ends in a hyphen and six characters, which would read as an ARN's suffix.
        self.name = f"dzgrant/{side}/{principal.environment.id}/{principal.source.key}"

    async def keep(self, credentials: Opening, objects: Mapping[str, str] = _NOTHING) -> Kept:
        """Makes the secret with these credentials, or finds what is there; one that was to be deleted comes back with them."""
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
            return await self._reclaimed(credentials, objects)
        return Kept(arn=Arn(made["ARN"]), credentials=credentials, fresh=True, objects=objects)

    async def _reclaimed(self, credentials: Opening, objects: Mapping[str, str]) -> Kept:
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
        if not self._tags().items() <= found.tags.items():
            await self._ask(self._client.tag_resource(SecretId=self.name, Tags=_listed(self._tags())), "tagged")
        # Who could read the secret in its earlier life must not know its password in this one.
        current = None if found.scheduled else await self.read()
        if current and isinstance(current.credentials, type(credentials)):
            return current
        return await self.put(credentials, objects)

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
        if found is None or credentials is None or credentials.username != self._principal.login:
            return None
        return Kept(arn=Arn(answer["ARN"]), credentials=credentials, fresh=False, objects=found.objects)

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
        return _Found(tags=tags, scheduled="DeletedDate" in answer)

    async def _ask(self, call: Awaitable[_Answer], done: str) -> _Answer:
        try:
            return await call
        except AwsError as error:
            raise self._explained(error, done) from error

    def _explained(self, error: AwsFailure, done: str) -> DzgrantError:
        if code(error) == "InvalidRequestException":
            # A name is still taken for a while after a deletion for ever.
            return Transient(f"the secret {self.name} can't be {done} yet: {code(error)}")
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


async def _shared(client: SecretsManagerClient, arn: Arn) -> Opening:
    try:
        answer = await client.get_secret_value(SecretId=arn)
    except AwsError as error:
        do = "let the consumer role read it, and its KMS key decrypt for the consumer account (docs/security.md)"
        raise classify(error, f"the consumer role can't read the shared secret {arn}", do=do) from error
    found = _credentials(_read(answer.get("SecretString")))
    if found is None:
        raise Transient(f"the shared secret {arn} holds no credentials")
    return found


def _listed(tags: Mapping[str, str]) -> list[TagTypeDef]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def _merged(known: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    return {table: view for table, view in {**known, **changes}.items() if view is not None}


def _read(value: str | None) -> _Value | None:
    try:
        return _Value.model_validate_json(value or "")
    except ValidationError:
        return None


def _credentials(found: _Value | None) -> Opening | None:
    if found is None:
        return None
    if found.authentication == "iam":
        return IamLogin(username=found.username)
    return Credentials(username=found.username, password=found.password) if found.password else None
