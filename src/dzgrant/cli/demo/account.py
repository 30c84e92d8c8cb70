"""An AWS account in the demo, seen with credentials of its own: what its people find in Secrets Manager."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiobotocore.session import get_session
from pydantic import SecretStr

from dzgrant.accounts import AwsError, code
from dzgrant.cli.demo.checks import Unmet
from dzgrant.localcloud import places
from dzgrant.model import AccountId, Arn, Credentials

if TYPE_CHECKING:
    from types_aiobotocore_secretsmanager import SecretsManagerClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A consumer secret's content."""

    host: str
    port: int
    database: str
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Account:
    """The secrets of one account, as a caller with these credentials sees them."""

    client: SecretsManagerClient = field(repr=False)

    async def tagged(self, environment: str) -> Arn | None:
        """The secret that carries this DataZone environment's tag, with DataZone's names for tags; None: there is none."""
        filters = [("tag-key", "AmazonDataZoneEnvironment"), ("tag-value", environment)]
        answer = await self.client.list_secrets(Filters=[{"Key": key, "Values": [value]} for key, value in filters])  # type: ignore[typeddict-item]
        match answer["SecretList"]:
            case []:
                return None
            case [secret]:
                return Arn(secret["ARN"])
            case several:
                raise Unmet(f"{len(several)} secrets are tagged with environment {environment}, not one")

    async def read(self, secret: Arn) -> Login:
        value = json.loads((await self.client.get_secret_value(SecretId=secret))["SecretString"])
        return Login(
            host=value["host"],
            port=int(value["port"]),
            database=value["dbname"],
            credentials=Credentials(username=value["username"], password=SecretStr(value["password"])),
        )

    async def refusal(self, secret: Arn) -> str | None:
        """The error code with which AWS refuses to read the secret; None: it is read."""
        try:
            await self.client.get_secret_value(SecretId=secret)
        except AwsError as error:
            return code(error)
        return None

    async def deleted(self, secret: Arn) -> bool | None:
        """True once it is scheduled for deletion or gone; None: not yet."""
        try:
            answer = await self.client.describe_secret(SecretId=secret)
        except AwsError as error:
            if code(error) != "ResourceNotFoundException":
                raise
            return True
        return "DeletedDate" in answer or None


@asynccontextmanager
async def account(endpoint: str, number: AccountId) -> AsyncIterator[Account]:
    """As an administrator of the account."""
    keys = places.credentials(number)
    async with _secrets(endpoint, keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], None) as client:
        yield Account(client)


@asynccontextmanager
async def consumer_role(endpoint: str) -> AsyncIterator[Account]:
    """As the consumer role, which the governance account may assume."""
    keys = places.credentials(places.GOVERNANCE)
    session = get_session()
    async with session.create_client(
        "sts",
        region_name=places.REGION,
        endpoint_url=endpoint,
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    ) as sts:
        arn = f"arn:aws:iam::{places.CONSUMER}:role/{places.CONSUMER_ROLE}"
        got = (await sts.assume_role(RoleArn=arn, RoleSessionName="demo"))["Credentials"]
    async with _secrets(endpoint, got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"]) as client:
        yield Account(client)


@asynccontextmanager
async def _secrets(endpoint: str, key: str, secret: str, token: str | None) -> AsyncIterator[SecretsManagerClient]:
    async with get_session().create_client(
        "secretsmanager",
        region_name=places.REGION,
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
    ) as client:
        yield client
