"""The control API: what people and tests ask of the local cloud, each command one POST to `/_local/<name in kebab-case>`.

The same models read the request in the server and write it in the client, so a command is described once, here.
A command that changes DataZone's state puts the EventBridge event that AWS would send onto the worker's queue;
`"events": false` loses it, as AWS may: its delivery is best effort.
"""

from __future__ import annotations

import re
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SecretStr

from dzgrant.localcloud.places import CONSUMER, CONSUMER_PROJECT, DOMAIN, PRODUCER_PROJECT, REGION

Ended = Literal["REVOKED", "CANCELLED"]
"""How a subscription ends: by its owner or by its subscriber."""
Id = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,36}$")]
Secret = Annotated[SecretStr, PlainSerializer(lambda value: value.get_secret_value(), when_used="json")]
"""Hidden in logs and reprs; it travels in clear over the loopback."""


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Done(Message):
    """Nothing to tell."""


class Made(Message):
    id: str


class Published(Message):
    """One table in the catalogue. `table_arn` is the Glue table's."""

    listing: str
    asset: str
    table_arn: str
    connection: str
    secret_arn: str | None
    """Of the admin credentials; None where the connection holds them itself."""


class Subscribed(Message):
    subscription: str
    request: str
    grants: tuple[str, ...]
    """Of the custom targets that the project's environments had at that moment."""


A = TypeVar("A", bound=Message)


class Command(Message, Generic[A]):
    """A request whose answer is an `A`."""

    @classmethod
    def answer(cls) -> type[A]:
        generic = next(base for base in cls.__mro__ if issubclass(base, Command) and base.__pydantic_generic_metadata__["args"])
        answer: type[A] = generic.__pydantic_generic_metadata__["args"][0]
        return answer

    @classmethod
    def path(cls) -> str:
        return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()


class AddDomain(Command[Made]):
    """A domain with the projects `producer` and `consumer` and its version's managed blueprints.

    `dzd_local` (V1) is there already.
    """

    id: Annotated[str, Field(pattern=r"^dzd[-_][a-zA-Z0-9_-]{1,36}$")] | None = None
    version: Literal["V1", "V2"] = "V1"


class AddProject(Command[Made]):
    domain: str = DOMAIN
    id: Id | None = None
    name: str = "project"


class AddBlueprint(Command[Made]):
    domain: str = DOMAIN
    name: str
    provider: str = "Amazon DataZone"
    tooling: bool = False


class AddEnvironment(Command[Made]):
    """Sends `Environment Deployment Completed` when it is ACTIVE."""

    domain: str = DOMAIN
    project: Id = CONSUMER_PROJECT
    id: Id | None = None
    blueprint: str = "DefaultDataLake"
    account: str | None = CONSUMER
    region: str | None = REGION
    status: str = "ACTIVE"
    events: bool = True


class SetEnvironmentStatus(Command[Done]):
    """ACTIVE sends `Environment Deployment Completed` again, as an update does."""

    environment: Id
    status: str
    events: bool = True


class DeleteEnvironment(Command[Done]):
    """The environment is DELETING: `Environment Deletion Started`.

    With `gone` it is no more: `Environment Deletion Completed`.
    """

    environment: Id
    gone: bool = False
    events: bool = True


class Publish(Command[Published]):
    """A table of a database: its Glue database, connection and table in the producer account, and its listing.

    Without `secret` the credentials go where `credentials` says: into a new secret that Glue's SECRET_ID or
    AuthenticationConfiguration names, or into the connection itself.
    """

    domain: str = DOMAIN
    project: Id = PRODUCER_PROJECT
    engine: Literal["postgresql", "mysql", "oracle", "sqlserver"]
    host: str
    port: int
    database: str
    table: str
    """Its path below the database, as the database spells it: `public.orders`; in MySQL `orders`."""
    username: str | None = None
    password: Secret | None = None
    secret: str | None = None
    """ARN or name of a secret that is there already."""
    credentials: Literal["secret_id", "secret_arn", "inline"] = "secret_id"
    form: Literal["url", "properties"] = "url"
    """JDBC_CONNECTION_URL, or HOST, PORT and DATABASE (Glue's connection schema 2)."""
    connection: str | None = None
    """Glue connection; made when it is not there. None: one for each database."""
    url: str | None = None
    """JDBC URL in another form than the plain one."""
    location: str | None = None
    """Glue's Location in another form than `<database>.<table>`."""
    view: bool = False
    parameters: dict[str, str | None] = {}
    """Glue table parameters that differ; None leaves one out."""


class PublishProduct(Command[Made]):
    """A data product: one listing of several tables."""

    domain: str = DOMAIN
    project: Id = PRODUCER_PROJECT
    name: str = "product"
    listings: tuple[Id, ...]


