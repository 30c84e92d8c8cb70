"""The two secrets of a principal: the producer's, shared with one role of the consumer account, and the consumer's own copy.

Their names follow from the principal alone, so that whoever comes after a crash finds what is there. A name without a
tag of ours is somebody else's secret and is refused. Limits and error codes: Secrets Manager's service model, 2017-10-17.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from dzgrant.accounts import Accounts, AwsError, Role, classify, code
from dzgrant.errors import DzgrantError, Misconfigured, Refused, Transient
from dzgrant.model import Admin, Arn, Credentials, Principal
from dzgrant.passwords import new_password
from dzgrant.settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_secretsmanager import SecretsManagerClient
    from types_aiobotocore_secretsmanager.type_defs import TagTypeDef

MARK = "dzgrant"
"""The tag that makes a secret dzgrant's own; its value is the principal's id."""

# The engine words of Secrets Manager's rotation templates, which clients like awswrangler read.
_ENGINE_WORDS = {"postgresql": "postgres"}
_POLICY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A producer secret as it is now. `fresh`: its password is new, and no login has it yet."""

    arn: Arn
    credentials: Credentials
    fresh: bool


class Secrets:
    """Tasks share it. Raises `Transient`, `Misconfigured`, and `Refused` for a secret that is not dzgrant's."""

    def __init__(self, accounts: Accounts, settings: Settings) -> None:
        self._accounts = accounts
        self._producer_key = settings.kms_key_alias
        self._consumer_key = settings.consumer_kms_key_alias
        self._recovery_days = settings.secret_recovery_days

    async def keep_producer(self, principal: Principal, admin: Admin) -> Kept:
        """The producer secret, made where there is none. One that exists keeps its password: a login may have it."""
        producer = await self._producer(principal, admin)
        return await producer.keep(Credentials(username=principal.login, password=new_password()))

    async def renew_producer(self, principal: Principal, admin: Admin) -> Kept:
        """The producer secret with a new password."""
        producer = await self._producer(principal, admin)
        return await producer.put(Credentials(username=principal.login, password=new_password()))

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

    async def read_shared(self, principal: Principal, arn: Arn) -> Credentials:
        """Reads the producer secret as the consumer role: the proof of the share. A new policy may take a moment to count."""
        client = await self._client("consumer", principal)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Misconfigured),
            stop=stop_after_delay(_POLICY_SECONDS),
            wait=wait_exponential_jitter(initial=0.1, max=1.0),
            reraise=True,
        ):
            with attempt:
                try:
                    answer = await client.get_secret_value(SecretId=arn)
                except AwsError as error:
                    do = "let the consumer role read it, and its KMS key decrypt for the consumer account (docs/security.md)"
                    raise classify(error, f"the consumer role can't read the shared secret {arn}", do=do) from error
        found = _credentials(answer["SecretString"])
        if found is None:
            raise Transient(f"the shared secret {arn} holds no credentials")
        return found

    async def keep_consumer(self, principal: Principal, credentials: Credentials) -> Arn:
        """The consumer's copy with these credentials and DataZone's tags, made or mended."""
        consumer = await self._consumer(principal)
        kept = await consumer.keep(credentials)
        if not kept.fresh:
            if kept.credentials != credentials:
                await consumer.put(credentials)
            await consumer.tag()
        return kept.arn

    async def read_consumer(self, principal: Principal) -> Credentials | None:
        """What the consumer finds; None when there is nothing that it can use."""
        consumer = await self._consumer(principal)
        return await consumer.read()

    async def unshare(self, principal: Principal, admin: Admin) -> None:
        """Takes the policy off the producer secret. One that is gone, or about to be, is not shared."""
        producer = await self._producer(principal, admin)
        await producer.gone_or(lambda client, name: client.delete_resource_policy(SecretId=name), "unshared")

    async def delete_consumer(self, principal: Principal) -> None:
        await (await self._consumer(principal)).delete(self._recovery_days)

    async def delete_producer(self, principal: Principal, admin: Admin) -> None:
        await (await self._producer(principal, admin)).delete(self._recovery_days)

    async def _client(self, role: Role, principal: Principal) -> SecretsManagerClient:
        environment = principal.environment
        return await self._accounts.secrets(role, environment.account, environment.region)

    async def _producer(self, principal: Principal, admin: Admin) -> _Secret:
        client = await self._accounts.secrets("producer", admin.account, admin.region)
        return _Secret(client, "producer", principal, self._producer_key)

    async def _consumer(self, principal: Principal) -> _Secret:
        return _Secret(await self._client("consumer", principal), "consumer", principal, self._consumer_key)


