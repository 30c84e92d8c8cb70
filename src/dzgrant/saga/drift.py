"""What a sweep finds, by comparison alone: what is recorded against what is desired, and against what is. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from dzgrant.catalog import SubscriptionGrant
from dzgrant.engines.contract import LoginState
from dzgrant.model import GrantRecord, GrantState, PrincipalRecord, PrincipalState, Scope, Subscription, Wanted
from dzgrant.reporting import Drift, DriftKind
from dzgrant.secrets import Look

_IN_WORK = frozenset(set(GrantState) - {GrantState.GRANTED, GrantState.REVOKED, GrantState.FAILED})


def against_desired(
    subscription: Subscription,
    wanted: Iterable[Wanted],
    recorded: Collection[GrantRecord],
    pending: Iterable[SubscriptionGrant],
    *,
    since: datetime,
) -> Iterator[Drift]:
    """What the ledger has of a subscription, against what it wants now. What came into work after `since` is left to whoever
    works on it."""
    desired = {(one.principal.id, one.path.key): one for one in sorted(wanted, key=lambda one: one.scope == Scope())}
    known = {(grant.principal.id, grant.path.key): grant for grant in recorded}
    for key, wish in desired.items():
        if found := _ungranted(wish, known.get(key), since):
            kind, what = found
            yield Drift(
                kind=kind,
                domain=subscription.domain,
                what=what,
                principal=wish.principal,
                subscription=subscription.id,
                table=str(wish.path),
            )
    for key, grant in known.items():
        if key not in desired and not (grant.state in _IN_WORK and grant.updated_at > since):
            yield Drift(
                kind=DriftKind.NOT_REVOKED,
                domain=subscription.domain,
                what=f"{subscription.status}, not wanted here any more, and {grant.state}",
                principal=grant.principal,
                subscription=subscription.id,
                table=str(grant.path),
            )
    for waiting in pending:
        yield Drift(
            kind=DriftKind.NOT_ANSWERED,
            domain=subscription.domain,
            what=f"DataZone waits to hear of the subscription grant {waiting.id}",
            subscription=subscription.id,
        )


def _ungranted(wish: Wanted, grant: GrantRecord | None, since: datetime) -> tuple[DriftKind, str] | None:
    if grant is None or wish.subscription not in grant.subscriptions:
        return DriftKind.NOT_GRANTED, "approved, and not granted"
    if grant.state is GrantState.GRANTED:
        if grant.scopes.get(wish.subscription, Scope()) == wish.scope:
            return None
        return DriftKind.FILTERS, "granted with other filters than those of the approval now"
    if grant.state in _IN_WORK and grant.updated_at > since:
        return None
    return DriftKind.NOT_GRANTED, f"approved, and {grant.state}" + (f": {grant.reason}" if grant.reason else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a principal has in its database and in both accounts."""

    secrets: Look
    login: LoginState | None
    opens: bool | None
    """Whether what the producer's secret holds, or else the consumer's, logs in and reads; None: there was nothing to try."""


def to_be_seen(record: PrincipalRecord, grants: Collection[GrantRecord]) -> bool:
    """Whether it is at rest, so that what is there can be told from what should be: no rotation goes on, something lives."""
    rotating = record.spare is not None and record.spare.until is None
    return not rotating and record.state is not PrincipalState.REMOVED and any(_granted(grant) for grant in grants)


def against_reality(record: PrincipalRecord, grants: Collection[GrantRecord], seen: Seen) -> Iterator[Drift]:
    """What the ledger has of a principal, against what is."""
    drift = partial(Drift, domain=record.principal.environment.domain, principal=record.principal, login=record.login)
    if record.state is PrincipalState.PENDING:
        yield drift(kind=DriftKind.UNFINISHED, what="work on it was cut off")
    for kind, what in (*_of_login(seen), *_of_secrets(seen.secrets, record, grants)):
        yield drift(kind=kind, what=what)
    held = set(seen.login.tables) if seen.login else set()
    due = {grant.readable or grant.table for grant in grants if _granted(grant)} - {None}
    known = due | {table for grant in grants if not _granted(grant) for table in (grant.table, grant.readable)}
    if seen.login and seen.login.enabled:
        for table in sorted(map(str, due - held)):
            yield drift(kind=DriftKind.PRIVILEGE_MISSING, what=f"the login can't read {table}", table=table)
    for table in sorted(map(str, held - known)):
        yield drift(kind=DriftKind.PRIVILEGE_EXTRA, what=f"the login can read {table}, which nobody wants", table=table)
    for right in seen.login.beyond if seen.login else ():
        yield drift(kind=DriftKind.PRIVILEGE_EXTRA, what=f"the login has {right}, which dzgrant did not give", table=right)


def _of_login(seen: Seen) -> Iterator[tuple[DriftKind, str]]:
    if seen.login is None:
        yield DriftKind.LOGIN, "the login is not there"
    elif not seen.login.marked:
        yield DriftKind.LOGIN, "the login is not dzgrant's"
    elif not seen.login.enabled:
        yield DriftKind.LOGIN, "the login is disabled"
    elif seen.opens is False:
        yield DriftKind.PASSWORD, "the secret does not open the login"


def _of_secrets(found: Look, record: PrincipalRecord, grants: Collection[GrantRecord]) -> Iterator[tuple[DriftKind, str]]:
    if found.producer is None:
        yield DriftKind.PRODUCER_SECRET, "the producer's secret is gone, or holds nothing that opens the login"
    elif not found.producer.intact or found.producer.credentials.username != record.login:
        yield DriftKind.PRODUCER_SECRET, "the producer's secret was edited"
    elif not found.shared:
        yield DriftKind.SHARE, "the policy of the producer's secret is not what lets the consumer alone read it"
    if found.consumer is None:
        yield DriftKind.CONSUMER_SECRET, "the consumer's copy is gone, or holds nothing that opens the login"
    elif not found.consumer.intact or (found.producer and found.consumer.credentials != found.producer.credentials):
        yield DriftKind.CONSUMER_SECRET, "the consumer's copy is not what the producer's secret says"
    elif all(map(_granted, grants)) and dict(found.consumer.objects) != _objects(grants):
        yield DriftKind.CONSUMER_SECRET, "the consumer's copy names other views than those to read"


def _objects(grants: Collection[GrantRecord]) -> Mapping[str, str]:
    return {str(grant.table): str(grant.readable) for grant in grants if grant.readable}


def _granted(grant: GrantRecord) -> bool:
    return grant.state is GrantState.GRANTED
