"""What the saga asks of a principal's secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from dzgrant.accounts import Accounts, AwsError, Role, classify
from dzgrant.errors import Misconfigured, Transient
from dzgrant.model import AccountId, Admin, Arn, Credentials, IamLogin, Principal, Region
from dzgrant.passwords import new_password
from dzgrant.secrets import policy
from dzgrant.secrets.secret import MARK, Kept, Opening, Secret, Version, Versions, opening
from dzgrant.settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_secretsmanager import SecretsManagerClient

_POLICY_SECONDS = 5.0
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedSecret:
    """A secret with dzgrant's name and tag. `principal`: whose it is, as `<environment id>/<source key>`."""

    name: str
    domain: str
    principal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A principal's secrets; None: not there, or nothing in it that opens this principal's tables."""

    producer: Kept | None
    shared: bool
    """The consumer role alone may read the producer's."""
    consumer: Kept | None


class Secrets:
    """Tasks share it. Raises `Transient`, `Misconfigured`, and `Refused` for a secret that is not dzgrant's."""

    def __init__(self, accounts: Accounts, settings: Settings) -> None:
        self._accounts = accounts
        self._producer_key = settings.kms_key_alias
        self._consumer_key = settings.consumer_kms_key_alias
        self._recovery_days = settings.secret_recovery_days
        self._iam_sources = settings.iam_sources

    async def keep_producer(
        self, principal: Principal, admin: Admin, logins: Sequence[str] = (), *, since: datetime | None = None
    ) -> Kept:
        """The producer secret, made where there is none. One that exists keeps its password: a login may have it.

        `logins`: those that it may hold, the one in use first; none: the principal's first alone. `since`: a password that
        was written before is replaced; whoever could read the secret in an earlier life may know it.
        """
        logins = logins or (principal.login,)
        producer = await self._producer(principal, admin)
        new = self._new(principal, logins[0])
        kept = await producer.keep(new, since=since)
        return kept if kept.credentials.username in logins else await producer.put(new, _NOTHING)

    async def renew_producer(self, principal: Principal, admin: Admin, login: str | None = None) -> Kept:
        """The producer secret with a new password. `login`: the one that it holds; None: the principal's first."""
        producer = await self._producer(principal, admin)
        return await producer.renew(self._new(principal, login or principal.login))

    async def versions(self, principal: Principal, admin: Admin) -> Versions | None:
        """The producer secret in the midst of a rotation; None when it holds no password."""
        return await (await self._producer(principal, admin)).versions()

    async def put_pending(self, principal: Principal, admin: Admin, login: str) -> Version:
        """Puts a new password for the login beside the one in use."""
        pending = Credentials(username=login, password=new_password())
        return await (await self._producer(principal, admin)).put_pending(pending)

    async def promote(self, principal: Principal, admin: Admin, versions: Versions) -> None:
        """The pending version becomes the one in use, and that one AWSPREVIOUS."""
        await (await self._producer(principal, admin)).promote(versions)

    async def forget_pending(self, principal: Principal, admin: Admin) -> None:
        """Takes AWSPENDING off, wherever it is: no rotation is under way."""
        await (await self._producer(principal, admin)).forget_pending()

    async def share(self, principal: Principal, admin: Admin, arn: Arn) -> None:
        """Lets exactly the consumer role of the principal's account read the producer secret."""
        environment = principal.environment
        role = self._consumer_role(principal)
        client = await self._accounts.secrets("producer", admin.account, admin.region)
        try:
            await client.put_resource_policy(SecretId=arn, ResourcePolicy=policy.shared(role), BlockPublicPolicy=True)
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
        return found if found and isinstance(found.credentials, IamLogin) is self.by_iam(principal) else None

    async def read_consumer(self, principal: Principal) -> Opening | None:
        """As `find_consumer`: what opens the tables."""
        found = await self.find_consumer(principal)
        return found.credentials if found else None

    async def read_producer(self, principal: Principal, admin: Admin) -> Opening | None:
        """What the producer keeps; None when there is nothing that can be used."""
        producer = await self._producer(principal, admin)
        found = await producer.read()
        return found.credentials if found else None

    async def look(self, principal: Principal, admin: Admin) -> Look:
        """Both secrets as they are, and whether the producer's is shared as it is to be. Changes nothing: three calls."""
        producer, consumer = await self._producer(principal, admin), await self._consumer(principal)
        shared = await producer.policy()
        return Look(
            producer=await producer.read(),
            shared=shared is not None and policy.same(shared, policy.shared(self._consumer_role(principal))),
            consumer=await consumer.read(),
        )

    async def marked(self, side: Role, account: AccountId, region: Region) -> AsyncIterator[tuple[MarkedSecret, ...]]:
        """The secrets that bear dzgrant's tag there, a page at a time; without those that are to be deleted."""
        client = await self._accounts.secrets(side, account, region)
        pages = client.get_paginator("list_secrets").paginate(Filters=[{"Key": "tag-key", "Values": [MARK]}])
        try:
            async for page in pages:
                listed = (
                    (one.get("Name", ""), {it["Key"]: it["Value"] for it in one.get("Tags", [])}) for one in page["SecretList"]
                )
                yield tuple(
                    MarkedSecret(name=name, domain=tags.get("AmazonDataZoneDomain", ""), principal=tags[MARK])
                    for name, tags in listed
                    # Not by the tag alone, which anybody may set on anything.
                    if tags.get(MARK) and name == f"dzgrant/{side}/{tags[MARK]}"
                )
        except AwsError as error:
            do = "give the role secretsmanager:ListSecrets (deploy/member-account)"
            raise classify(error, f"the secrets of {account} can't be listed", do=do) from error

    def _consumer_role(self, principal: Principal) -> Arn:
        environment = principal.environment
        return self._accounts.role_arn("consumer", environment.account, environment.region)

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

    def _new(self, principal: Principal, login: str) -> Opening:
        if self.by_iam(principal):
            return IamLogin(username=login)
        return Credentials(username=login, password=new_password())

    def by_iam(self, principal: Principal) -> bool:
        """Whether the principal's source is one whose consumers have no password."""
        return any(fnmatchcase(str(principal.source), pattern) for pattern in self._iam_sources)

    async def _producer(self, principal: Principal, admin: Admin) -> Secret:
        client = await self._accounts.secrets("producer", admin.account, admin.region)
        return Secret(client, "producer", principal, self._producer_key)

    async def _consumer(self, principal: Principal) -> Secret:
        environment = principal.environment
        client = await self._accounts.secrets("consumer", environment.account, environment.region)
        return Secret(client, "consumer", principal, self._consumer_key)


async def _shared(client: SecretsManagerClient, arn: Arn) -> Opening:
    try:
        answer = await client.get_secret_value(SecretId=arn)
    except AwsError as error:
        do = "let the consumer role read it, and its KMS key decrypt for the consumer account (docs/security.md)"
        raise classify(error, f"the consumer role can't read the shared secret {arn}", do=do) from error
    found = opening(answer.get("SecretString"))
    if found is None:
        raise Transient(f"the shared secret {arn} holds no credentials")
    return found


def _merged(known: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    return {table: view for table, view in {**known, **changes}.items() if view is not None}
