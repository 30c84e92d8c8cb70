"""What `grants` and `explain` answer with --json. An interface: members may be added, none changes its meaning."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict

from dzgrant.intake.letters import Letter
from dzgrant.ledger import HistoryRecord, Refusal
from dzgrant.model import GrantRecord, GrantState, Principal, PrincipalRecord, PrincipalState, Scope, SubscriptionStatus
from dzgrant.saga.difference import PrincipalView
from dzgrant.saga.explain import Explanation
from dzgrant.saga.stuck import Stuck


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Place(_Answer):
    """Whose login it is, and on which database. `principal` is `<environment>/<source key>`; `login` its first login's name."""

    principal: str
    login: str
    domain: str
    project: str
    environment: str
    account: str
    region: str
    source: str

    @classmethod
    def of(cls, principal: Principal) -> Self:
        environment = principal.environment
        return cls(
            principal=principal.id,
            login=principal.login,
            domain=environment.domain,
            project=environment.project,
            environment=environment.id,
            account=environment.account,
            region=environment.region,
            source=str(principal.source),
        )


class Filtered(_Answer):
    """What one filtered approval lets be read: `columns` as the catalogue spells them, null for all; `rows`: only some."""

    subscription: str
    columns: tuple[str, ...] | None
    rows: bool

    @classmethod
    def of(cls, subscription: str, scope: Scope) -> Self:
        columns = tuple(sorted(scope.columns)) if scope.columns is not None else None
        return cls(subscription=subscription, columns=columns, rows=scope.rows is not None)


class Grant(_Answer):
    """One table. `since`: when it came into its state; `subscriptions`: the approvals that want it.

    `object`: the view that is read instead, `columns`: those that can be read; both null where all of the table is.
    """

    place: Place
    table: str
    state: GrantState
    since: datetime
    subscriptions: tuple[str, ...]
    reason: str | None
    object: str | None
    columns: tuple[str, ...] | None
    filters: tuple[Filtered, ...]

    @classmethod
    def of(cls, record: GrantRecord) -> Self:
        return cls(
            place=Place.of(record.principal),
            table=str(record.table or record.path),
            state=record.state,
            since=record.since,
            subscriptions=tuple(sorted(record.subscriptions)),
            reason=record.reason,
            object=str(record.readable) if record.readable else None,
            columns=record.columns,
            filters=tuple(Filtered.of(by, scope) for by, scope in sorted(record.scopes.items())),
        )


class StuckGrant(_Answer):
    """One table that can't go on. `state` may be GRANTING or REVOKING, where it waited for long and never said why.

    `subscriptions`: those that want it, or that wanted it until they ended. `tried`: last; `next_try`: when its message comes
    back at the latest; where that has passed, the message may be lost, and the next reconcile tries it.
    """

    place: Place
    table: str
    subscriptions: tuple[str, ...]
    state: GrantState
    reason: str | None
    since: datetime
    tried: datetime
    next_try: datetime

    @classmethod
    def of(cls, stuck: Stuck, longest_pause: timedelta) -> Self:
        record = stuck.record
        return cls(
            place=Place.of(record.principal),
            table=str(record.table or record.path),
            subscriptions=tuple(sorted(stuck.subscriptions)),
            state=record.state,
            reason=record.reason,
            since=record.since,
            tried=record.updated_at,
            next_try=record.updated_at + longest_pause,
        )


class StuckSubscription(_Answer):
    """One that never came to a login, since a person must act first. Members as in `StuckGrant`."""

    subscription: str
    domain: str
    project: str | None
    state: GrantState
    reason: str
    since: datetime
    tried: datetime
    next_try: datetime

    @classmethod
    def of(cls, refusal: Refusal, longest_pause: timedelta) -> Self:
        return cls(
            subscription=refusal.subscription,
            domain=refusal.domain,
            project=refusal.project,
            state=refusal.state,
            reason=refusal.reason,
            since=refusal.since,
            tried=refusal.updated_at,
            next_try=refusal.updated_at + longest_pause,
        )


class DeadLetter(_Answer):
    """`id`: in the dead-letter queue; `kind`, `domain` and `subject` are null where it is no event. `since`: it lies there."""

    id: str
    since: datetime
    kind: str | None
    domain: str | None
    subject: str | None
    reason: str
    body: str

    @classmethod
    def of(cls, letter: Letter, body: str) -> Self:
        return cls(
            id=letter.id,
            since=letter.sent_at,
            kind=letter.kind,
            domain=letter.domain,
            subject=letter.subject,
            reason=letter.reason,
            body=body,
        )