class _Secret:
    """One secret, by its name, in the account of its client."""

    def __init__(self, client: SecretsManagerClient, side: Role, principal: Principal, key: str | None) -> None:
        self._client = client
        self._principal = principal
        self._key = key
        # A source's key is 16 hex digits: no name ends in a hyphen and six characters, which would read as an ARN's suffix.
        self.name = f"dzgrant/{side}/{principal.environment.id}/{principal.source.key}"

    async def keep(self, credentials: Credentials) -> Kept:
        """Makes the secret with these credentials, or finds what is there; one that was to be deleted comes back with them."""
        key = {"KmsKeyId": self._key} if self._key else {}
        try:
            made = await self._client.create_secret(
                Name=self.name,
                Description=f"Opens the tables that DataZone environment {self._principal.environment.id} is subscribed to.",
                SecretString=self._value(credentials),
                Tags=self._tags(),
                **key,  # type: ignore[arg-type]  # an optional keyword
            )
        except AwsError as error:
            match code(error):
                case "ResourceExistsException":
                    return await self._existing(credentials)
                case "InvalidRequestException":
                    return await self._restored(credentials)
                case _:
                    raise self._explained(error, "made") from error
        return Kept(arn=Arn(made["ARN"]), credentials=credentials, fresh=True)

    async def _existing(self, credentials: Credentials) -> Kept:
        await self._own()
        try:
            answer = await self._client.get_secret_value(SecretId=self.name)
        except AwsError as error:
            raise self._explained(error, "read") from error
        found = _credentials(answer["SecretString"])
        if found is None or found.username != self._principal.login:
            # Somebody overwrote it by hand: the login gets a new password.
            return await self.put(credentials)
        return Kept(arn=Arn(answer["ARN"]), credentials=found, fresh=False)

    async def _restored(self, credentials: Credentials) -> Kept:
        await self._own()
        try:
            await self._client.restore_secret(SecretId=self.name)
        except AwsError as error:
            raise self._explained(error, "restored") from error
        await self.tag()
        return await self.put(credentials)

    async def put(self, credentials: Credentials) -> Kept:
        try:
            answer = await self._client.put_secret_value(SecretId=self.name, SecretString=self._value(credentials))
        except AwsError as error:
            raise self._explained(error, "written") from error
        return Kept(arn=Arn(answer["ARN"]), credentials=credentials, fresh=True)

    async def tag(self) -> None:
        try:
            await self._client.tag_resource(SecretId=self.name, Tags=self._tags())
        except AwsError as error:
            raise self._explained(error, "tagged") from error

    async def read(self) -> Credentials | None:
        try:
            answer = await self._client.get_secret_value(SecretId=self.name)
        except AwsError as error:
            if code(error) in _GONE:
                return None
            raise self._explained(error, "read") from error
        found = _credentials(answer["SecretString"])
        return found if found and found.username == self._principal.login else None

    async def delete(self, recovery_days: int) -> None:
        """0 days: at once and for ever."""

        def call(client: SecretsManagerClient, name: str) -> Awaitable[object]:
            if recovery_days:
                return client.delete_secret(SecretId=name, RecoveryWindowInDays=recovery_days)
            return client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)

        await self.gone_or(call, "deleted")

    async def gone_or(self, call: Callable[[SecretsManagerClient, str], Awaitable[object]], done: str) -> None:
        """Makes the call; a secret that is gone or scheduled for deletion needs none."""
        try:
            await call(self._client, self.name)
        except AwsError as error:
            if code(error) not in _GONE:
                raise self._explained(error, done) from error

    async def _own(self) -> None:
        try:
            answer = await self._client.describe_secret(SecretId=self.name)
        except AwsError as error:
            raise self._explained(error, "described") from error
        if all(tag.get("Key") != MARK for tag in answer.get("Tags", [])):
            raise Refused(
                f"the secret {self.name} exists and has no tag {MARK}: it is not dzgrant's",
                do="delete or rename it, then retry",
            )

    def _explained(self, error: ClientError | BotoCoreError, done: str) -> DzgrantError:
        if code(error) == "InvalidRequestException":
            # A name is still taken for a while after a deletion for ever.
            return Transient(f"the secret {self.name} can't be {done} yet: {code(error)}")
        what = f"the secret {self.name} can't be {done}"
        return classify(error, what, do="give the role its rights on secret and KMS key (docs/security.md)")

    def _value(self, credentials: Credentials) -> str:
        source = self._principal.source
        return json.dumps(
            {
                "engine": _ENGINE_WORDS.get(source.engine, source.engine),
                "host": source.host,
                "port": source.port,
                "dbname": source.database,
                "db_name": source.database,
                "username": credentials.username,
                "password": credentials.password.get_secret_value(),
            }
        )

    def _tags(self) -> list[TagTypeDef]:
        environment = self._principal.environment
        tags = {
            "AmazonDataZoneDomain": environment.domain,
            "AmazonDataZoneProject": environment.project,
            "AmazonDataZoneEnvironment": environment.id,
            MARK: self._principal.id,
        }
        return [{"Key": name, "Value": value} for name, value in tags.items()]


# What a secret answers that is not there, or is scheduled for deletion.
_GONE = frozenset({"ResourceNotFoundException", "InvalidRequestException"})


def _credentials(value: str) -> Credentials | None:
    try:
        found = json.loads(value)
        return Credentials(username=str(found["username"]), password=SecretStr(str(found["password"])))
    except (ValueError, KeyError, TypeError):
        return None
