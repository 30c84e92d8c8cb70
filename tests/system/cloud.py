"""What the tests of the whole system see of AWS: with the accounts' own credentials, from outside the worker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import boto3
from botocore.exceptions import ClientError
from pydantic import SecretStr

from dzgrant.localcloud.client import Control
from dzgrant.localcloud.places import CONSUMER, DEAD_LETTERS, GOVERNANCE, OUTCOMES, PRODUCER, QUEUE, REGION, TABLE, queue_url
from dzgrant.localcloud.process import LocalCloud
from dzgrant.model import AccountId, Credentials

T = TypeVar("T")

DEADLINE = 90.0
"""Seconds for whatever must happen; most of it takes a hundredth, on a machine that has nothing else to do."""


async def until(look: Callable[[], Awaitable[T | None]], otherwise: Callable[[], object], seconds: float = DEADLINE) -> T:
    """Looks again and again until there is something to see; `otherwise` says what was there instead."""
    deadline, pause = time.monotonic() + seconds, 0.01
    while (seen := await look()) is None:
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {otherwise()}"
        await asyncio.sleep(pause)
        pause = min(pause * 1.4, 0.2)
    return seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What a secret holds, as its reader finds it."""

    arn: str
    name: str
    tags: dict[str, str]
    host: str
    port: int
    database: str
    credentials: Credentials
    objects: dict[str, str]
    """The views that are to be read instead of tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    body: str
    reason: str


@dataclass(slots=True)
class Cloud:
    """One local cloud. Its calls take some milliseconds and are made where they stand."""

    local: LocalCloud
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _dead: list[DeadLetter] = field(default_factory=list)
    _outcomes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def control(self) -> Control:
        return self.local.control

    def client(self, service: str, account: AccountId = GOVERNANCE) -> Any:
        """As an administrator of the account."""
        if (service, account) not in self._clients:
            self._clients[service, account] = boto3.client(
                service,
                endpoint_url=self.local.endpoint,
                region_name=REGION,
                aws_access_key_id=f"AKIA{account}",
                aws_secret_access_key="local",
            )
        return self._clients[service, account]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def waiting(self) -> int:
        """Messages in the worker's queue, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = queue_url(self.local.endpoint, QUEUE)
        answer = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def purge(self) -> None:
        self.client("sqs").purge_queue(QueueUrl=queue_url(self.local.endpoint, QUEUE))

    async def settled(self, seconds: float = DEADLINE) -> None:
        """Waits until every message is dealt with: the worker deletes it when its outcome is in the ledger."""

        async def empty() -> bool | None:
            return self.waiting() == 0 or None

        await until(empty, lambda: f"{self.waiting()} messages are left", seconds)

    def dead_letters(self) -> list[DeadLetter]:
        """All that ever came to the dead-letter queue."""
        for message in self._taken(DEAD_LETTERS):
            reason = message.get("MessageAttributes", {}).get("dzgrant.reason", {}).get("StringValue", "")
            self._dead.append(DeadLetter(body=message["Body"], reason=reason))
        return self._dead

    def outcomes(self) -> list[dict[str, Any]]:
        """The events that ever came to the outcome bus."""
        self._outcomes += [json.loads(message["Body"]) for message in self._taken(OUTCOMES)]
        return self._outcomes

    def _taken(self, name: str) -> list[Any]:
        sqs, url = self.client("sqs"), queue_url(self.local.endpoint, name)
        found: list[Any] = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get(
            "Messages"
        ):
            found += messages
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def consumer_secrets(self, *environments: str) -> list[Secret]:
        """What these environments find in their own account, by DataZone's tag."""
        every = _pages(self.client("secretsmanager", CONSUMER).list_secrets, "SecretList")
        return [self._read(CONSUMER, one) for one in every if _tags(one).get("AmazonDataZoneEnvironment") in environments]

    def readable_secrets(self, environment: str) -> list[str]:
        """Every secret of the environment that anybody can still read, in both accounts."""
        found = []
        for account in (PRODUCER, CONSUMER):
            for one in self._listed(account, environment):
                try:
                    self._read(account, one)
                except ClientError:
                    continue
                found.append(f"{account} {one['Name']}")
        return found

    def shares(self, environment: str) -> list[str]:
        """The resource policies of the environment's producer secrets, those scheduled for deletion too."""
        secrets = self.client("secretsmanager", PRODUCER)
        found = []
        for one in self._listed(PRODUCER, environment):
            scheduled = "DeletedDate" in one
            if scheduled:
                secrets.restore_secret(SecretId=one["ARN"])
            if policy := secrets.get_resource_policy(SecretId=one["ARN"]).get("ResourcePolicy"):
                found.append(str(policy))
            if scheduled:
                secrets.delete_secret(SecretId=one["ARN"], RecoveryWindowInDays=7)
        return found

    def values(self, prefix: str) -> list[str]:
        """The value of every version of every secret whose name begins so, in all accounts."""
        found = []
        for account in (PRODUCER, CONSUMER):
            secrets = self.client("secretsmanager", account)
            for one in _pages(secrets.list_secrets, "SecretList", IncludePlannedDeletion=True):
                if not one["Name"].startswith(prefix):
                    continue
                scheduled = "DeletedDate" in one
                if scheduled:
                    secrets.restore_secret(SecretId=one["ARN"])
                for version in _pages(secrets.list_secret_version_ids, "Versions", SecretId=one["ARN"], IncludeDeprecated=True):
                    got = secrets.get_secret_value(SecretId=one["ARN"], VersionId=version["VersionId"])
                    found.append(str(got["SecretString"]))
                if scheduled:
                    secrets.delete_secret(SecretId=one["ARN"], RecoveryWindowInDays=7)
        return found

    def ledger(self) -> list[dict[str, Any]]:
        """Every item of the ledger, in DynamoDB's own form."""
        return list(_pages(self.client("dynamodb").scan, "Items", "ExclusiveStartKey", "LastEvaluatedKey", TableName=TABLE))

    def _listed(self, account: AccountId, environment: str) -> list[Any]:
        """Those scheduled for deletion too, with or without tags: the name holds the environment's id."""
        every = _pages(self.client("secretsmanager", account).list_secrets, "SecretList", IncludePlannedDeletion=True)
        return [one for one in every if one["Name"].startswith("dzgrant/") and environment in one["Name"]]

    def _read(self, account: AccountId, listed: Any) -> Secret:
        got = self.client("secretsmanager", account).get_secret_value(SecretId=listed["ARN"])
        value = json.loads(got["SecretString"])
        return Secret(
            arn=listed["ARN"],
            name=listed["Name"],
            tags=_tags(listed),
            host=value["host"],
            port=int(value["port"]),
            database=value["dbname"],
            credentials=Credentials(username=value["username"], password=SecretStr(value["password"])),
            objects=value.get("objects", {}),
        )


def _tags(listed: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in listed.get("Tags", [])}


def _pages(call: Any, members: str, ask: str = "NextToken", told: str = "NextToken", **wish: Any) -> list[Any]:
    answer = call(**wish)
    found = list(answer[members])
    while token := answer.get(told):
        answer = call(**wish, **{ask: token})
        found += answer[members]
    return found
