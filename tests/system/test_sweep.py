"""The sweep against the whole system: what was changed behind dzgrant's back is found, told and mended by one worker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from dzgrant.engines.contract import Database, Owner
from dzgrant.errors import LeaseLost
from dzgrant.ledger import Sweeps
from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import CONSUMER, PRODUCER, TABLE
from dzgrant.model import PrincipalRecord, Table, TablePath, Wanted
from dzgrant.passwords import new_password
from dzgrant.reporting import DriftKind
from dzgrant.saga.sweep import Finding, Swept
from dzgrant.settings import load
from dzgrant.worker import Parts, assembled, sweep
from tests.engines.playground import Holder
from tests.system.cloud import until
from tests.system.conftest import Start
from tests.system.story import Story

both = pytest.mark.parametrize("engine", ["postgresql", "mariadb"], indirect=True)
postgresql_alone = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

HOUR = timedelta(hours=1)
_BY_HAND = {
    "postgresql": {
        "gone": "DROP OWNED BY {login}; DROP ROLE {login}",
        "password": "ALTER ROLE {login} PASSWORD 'Changed-8y-hand'",
        "extra": "GRANT SELECT ON {salaries} TO {login}; GRANT INSERT ON {wages} TO {login}; "
        "GRANT UPDATE ON {orders} TO {login}; GRANT pg_read_all_settings TO {login}",
        "missing": "REVOKE SELECT ON {orders} FROM {login}",
    },
    "mysql": {
        "gone": "DROP USER {login}",
        "password": "ALTER USER {login} IDENTIFIED BY 'Changed-8y-hand'",
        "extra": "GRANT SELECT ON {salaries} TO {login}; GRANT SELECT ON {database}.* TO {login}; "
        "GRANT UPDATE ON {orders} TO {login}",
        "missing": "REVOKE SELECT ON {orders} FROM {login}",
    },
}


@pytest.fixture
async def parts(own: Story, ca_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parts]:
    variables = {
        "DZGRANT_DATABASE_CA_BUNDLE": str(ca_bundle),
        "DZGRANT_DOMAIN_IDS": own.domain,
        "DZGRANT_DATAZONE_RATE": "100",
        # Nothing dies here: bounds that a busy machine does not meet.
        "DZGRANT_LEASE_SECONDS": "300",
        "DZGRANT_DATABASE_CONNECT_TIMEOUT": "30",
        "DZGRANT_DATABASE_STATEMENT_TIMEOUT": "60",
    }
    for name, value in {**own.cloud.local.environment, **variables}.items():
        monkeypatch.setenv(name, value)
    async with assembled(load()) as parts:
        yield parts


async def swept(parts: Parts, domain: str, *, repair: bool = True, cursor: str = "") -> list[Swept]:
    async with aclosing(sweep(parts, repair=repair).domain(domain, cursor)) as steps:
        return [one async for step in steps for one in step.swept]


def findings(done: list[Swept]) -> list[Finding]:
    """Without the logins that other tests left on the server: whose they are can't be told."""
    every = [finding for one in done for finding in one.findings]
    return [one for one in every if one.drift.principal or one.drift.kind is not DriftKind.ORPHAN_LOGIN]


@dataclass(slots=True)
class World:
    """Environments by what happens to them."""

    story: Story
    environments: dict[str, str]
    tables: dict[str, Table]

    @property
    def orders(self) -> Table:
        return self.tables["orders"]

    @property
    def salaries(self) -> Table:
        return self.tables["salaries"]

    def found(self, done: list[Swept]) -> set[tuple[str, str]]:
        """The kinds, each with the name of the environment."""
        names = {identifier: name for name, identifier in self.environments.items()}
        return {
            (one.drift.kind.value, names.get(one.drift.principal.environment.id, "?") if one.drift.principal else "")
            for one in findings(done)
        }

    def secret_name(self, side: str, name: str) -> str:
        return f"dzgrant/{side}/{self.environments[name]}/{self.story.play.source.key}"

    async def by_hand(self, name: str) -> None:
        words, play = _BY_HAND[self.story.server.engine][name], self.story.play
        login = self.story.principal(self.environments[name]).login
        for statement in words.split("; "):
            tables = {name: play.sql(table) for name, table in self.tables.items()}
            await play.run(statement.format(login=login, database=play.quoted(play.database), **tables))

    async def meddle(self) -> None:
        for name in ("gone", "password", "extra", "missing"):
            await self.by_hand(name)
        producer = self.story.cloud.client("secretsmanager", PRODUCER)
        consumer = self.story.cloud.client("secretsmanager", CONSUMER)
        producer.delete_secret(SecretId=self.secret_name("producer", "producer"), RecoveryWindowInDays=7)
        wider = producer.get_resource_policy(SecretId=self.secret_name("producer", "policy"))["ResourcePolicy"]
        wider = json.loads(wider)
        wider["Statement"].append({"Effect": "Allow", "Principal": {"AWS": "444444444444"}, "Action": "*", "Resource": "*"})
        producer.put_resource_policy(SecretId=self.secret_name("producer", "policy"), ResourcePolicy=json.dumps(wider))
        consumer.delete_secret(SecretId=self.secret_name("consumer", "copy"), ForceDeleteWithoutRecovery=True)
        held = json.loads(consumer.get_secret_value(SecretId=self.secret_name("consumer", "edited"))["SecretString"])
        edited = json.dumps({**held, "host": "elsewhere.example.com"})
        consumer.put_secret_value(SecretId=self.secret_name("consumer", "edited"), SecretString=edited)

    async def all_is_well(self) -> None:
        for environment in self.environments.values():
            await self.story.reads(self.orders, environment=environment, of=tuple(self.tables.values()))