class Refused(_Answer):
    """A subscription that never came to a login, FAILED or STUCK_GRANT; `project` is null for a user's or a role's.

    `since`: refused first.
    """

    subscription: str
    domain: str
    project: str | None
    state: GrantState
    reason: str
    since: datetime

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        return cls(
            subscription=refusal.subscription,
            domain=refusal.domain,
            project=refusal.project,
            state=refusal.state,
            reason=refusal.reason,
            since=refusal.since,
        )


class Event(_Answer):
    """One table came into a state because of a subscription: first at, and last at."""

    principal: str
    table: str
    subscription: str
    state: GrantState
    reason: str | None
    first: datetime
    last: datetime

    @classmethod
    def of(cls, record: HistoryRecord) -> Self:
        return cls(
            principal=record.principal.id,
            table=str(record.table or record.path),
            subscription=record.subscription,
            state=record.state,
            reason=record.reason,
            first=record.first,
            last=record.last,
        )


class Login(_Answer):
    """A principal as the ledger has it; secrets are ARNs.

    `in_use`: the login that the secrets hold, of two whose names differ in their end; `spare`: what opens beside it until
    then, while a rotation goes on (null) or its grace lasts; the same login, with its password before, where an engine has two.
    """

    place: Place
    in_use: str
    password_made: datetime | None
    spare: str | None
    spare_until: datetime | None
    state: PrincipalState
    producer_secret: str | None
    consumer_secret: str | None
    updated: datetime

    @classmethod
    def of(cls, record: PrincipalRecord) -> Self:
        return cls(
            place=Place.of(record.principal),
            in_use=record.login,
            password_made=record.password_at,
            spare=record.spare.login if record.spare else None,
            spare_until=record.spare.until if record.spare else None,
            state=record.state,
            producer_secret=record.producer_secret,
            consumer_secret=record.consumer_secret,
            updated=record.updated_at,
        )


class Shown(_Answer):
    """A principal (then with its `login`) or a subscription (with why it is refused, if it is)."""

    name: str
    login: Login | None
    refused: str | None
    grants: tuple[Grant, ...]
    history: tuple[Event, ...]


class ExplainedTable(_Answer):
    """`object` and `columns` as in `Grant`."""

    table: str
    object: str | None
    columns: tuple[str, ...] | None
    desired: bool
    recorded: GrantState | None
    readable: bool | None
    differences: tuple[str, ...]


class ExplainedPrincipal(_Answer):
    """What is seen of it is null where it could not be looked at."""

    place: Place
    recorded: PrincipalState | None
    login: bool | None
    sessions: int | None
    producer_secret: bool | None
    consumer_secret: bool | None
    tables: tuple[ExplainedTable, ...]
    differences: tuple[str, ...]

    @classmethod
    def of(cls, view: PrincipalView) -> Self:
        seen = view.seen
        return cls(
            place=Place.of(view.principal),
            recorded=view.recorded,
            login=seen.login is not None if seen else None,
            sessions=seen.login.sessions if seen and seen.login else None,
            producer_secret=seen.producer_secret if seen else None,
            consumer_secret=seen.consumer_secret if seen else None,
            tables=tuple(
                ExplainedTable(
                    table=str(table.path),
                    object=str(table.object) if table.object else None,
                    columns=table.columns,
                    desired=table.desired,
                    recorded=table.recorded,
                    readable=table.readable,
                    differences=table.differences,
                )
                for table in view.tables
            ),
            differences=view.differences,
        )


class Explained(_Answer):
    """`status` is DataZone's; null when it knows no such subscription, or dzgrant refuses to read it."""

    subscription: str
    domain: str
    status: SubscriptionStatus | None
    refused: str | None
    agrees: bool
    principals: tuple[ExplainedPrincipal, ...]

    @classmethod
    def of(cls, explanation: Explanation) -> Self:
        return cls(
            subscription=explanation.subscription,
            domain=explanation.domain,
            status=explanation.status,
            refused=explanation.refused,
            agrees=explanation.agrees,
            principals=tuple(map(ExplainedPrincipal.of, explanation.principals)),
        )
