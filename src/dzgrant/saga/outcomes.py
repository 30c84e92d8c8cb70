"""What a journey came to, table by table, for the log, the metrics and the outcome bus."""

from __future__ import annotations

import time
from collections.abc import Iterator

from dzgrant.model import TablePath
from dzgrant.reporting import Outcome, OutcomeKind, Reporter
from dzgrant.saga.journey import Journey
from dzgrant.saga.road import Aim
from dzgrant.saga.rotation import Rotation


async def tell(reporter: Reporter, journey: Journey) -> None:
    """Reports every table of a journey. Raises what `Reporter.outcome` raises: the work is then done again."""
    for outcome in _outcomes(journey):
        await reporter.outcome(outcome)


async def tell_rotated(reporter: Reporter, rotation: Rotation) -> None:
    """Reports that a principal's secrets hold a new password. Raises as `tell`."""
    seconds = time.monotonic() - rotation.began
    await reporter.outcome(
        Outcome(
            kind=OutcomeKind.ROTATED,
            aim="rotate",
            principal=rotation.principal,
            table=None,
            login=rotation.login,
            seconds=seconds,
        )
    )


def _outcomes(journey: Journey) -> Iterator[Outcome]:
    found, seconds = journey.found, time.monotonic() - journey.began
    for path, subscription in _tables(journey):
        if (kind := _kind(journey, path)) is None:
            continue
        reach = found.reach[path] if path in found.given else None
        yield Outcome(
            kind=kind,
            aim="grant" if kind is OutcomeKind.RESOLVED and path in found.refused else journey.progress.aim.value,
            principal=journey.principal,
            login=journey.login,
            table=str(found.tables.get(path, path)),
            subscription=subscription,
            reason=_reason(journey, path),
            login_outcome=journey.dropped.outcome if journey.dropped else None,
            readable_through=reach.through if reach else None,
            readable=str(view) if reach and (view := found.view(path)) else None,
            columns=reach.readable.columns if reach else None,
            seconds=seconds,
        )


def _reason(journey: Journey, path: TablePath) -> str | None:
    found = journey.found
    if why := found.stuck.get(path.key) or found.by_hand:
        return why
    return str(found.refused[path]) if path in found.refused else journey.dropped.detail if journey.dropped else None


def _tables(journey: Journey) -> Iterator[tuple[TablePath, str | None]]:
    """With the subscriptions; a table that an earlier revoke left has none any more."""
    found, claimed = journey.found, {claim.path.key for claim in journey.found.claims}
    yield from ((claim.path, claim.subscription) for claim in found.claims)
    for path in found.leaving:
        if path.key not in claimed and (found.by_hand or path.key in found.stuck):
            yield path, None
    if found.by_hand:
        yield from ((path, by) for path in found.refused for by in sorted(found.records[path.key].subscriptions))


def _kind(journey: Journey, path: TablePath) -> OutcomeKind | None:
    """None: there is nothing to tell of it, or nothing new."""
    found = journey.found
    if path.key in found.stuck:
        return OutcomeKind.STUCK
    if journey.suspended or path in found.waiting:
        return None
    if found.by_hand:
        return OutcomeKind.RESOLVED
    if journey.progress.aim is Aim.REVOKE:
        return OutcomeKind.KEPT if path.key in found.kept else OutcomeKind.REVOKED
    return OutcomeKind.FAILED if path in found.refused else OutcomeKind.GRANTED
