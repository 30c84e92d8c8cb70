"""The dead letters, looked at and moved by the commands, on a queue of their own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from dzgrant.accounts import Accounts
from dzgrant.intake.letters import of
from dzgrant.intake.queue import Delivery, open_queue
from dzgrant.localcloud.places import GOVERNANCE
from dzgrant.localcloud.process import running
from dzgrant.settings import load
from tests.envelopes import DOMAIN, subscription
from tests.system.cloud import Cloud


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running() as local:
        found = Cloud(local)
        yield found
        found.close()


@dataclass(frozen=True)
class Queues:
    cloud: Cloud
    queue: str
    dead: str

    @property
    def sqs(self) -> Any:
        return self.cloud.client("sqs", GOVERNANCE)

    def die(self, body: str, reason: str | None = None) -> str:
        """A dead letter, with its id."""
        attributes = {"dzgrant.reason": {"DataType": "String", "StringValue": reason}} if reason else {}
        return str(self.sqs.send_message(QueueUrl=self.dead, MessageBody=body, MessageAttributes=attributes)["MessageId"])

    def count(self, url: str) -> tuple[int, int]:
        """Visible, and hidden."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    async def __call__(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "dzgrant.cli", "dlq", *arguments],
            env={
                **self.cloud.local.environment,
                "DZGRANT_QUEUE_URL": self.queue,
                "DZGRANT_DOMAIN_IDS": DOMAIN,
                "COLUMNS": "250",
            },
            input=typed,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )


@pytest.fixture
def dlq(cloud: Cloud) -> Queues:
    name = uuid4().hex
    sqs = cloud.client("sqs", GOVERNANCE)
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1000})
    return Queues(cloud, sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": redrive})["QueueUrl"], dead)


async def test_each_letter_is_listed_with_what_it_is_about_and_why_and_stays_where_it_is(dlq: Queues) -> None:
    refused = dlq.die(json.dumps(subscription()), "a filter can't be enforced (subscription sub1); correct it")
    moved = dlq.die(json.dumps(subscription(entity="sub2")))
    poison = dlq.die("\x1b[2Jno JSON")
    others = [dlq.die(json.dumps(subscription(entity=f"more{number}"))) for number in range(9)]
    done = await dlq("list", "--json")
    assert done.returncode == 0, done.stderr
    found = {one["id"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert set(found) == {refused, moved, poison, *others}
    first, second, third = found[refused], found[moved], found[poison]
    assert (first["kind"], first["domain"], first["subject"]) == ("Subscription Created", DOMAIN, "subscription sub1")
    assert first["reason"] == "a filter can't be enforced (subscription sub1); correct it"
    assert "Nothing is wrong with the message itself" in second["reason"]
    assert (third["kind"], third["subject"]) == (None, None)
    assert "it is not JSON" in third["reason"]
    # Nobody else has to wait for them.
    assert dlq.count(dlq.dead) == (12, 0)

    shown = await dlq("show", refused)
    assert "subscription sub1" in shown.stdout
    assert '"detail-type": "Subscription Created"' in shown.stdout
    assert "\x1b" not in (await dlq("show", poison)).stdout
    unknown = await dlq("show", "none")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "dzgrant: there is no dead letter none; see what there is with: dzgrant dlq list\n",
    )


async def test_redriven_letters_are_in_the_queue_again_without_their_reason(dlq: Queues) -> None:
    one, two = dlq.die(json.dumps(subscription()), "mended since"), dlq.die(json.dumps(subscription(entity="sub2")))
    refused = await dlq("redrive", one, "none")
    assert (refused.returncode, dlq.count(dlq.queue), dlq.count(dlq.dead)) == (1, (0, 0), (2, 0))
    done = await dlq("redrive", one)
    assert (done.returncode, done.stdout) == (0, "1 back in the queue\n")
    [message] = dlq.sqs.receive_message(QueueUrl=dlq.queue, MessageAttributeNames=["All"])["Messages"]
    assert json.loads(message["Body"]) == subscription()
    assert "MessageAttributes" not in message
    assert dlq.count(dlq.dead) == (1, 0)
    assert (await dlq("redrive", two, "--all")).returncode == 2
    assert (await dlq("redrive", "--all")).stdout == "1 back in the queue\n"
    assert (await dlq("redrive", "--all")).stdout == "no dead letters\n"


async def test_dropped_letters_are_gone_once_that_is_confirmed(dlq: Queues) -> None:
    one, two = dlq.die("poison"), dlq.die("more of it")
    kept = await dlq("drop", one, typed="no\n")
    assert (kept.returncode, dlq.count(dlq.dead)) == (1, (2, 0))
    assert (await dlq("drop", one, typed="yes\n")).returncode == 0
    assert (await dlq("drop", two, "--yes")).returncode == 0
    assert dlq.count(dlq.dead) == (0, 0)


async def test_a_queue_without_dead_letters_is_one_line(dlq: Queues) -> None:
    bare = dlq.sqs.create_queue(QueueName=uuid4().hex)["QueueUrl"]
    done = await Queues(dlq.cloud, bare, dlq.dead)("list")
    assert done.returncode == 2
    assert (done.stderr.count("\n"), "the queue has no dead-letter queue" in done.stderr) == (1, True)


async def test_a_crash_between_the_two_steps_of_a_redrive_leaves_both(dlq: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    dlq.die(json.dumps(subscription()), "mended since")
    for variable, value in dlq.cloud.local.environment.items():
        monkeypatch.setenv(variable, value)
    async with Accounts(load()) as accounts:
        letters = of(await open_queue(await accounts.sqs(), dlq.queue))

        async def crash(_: Delivery) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(letters, "drop", crash)
        async with letters.taken() as found:
            [letter] = found.values()
            with pytest.raises(KeyboardInterrupt):
                await letters.redrive(letter)
    assert (dlq.count(dlq.queue), dlq.count(dlq.dead)) == ((1, 0), (1, 0))
    assert (await dlq("redrive", "--all")).stdout == "1 back in the queue\n"
    assert (dlq.count(dlq.queue), dlq.count(dlq.dead)) == ((2, 0), (0, 0))
