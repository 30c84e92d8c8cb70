"""Who hears of an outcome: the log, the metrics, the outcome bus, and DataZone where it waits for an answer.

On the bus an outcome is an event with the source `dzgrant` and the detail-type `Access Granted`, `Access Revoked`,
`Access Kept`, `Access Failed`, `Access Stuck`, `Access Resolved` (a person settled by hand what was stuck: nothing is
claimed of the login) or `Access Rotated`. Its detail has these members; what is not known is null:

    version         "1"; grows when a member goes or changes its meaning
    domain, project, environment, account, region       the consumer's, in DataZone's and AWS's ids
    subscription    its id
    engine, host, port, database, table                 what may be read, or no more; of a rotation no table
    login           the name of the login that the secrets hold
    loginOutcome    of a revoke: dropped, disabled or absent
    readable        of a grant with filters: the view to read instead of the table, `<schema>.<name>`, else null
    columns         of a grant with filters: the columns that can be read, null for all
    readableThrough of a grant: by what else the table can be read already (PUBLIC, a role), else null
    aim             what was under way: grant, revoke or rotate
    reason          of a failure: one line for a person
    seconds         how long the work took

Of an environment there is `Environment Extended`, `Environment Restored` (it has what it had before dzgrant) or
`Environment Stuck`, with these members:

    version         "1", as above
    domain, project, environment, account, region
    traits          all that dzgrant set in the environment's account: a list of
        kind        boundary, policy or tag
        of          ARN of the role; of a tag, name of the Glue database
        name        the policy's ARN, the tag's key; of a boundary ""
        before      what was there before dzgrant, null for nothing
        now         what is there in the end
    reason          why it is stuck, or what of it somebody else has changed, so that it was not put back; else null
    seconds         how long the work took

What a sweep found that was not as it should be is a `Drift Found`, with these members:

    version         "1", as above
    kind            what it is: a `DriftKind`
    repaired        whether it is as it should be now
    what            one line for a person
    reason          why it was not repaired, else null
    domain          its id
    project, environment, account, region, engine, host, port, database     of the principal, null where there is none
    subscription, table, login, secret              what it is about, as far as it is about one

Every outcome becomes an event at least once: `Reporter.outcome` and `Reporter.environment` return only when the bus has
taken it, and otherwise raise. So a caller tells the outcome before it says that the work is done, and tells it again when it
does the work again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

import structlog
from aiolimiter import AsyncLimiter

from dzgrant.accounts import Accounts, AwsError, AwsFailure, classify, code
from dzgrant.batch import Batch
from dzgrant.errors import Transient
from dzgrant.metrics import Metrics
from dzgrant.model import Change, Environment, LoginOutcome, Principal, Subscription

if TYPE_CHECKING:
    from types_aiobotocore_events.type_defs import PutEventsRequestEntryTypeDef

log = structlog.stdlib.get_logger(__name__)

SOURCE = "dzgrant"

GrantStatus = Literal["GRANT_IN_PROGRESS", "REVOKE_IN_PROGRESS", "GRANTED", "REVOKED", "GRANT_FAILED", "REVOKE_FAILED"]

_REASON_LENGTH = 1000

# DataZone does not take a report on its own ("Amazon DataZone") targets, on a grant that went, or one that is settled.
_NO_ANSWER_WANTED = frozenset(
    {"AccessDeniedException", "ValidationException", "ConflictException", "ResourceNotFoundException", "UnauthorizedException"}
)


class OutcomeKind(StrEnum):
    GRANTED = "granted"
    REVOKED = "revoked"
    KEPT = "kept"
    """The subscription ended, and another one wants the same table."""
    FAILED = "failed"
    """It never will be as it is asked."""
    STUCK = "stuck"
    """It can't be yet, and is tried again. Told once, and once more for another reason that a person must mend."""
    RESOLVED = "resolved"
    """A person settled what was stuck; nothing is claimed of the login and of what it can read."""
    ROTATED = "rotated"
    """The principal's secrets hold a new password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one table for one principal."""

    kind: OutcomeKind
    aim: Literal["grant", "revoke", "rotate"]
    """What was under way."""
    principal: Principal
    table: str | None
    """None: it is about the login, not about one table."""
    seconds: float
    login: str | None = None
    """The one that is in use; None: the principal's first."""
    subscription: str | None = None
    reason: str | None = None
    login_outcome: LoginOutcome | None = None
    readable_through: str | None = None
    """By what else the table can be read without this grant: `PUBLIC`, `role analysts`, ..."""
    readable: str | None = None
    """What is to be read instead of the table: `<schema>.<view>`; None: the table itself."""
    columns: tuple[str, ...] | None = None
    """The columns that can be read; None: all."""


