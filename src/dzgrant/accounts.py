"""AWS clients, in this account or in another through a role: one cached client per (account, role, Region, service).

Reaching AWS is the SDK's own configuration and nothing else: AWS_REGION, AWS_ENDPOINT_URL, the credentials chain.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from uuid import uuid4

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioDeferredRefreshableCredentials
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from botocore.parsers import ResponseParserError
from cachetools import LRUCache

from dzgrant import __version__
from dzgrant.errors import DzgrantError, Misconfigured, Refused, Transient
from dzgrant.model import AccountId, Arn, Region
from dzgrant.settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_datazone import DataZoneClient
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_events import EventBridgeClient
    from types_aiobotocore_glue import GlueClient
    from types_aiobotocore_iam import IAMClient
    from types_aiobotocore_lakeformation import LakeFormationClient
    from types_aiobotocore_secretsmanager import SecretsManagerClient
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sts import STSClient

Role = Literal["producer", "consumer"]
AwsFailure = ClientError | BotoCoreError | ResponseParserError
AwsError = (ClientError, BotoCoreError, ResponseParserError)
"""What an `except` must name to catch every failure of an AWS call."""

# Chained roles live for an hour at most, whatever is asked for (STS AssumeRole, "role chaining").
_ROLE_SECONDS = 3600
_MOST = 512
"""Clients of other accounts, and sessions: an organisation has more places than a small task has memory for."""
_AT_MOST_SECONDS = 600.0
"""Longer than anybody keeps such a client: each piece of work asks for it anew, and its calls are bounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    role: Role | None
    account: AccountId | None
    region: Region | None


class Accounts:
    """An async context manager; leaving it closes every client. Tasks share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._exit = AsyncExitStack()
        self._home = get_session()
        # Every other SDK, and ECS and Lambda, speak of AWS_REGION; botocore alone reads AWS_DEFAULT_REGION only.
        self._home.session_var_map["region"] = ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None)
        self._sessions: LRUCache[tuple[Role, AccountId], AioSession] = LRUCache(_MOST)
        # Those of this account are a few, and are kept by whoever has one.
        self._here: dict[str, Any] = {}
        self._clients: LRUCache[tuple[_Place, str], Any] = LRUCache(_MOST)
        self._leaving: deque[tuple[float, Any]] = deque()
        self._opening = asyncio.Lock()
        # The long poll of the queue has a client (and so a pool) of its own; see `sqs`.
        self._config = AioConfig(
            max_pool_connections=settings.concurrency * 2 + 4,
            connect_timeout=5,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 4},
            # The SDK's own is put together anew for each call, at a twelfth of the call's CPU.
            user_agent=f"dzgrant/{__version__}",
            # Requests are typed here, and AWS checks them: a second check costs a seventh of the call's CPU, and what it
            # finds would pass for a connection that fails.
            parameter_validation=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in (*self._clients.values(), *(client for _, client in self._leaving)):
            self._exit.push_async_callback(client.close)
        self._clients.clear()
        self._leaving.clear()
        self._here.clear()
        await self._exit.aclose()

    async def datazone(self) -> DataZoneClient:
        """DataZone of the domain's account, where the worker runs."""
        client: DataZoneClient = await self._client("datazone", _HOME)
        return client

    async def dynamodb(self) -> DynamoDBClient:
        client: DynamoDBClient = await self._client("dynamodb", _HOME)
        return client

    async def events(self) -> EventBridgeClient:
        client: EventBridgeClient = await self._client("events", _HOME)
        return client

    async def sqs(self) -> SQSClient:
        client: SQSClient = await self._client("sqs", _HOME)
        return client

    async def glue(self, account: AccountId, region: Region) -> GlueClient:
        """Glue of a producer account, through the producer role."""
        client: GlueClient = await self._client("glue", _Place(role="producer", account=account, region=region))
        return client

    async def iam(self, account: AccountId, region: Region) -> IAMClient:
        """IAM of a consumer account, through the consumer role. The Region only tells the partition: IAM is global."""
        client: IAMClient = await self._client("iam", _Place(role="consumer", account=account, region=region))
        return client

    async def lake_formation(self, account: AccountId, region: Region) -> LakeFormationClient:
        """Lake Formation of a consumer account, through the consumer role."""
        place = _Place(role="consumer", account=account, region=region)
        client: LakeFormationClient = await self._client("lakeformation", place)
        return client

    async def secrets(self, role: Role, account: AccountId, region: Region) -> SecretsManagerClient:
        client: SecretsManagerClient = await self._client("secretsmanager", _Place(role=role, account=account, region=region))
        return client

    def admit(self, account: AccountId, region: Region) -> None:
        """Raises `Refused` for an account or a Region that the settings leave out: a name in DataZone or Glue is a wish,
        and must not lead the worker's rights to just anywhere."""
        known = self._settings
        if known.accounts and account not in known.accounts:
            raise Refused(f"account {account} is not to be served", do="add it to DZGRANT_ACCOUNTS, or correct who names it")
        if known.regions and region not in known.regions:
            raise Refused(
                f"Region {region} of account {account} is not to be served",
                do="add it to DZGRANT_REGIONS, or correct who names it",
            )

    def role_arn(self, role: Role, account: AccountId, region: Region) -> Arn:
        """The ARN of the role that the settings name, in that account."""
        name = self._settings.producer_role_name if role == "producer" else self._settings.consumer_role_name
        return self._iam_arn(account, region, f"role/{name}")

    def policy_arn(self, name: str, account: AccountId, region: Region) -> Arn:
        """The ARN of a managed policy of that account; `name` may have its path before it."""
        return self._iam_arn(account, region, f"policy/{name}")

    def _iam_arn(self, account: AccountId, region: Region, what: str) -> Arn:
        return Arn(f"arn:{self._home.get_partition_for_region(region)}:iam::{account}:{what}")

    async def _client(self, service: str, place: _Place) -> Any:
        key = (place, service)
        if (client := self._here.get(service) if place == _HOME else self._clients.get(key)) is not None:
            return client
        async with self._opening:
            if not (place.role and place.account and place.region):
                return await self._of_here(service)
            if (client := self._clients.get(key)) is not None:
                return client
            self.admit(place.account, place.region)
            session = await self._assumed(place.role, place.account, place.region)
            while self._leaving and (self._leaving[0][0] < time.monotonic() or len(self._leaving) >= _MOST):
                await self._leaving.popleft()[1].close()
            if len(self._clients) >= _MOST:
                # Whoever has it may be in the midst of a call; where that many wait, the oldest is cut off, and tried again.
                self._leaving.append((time.monotonic() + _AT_MOST_SECONDS, self._clients.popitem()[1]))
            client = self._clients[key] = await self._opened(session, service, place.region)
            return client

    async def _of_here(self, service: str) -> Any:
        if (client := self._here.get(service)) is None:
            client = self._here[service] = await self._opened(self._home, service, None)
            self._exit.push_async_callback(client.close)
        return client

    async def _opened(self, session: AioSession, service: str, region: Region | None) -> Any:
        create: Any = session.create_client  # typed by 400 literal overloads; the callers above say the types
        try:
            return await create(service, region_name=region, config=self._config).__aenter__()
        except (NoRegionError, NoCredentialsError) as error:
            raise Misconfigured(
                f"no {service} client: {error}", do="set AWS_REGION and give the process AWS credentials"
            ) from None

    async def _assumed(self, role: Role, account: AccountId, region: Region) -> AioSession:
        key = (role, account)
        if (session := self._sessions.get(key)) is not None:
            return session
        role_arn = self.role_arn(role, account, region)
        external_id = self._settings.external_id
        sts: STSClient = await self._of_here("sts")

        # aiobotocore's own refresher works once: its second refresh awaits a spent coroutine (aiobotocore 3.10.0).
        async def refresh() -> dict[str, str]:
            extra = {"ExternalId": external_id.get_secret_value()} if external_id else {}
            try:
                answer = await sts.assume_role(
                    RoleArn=role_arn,
                    RoleSessionName=f"dzgrant-{uuid4().hex[:12]}",
                    DurationSeconds=_ROLE_SECONDS,
                    **extra,  # type: ignore[arg-type]  # an optional keyword
                )
            except AwsError as error:
                raise classify(
                    error,
                    f"the {role} role {role_arn} can't be assumed",
                    do="deploy deploy/member-account there, or let its trust policy admit the worker's role",
                ) from error
            got = answer["Credentials"]
            return {
                "access_key": got["AccessKeyId"],
                "secret_key": got["SecretAccessKey"],
                "token": got["SessionToken"],
                "expiry_time": got["Expiration"].isoformat(),
            }

        session = get_session()
        # One loader for all sessions: each would read and parse the service models again.
        session.register_component("data_loader", self._home.get_component("data_loader"))
        # No public way gives a session credentials that refresh themselves.
        session._credentials = AioDeferredRefreshableCredentials(refresh, "sts-assume-role")  # type: ignore[attr-defined]  # noqa: SLF001
        self._sessions[key] = session
        return session