MEDDLED = {
    ("login", "gone"),
    ("password", "password"),
    ("privilege_extra", "extra"),
    ("privilege_missing", "missing"),
    ("producer_secret", "producer"),
    ("share", "policy"),
    ("consumer_secret", "copy"),
    ("consumer_secret", "edited"),
}


async def _world(story: Story, *names: str) -> World:
    tables = {name: await story.play.create_table(name) for name in ("orders", "salaries", "wages")}
    first, *rest = names
    environments = {first: story.environment} | {name: story.add_environment() for name in rest}
    return World(story=story, environments=environments, tables=tables)


@both
async def test_what_was_changed_by_hand_is_found_and_mended(own: Story, parts: Parts) -> None:
    story, domain = own, own.domain
    world = await _world(story, "untouched", *(name for _, name in sorted(MEDDLED)))
    story.approve(story.publish(world.orders), events=False)
    done = await swept(parts, domain)
    assert world.found(done) == {("not_granted", name) for name in world.environments}
    assert all(one.repaired for one in findings(done))
    assert findings(await swept(parts, domain)) == []

    await world.meddle()
    before = story.cloud.ledger(), story.cloud.values("dzgrant/")
    done = await swept(parts, domain, repair=False)
    assert world.found(done) == MEDDLED
    assert not any(one.repaired for one in findings(done))
    assert (story.cloud.ledger(), story.cloud.values("dzgrant/")) == before

    done = await swept(parts, domain)
    assert world.found(done) == MEDDLED
    assert [one for one in findings(done) if not one.repaired] == []
    assert findings(await swept(parts, domain)) == []
    await world.all_is_well()
    assert len(story.cloud.shares(world.environments["policy"])) == 1
    assert "444444444444" not in story.cloud.shares(world.environments["policy"])[0]
    told = [it["detail"] for it in story.cloud.outcomes() if it["detail-type"] == "Drift Found"]
    told = [it for it in told if it["domain"] == domain]
    assert {it["kind"] for it in told if it["repaired"]} == {"not_granted", *(kind for kind, _ in MEDDLED)}


@both
async def test_what_no_event_told_of_is_found_and_mended(own: Story, parts: Parts) -> None:
    story, domain = own, own.domain
    world = await _world(story, "stays", "goes")
    again = await story.play.create_table("again")
    story.approve(story.publish(world.orders), events=False)
    ended = story.approve(story.publish(again), events=False)
    await swept(parts, domain)
    goes = story.secret(world.environments["goes"]).credentials

    story.revoke(ended, events=False)
    story.cloud.control.do(c.DeleteEnvironment(environment=world.environments["goes"], gone=True, events=False))
    world.environments["comes"] = story.add_environment()
    # Granted, for a subscription that DataZone never had.
    (known,) = await parts.ledger.principals(world.environments["stays"])
    await parts.runner.grant([_wish(known, story.play.path(world.salaries))])
    expected = {
        ("not_revoked", "stays"),
        ("not_revoked", "goes"),
        ("not_granted", "comes"),
        ("unknown_subscription", "stays"),
    }
    assert world.found(await swept(parts, domain, repair=False)) == expected
    done = await swept(parts, domain)
    assert world.found(done) == expected
    assert [one for one in findings(done) if not one.repaired] == []
    await story.nothing_left(goes, world.environments.pop("goes"))
    await world.all_is_well()
    assert findings(await swept(parts, domain)) == []


