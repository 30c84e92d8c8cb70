"""The daemon: its parts, their life cycle, its signals. Everything is made here and handed down; nothing is global."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import uuid4

import structlog

from dzgrant import __version__, health
from dzgrant.accounts import Accounts
from dzgrant.catalog import Catalog
from dzgrant.engines.contract import Limits
from dzgrant.environments import Environments
from dzgrant.errors import Misconfigured
from dzgrant.intake.consumer import Consumer
from dzgrant.intake.queue import open_queue
from dzgrant.ledger import Ledger, Sweeps
from dzgrant.metrics import Metrics
from dzgrant.protection import protect
from dzgrant.reporting import Reporter
from dzgrant.saga.converge import Converge
from dzgrant.saga.explain import Sides
from dzgrant.saga.extender import Extender
from dzgrant.saga.outcomes import tell, tell_rotated
from dzgrant.saga.runner import Runner
from dzgrant.saga.schedule import Schedule
from dzgrant.saga.sources import Sources
from dzgrant.saga.step import Means
from dzgrant.saga.stuck import watch
from dzgrant.saga.sweep import Sweep
from dzgrant.saga.sweeper import Sweeper
from dzgrant.secrets import Secrets
from dzgrant.settings import Settings

log = structlog.stdlib.get_logger(__name__)

# What an event still does, a sweep must not take for lost.
_IN_WORK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the daemon and the commands work with."""

    accounts: Accounts
    catalog: Catalog
    ledger: Ledger
    sweeps: Sweeps
    secrets: Secrets
    sources: Sources
    runner: Runner
    converge: Converge
    reporter: Reporter
    metrics: Metrics


@asynccontextmanager
async def assembled(settings: Settings) -> AsyncIterator[Parts]:
    """The parts, wired; leaving the context closes every client and connection."""
    metrics = Metrics()
    async with AsyncExitStack() as exits:
        accounts = await exits.enter_async_context(Accounts(settings))
        catalog = Catalog(accounts, settings)
        owner = f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}"
        ledger = Ledger(await accounts.dynamodb(), settings.table, owner=owner, lease_seconds=settings.lease_seconds)
        sweeps = Sweeps(await accounts.dynamodb(), settings.table, owner=owner, lease_seconds=settings.lease_seconds)
        secrets = Secrets(accounts, settings)
        sources = Sources(catalog.admin_credentials, _limits(settings))
        exits.push_async_callback(sources.close)
        reporter = Reporter(accounts, metrics, bus=settings.event_bus)
        runner = Runner(
            Means(ledger=ledger, secrets=secrets, sources=sources),
            tell=partial(tell, reporter),
            tell_rotated=partial(tell_rotated, reporter),
            effect_seconds=settings.effect_seconds,
            grace=settings.rotation_grace,
            observe=lambda effect, engine, seconds: metrics.steps.labels(effect, engine).observe(seconds),
        )
        converge = Converge(
            catalog=catalog,
            ledger=ledger,
            runner=runner,
            extender=Extender(
                settings, accounts=accounts, environments=Environments(accounts), ledger=ledger, reporter=reporter
            ),
            reporter=reporter,
            honour_retain=settings.honour_retain_permissions,
        )
        yield Parts(
            accounts=accounts,
            catalog=catalog,
            ledger=ledger,
            sweeps=sweeps,
            secrets=secrets,
            sources=sources,
            runner=runner,
            converge=converge,
            reporter=reporter,
            metrics=metrics,
        )


def _limits(settings: Settings) -> Limits:
    return Limits(
        pool_size=settings.database_pool_size,
        connect_timeout=settings.database_connect_timeout,
        statement_timeout=settings.database_statement_timeout,
        lock_timeout=settings.database_lock_timeout,
        ca_bundle=settings.database_ca_bundle,
        sqlserver_driver=settings.sqlserver_driver,
    )


async def run(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT, then drains. Raises `Misconfigured` when queue, ledger or domain are not there."""
    agent = _agent() if settings.task_protection else None
    async with assembled(settings) as parts:
        queue = await open_queue(await parts.accounts.sqs(), settings.queue_url)
        consumer = Consumer(queue, parts.converge.handle, settings, parts.metrics)
        await parts.ledger.check()
        await parts.catalog.check()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, consumer.stop)
        checks = {"queue": queue.reachable, "ledger": parts.ledger.check}
        serving = health.serve(
            settings.http_host,
            settings.http_port,
            metrics=parts.metrics,
            quiet_seconds=lambda: consumer.quiet_seconds,
            checks=checks,
        )
        async with serving as port:
            log.info("worker_started", version=__version__, queue=settings.queue_url, table=settings.table, http_port=port)
            async with asyncio.TaskGroup() as beside:
                others = [
                    beside.create_task(_schedule(parts, settings).run()),
                    beside.create_task(watch(parts.ledger, parts.metrics)),
                ]
                if sweeper := _sweeper(parts, settings):
                    others.append(beside.create_task(sweeper.run()))
                if agent:
                    others.append(beside.create_task(protect(agent, lambda: consumer.busy)))
                try:
                    await consumer.run()
                finally:
                    for other in others:
                        other.cancel()
        log.info("worker_stopped")


def _agent() -> str:
    """The endpoint of ECS's agent, which ECS names to every task."""
    if agent := os.environ.get("ECS_AGENT_URI"):
        return agent
    raise Misconfigured(
        "DZGRANT_TASK_PROTECTION is on, and this is no ECS task: ECS_AGENT_URI is not set", do="turn it off outside of ECS"
    )


def sides(parts: Parts) -> Sides:
    """From where a subscription is looked at."""
    return Sides(
        catalog=parts.catalog,
        converge=parts.converge,
        ledger=parts.ledger,
        secrets=parts.secrets,
        sources=parts.sources,
        sweeps=parts.sweeps,
    )


def sweep(parts: Parts, *, repair: bool, patience: timedelta = timedelta()) -> Sweep:
    """`patience`: for how long what was changed may be in work still."""
    return Sweep(
        sides=sides(parts),
        runner=parts.runner,
        reporter=parts.reporter,
        repair=repair,
        patience=patience,
    )


def _sweeper(parts: Parts, settings: Settings) -> Sweeper | None:
    period = timedelta(minutes=settings.sweep_minutes)
    if not period:
        return None
    if not settings.domain_ids:
        log.warning("no_sweep", why="DZGRANT_DOMAIN_IDS names no domain")
        return None
    return Sweeper(
        sweep=sweep(parts, repair=settings.sweep == "repair", patience=min(period, _IN_WORK)),
        sweeps=parts.sweeps,
        reporter=parts.reporter,
        domains=settings.domain_ids,
        period=period,
    )


def _schedule(parts: Parts, settings: Settings) -> Schedule:
    return Schedule(
        ledger=parts.ledger,
        runner=parts.runner,
        reporter=parts.reporter,
        grace=settings.rotation_grace,
        older_than=settings.rotate_after,
    )
