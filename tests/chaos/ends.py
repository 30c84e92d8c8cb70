"""What must be so in the end: desired = ledger = database = secrets, and nothing else is left anywhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tests.chaos.plan import Tally
from tests.chaos.truth import Truth
from tests.system.cloud import Cloud
from tests.system.daemon import Worker
from tests.system.story import Story


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    truth: Truth
    stories: Sequence[Story]
    """One for each server."""
    cloud: Cloud
    workers: Sequence[Worker]
    """All that ever were."""
    tally: Tally

    async def check(self) -> None:
        """Looks at everything, whatever is found on the way."""
        live = [environment for every in self.truth.environments.values() for environment in every]
        for environment in [*live, *self.truth.deleted]:
            await self._look("the ledger has what is wanted, and nothing else", partial(self._ledger, environment))
            await self._look("no share and no secret without a grant", partial(self._secrets, environment))
            for story in self.stories:
                here = replace(story, environment=environment)
                await self._look("the consumer's secret reads what is wanted, and nothing else", partial(self._reads, here))
        for story in self.stories:
            await self._look("no login without a grant", partial(self._logins, story, live))
        await self._look("the dead-letter queue holds the poison, and nothing else", self._dead_letters)
        await self._look("the queue is empty", self._queue)
        await self._look("no worker met an error that it did not know", self._bugs)

    async def _look(self, what: str, look: Callable[[], Awaitable[None]]) -> None:
        self.tally.checks[what] += 1
        try:
            await look()
        except AssertionError as failure:
            self.tally.failures.append(f"{what}: {failure}")

    async def _ledger(self, environment: str) -> None:
        wanted = {str(table): "GRANTED" for story in self.stories for table in self._wanted(story, environment)}
        found = self.stories[0].tables(environment)
        assert found == wanted, f"{environment}: has {found}, wanted {wanted}"

    async def _secrets(self, environment: str) -> None:
        principals = sum(bool(self._wanted(story, environment)) for story in self.stories)
        assert len(self.cloud.readable_secrets(environment)) == 2 * principals
        assert len(self.cloud.shares(environment)) == principals

    async def _reads(self, here: Story) -> None:
        wanted = self._wanted(here, here.environment)
        every = self.cloud.consumer_secrets(here.environment)
        secrets = [secret for secret in every if secret.database == here.play.database]
        assert len(secrets) == bool(wanted), f"{here.environment}: {len(secrets)} secrets, wanted {wanted}"
        for secret in secrets:
            login, tables = secret.credentials, [it.table for it in self.truth.listed if it.flavour == here.server.flavour]
            assert await here.play.can_log_in(login), f"{login.username}: the secret's password is not the login's"
            readable = {table for table in tables if await here.play.can_read(login, table)}
            assert readable == wanted, f"{login.username} reads {readable}, wanted {wanted}"
            assert not [table for table in tables if await here.play.can_write(login, table)]

    async def _logins(self, story: Story, live: Sequence[str]) -> None:
        due = {story.principal(environment).login for environment in live if self._wanted(story, environment)}
        found = await story.logins()
        assert found == due, f"{story.server.flavour}: missing {due - found}, too many {found - due}"

    async def _dead_letters(self) -> None:
        found, poison = {letter.body for letter in self.cloud.dead_letters()}, self.truth.poison
        assert found == poison, f"missing {poison - found}, too many {found - poison}"

    async def _queue(self) -> None:
        assert self.cloud.waiting() == 0

    async def _bugs(self) -> None:
        told = [line for worker in self.workers for line in worker.events("handler_failed")]
        assert told == [], told

    def _wanted(self, story: Story, environment: str) -> set[object]:
        return set(self.truth.wanted(environment, story.server.flavour))