@both
async def test_what_nobody_has_any_more_goes_and_what_may_be_anothers_stays(own: Story, parts: Parts) -> None:
    story, domain = own, own.domain
    world = await _world(story, "one")
    subscription = story.approve(story.publish(world.orders), events=False)
    await swept(parts, domain)
    copy = story.secret()
    story.revoke(subscription, events=False)
    await swept(parts, domain)
    assert await story.logins() == frozenset()

    # As a statement would that outlived every bound, and beside it a login of another dzgrant on the same server.
    (known,) = await parts.ledger.principals(story.environment)
    mine, place = known.principal, known.principal.environment
    theirs = replace(mine, environment=replace(place, id="another", domain="dzd_another"))
    for one in (mine, theirs):
        owner = Owner(domain=one.environment.domain, project=place.project, environment=one.environment.id)
        make = partial(_make, login=one.login, owner=owner, permit=Holder(known.fence))
        await parts.sources.run(mine.source, known.admin, make)
    await parts.secrets.keep_consumer(mine, copy.credentials)
    orphans = {("orphan_login", "one"), ("orphan_secret", "one")}
    done = await swept(parts, domain, repair=False)
    assert world.found(done) == orphans
    assert await story.logins() == {mine.login, theirs.login}
    done = await swept(parts, domain)
    assert world.found(done) == orphans
    assert [one for one in findings(done) if not one.repaired] == []
    assert await story.logins() == {theirs.login}
    await story.nothing_left(copy.credentials)
    # PostgreSQL's mark says whose it is; MariaDB's does not, and so it is told, and left.
    untold = {one.drift.login for swept in done for one in swept.findings if one.drift.principal is None}
    assert (theirs.login in untold) is (story.server.engine == "mysql")
    await parts.sources.run(mine.source, known.admin, lambda database: database.drop(theirs.login, Holder(known.fence)))


async def _make(database: Database, *, login: str, owner: Owner, permit: Holder) -> None:
    await database.ensure_login(login, new_password(), owner, permit)


def _wish(known: PrincipalRecord, path: TablePath) -> Wanted:
    return Wanted(
        principal=known.principal,
        path=path,
        subscription=f"never-{known.principal.environment.id}",
        listing="l",
        asset="a",
        admin=known.admin,
    )


@postgresql_alone
async def test_a_table_that_was_dropped_and_made_again_is_granted_again(own: Story, parts: Parts) -> None:
    world = await _world(own, "one")
    own.approve(own.publish(world.orders), events=False)
    await swept(parts, own.domain)
    await own.play.run(f"DROP TABLE {own.play.sql(world.orders)}")
    await own.play.create_table(world.orders.name)
    done = await swept(parts, own.domain)
    assert world.found(done) == {("privilege_missing", "one")}
    await world.all_is_well()


@dataclass(slots=True)
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@postgresql_alone
async def test_one_worker_is_elected_and_another_goes_on_where_it_was_cut_off(own: Story, parts: Parts) -> None:
    world = await _world(own, *map(str, range(9)))
    own.approve(own.publish(world.orders), events=False)
    whole = await swept(parts, own.domain)
    clock, client = Clock(), await parts.accounts.dynamodb()
    one, other = (Sweeps(client, TABLE, owner=name, lease_seconds=9, clock=clock) for name in ("one", "other"))
    seen = await one.record(own.domain)
    first = await one.take(own.domain, seen, HOUR)
    assert first
    assert await other.take(own.domain, seen, HOUR) is None
    assert await other.take(own.domain, await other.record(own.domain), HOUR) is None
    async with aclosing(sweep(parts, repair=True).domain(own.domain)) as steps:
        done: list[Swept] = []
        async for step in steps:
            done += step.swept
            await first.advance(step.cursor)
            if step.cursor.startswith("principals"):
                break
    assert 0 < len(done) < len(whole)

    # It is gone, and nobody gave its lease back.
    clock.now += 13
    second = await other.take(own.domain, await other.record(own.domain), HOUR)
    assert second
    rest = await swept(parts, own.domain, cursor=second.cursor)
    assert done + rest == [Swept(subscription=one.subscription, principal=one.principal) for one in whole]
    with pytest.raises(LeaseLost):
        await first.advance("subscriptions|")
    await second.finish()
    assert await one.take(own.domain, await one.record(own.domain), HOUR) is None
    clock.now += 3601
    third = await one.take(own.domain, await one.record(own.domain), HOUR)
    assert third
    assert third.cursor == ""
    await third.release()


@postgresql_alone
async def test_two_workers_sweep_by_themselves(own: Story, start: Start) -> None:
    world = await _world(own, "one")
    own.approve(own.publish(world.orders), events=False)
    often = {"DZGRANT_SWEEP_MINUTES": "0.02", "DZGRANT_DOMAIN_IDS": own.domain, "DZGRANT_LEASE_SECONDS": "300"}
    with start("one", **often) as one, start("other", **often) as other:

        async def granted() -> bool | None:
            told = [line for worker in (one, other) for line in worker.events("reconciled")]
            return (list(own.tables().values()) == ["GRANTED"] and any(line["findings"] == 0 for line in told)) or None

        await until(granted, lambda: one.log.read_text() + other.log.read_text())
    await world.all_is_well()
    assert not [line for worker in (one, other) for line in worker.events("sweep_lost")]
    assert not [line for worker in (one, other) for line in worker.events("handler_failed")]
