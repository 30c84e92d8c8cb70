"""Every DZGRANT_* variable, read once at the start.

AWS itself is reached through the SDK's own variables (AWS_REGION, AWS_ENDPOINT_URL, the credentials chain); nothing
here repeats them. `docs/configuration.md` lists the same fields, and a test keeps the two equal.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from dzgrant.errors import Misconfigured


def _words(value: object) -> object:
    return tuple(word for word in value.replace(",", " ").split()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
"""Several values in one variable, with commas or spaces between."""


def _recovery_days(days: int) -> int:
    # Secrets Manager's DeleteSecret: RecoveryWindowInDays is 7 to 30.
    if days != 0 and not 7 <= days <= 30:
        raise ValueError("7 to 30, or 0")
    return days


_ROLE_NAME = r"^[\w+=,.@/-]{1,128}$"
# A name may have its path before it: `team/boundary`.
_POLICY_NAME = r"^[A-Za-z0-9_+=,.@-][A-Za-z0-9_+=,.@/-]{0,511}$"


def _each(pattern: str, what: str) -> AfterValidator:
    """Every word must fit; `what`: the plural of what they are."""

    def check(words: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [word for word in words if not re.fullmatch(pattern, word)]:
            raise ValueError(f"{what}, not {wrong[0]}")
        return words

    return AfterValidator(check)


class Settings(BaseSettings):
    """The daemon's settings; immutable."""

    model_config = SettingsConfigDict(env_prefix="DZGRANT_", frozen=True, extra="ignore")

    queue_url: str = Field(pattern=r"^https?://", description="URL of the SQS queue that EventBridge fills.")
    table: str = Field(min_length=3, max_length=255, description="Name of the ledger's DynamoDB table.")
    domain_ids: Words = Field(
        default=(),
        description="DataZone domains to serve; events of others are acknowledged. Empty: every domain of this account.",
    )
    producer_role_name: str = Field(
        pattern=_ROLE_NAME, description="Role to assume in a producer account, to read Glue and keep the producer secrets."
    )
    consumer_role_name: str = Field(
        pattern=_ROLE_NAME, description="Role to assume in a consumer account, to read the shared secret and keep its copy."
    )
    accounts: Annotated[Words, _each(r"[0-9]{12}", "account ids of 12 digits")] = Field(
        default=(),
        description="The only accounts that may be producers or consumers. Unset: every one whose roles admit the worker.",
    )
    regions: Annotated[Words, _each(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}", "names of Regions")] = Field(
        default=(), description="The only Regions of producers and consumers. Unset: every one."
    )
    shared_catalogues: Annotated[
        Words, _each(r"(\*|[a-zA-Z0-9_-]{1,36})=[0-9]{12}", "texts `project=account` or `*=account`")
    ] = Field(
        default=(),
        description="`project=account`: projects that publish tables of an account in which they have no environment; "
        "`*=account`: every project may.",
    )
    external_id: SecretStr | None = Field(
        default=None, description="External id for both roles, where their trust policies ask for one."
    )
    kms_key_alias: str = Field(
        default="alias/dzgrant",
        pattern=r"^alias/[\w/-]+$",
        description="Alias, in each producer account, of the customer-managed KMS key that encrypts the producer secrets.",
    )
    consumer_kms_key_alias: str | None = Field(
        default=None,
        pattern=r"^alias/[\w/-]+$",
        description="Alias, in each consumer account, of the key for the consumer secrets. Unset: aws/secretsmanager.",
    )
    secret_recovery_days: Annotated[int, AfterValidator(_recovery_days)] = Field(
        default=7,
        description="Days for which a deleted secret can be restored, 7 to 30; 0 deletes it at once.",
    )
    environment_blueprints: Words = Field(
        default=("DefaultDataLake",),
        min_length=1,
        description="V1 domains: blueprints whose active environments get access when their project is subscribed.",
    )
    extend_environments: bool = Field(
        default=False,
        description="Extend environments when they are deployed, by the next three; put back when they are deleted.",
    )
    environment_boundary: str | None = Field(
        default=None,
        pattern=_POLICY_NAME,
        description="Managed policy, in the environment's account, that becomes the permission boundary of its user role.",
    )
    environment_policies: Annotated[Words, _each(_POLICY_NAME, "names of managed policies")] = Field(
        default=(), description="Managed policies, in the environment's account, to attach to its user role."
    )
    lake_formation_tag: str | None = Field(
        default=None,
        pattern=r"^[^=]{1,128}=[^=]{1,256}$",
        description="`key=value`: Lake Formation tag for the environment's Glue databases.",
    )
    iam_sources: Words = Field(
        default=(),
        description="Sources whose consumers log in by IAM database authentication and get no password, as patterns: "
        "`postgresql://*.rds.amazonaws.com:*/*`.",
    )
    honour_retain_permissions: bool = Field(
        default=False,
        description="Keep access when the owner revoked a subscription with `retainPermissions`. Off: a revoke always revokes.",
    )
    concurrency: int = Field(default=16, ge=1, le=256, description="Events in work at once.")
    visibility_seconds: int = Field(
        default=60, ge=2, le=43200, description="How long a received message stays hidden between heartbeats."
    )
    backoff_seconds: float = Field(
        default=5.0, gt=0, le=900, description="First delay before a message that could not succeed is tried again."
    )
    backoff_cap_seconds: float = Field(default=900.0, gt=0, le=36000, description="Longest delay between two tries.")
    drain_seconds: float = Field(default=100.0, ge=0, le=115, description="How long a SIGTERM lets work in progress finish.")
    lease_seconds: float = Field(default=60.0, le=900, description="How long one worker may hold a principal without renewing.")
    rotate_after_days: float | None = Field(
        default=None,
        gt=0,
        le=3650,
        description="Age at which a consumer's password is made anew. Unset: only when it is asked for.",
    )
    rotation_grace_hours: float = Field(
        default=24.0, ge=0, le=8760, description="How long the password before a rotation opens still; in Oracle 1 at least."
    )
    sweep_minutes: float = Field(
        default=60.0,
        ge=0,
        le=10080,
        description="Minutes from one sweep of a domain in DZGRANT_DOMAIN_IDS to the next, by one of the workers; 0: none.",
    )
    sweep: Literal["repair", "report"] = Field(
        default="repair", description="What a sweep does with what it finds; `report` changes nothing."
    )
    datazone_rate: float = Field(
        default=8.0,
        ge=1,
        le=100,
        description="Calls a second of each DataZone operation by this process; the quota is 8 per account and Region.",
    )
    event_bus: str | None = Field(default=None, description="EventBridge bus for outcome events. Unset: none are sent.")
    database_ca_bundle: FilePath | None = Field(
        default=None, description="PEM file of the authorities that sign the databases' certificates. Unset: the system's."
    )
    database_pool_size: int = Field(default=4, ge=1, le=64, description="Admin connections to one source.")
    database_connect_timeout: float = Field(default=5.0, gt=0, le=60, description="Seconds to connect to a database.")
    database_statement_timeout: float = Field(
        default=10.0, gt=0, le=60, description="Seconds for one database statement, enforced by the server."
    )
    database_lock_timeout: float = Field(
        default=5.0, gt=0, le=60, description="Seconds that a statement waits for a lock in the database."
    )
    sqlserver_driver: str = Field(
        default="auto",
        min_length=1,
        description="ODBC driver for SQL Server, its name or path; `auto`: the package's own, or one installed.",
    )
    task_protection: bool = Field(
        default=False, description="In ECS: ask for protection from scale-in while anything is in work."
    )
    http_host: str = Field(default="0.0.0.0", description="Address of the health and metrics port.")
    http_port: int = Field(
        default=8080, ge=0, le=65535, description="Port of /livez, /readyz and /metrics; 0 picks a free one."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity that is logged."
    )

    @property
    def effect_seconds(self) -> float:
        """Bound of one step of a saga: long enough for a database statement that first connects and waits for a lock."""
        return self.database_connect_timeout + self.database_lock_timeout + self.database_statement_timeout

    @property
    def rotation_grace(self) -> timedelta:
        return timedelta(hours=self.rotation_grace_hours)

    @property
    def rotate_after(self) -> timedelta | None:
        return timedelta(days=self.rotate_after_days) if self.rotate_after_days else None

    @model_validator(mode="after")
    def _grace_ends_before_the_next(self) -> Self:
        if self.rotate_after is not None and self.rotate_after <= self.rotation_grace:
            raise PydanticCustomError(
                "rotation", "DZGRANT_ROTATE_AFTER_DAYS is wrong: it must be longer than DZGRANT_ROTATION_GRACE_HOURS"
            )
        return self

    @model_validator(mode="after")
    def _lease_outlasts_an_effect(self) -> Self:
        if self.lease_seconds < 1.5 * self.effect_seconds:
            needed = 1.5 * self.effect_seconds
            raise PydanticCustomError(
                "lease",
                f"DZGRANT_LEASE_SECONDS is wrong: it must be {needed:g} at least, 1.5 times the three database timeouts",
            )
        return self