class EnvironmentOutcomeKind(StrEnum):
    EXTENDED = "extended"
    RESTORED = "restored"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentOutcome:
    """What came of an environment's role and Glue databases."""

    kind: EnvironmentOutcomeKind
    environment: Environment
    seconds: float
    traits: tuple[Change, ...] = ()
    """All that dzgrant set: from what was there before to what is there in the end."""
    reason: str | None = None


class DriftKind(StrEnum):
    """Each value is a label of a metric and a word of an event: it stays."""

    NOT_GRANTED = "not_granted"
    """Approved, and not granted: an event was lost, or an environment was added while nobody looked."""
    NOT_REVOKED = "not_revoked"
    """Ended, or not wanted there any more, and not revoked."""
    NOT_ANSWERED = "not_answered"
    """DataZone waits to hear of a custom subscription target."""
    FILTERS = "filters"
    """Granted with other filters than those of the approval now."""
    UNKNOWN_SUBSCRIPTION = "unknown_subscription"
    """Granted for a subscription that DataZone does not know."""
    LOGIN = "login"
    """It is gone, disabled, or not dzgrant's."""
    PASSWORD = "password"  # noqa: S105  # a kind's name
    """The secret does not open the login."""
    PRIVILEGE_MISSING = "privilege_missing"
    PRIVILEGE_EXTRA = "privilege_extra"
    PRODUCER_SECRET = "producer_secret"  # noqa: S105  # a kind's name
    CONSUMER_SECRET = "consumer_secret"  # noqa: S105  # a kind's name
    SHARE = "share"
    """The producer secret's policy is not what lets the consumer alone read it."""
    UNFINISHED = "unfinished"
    """Work on a principal was cut off, and nobody came back to it."""
    ORPHAN_LOGIN = "orphan_login"
    ORPHAN_SECRET = "orphan_secret"  # noqa: S105  # a kind's name
    UNSEEN = "unseen"
    """It could not be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One thing that was not as it should be. Two are the same whatever the words."""

    kind: DriftKind
    domain: str
    what: str = field(compare=False)
    principal: Principal | None = None
    subscription: str | None = None
    table: str | None = None
    login: str | None = None
    secret: str | None = None
    """Its name."""


