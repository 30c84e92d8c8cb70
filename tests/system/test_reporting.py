"""An outcome on a real bus: what a rule's target receives."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from dzgrant.accounts import Accounts
from dzgrant.localcloud.places import OUTCOMES, queue_url
from dzgrant.localcloud.process import LocalCloud, running
from dzgrant.metrics import Metrics
from dzgrant.model import AccountId, Environment, Principal, Region, Source
from dzgrant.reporting import Outcome, OutcomeKind, Reporter
from dzgrant.settings import load


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with running() as cloud:
        yield cloud


async def test_a_rule_on_the_bus_receives_the_outcome(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in cloud.environment.items():
        monkeypatch.setenv(variable, value)
    settings = load()
    environment = Environment(
        domain="dzd_1", project="project1", id="env1", account=AccountId("333333333333"), region=Region("eu-central-1")
    )
    source = Source(engine="mysql", host="db.example.test", port=3306, database="shop")
    principal = Principal(environment=environment, source=source)
    outcome = Outcome(
        kind=OutcomeKind.REVOKED, aim="revoke", principal=principal, table="shop.orders", seconds=0.5, subscription="sub1"
    )
    async with Accounts(settings) as accounts:
        await Reporter(accounts, Metrics(), bus=settings.event_bus).outcome(outcome)
        sqs = await accounts.sqs()
        received = await sqs.receive_message(QueueUrl=queue_url(cloud.endpoint, OUTCOMES), WaitTimeSeconds=10)
    [message] = received["Messages"]
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"]) == ("dzgrant", "Access Revoked")
    assert event["detail"]["subscription"] == "sub1"
    assert event["detail"]["table"] == "shop.orders"