def documented() -> list[tuple[str, str, str, str]]:
    """Each variable with its type, default and meaning, in order: what docs/configuration.md must say."""
    return [
        (f"DZGRANT_{name.upper()}", _type(field.annotation), _default(field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


_TYPES = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "SecretStr": "secret text"}


def _type(annotation: object) -> str:
    if get_origin(annotation) is tuple:
        return "words"
    if "Path" in str(annotation):
        return "file"
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not type(None)]
    return " or ".join(_TYPES.get(getattr(kind, "__name__", ""), str(kind)) for kind in kinds)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if value is None or value == ():
        return "unset"
    return f"`{' '.join(value) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else value}`"


def load() -> Settings:
    """The settings from the environment. Raises `Misconfigured`: one line naming every wrong variable and what it should be."""
    try:
        return Settings()  # type: ignore[call-arg]  # the fields come from the environment
    except ValidationError as error:
        # One of a union's members is enough to name a variable.
        lines = dict.fromkeys(_line(problem["loc"][:1], problem["type"], problem["msg"]) for problem in error.errors())
        wrong = "; ".join(lines)
        raise Misconfigured(wrong, do="set it as docs/configuration.md says") from None


def _line(where: tuple[int | str, ...], kind: str, message: str) -> str:
    if not where:
        return message
    name = f"DZGRANT_{str(where[0]).upper()}"
    field = Settings.model_fields.get(str(where[0]))
    meaning = f" ({field.description})" if field and field.description else ""
    return f"{name} {'is not set' if kind == 'missing' else 'is wrong: ' + message}{meaning}"
