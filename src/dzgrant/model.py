"""The words of dzgrant as frozen types; this module imports nothing of dzgrant.

Ids are DataZone's own strings: `[a-zA-Z0-9_-]{1,36}`, so they may hold `-` and `_` and begin with a digit
(botocore's service model, datazone/2018-05-10). They never go into SQL as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Literal, NewType

from pydantic import SecretStr

AccountId = NewType("AccountId", str)
Region = NewType("Region", str)
Arn = NewType("Arn", str)


def _digest(*parts: str, length: int) -> str:
    return sha256("\x1f".join(parts).encode()).hexdigest()[:length]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One database. `engine` is an entry point's name (`postgresql`, `mysql`, ...); `host` is in lower case.

    Two Glue connections that lead to the same database make equal sources.
    """

    engine: str
    host: str
    port: int
    database: str

    @property
    def key(self) -> str:
        """16 hex digits that name this source in the ledger and in secrets."""
        return _digest(self.engine, self.host, str(self.port), self.database, length=16)

    def __str__(self) -> str:
        return f"{self.engine}://{self.host}:{self.port}/{self.database}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A DataZone environment and the account and Region it lives in: the consumer's place."""

    domain: str
    project: str
    id: str
    account: AccountId
    region: Region


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The login of one environment on one source."""

    environment: Environment
    source: Source

    @property
    def id(self) -> str:
        """`<environment id>/<source key>`: how people and the ledger name this principal."""
        return f"{self.environment.id}/{self.source.key}"

    @property
    def login(self) -> str:
        """The login's name: 23 characters `[a-z0-9_]`, a hash, since ids are longer than some engines allow
        (MySQL 32 characters, Oracle 30 bytes before 12.2) and truncation would make two one."""
        environment = self.environment
        return "dz_" + _digest(environment.domain, environment.id, self.source.key, length=20)

    @property
    def logins(self) -> tuple[str, str]:
        """The two names that rotation goes back and forth between, where an engine has no two passwords for one login."""
        return self.login, self.login + ALTERNATE


ALTERNATE = "_2"
"""Ends the name of a principal's second login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePath:
    """A table as the catalogue spells it, below the source's database: `public.orders`, or `orders` in MySQL.

    It is one string, since names may hold dots; only the engine's own catalogue can tell where the schema ends.
    """

    name: str

    @property
    def key(self) -> str:
        """Equal for spellings that differ in case only: an engine refuses a path that fits two of its tables."""
        return self.name.casefold()

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Table:
    """A table as the engine spells it, unquoted. In MySQL the schema is the database."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


class Operator(StrEnum):
    """How a row filter compares (botocore's service model, datazone/2018-05-10, RowFilterExpression)."""

    EQUAL_TO = "equalTo"
    NOT_EQUAL_TO = "notEqualTo"
    GREATER_THAN = "greaterThan"
    LESS_THAN = "lessThan"
    GREATER_THAN_OR_EQUAL_TO = "greaterThanOrEqualTo"
    LESS_THAN_OR_EQUAL_TO = "lessThanOrEqualTo"
    IS_NULL = "isNull"
    IS_NOT_NULL = "isNotNull"
    IN = "in"
    NOT_IN = "notIn"
    LIKE = "like"
    NOT_LIKE = "notLike"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One column against values: none for IS_NULL and IS_NOT_NULL, several for IN and NOT_IN, else one."""

    column: str
    operator: Operator
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOf:
    parts: tuple[RowFilter, ...]
    clause: Literal["and"] = "and"
    """The API's own word: it tells the two apart where they are written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    parts: tuple[RowFilter, ...]
    clause: Literal["or"] = "or"


RowFilter = Comparison | AllOf | AnyOf
"""A row filter as DataZone's API structures it. Column names and values are its text, not SQL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What of a table one approval lets be read: DataZone's `assetScope`. Several approvals add up, cell by cell."""

    columns: frozenset[str] | None = None
    """As the catalogue spells them; None: all."""
    rows: RowFilter | None = None
    """None: all."""


WHOLE = frozenset({Scope()})
"""The scopes of a table that is approved without a filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    username: str
    password: SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class IamLogin:
    """A consumer's login without a password: it shows a token that its own account makes (IAM database authentication)."""

    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """Where the source's admin credentials are, in the producer account: a secret, or else inside the Glue connection.

    Kept in the ledger, so that a revoke needs neither DataZone nor the Glue table.
    """

    account: AccountId
    region: Region
    connection: str
    secret: str | None
    """ARN or name of the secret (Glue's SECRET_ID allows both); None: the properties of the connection hold them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One desired grant: this subscription wants this principal to read this table."""

    principal: Principal
    path: TablePath
    subscription: str
    listing: str
    asset: str
    admin: Admin
    scope: Scope = Scope()


PATIENCE = timedelta(minutes=15)
"""How long a grant or a revoke may wait for what time alone should heal before people hear of it."""


class PrincipalState(StrEnum):
    PENDING = "PENDING"
    """Intended: a login or a secret may exist already."""
    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"
    """The login could not be dropped (it owns objects, say) and is locked instead."""
    REMOVED = "REMOVED"
    """Nothing is left of it; the item stays, since it holds the fence."""


class GrantState(StrEnum):
    GRANTING = "GRANTING"
    STUCK_GRANT = "STUCK_GRANT"
    """GRANTING, and people have to hear of it: one of them must act, or it has waited for `PATIENCE`. It is tried again all
    the same."""
    GRANTED = "GRANTED"
    REVOKING = "REVOKING"
    STUCK_REVOKE = "STUCK_REVOKE"
    """As STUCK_GRANT: the access that should end may be there still."""
    REVOKED = "REVOKED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spare:
    """A second way in for a principal, beside the one that its secrets hold."""

    login: str
    """Equal to the login in use: a second password of that one."""
    until: datetime | None
    """When it is taken away (UTC); None: a rotation is making it now, and the secrets will hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalRecord:
    """What the ledger knows of a principal. Times are UTC."""

    principal: Principal
    admin: Admin
    state: PrincipalState
    producer_secret: Arn | None
    consumer_secret: Arn | None
    fence: int
    updated_at: datetime
    login: str
    """The one in use: of `Principal.logins`."""
    password_at: datetime | None = None
    """When its password was made; None: it is not known."""
    spare: Spare | None = None
    removed_at: datetime | None = None
    """When it was last removed, or disabled, and its secrets were deleted; None: never."""

    @property
    def logins(self) -> tuple[str, ...]:
        """Every login that may exist, the one in use first."""
        return tuple(dict.fromkeys((self.login, self.spare.login))) if self.spare else (self.login,)

    @property
    def openable(self) -> tuple[str, ...]:
        """The logins that its secrets may hold: not the one that is soon to go."""
        return self.logins if self.spare and self.spare.until is None else (self.login,)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRecord:
    """What the ledger knows of one table for one principal. `since`: when it came into `state` (UTC); of one that is stuck,
    when it came into what it is stuck in. `updated_at`: when it was last tried."""

    principal: Principal
    path: TablePath
    table: Table | None
    """The exact name, once the engine has resolved it."""
    subscriptions: frozenset[str]
    """The approved subscriptions that want it; empty: it is to be revoked."""
    state: GrantState
    reason: str | None
    since: datetime
    updated_at: datetime
    scopes: Mapping[str, Scope] = field(default_factory=dict)
    """What those of the subscriptions that are filtered let be read."""
    readable: Table | None = None
    """The view of dzgrant's that is read for the table; None: the table itself."""
    columns: tuple[str, ...] | None = None
    """The columns that can be read, as the engine spells them; None: all."""
    given_up: bool = False
    """FAILED, because a person said so: nobody hears any more that it can't be."""
    intents: int = 0
    """How often it was intended to change it: the last time is that of who reads this under the lease."""
    leaving: frozenset[str] = frozenset()
    """The subscriptions that no longer want it, as long as their end is not recorded."""
    settled: bool = False
    """The intent before the last one came to its end, with what is allowed now: nothing that was more is open any longer."""

    @property
    def stuck(self) -> bool:
        return self.state in (GrantState.STUCK_GRANT, GrantState.STUCK_REVOKE)

    @property
    def allowed(self) -> frozenset[Scope]:
        """What all the subscriptions together let be read."""
        whole = not self.subscriptions <= self.scopes.keys()
        return WHOLE if whole else frozenset(self.scopes[by] for by in self.subscriptions)


class LoginOutcome(StrEnum):
    """What became of a login that was to go."""

    DROPPED = "dropped"
    DISABLED = "disabled"
    ABSENT = "absent"


class SubscriptionStatus(StrEnum):
    """GetSubscription's `status` (botocore's service model)."""

    APPROVED = "APPROVED"
    REVOKED = "REVOKED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetScope:
    """The asset filters that bound an approval (botocore's service model, AssetScope). `error`: why they can't, if so."""

    asset: str
    filters: tuple[str, ...]
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One Glue table of a listing. `account` and `region` are the Glue catalogue's: the producer's."""

    id: str
    listing: str
    account: AccountId
    region: Region
    database: str
    table: str
    scope: AssetScope | None
    """What bounds the approval; None: all of the table may be read."""
    catalog: str | None = None
    """Glue's CatalogId, `<account>:<catalogue>`, where it is a federated catalogue; None: the account's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription as DataZone states it now."""

    domain: str
    id: str
    status: SubscriptionStatus
    project: str
    owner: str
    """The project that owns the listing, and so approved it."""
    retain_permissions: bool
    assets: tuple[Asset, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """What DataZone made for an environment in its account, as far as it is dzgrant's to extend."""

    role: Arn | None = None
    """Its user role."""
    databases: tuple[str, ...] = ()
    """Names of its Glue databases."""


class TraitKind(StrEnum):
    BOUNDARY = "boundary"
    POLICY = "policy"
    TAG = "tag"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Trait:
    """One thing in an environment's account that has one value, or none.

    The permission boundary of a role, and a policy that is attached to it, have the policy's ARN for a value.
    """

    kind: TraitKind
    of: str
    """The role's ARN; of a Lake Formation tag, the Glue database's name."""
    name: str = ""
    """The policy's ARN, the tag's key; of a boundary nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What dzgrant has to know of a trait to put it back."""

    trait: Trait
    before: str | None
    """What was there before dzgrant's own value; None: nothing."""
    ours: frozenset[str]
    """Every value that dzgrant gave it, or was about to; empty: it was there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One trait from one value to another; None: nothing."""

    trait: Trait
    now: str | None
    then: str | None


class ExtensionState(StrEnum):
    EXTENDING = "EXTENDING"
    EXTENDED = "EXTENDED"
    RESTORING = "RESTORING"
    RESTORED = "RESTORED"
    """All is as it was; the item stays, in case that another worker was slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionRecord:
    """What the ledger knows of an environment that dzgrant extended. `revision` grows with each write; 0: none yet."""

    environment: Environment
    state: ExtensionState
    touched: tuple[Touched, ...]
    revision: int = 0
