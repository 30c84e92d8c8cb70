"""Several workers at once, and workers that end: whatever the order of events, what is becomes what should be."""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import dataclass, field

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import QUEUE, queue_url
from dzgrant.model import Table
from tests.system import daemon
from tests.system.cloud import until
from tests.system.conftest import Start
from tests.system.story import Story

_WORKERS = 8
_EVENTS = 100
_SEED = 20_240_108


@dataclass
class Events:
    """What DataZone sent, held back, so that it can be sent in another order, and more than once."""

    story: Story
    bodies: list[str] = field(default_factory=list)

    def collect(self) -> None:
        sqs = self.story.cloud.client("sqs")
        url = queue_url(self.story.cloud.local.endpoint, QUEUE)
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.bodies.append(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def shuffled(self, dice: random.Random, number: int) -> list[str]:
        """All of them at least once, `number` in all, in any order."""
        again = [dice.choice(self.bodies) for _ in range(number - len(self.bodies))]
        every = [*self.bodies, *again]
        dice.shuffle(every)
        return every


async def test_eight_workers_and_a_hundred_events_shuffled_and_duplicated(own: Story, start: Start) -> None:
    story, dice = own, random.Random(_SEED)
    environments = [story.environment, story.add_environment(), story.add_environment()]
    tables = [await story.play.create_table(f"t{number}") for number in range(6)]
    listings = [story.publish(table) for table in tables]
    events = Events(story)
    live = _live(story, dice, listings, 30)
    events.collect()
    with ExitStack() as running:
        workers = [running.enter_context(start(f"worker-{number}")) for number in range(_WORKERS)]
        for worker in workers:
            await worker.ready()
        heap = events.shuffled(dice, _EVENTS)
        for body in heap[:50]:
            story.cloud.control.send(body)
        # In the midst of old news, new things happen.
        live = _live(story, dice, listings, 10, live)
        for body in heap[50:]:
            story.cloud.control.send(body)
        await story.cloud.settled(90)
        await _as_desired(story, environments, tables, listings, live)
        assert all(worker.process.poll() is None for worker in workers)
        assert sum(bool(worker.events("grant_outcome")) for worker in workers) > 1
    assert [letter for letter in story.cloud.dead_letters() if story.domain in letter.body] == []


def _live(
    story: Story, dice: random.Random, listings: list[str], steps: int, before: dict[str, str] | None = None
) -> dict[str, str]:
    """Subscribes, approves and revokes by dice; gives the approved subscriptions with their listings."""
    live = dict(before or {})
    for _ in range(steps):
        if live and dice.random() < 0.5:
            subscription = dice.choice(list(live))
            del live[subscription]
            story.revoke(subscription)
        else:
            listing = dice.choice(listings)
            live[story.approve(listing)] = listing
    return live


async def _as_desired(
    story: Story, environments: list[str], tables: list[Table], listings: list[str], live: dict[str, str]
) -> None:
    wanted = [table for table, listing in zip(tables, listings, strict=True) if listing in live.values()]
    assert 0 < len(wanted) < len(tables), "the dice must leave some of each"
    for environment in environments:
        await story.reads(*wanted, of=tables, environment=environment)
    assert len(await story.logins()) == len(environments)
    datazone = story.cloud.client("datazone")
    said = {one: datazone.get_subscription(domainIdentifier=story.domain, identifier=one)["status"] for one in live}
    assert set(said.values()) == {"APPROVED"}


async def test_sigterm_under_load_drains_and_loses_nothing(own: Story, start: Start) -> None:
    story = own
    tables = [await story.play.create_table(f"t{number}") for number in range(12)]
    listings = [story.publish(table) for table in tables]
    for _ in range(3):
        story.add_environment()
    # Slow enough that the signal comes in the midst of it.
    story.cloud.control.do(c.Latency(milliseconds=50))
    with start("first", DZGRANT_CONCURRENCY="4") as first, start("second", DZGRANT_CONCURRENCY="4") as second:
        await first.ready()
        for listing in listings:
            story.approve(listing)
        await until(first.has_granted, first.log.read_text)
        assert story.cloud.waiting() > 0
        assert await first.drain() == 0
        (drained,) = first.events("drain_started")
        assert drained["in_flight"] > 0
        assert not first.events("message_lost")
        story.cloud.control.do(c.Heal())
        await second.ready()
        await story.cloud.settled()
    await story.reads(*tables, of=tables)
    assert story.principal_state() == "ACTIVE"


async def test_a_crash_between_the_login_and_its_secret_is_repaired_by_whoever_comes_next(own: Story, start: Start) -> None:
    story = own
    orders = await story.play.create_table("orders")
    listing = story.publish(orders)
    with start("first", **daemon.SHORT_LIVED) as first:
        await first.ready()
        match = c.Match(operations=("PutResourcePolicy",), agent="dzgrant")
        story.cloud.control.do(c.Kill(pid=first.pid, call=1, when="before", match=match))
        story.approve(listing)
        assert await first.ended() == -9
    assert len(await story.logins()) == 1
    assert story.cloud.consumer_secrets(story.environment) == []
    with start("second") as second:
        await second.ready()
        await story.cloud.settled()
    await story.reads(orders, of=(orders,))
    assert len(await story.logins()) == 1


async def test_an_event_that_was_lost_is_made_good_by_reconcile(own: Story, start: Start) -> None:
    story = own
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    with start("worker") as worker:
        await worker.ready()
        ended = await story.granted(orders)
    story.revoke(ended, events=False)
    story.approve(story.publish(items), events=False)
    with start("reconcile", command=("-m", "dzgrant.cli", "reconcile", "--domain", story.domain)) as once:
        assert await once.ended() == 0, once.log.read_text()
    await story.reads(items, of=(orders, items))
    assert story.cloud.waiting() == 0
