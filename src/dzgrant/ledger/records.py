"""What goes into the ledger and comes out of it, beside the records of `dzgrant.model`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from dzgrant.model import Admin, Arn, GrantState, Principal, PrincipalState, Scope, Spare, Table, TablePath, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """This subscription got this principal this table, or was about to. With it a revoke needs neither DataZone nor Glue."""

    subscription: str
    principal: Principal
    admin: Admin
    path: TablePath

    @classmethod
    def of(cls, wanted: Wanted) -> Self:
        return cls(subscription=wanted.subscription, principal=wanted.principal, admin=wanted.admin, path=wanted.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantOutcome:
    """What became of one table for a principal.

    `state` is REVOKED only when no subscription wants the table any longer: its item goes, its history stays.
    """

    path: TablePath
    state: GrantState | None
    """None leaves the state as it is."""
    table: Table | None = None
    """The exact name; None leaves what the ledger has, of the next two as well."""
    readable: Table | None = None
    """The view of dzgrant's that is read for the table; None: the table itself."""
    columns: tuple[str, ...] | None = None
    """The columns that can be read; None: all."""
    settled: tuple[int, frozenset[Scope]] | None = None
    """The intents that came to their end, and what is allowed, where that is not the whole table."""
    reason: str | None = None
    """Why it is not as it should be, for a person. A state without a reason removes an older one."""
    given_up: bool = False
    """FAILED, because a person said so."""
    subscriptions: frozenset[str] = frozenset()
    """The subscriptions that this outcome answers: their history gets the state, when it is GRANTED or FAILED."""
    ended: frozenset[str] = frozenset()
    """The subscriptions whose claim on the table ends here: their history gets REVOKED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The end of one piece of work on a principal, whole: what is None here is None in the ledger afterwards."""

    state: PrincipalState
    producer_secret: Arn | None
    consumer_secret: Arn | None
    login: str
    password_at: datetime | None
    spare: Spare | None
    grants: tuple[GrantOutcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A subscription that never came to a principal: FAILED, it can't be served as it is; STUCK_GRANT, a person must act first.
    Times are UTC."""

    domain: str
    project: str | None
    """None: the subscriber is a user or a role."""
    subscription: str
    state: GrantState
    reason: str
    since: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRecord:
    """One table came into one state for one subscription: first at, and last at (UTC)."""

    principal: Principal
    path: TablePath
    table: Table | None
    subscription: str
    state: GrantState
    reason: str | None
    first: datetime
    last: datetime
