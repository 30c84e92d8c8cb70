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


async def tell(reporter: Reporter, journey: Journey) -> None:
    """Reports every table of a journey. Raises what `Reporter.outcome` raises: the work is then done again."""
    for outcome in _outcomes(journey):
        await reporter.outcome(outcome)


async def tell_stuck(reporter: Reporter, claim: Claim | Wanted, error: DzgrantError, seconds: float) -> None:
    """Reports that it can't go on until a person has done something."""
    await reporter.outcome(
        Outcome(
            kind=OutcomeKind.STUCK,
            principal=claim.principal,
            table=str(claim.path),
            subscription=claim.subscription,
            reason=str(error),
            seconds=seconds,
        )
    )


def _outcomes(journey: Journey) -> Iterator[Outcome]:
    seconds = time.monotonic() - journey.began
    for claim in journey.claims:
        failure = journey.refused.get(claim.path) or journey.waiting.get(claim.path)
        reach = journey.reach.get(claim.path)
        yield Outcome(
            kind=_kind(journey, claim.path),
            principal=journey.principal,
            table=str(journey.tables.get(claim.path, claim.path)),
            subscription=claim.subscription,
            reason=str(failure) if failure else journey.dropped.detail if journey.dropped else None,
            login_outcome=journey.dropped.outcome if journey.dropped else None,
            readable_through=reach.through if reach else None,
            seconds=seconds,
        )


def _kind(journey: Journey, path: TablePath) -> OutcomeKind:
    if journey.progress.aim is Aim.REVOKE:
        return OutcomeKind.KEPT if path.key in journey.kept else OutcomeKind.REVOKED
    if path in journey.waiting:
        return OutcomeKind.STUCK
    return OutcomeKind.FAILED if path in journey.refused else OutcomeKind.GRANTED