class Unpublish(Command[Done]):
    """The listing is INACTIVE."""

    listing: Id


class Subscribe(Command[Made]):
    """A subscription request, by a project, or by the user or IAM role that is named instead."""

    domain: str = DOMAIN
    listing: Id
    project: Id = CONSUMER_PROJECT
    user: str | None = None
    iam_principal: str | None = None
    events: bool = True


class Approve(Command[Subscribed]):
    """Accepts a request: `Subscription Created`, and for each custom target `Subscription Grant Requested`."""

    request: Id
    filters: tuple[Id, ...] = ()
    """Row or column filters (CreateAssetFilter), that exist or did once: the subscription then carries an `assetScope`."""
    events: bool = True


class InvalidateFilter(Command[Done]):
    """A row or column filter becomes INVALID, as when its column leaves the asset's schema. AWS sends no event of a filter."""

    filter: Id
    reason: str = "a column of the filter is not in the schema of the asset"


class Revoke(Command[Done]):
    """By the owner: `Subscription Revoked`, `Subscription Grant Revoke Requested` for each grant, unless permissions stay."""

    subscription: Id
    retain_permissions: bool = False
    events: bool = True


class Cancel(Command[Done]):
    """By the subscriber."""

    subscription: Id
    events: bool = True


class AddTarget(Command[Made]):
    """A custom subscription target: DataZone asks for its grants and waits for UpdateSubscriptionGrantStatus."""

    environment: Id
    provider: str = "dzgrant"
    automatic: bool = True
    """Later approvals create its grants by themselves."""


class AddGrant(Command[Made]):
    """A grant of an approved subscription on a target: `Subscription Grant Requested`."""

    subscription: Id
    target: Id
    events: bool = True


class DeleteGrant(Command[Done]):
    """`Subscription Grant Revoke Requested`."""

    grant: Id
    events: bool = True


class Repeat(Command[Done]):
    """Sends the latest event of this subscription, grant or environment once more, with its old content: a late duplicate."""

    id: Id


class Latency(Command[Done]):
    """Every AWS call waits so long before it is carried out."""

    milliseconds: float = Field(ge=0, le=60_000)


class Match(Message):
    """Which calls; None: any. `agent` is a part of the User-Agent: the worker's holds `dzgrant`."""

    services: tuple[str, ...] | None = None
    operations: tuple[str, ...] | None = None
    agent: str | None = None


class Kill(Command[Done]):
    """A signal for a process at its n-th matching call from now. After SIGKILL that call gets no answer."""

    signal: Literal["SIGKILL", "SIGTERM"] = "SIGKILL"
    pid: int = Field(gt=1)
    call: int = Field(ge=1)
    when: Literal["before", "after"]
    """Before the call is carried out, or after it is."""
    match: Match = Match()


class Fail(Command[Done]):
    """The next matching calls are answered with this error and not carried out."""

    times: int = Field(default=1, ge=1)
    status: int = Field(default=500, ge=400, le=599)
    code: str = "InternalServerException"
    match: Match = Match()


_Rate = Annotated[float, Field(ge=0, le=1)]


class Disturb(Command[Done]):
    """From now on matching calls go wrong by chance, each of these so often: of 1. Another one takes the place of the last."""

    seed: int = 0
    throttled: _Rate = 0.0
    failed: _Rate = 0.0
    """Answered with 500 and not carried out."""
    lost: _Rate = 0.0
    """Carried out, and the connection closed without an answer."""
    late: _Rate = 0.0
    seconds: float = Field(default=1.0, ge=0, le=120)
    """How late."""
    match: Match = Match()


class Disturbed(Message):
    """By service and what went wrong: how many calls."""

    calls: dict[str, dict[str, int]]


class Disturbances(Command[Disturbed]):
    """How many calls went wrong by chance since the start."""


class Heal(Command[Done]):
    """Takes away latency, kills, failures and disturbances."""


class Call(Message):
    """One AWS call that arrived, in order of arrival. `status` is None while it is under way, or when it was never answered."""

    time: float
    """Seconds since the epoch."""
    service: str
    operation: str
    account: str
    caller: str
    """ARN of the assumed role, or of the account's root."""
    agent: str
    status: int | None
    seconds: float | None
    """From its arrival to its answer, injected latency included; None where `status` is."""


class Used(Message):
    """A statement that allowed an action, with the first resource that it was used for."""

    policy: str
    """`<role>/<policy>`, `trust of <role>`, a queue's name, `share` (a secret's) or `key`."""
    statement: str
    action: str
    resource: str


class Rights(Message):
    """What sessions of roles were allowed, each statement and action once, and what they were refused, one line each."""

    used: tuple[Used, ...]
    refused: tuple[str, ...]


class Calls(Message):
    calls: tuple[Call, ...]