class Reporter:
    """Tasks share it. `bus` is the name or ARN of the outcome bus; None: outcomes are logged and counted only."""

    def __init__(self, accounts: Accounts, metrics: Metrics, *, bus: str | None) -> None:
        self._accounts = accounts
        self._metrics = metrics
        self._bus = bus
        self._put = Batch(self._put_all)

    async def outcome(self, outcome: Outcome) -> None:
        """Logs and counts the outcome, and sends its event.

        Raises `Transient` or `Misconfigured` when the bus does not take it.
        """
        detail = _detail(outcome)
        log.info("grant_outcome", outcome=outcome.kind, **detail)
        self._metrics.grants.labels(outcome.kind, outcome.principal.source.engine).inc()
        await self._send(f"Access {outcome.kind.capitalize()}", detail)

    async def environment(self, outcome: EnvironmentOutcome) -> None:
        """As `outcome`, of an environment."""
        detail = _environment_detail(outcome)
        tell = log.warning if outcome.kind is EnvironmentOutcomeKind.STUCK else log.info
        tell(f"environment_{outcome.kind}", **detail)
        self._metrics.environments.labels(outcome.kind).inc()
        await self._send(f"Environment {outcome.kind.capitalize()}", detail)

    async def drift(self, found: Drift, *, repaired: bool, reason: str | None = None) -> None:
        """As `outcome`, of what a sweep found. `reason`: why it was not repaired."""
        detail = _drift_detail(found, repaired=repaired, reason=reason)
        log.info("drift_found", **detail)
        self._metrics.findings.labels(found.kind, str(repaired).lower()).inc()
        await self._send("Drift Found", detail)

    def swept(self, ended: datetime) -> None:
        """Says when a whole sweep last came to its end."""
        self._metrics.last_sweep.set(ended.timestamp())

    async def _send(self, kind: str, detail: Mapping[str, object]) -> None:
        if self._bus is None:
            return
        answer = await self._put(
            {
                "EventBusName": self._bus,
                "Source": SOURCE,
                "DetailType": kind,
                "Time": datetime.now(UTC),
                "Detail": json.dumps({"version": "1", **detail}),
            }
        )
        if isinstance(answer, str):
            raise Transient(f"the outcome bus {self._bus} did not take an event: {answer}")
        if answer is not None:
            raise classify(
                answer, f"the outcome bus {self._bus} can't be written", do="set DZGRANT_EVENT_BUS, give events:PutEvents"
            ) from answer

    def nothing_wanted(self, subscription: Subscription, environments: Collection[Environment]) -> None:
        """Logs and counts an approval that gives nobody a login: no environment, or no table that is read through JDBC."""
        kind = "no_environment" if not environments else "not_relational"
        log.info(
            "nothing_wanted", why=kind, domain=subscription.domain, subscription=subscription.id, project=subscription.project
        )
        self._metrics.unserved.labels(kind).inc()

    async def _put_all(self, entries: Sequence[PutEventsRequestEntryTypeDef]) -> Sequence[AwsFailure | str | None]:
        events = await self._accounts.events()
        try:
            answer = await events.put_events(Entries=entries)
        except AwsError as error:
            return [error] * len(entries)
        return [entry.get("ErrorCode") for entry in answer["Entries"]]

    async def grant_status(
        self, domain: str, grant: str, asset: str, status: GrantStatus, failure: str | None, *, limiter: AsyncLimiter
    ) -> None:
        """Answers DataZone for one asset of a subscription grant on a custom target. `limiter` paces all calls of DataZone.

        An answer that DataZone does not want is only logged: access is what it should be all the same. Raises `Transient`
        when DataZone is not there.
        """
        datazone = await self._accounts.datazone()
        cause = {"failureCause": {"message": failure[:_REASON_LENGTH]}} if failure else {}
        try:
            async with limiter:
                await datazone.update_subscription_grant_status(
                    domainIdentifier=domain,
                    identifier=grant,
                    assetIdentifier=asset,
                    status=status,
                    **cause,  # type: ignore[arg-type]  # an optional keyword
                )
        except AwsError as error:
            if code(error) not in _NO_ANSWER_WANTED:
                raise classify(error, f"DataZone did not take the status {status} of the grant {grant}") from error
            log.warning("grant_status_refused", domain=domain, grant=grant, asset=asset, status=status, code=code(error))


def _detail(outcome: Outcome) -> dict[str, str | int | float | list[str] | None]:
    principal = outcome.principal
    environment, source = principal.environment, principal.source
    return {
        "domain": environment.domain,
        "project": environment.project,
        "environment": environment.id,
        "account": environment.account,
        "region": environment.region,
        "subscription": outcome.subscription,
        "engine": source.engine,
        "host": source.host,
        "port": source.port,
        "database": source.database,
        "table": outcome.table,
        "login": outcome.login or principal.login,
        "loginOutcome": outcome.login_outcome,
        "readable": outcome.readable,
        "columns": list(outcome.columns) if outcome.columns is not None else None,
        "readableThrough": outcome.readable_through,
        "aim": outcome.aim,
        "reason": outcome.reason[:_REASON_LENGTH] if outcome.reason else None,
        "seconds": round(outcome.seconds, 3),
    }


def _environment_detail(outcome: EnvironmentOutcome) -> dict[str, object]:
    environment = outcome.environment
    return {
        "domain": environment.domain,
        "project": environment.project,
        "environment": environment.id,
        "account": environment.account,
        "region": environment.region,
        "traits": [
            {"kind": it.trait.kind, "of": it.trait.of, "name": it.trait.name, "before": it.now, "now": it.then}
            for it in outcome.traits
        ],
        "reason": outcome.reason[:_REASON_LENGTH] if outcome.reason else None,
        "seconds": round(outcome.seconds, 3),
    }


def _drift_detail(found: Drift, *, repaired: bool, reason: str | None) -> dict[str, object]:
    principal = found.principal
    environment, source = (principal.environment, principal.source) if principal else (None, None)
    return {
        "kind": found.kind,
        "repaired": repaired,
        "what": found.what[:_REASON_LENGTH],
        "reason": reason[:_REASON_LENGTH] if reason else None,
        "domain": found.domain,
        "project": environment.project if environment else None,
        "environment": environment.id if environment else None,
        "account": environment.account if environment else None,
        "region": environment.region if environment else None,
        "engine": source.engine if source else None,
        "host": source.host if source else None,
        "port": source.port if source else None,
        "database": source.database if source else None,
        "subscription": found.subscription,
        "table": found.table,
        "login": found.login,
        "secret": found.secret,
    }
