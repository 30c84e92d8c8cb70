"""Rotations that nobody asks for: passwords that grew old, rotations that were cut off, graces that ended.

Any number of workers do this at once: the lease on a principal lets one of them, and what the ledger says under it tells
the others that nothing is due any more.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta

import structlog

from dzgrant.errors import DzgrantError, LeaseHeld, Misconfigured, Refused
from dzgrant.ledger import Ledger
from dzgrant.model import PrincipalRecord
from dzgrant.reporting import Outcome, OutcomeKind, Reporter
from dzgrant.saga.rotation import Turn, due
from dzgrant.saga.runner import Runner

log = structlog.stdlib.get_logger(__name__)

_AT_ONCE = 4
_LONGEST = timedelta(minutes=15)
_SHORTEST = timedelta(seconds=1)


class Schedule:
    """One per process. `older_than`: the age at which a password is made anew; None: only what was begun is ended."""

    def __init__(
        self, *, ledger: Ledger, runner: Runner, reporter: Reporter, grace: timedelta, older_than: timedelta | None
    ) -> None:
        self._ledger = ledger
        self._runner = runner
        self._reporter = reporter
        self._older_than = older_than
        # A grace ends late by a small part of itself at most.
        self._period = min(_LONGEST, max(_SHORTEST, grace / 24))
        self._stuck: dict[str, str] = {}
        """What was told of a principal already."""

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            # Workers that started together look at different times.
            await asyncio.sleep(self._period.total_seconds() * random.uniform(0.5, 1.0))  # noqa: S311  # spreads the load, hides nothing
            try:
                await self.sweep()
            except DzgrantError as error:
                log.warning("rotations_not_listed", error=str(error))

    async def sweep(self) -> None:
        """Every principal that is due, once. Raises where the ledger can't be listed; one that fails stops no other."""
        now = datetime.now(UTC)
        waiting = [record async for record in self._ledger.every_principal() if due(record, now, self._older_than)]
        places = asyncio.Semaphore(_AT_ONCE)

        async def paced(record: PrincipalRecord) -> None:
            async with places:
                await self._one(record)

        async with asyncio.TaskGroup() as tasks:
            for record in waiting:
                tasks.create_task(paced(record))

    async def _one(self, record: PrincipalRecord) -> None:
        began, principal = time.monotonic(), record.principal
        try:
            await self._runner.turn(record, self._due)
        except (Misconfigured, Refused) as error:
            log.warning("rotation_stuck", aim="rotate", principal=principal.id, error=str(error))
            await self._tell_once(record, str(error), time.monotonic() - began)
        except LeaseHeld:
            log.debug("rotation_elsewhere", principal=principal.id)
        except DzgrantError as error:
            log.info("rotation_delayed", principal=principal.id, error=str(error))
        else:
            self._stuck.pop(principal.id, None)

    def _due(self, record: PrincipalRecord) -> Turn | None:
        return due(record, datetime.now(UTC), self._older_than)

    async def _tell_once(self, record: PrincipalRecord, reason: str, seconds: float) -> None:
        if self._stuck.get(record.principal.id) == reason:
            return
        try:
            await self._reporter.outcome(
                Outcome(
                    kind=OutcomeKind.STUCK,
                    aim="rotate",
                    principal=record.principal,
                    login=record.login,
                    table=None,
                    reason=reason,
                    seconds=seconds,
                )
            )
        except DzgrantError as error:
            log.warning("outcome_not_told", principal=record.principal.id, error=str(error))
        else:
            self._stuck[record.principal.id] = reason
