"""Sweeps that nobody asks for: one worker of all is at it, and another goes on where it was cut off.

Every worker looks now and then whether a sweep is due. The lease in the ledger elects; the cursor beside it is written after
each group, and needs nothing of the worker that wrote it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import structlog

from dzgrant.catalog import unhurried
from dzgrant.errors import DzgrantError
from dzgrant.ledger import SweepLease, Sweeps
from dzgrant.reporting import Reporter
from dzgrant.saga.sweep import Step, Sweep

log = structlog.stdlib.get_logger(__name__)

_LOOKS = timedelta(minutes=1)


class Tally:
    """What a sweep came to."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter(subscriptions=0, principals=0, findings=0, repaired=0, failed=0)

    def add(self, step: Step) -> None:
        for one in step.swept:
            self._counts["subscriptions"] += one.subscription is not None
            self._counts["principals"] += one.principal is not None
            self._counts["findings"] += len(one.findings)
            self._counts["repaired"] += sum(finding.repaired for finding in one.findings)
            self._counts["failed"] += sum(not finding.repaired for finding in one.findings)

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self._counts.items())

    def log(self, domain: str) -> None:
        """The line that an alarm waits for."""
        log.info("reconciled", domain=domain, **self._counts)


class Sweeper:
    """One per process. `period`: from the end of one sweep to the beginning of the next."""

    def __init__(self, *, sweep: Sweep, sweeps: Sweeps, reporter: Reporter, domains: Sequence[str], period: timedelta) -> None:
        self._sweep = sweep
        self._sweeps = sweeps
        self._reporter = reporter
        self._domains = domains
        self._period = period

    async def run(self) -> None:
        """Until it is cancelled."""
        unhurried.set(True)
        while True:
            # Workers that started together look at different times.
            await asyncio.sleep(min(self._period, _LOOKS).total_seconds() * random.uniform(0.5, 1.0))  # noqa: S311  # spreads the load, hides nothing
            for domain in self._domains:
                try:
                    await self.once(domain)
                except DzgrantError as error:
                    log.warning("sweep_cut_off", domain=domain, error=str(error))
                except Exception:  # a bug of the sweep is not to stop the work on events
                    log.exception("handler_failed", kind="sweep", domain=domain)
            await self._say_when()

    async def once(self, domain: str) -> bool:
        """Does the domain's sweep if it is due and nobody is at it; whether it came to its end. Raises what cut it off."""
        lease = await self._sweeps.take(domain, await self._sweeps.record(domain), self._period)
        if lease is None:
            return False
        log.info("sweep_begins", domain=domain, cursor=lease.cursor)
        tally = Tally()
        ended = False
        try:
            async with asyncio.TaskGroup() as tasks:
                renewing = tasks.create_task(_renew(lease))
                await self._through(lease, tally)
                renewing.cancel()
            # No renewal is under way any more, which would find that the lease is not there.
            await lease.finish()
            ended = True
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            if not ended:
                await _give_back(lease)
        tally.log(domain)
        return True

    async def _through(self, lease: SweepLease, tally: Tally) -> None:
        async with aclosing(self._sweep.domain(lease.domain, lease.cursor)) as steps:
            async for step in steps:
                tally.add(step)
                await lease.advance(step.cursor)

    async def _say_when(self) -> None:
        """Each worker says when a sweep last ended, whoever did it."""
        try:
            ends = [(await self._sweeps.record(domain)).ended for domain in self._domains]
        except DzgrantError as error:
            log.warning("sweeps_not_read", error=str(error))
            return
        self._reporter.swept(min(end or datetime.fromtimestamp(0, UTC) for end in ends))


async def _renew(lease: SweepLease) -> None:
    while True:
        await asyncio.sleep(lease.seconds / 3)
        await lease.renew()


async def _give_back(lease: SweepLease) -> None:
    """Best effort, also while being cancelled: a lease that stays is free again when it expires."""
    try:
        async with asyncio.timeout(2):
            await asyncio.shield(lease.release())
    except (DzgrantError, TimeoutError):
        return
