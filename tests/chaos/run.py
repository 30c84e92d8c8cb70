"""One run: the parts are put up, the storm passes, and what is left is looked at."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.databases import Server
from dzgrant.localcloud.databases.workplace import free_port
from tests.chaos.blows import Fleet, Line, Start, can_skew, rain
from tests.chaos.ends import Ends
from tests.chaos.plan import Plan, Tally
from tests.chaos.truth import Listed, Truth
from tests.engines.playgrounds import PLAYGROUNDS
from tests.system.cloud import Cloud, until
from tests.system.commands import Commands
from tests.system.leaks import everywhere
from tests.system.story import Story, logins

_IN_HAND = 40
"""So many messages may wait before the next thing happens."""
_CALM = 300.0
"""Seconds for everything to end, once nothing fails any more."""


async def survived(plan: Plan, cloud: Cloud, servers: Sequence[Server], start: Start, ca_bundle: Path, logs: Path) -> Tally:
    """What went wrong, and what of it shows in the end. `logs`: where workers write theirs."""
    began, tally, dice = time.monotonic(), Tally(), random.Random(plan.seed)
    if missing := can_skew():
        tally.blows[f"no skewed clocks: {missing}"] += 1
        plan = replace(plan, skew=0.0)
    async with AsyncExitStack() as exits:
        lines = [Line(free_port(), server.port) for server in servers]
        for line in lines:
            await line.mend()
            exits.push_async_callback(line.cut)
        domain = cloud.control.do(c.AddDomain()).id
        exits.callback(cloud.control.do, c.Heal())
        stories = [await _story(cloud, server, line, domain, exits) for server, line in zip(servers, lines, strict=True)]
        truth = Truth(control=cloud.control, domain=domain, plan=plan, tally=tally, listed=[], dice=random.Random(plan.seed))
        for story in stories:
            truth.listed += await _listed(story, plan)
        await truth.begin()
        # Sweeps go on meanwhile.
        fleet = Fleet(start, plan, tally, dice, {"DZGRANT_DOMAIN_IDS": domain, "DZGRANT_SWEEP_MINUTES": "1"})
        exits.callback(fleet.close)
        for _ in range(plan.workers):
            fleet.add()
        cloud.control.do(plan.weather)
        await _storm(plan, tally, dice, fleet, lines, truth, cloud)
        for service, kinds in cloud.control.do(c.Disturbances()).calls.items():
            tally.blows.update({f"{service}: {kind}": calls for kind, calls in kinds.items()})
        cloud.control.do(c.Heal())
        with suppress(AssertionError):
            # What is left then, the checks say.
            await cloud.settled(_CALM)
        await _reconciled(stories[0], ca_bundle, tally)
        with suppress(AssertionError):
            await cloud.settled(_CALM)
        await Ends(truth=truth, stories=stories, cloud=cloud, workers=fleet.ever, tally=tally).check()
        tally.checks["no password in anything that was written"] += 1
        tally.failures += [f"a password stands in {place}" for place in everywhere([cloud], servers, logs)]
    tally.seconds = time.monotonic() - began
    return tally


async def _story(cloud: Cloud, server: Server, line: Line, domain: str, exits: AsyncExitStack) -> Story:
    """Everybody reaches the server by its line."""
    play = PLAYGROUNDS[server.engine](server=replace(server, port=line.port), admin=server.admin)
    await play.set_up()
    exits.push_async_callback(play.tear_down)
    return Story(cloud=cloud, play=play, domain=domain, environment="", strangers=await logins(server))


async def _listed(story: Story, plan: Plan) -> list[Listed]:
    tables = [await story.play.create_table(f"t{number}") for number in range(plan.tables)]
    return [Listed(story.server.flavour, table, story.publish(table)) for table in tables]


async def _storm(
    plan: Plan, tally: Tally, dice: random.Random, fleet: Fleet, lines: list[Line], truth: Truth, cloud: Cloud
) -> None:
    async def room() -> bool | None:
        return await asyncio.to_thread(cloud.waiting) < _IN_HAND or None

    async with asyncio.TaskGroup() as tasks:
        raining = tasks.create_task(rain(plan, tally, dice, fleet, lines))
        for _ in range(plan.events):
            await until(room, lambda: "the queue does not get shorter", _CALM)
            await truth.act()
        raining.cancel()


async def _reconciled(story: Story, ca_bundle: Path, tally: Tally) -> None:
    """Makes good the events that were lost; after that a sweep finds nothing."""
    commands = Commands(story, ca_bundle)
    for what, *more in (("reconcile mends all",), ("then a sweep finds nothing", "--report")):
        tally.checks[what] += 1
        done = await commands("reconcile", "--domain", story.domain, *more)
        if done.returncode:
            tally.failures.append(f"{what}: {done.stdout[-3000:]} {done.stderr[-2000:]}")
