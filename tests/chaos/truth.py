"""What DataZone says: subscriptions that come and go in several projects, and the noise that its events make."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.client import Control
from dzgrant.localcloud.places import GOVERNANCE, REGION
from dzgrant.model import Table
from tests.chaos.plan import Plan, Tally
from tests.envelopes import envelope


@dataclass(frozen=True, slots=True)
class Listed:
    """A table of a server, by the server's flavour, and its listing."""

    flavour: str
    table: Table
    listing: str


_ACTIONS: Mapping[str, int] = {"approve": 45, "revoke": 35, "repeat": 10, "lose": 4, "poison": 3, "environment": 3}


@dataclass(slots=True, kw_only=True)
class Truth:
    """Acts by dice, and remembers what is so."""

    control: Control
    domain: str
    plan: Plan
    tally: Tally
    listed: list[Listed]
    environments: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Of each project, the live ones."""
    deleted: list[str] = field(default_factory=list)
    approved: dict[str, tuple[str, Listed]] = field(default_factory=dict)
    """By subscription: the project and what it may read."""
    poison: set[str] = field(default_factory=set)
    """Bodies that are to lie in the dead-letter queue in the end."""
    _known: list[str] = field(default_factory=list)
    dice: random.Random = field(default_factory=random.Random)

    async def begin(self) -> None:
        for number in range(self.plan.projects):
            made = await self._do(c.AddProject(domain=self.domain, name=f"project {number}"))
            await self._environment(made.id)
            await self._environment(made.id)

    async def act(self) -> None:
        """One thing happens."""
        action = self.dice.choices(list(_ACTIONS), list(_ACTIONS.values()))[0]
        match action:
            case "revoke" if self.approved:
                await self._end(self.dice.choice(list(self.approved)), events=True)
            case "repeat" if self._known:
                await self._do(c.Repeat(id=self.dice.choice(self._known)))
            case "lose":
                action = await self._lose()
            case "poison":
                await self._poison()
            case "environment":
                action = await self._move()
            case _:
                action = "approve"
                await self._approve(events=True)
        self.tally.events[action] += 1

    def wanted(self, environment: str, flavour: str) -> set[Table]:
        """What it is to read on this server."""
        project = next((name for name, every in self.environments.items() if environment in every), None)
        return {it.table for owner, it in self.approved.values() if owner == project and it.flavour == flavour}

    async def _approve(self, *, events: bool) -> None:
        project, listed = self.dice.choice(list(self.environments)), self.dice.choice(self.listed)
        wish = c.Subscribe(domain=self.domain, listing=listed.listing, project=project, events=events)
        request = await self._do(wish)
        done = await self._do(c.Approve(request=request.id, events=events))
        self.approved[done.subscription] = project, listed
        if events:
            self._known.append(done.subscription)

    async def _end(self, subscription: str, *, events: bool) -> None:
        del self.approved[subscription]
        if self.dice.random() < 0.5:
            await self._do(c.Revoke(subscription=subscription, events=events))
        else:
            await self._do(c.Cancel(subscription=subscription, events=events))

    async def _lose(self) -> str:
        """An event that never comes."""
        if self.approved and self.dice.random() < 0.5:
            await self._end(self.dice.choice(list(self.approved)), events=False)
            return "revoke, its event lost"
        await self._approve(events=False)
        return "approve, its event lost"

    async def _poison(self) -> None:
        number = len(self.poison)
        event = envelope("Subscription Created", f"sub;{number}", {}, domain=self.domain)
        broken = json.dumps(event | {"account": GOVERNANCE, "region": REGION})
        body = self.dice.choice([f"hello {number}", "[" * (1000 + number), broken])
        self.poison.add(body)
        await asyncio.to_thread(self.control.send, body)

    async def _move(self) -> str:
        project = self.dice.choice(list(self.environments))
        every = self.environments[project]
        if len(every) > 1 and self.dice.random() < 0.5:
            environment = self.dice.choice(every)
            every.remove(environment)
            self.deleted.append(environment)
            await self._do(c.DeleteEnvironment(environment=environment))
            return "environment deleted"
        await self._environment(project)
        return "environment added"

    async def _environment(self, project: str) -> None:
        made = await self._do(c.AddEnvironment(domain=self.domain, project=project))
        self.environments[project].append(made.id)

    async def _do(self, command: c.Command[c.A]) -> c.A:
        return await asyncio.to_thread(self.control.do, command)
