"""What a journey came to, table by table, for the log, the metrics and the outcome bus."""

from __future__ import annotations

import time
from collections.abc import Iterator

from dzgrant.errors import DzgrantError
from dzgrant.ledger import Claim
from dzgrant.model import TablePath, Wanted
from dzgrant.reporting import Outcome, OutcomeKind, Reporter
from dzgrant.saga.journey import Journey
from dzgrant.saga.road import Aim
from dzgrant.saga.rotation import Rotation


async def tell(reporter: Reporter, journey: Journey) -> None:
    """Reports every table of a journey. Raises what `Reporter.outcome` raises: the work is then done again."""
    for outcome in _outcomes(journey):
        await reporter.outcome(outcome)


async def tell_stuck(reporter: Reporter, claim: Claim | Wanted, error: DzgrantError, seconds: float) -> None:
    """Reports that it can't go on until a person has done something."""
    await reporter.outcome(
        Outcome(
            kind=OutcomeKind.STUCK,
            aim="grant" if isinstance(claim, Wanted) else "revoke",
            principal=claim.principal,
            table=str(claim.path),
            subscription=claim.subscription,
            reason=str(error),
            seconds=seconds,
        )
    )


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
    for claim in found.claims:
        failure = found.refused.get(claim.path) or found.waiting.get(claim.path)
        reach = found.reach[claim.path] if claim.path in found.given else None
        yield Outcome(
            kind=_kind(journey, claim.path),
            aim=journey.progress.aim.value,
            principal=journey.principal,
            login=journey.login,
            table=str(found.tables.get(claim.path, claim.path)),
            subscription=claim.subscription,
            reason=str(failure) if failure else journey.dropped.detail if journey.dropped else None,
            login_outcome=journey.dropped.outcome if journey.dropped else None,
            readable_through=reach.through if reach else None,
            readable=str(view) if reach and (view := found.view(claim.path)) else None,
            columns=reach.readable.columns if reach else None,
            seconds=seconds,
        )


def _kind(journey: Journey, path: TablePath) -> OutcomeKind:
    if journey.progress.aim is Aim.REVOKE:
        return OutcomeKind.KEPT if path.key in journey.found.kept else OutcomeKind.REVOKED
    if path in journey.found.waiting:
        return OutcomeKind.STUCK
    return OutcomeKind.FAILED if path in journey.found.refused else OutcomeKind.GRANTED