_HOME = _Place(role=None, account=None, region=None)

_ACCESS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedException",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "KMSAccessDeniedException",
        "NotAuthorized",
    }
)
_PERMANENT = frozenset({"ValidationException", "ResourceNotFoundException", "EntityNotFoundException"})
_TRANSIENT_STATUS = frozenset({408, 429})
_TRANSIENT = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "OverLimit",
        "ProvisionedThroughputExceededException",
        "LimitExceededException",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceError",
        "InternalServiceException",
        "InternalFailure",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
        # A clock that is off, or a process that was paused between signing and sending.
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "ExpiredToken",
        "ExpiredTokenException",
        "TransactionInProgressException",
        "ConflictException",
        "ConcurrentModification",
        "ConcurrentModificationException",
        "EntityTemporarilyUnmodifiable",
        "OperationTimeoutException",
    }
)


def code(error: AwsFailure) -> str:
    """The error code that AWS answered, or '' where there was no answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def classify(error: AwsFailure, what: str, *, do: str | None = None) -> DzgrantError:
    """An AWS error as one of dzgrant's: by its code, never by its text. `do` says what to fix, where it is not the weather."""
    found = code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) if isinstance(error, ClientError) else 0
    line = f"{what}: {found or type(error).__name__}"
    if isinstance(error, ClientError) and (message := error.response.get("Error", {}).get("Message")):
        line += f": {message}"
    if found in _ACCESS or isinstance(error, NoCredentialsError):
        return Misconfigured(line, do=do or "give the role this right (docs/security.md)")
    if found in _TRANSIENT or status in _TRANSIENT_STATUS or status >= 500 or not isinstance(error, ClientError):
        return Transient(line)
    if do is None and found in _PERMANENT:
        return Refused(line, do="report it with this line: dzgrant does not expect this answer")
    # Unknown is not final: a revoke must not be given up for an answer that nobody foresaw.
    return Misconfigured(line, do=do or "report it with this line: dzgrant does not expect this answer")
