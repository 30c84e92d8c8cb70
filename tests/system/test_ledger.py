"""The ledger against DynamoDB's API over HTTP, in a table made from its own CloudFormation template."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientSession, web
from types_aiobotocore_dynamodb import DynamoDBClient

from dzgrant.errors import LeaseHeld, LeaseLost, Misconfigured, Transient
from dzgrant.ledger import Claim, GrantOutcome, Ledger, Settlement
from dzgrant.ledger.ledger import SKEW_SECONDS
from dzgrant.localcloud import templates
from dzgrant.localcloud.process import LocalCloud, running
from dzgrant.metrics import Metrics
from dzgrant.model import (
    WHOLE,
    AccountId,
    Admin,
    AllOf,
    AnyOf,
    Arn,
    Comparison,
    Environment,
    GrantRecord,
    GrantState,
    Operator,
    Principal,
    PrincipalState,
    Region,
    Scope,
    Source,
    Table,
    TablePath,
    Wanted,
)
from dzgrant.saga.stuck import count, stuck

GOLDEN = Path(__file__).parents[1] / "unit" / "golden" / "ledger_v1.json"
REGION = Region("eu-central-1")
ADMIN = Admin(account=AccountId("222222222222"), region=REGION, connection="shop", secret="arn:admin")
ORDERS, CLIENTS = TablePath(name="public.orders"), TablePath(name="public.clients")
LEASE_SECONDS = 30.0

Open = Callable[..., Ledger]


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with running() as cloud:
        yield cloud


@pytest.fixture
def endpoint(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    return cloud.endpoint


@pytest.fixture
async def table(endpoint: str) -> str:
    """A ledger of its own for each test, as the template says."""
    name = f"ledger-{uuid4().hex}"
    async with get_session().create_client("cloudformation", region_name=REGION) as client:
        await client.create_stack(
            StackName=name,
            TemplateBody=templates.ledger(),
            Parameters=[{"ParameterKey": "Name", "ParameterValue": name}],
        )
    return f"{name}-ledger"


class Wire:
    """The way to DynamoDB: hands requests on one at a time, as DynamoDB's transactions are isolated, and can lose answers."""

    def __init__(self, beyond: str) -> None:
        self.calls: list[str] = []
        self.lose = 0
        self._beyond = beyond
        self._one = asyncio.Lock()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with self._one, ClientSession() as session, session.post(self._beyond, data=body, headers=headers) as answer:
            content = await answer.read()
        self.calls.append(request.headers["X-Amz-Target"].partition(".")[2])
        if self.lose:
            self.lose -= 1
            assert request.transport is not None
            request.transport.close()
        return web.Response(body=content, status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})


@pytest.fixture
async def wire(endpoint: str) -> AsyncIterator[tuple[Wire, str]]:
    wire = Wire(endpoint)
    app = web.Application(client_max_size=8 * 2**20)
    app.router.add_post("/", wire.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield wire, f"http://{host}:{port}"
    await runner.cleanup()


@pytest.fixture
async def dynamodb(endpoint: str, wire: tuple[Wire, str]) -> AsyncIterator[DynamoDBClient]:
    config = AioConfig(retries={"mode": "standard", "total_max_attempts": 4})
    create = get_session().create_client
    async with create("dynamodb", region_name=REGION, endpoint_url=wire[1], config=config) as client:
        yield client


@pytest.fixture
def open_ledger(dynamodb: DynamoDBClient, table: str) -> Open:
    """Opens the test's ledger as one more process would."""

    def opened(clock: Callable[[], float] = time.time, lease_seconds: float = LEASE_SECONDS) -> Ledger:
        return Ledger(dynamodb, table, owner=uuid4().hex, lease_seconds=lease_seconds, clock=clock)

    return opened


@pytest.fixture
def ledger(open_ledger: Open) -> Ledger:
    return open_ledger()


def principal(environment: str = "env1", database: str = "shop", project: str = "sales") -> Principal:
    return Principal(
        environment=Environment(
            domain="dzd_1", project=project, id=environment, account=AccountId("333333333333"), region=REGION
        ),
        source=Source(engine="postgresql", host="db.example.com", port=5432, database=database),
    )


def wanted(by: str, path: TablePath = ORDERS, on: Principal | None = None) -> Wanted:
    return Wanted(principal=on or principal(), path=path, subscription=by, listing="lst", asset="ast", admin=ADMIN)


def active(*grants: GrantOutcome) -> Settlement:
    return Settlement(
        state=PrincipalState.ACTIVE,
        producer_secret=Arn("arn:producer"),
        consumer_secret=Arn("arn:consumer"),
        login=principal().login,
        password_at=None,
        spare=None,
        grants=grants,
    )


def granted(path: TablePath, *by: str, ended: frozenset[str] = frozenset()) -> GrantOutcome:
    schema, _, name = path.name.partition(".")
    table = Table(schema=schema, name=name)
    return GrantOutcome(path=path, state=GrantState.GRANTED, table=table, subscriptions=frozenset(by), ended=ended)


def removed(*grants: GrantOutcome) -> Settlement:
    return Settlement(
        state=PrincipalState.REMOVED,
        producer_secret=None,
        consumer_secret=None,
        login=principal().login,
        password_at=None,
        spare=None,
        grants=grants,
    )


def gone(path: TablePath, *by: str) -> GrantOutcome:
    return GrantOutcome(path=path, state=GrantState.REVOKED, ended=frozenset(by))


async def grant(ledger: Ledger, *wishes: Wanted) -> None:
    on = wishes[0].principal
    lease = await ledger.acquire(on, ADMIN, wanted=wishes)
    await ledger.settle(lease, active(*(granted(one.path, one.subscription) for one in wishes)))


async def test_a_grant_is_two_calls(ledger: Ledger, wire: tuple[Wire, str]) -> None:
    await grant(ledger, wanted("sub1"))
    await grant(ledger, wanted("sub2", CLIENTS))
    assert wire[0].calls == ["TransactWriteItems"] * 4


async def test_a_grant_is_intended_then_granted(ledger: Ledger) -> None:
    lease = await ledger.acquire(principal(), ADMIN, wanted=[wanted("sub1")])
    assert (lease.fence, lease.prior, lease.record.state) == (1, None, PrincipalState.PENDING)
    (intended,) = await ledger.grants(principal())
    assert (intended.state, intended.table, intended.subscriptions) == (GrantState.GRANTING, None, frozenset({"sub1"}))
    await ledger.settle(lease, active(granted(ORDERS, "sub1")))
    (record,) = await ledger.grants(principal())
    assert (record.state, record.table, record.reason) == (GrantState.GRANTED, Table(schema="public", name="orders"), None)
    (kept,) = await ledger.principals("env1")
    assert (kept.state, kept.producer_secret, kept.consumer_secret) == (PrincipalState.ACTIVE, "arn:producer", "arn:consumer")
    assert (kept.principal, kept.admin, kept.fence) == (principal(), ADMIN, 1)
    assert await ledger.claims("sub1") == (Claim.of(wanted("sub1")),)


async def test_the_memory_of_a_principal_is_what_is_there(ledger: Ledger, open_ledger: Open) -> None:
    other = open_ledger()
    for owner in (ledger, ledger, other, ledger, other, other):
        before = await ledger.principals("env1")
        lease = await owner.acquire(principal(), ADMIN, wanted=[wanted("sub1")])
        assert ((lease.prior,) if lease.prior else ()) == before
        await owner.settle(lease, active(granted(ORDERS, "sub1")))


async def test_a_holder_that_settles_while_another_looks_is_not_overlooked(open_ledger: Open, table: str) -> None:
    """The other has seen the record before the settlement, and the fence is still the same."""
    slow, other = open_ledger(), open_ledger()
    lease = await slow.acquire(principal(), ADMIN, wanted=[wanted("sub1")])
    with pytest.raises(LeaseHeld):
        await other.acquire(principal(), ADMIN)
    await slow.settle(lease, active(granted(ORDERS, "sub1")))
    taken = await other.acquire(principal(), ADMIN)
    assert taken.prior is not None
    assert taken.prior.state is PrincipalState.ACTIVE


async def test_a_lease_is_held_by_one(open_ledger: Open) -> None:
    lease = await open_ledger().acquire(principal(), ADMIN)
    with pytest.raises(LeaseHeld, match="env1") as held:
        await open_ledger().acquire(principal(), ADMIN)
    assert held.value.retry_after is not None
    assert 0 < held.value.retry_after <= 2
    lease.check(LEASE_SECONDS - 3)
    await open_ledger().acquire(principal(environment="env2"), ADMIN)


async def test_an_expired_lease_goes_to_another_and_fences_the_first_off(open_ledger: Open) -> None:
    first = open_ledger()
    stale = await first.acquire(principal(), ADMIN, wanted=[wanted("sub1")])
    ahead = LEASE_SECONDS + SKEW_SECONDS
    with pytest.raises(LeaseHeld):
        await open_ledger(clock=lambda: time.time() + ahead - 2).acquire(principal(), ADMIN)
    later = open_ledger(clock=lambda: time.time() + ahead + 1)
    lease = await later.acquire(principal(), ADMIN)
    assert lease.fence == stale.fence + 1
    with pytest.raises(LeaseLost):
        await stale.renew()
    with pytest.raises(LeaseLost):
        await first.settle(stale, active(granted(ORDERS, "sub1")))
    (untouched,) = await first.grants(principal())
    assert untouched.state is GrantState.GRANTING
    await first.release(stale)
    await later.settle(lease, removed(gone(ORDERS, "sub1")))
    assert await later.grants(principal()) == ()


async def test_a_lease_ends_locally_before_it_does_for_others(open_ledger: Open) -> None:
    lease = await open_ledger().acquire(principal(), ADMIN)
    with pytest.raises(LeaseLost, match="needed"):
        lease.check(LEASE_SECONDS - 1.0)  # counted from before the request, so a little less than all is left
    short = await open_ledger(lease_seconds=0.5).acquire(principal("env2"), ADMIN)
    with pytest.raises(LeaseLost):
        short.check(0)


async def test_renewing_moves_the_end_for_everyone(open_ledger: Open) -> None:
    shift = 0.0
    lease = await open_ledger(clock=lambda: time.time() + shift).acquire(principal(), ADMIN)
    shift = 20.0
    await lease.renew()
    with pytest.raises(LeaseHeld):
        await open_ledger(clock=lambda: time.time() + LEASE_SECONDS + SKEW_SECONDS + 10).acquire(principal(), ADMIN)
    lease.check(LEASE_SECONDS - 3)


async def test_what_is_given_back_is_free_and_no_more_ones_own(ledger: Ledger, open_ledger: Open) -> None:
    lease = await ledger.acquire(principal(), ADMIN, wanted=[wanted("sub1")])
    await ledger.release(lease)
    await ledger.release(lease)
    for attempt in (lease.renew(), ledger.settle(lease, active(granted(ORDERS, "sub1")))):
        with pytest.raises(LeaseLost):
            await attempt
    with pytest.raises(LeaseLost):
        lease.check(0)
    again = await ledger.acquire(principal(), ADMIN)
    assert again.fence > lease.fence
    await ledger.release(again)
    assert (await open_ledger().acquire(principal(), ADMIN)).fence > again.fence


async def test_a_lost_answer_does_not_lose_the_lease(ledger: Ledger, wire: tuple[Wire, str]) -> None:
    """The SDK asks again, the condition fails on what the first request wrote: that was this very bid."""
    for answered, known in enumerate((False, True)):
        wire[0].lose = 1
        lease = await ledger.acquire(principal(), ADMIN, wanted=[wanted("sub1")])
        assert (lease.fence, lease.prior is not None) == (answered + 1, known)
        wire[0].lose = 1
        await ledger.settle(lease, active(granted(ORDERS, "sub1")))
    (record,) = await ledger.grants(principal())
    assert record.state is GrantState.GRANTED
    lease = await ledger.acquire(principal(), ADMIN)
    wire[0].lose = 1
    await lease.renew()
    wire[0].lose = 1
    await ledger.release(lease)
    assert (await ledger.acquire(principal(), ADMIN)).fence == lease.fence + 2


async def test_eight_owners_never_hold_one_principal_together(open_ledger: Open) -> None:
    holding: list[str] = []
    fences: list[int] = []

    async def work(number: int) -> None:
        ledger, mine = open_ledger(), wanted(f"sub{number}")
        while True:
            try:
                lease = await ledger.acquire(principal(), ADMIN, wanted=[mine])
            except LeaseHeld:
                continue
            holding.append(mine.subscription)
            assert holding == [mine.subscription]
            (seen,) = await ledger.grants(principal())
            assert mine.subscription in seen.subscriptions
            fences.append(lease.fence)
            holding.remove(mine.subscription)
            await ledger.settle(lease, active(granted(ORDERS, mine.subscription)))
            return

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(work(number))
    assert fences == list(range(1, 9))
    (record,) = await open_ledger().grants(principal())
    assert record.subscriptions == {f"sub{number}" for number in range(8)}


async def test_one_of_two_subscriptions_ends(ledger: Ledger) -> None:
    await grant(ledger, wanted("sub1"))
    await grant(ledger, wanted("sub2"))
    before = (await ledger.grants(principal()))[0].since
    ended = await ledger.end("sub1")
    assert ended == (Claim.of(wanted("sub1")),)
    lease = await ledger.acquire(principal(), ADMIN, unwanted=ended)
    (kept,) = await ledger.grants(principal())
    assert (kept.state, kept.subscriptions) == (GrantState.GRANTED, frozenset({"sub2"}))
    assert await ledger.claims("sub1") == ended  # a crash here leaves the claim to find the way by
    await ledger.settle(lease, active(GrantOutcome(path=ORDERS, state=None, ended=frozenset({"sub1"}))))
    (record,) = await ledger.grants(principal())
    assert (record.state, record.subscriptions, record.since) == (GrantState.GRANTED, frozenset({"sub2"}), before)
    assert await ledger.claims("sub1") == ()
    assert await ledger.claims("sub2") == (Claim.of(wanted("sub2")),)


async def test_a_grant_that_nobody_wants_any_more_reads_as_revoking_whatever_crashed(ledger: Ledger) -> None:
    await grant(ledger, wanted("sub1"))
    await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub1"))
    (record,) = await ledger.grants(principal())
    assert (record.state, record.subscriptions) == (GrantState.REVOKING, frozenset())


async def test_work_that_waits_keeps_its_state_and_says_why(ledger: Ledger) -> None:
    await grant(ledger, wanted("sub1"))
    (before,) = await ledger.grants(principal())
    lease = await ledger.acquire(principal(), ADMIN, wanted=[wanted("sub1")])
    await ledger.settle(lease, active(GrantOutcome(path=ORDERS, state=None, reason="the source is down")))
    (record,) = await ledger.grants(principal())
    assert (record.state, record.since, record.reason) == (GrantState.GRANTED, before.since, "the source is down")


async def test_the_last_revoke_leaves_history_and_the_fence(ledger: Ledger) -> None:
    await grant(ledger, wanted("sub1"), wanted("sub1", CLIENTS))
    ended = await ledger.end("sub1")
    assert {claim.path for claim in ended} == {ORDERS, CLIENTS}
    lease = await ledger.acquire(principal(), ADMIN, unwanted=ended)
    await ledger.settle(lease, removed(gone(ORDERS, "sub1"), gone(CLIENTS, "sub1")))
    assert await ledger.grants(principal()) == ()
    assert await ledger.end("sub1") == ()
    (kept,) = await ledger.principals("env1")
    assert (kept.state, kept.producer_secret, kept.consumer_secret, kept.fence) == (PrincipalState.REMOVED, None, None, 2)
    states = [(record.path, record.state) async for record in ledger.history(subscription="sub1")]
    assert sorted(states, key=str) == sorted(
        [(path, state) for path in (ORDERS, CLIENTS) for state in (GrantState.GRANTED, GrantState.REVOKED)], key=str
    )


async def test_when_it_was_removed_is_kept_through_tries_to_come_back(open_ledger: Open) -> None:
    now = 1_000_000.0
    ledger = open_ledger(clock=lambda: now)
    await grant(ledger, wanted("sub1"))
    lease = await ledger.acquire(principal(), ADMIN, unwanted=[Claim.of(wanted("sub1"))])
    await ledger.settle(lease, removed(gone(ORDERS, "sub1")))
    removed_at = datetime.fromtimestamp(now, UTC)
    # A password that is older is of the earlier life; one that a try to come back made is not, however often it is cut off.
    for _ in range(2):
        now += 60.0
        lease = await ledger.acquire(principal(), ADMIN, wanted=[wanted("sub2")])
        assert lease.record.removed_at == removed_at
        waiting = replace(active(), state=lease.record.state, producer_secret=None, consumer_secret=None)
        await ledger.settle(lease, waiting)
    (again,) = await open_ledger(clock=lambda: now).principals("env1")
    assert again.removed_at == removed_at


async def test_an_approval_cannot_overtake_its_own_end(ledger: Ledger) -> None:
    """A worker read APPROVED and was slow; another has handled the revoke meanwhile and found nothing to do."""
    assert await ledger.end("sub1") == ()
    for principal_is_known in (False, True):
        if principal_is_known:
            await grant(ledger, wanted("sub2"))
        with pytest.raises(Transient, match="the subscription has ended"):
            await ledger.acquire(principal(), ADMIN, wanted=[wanted("sub1", CLIENTS)])
    assert [grant.path async for grant in ledger.find(environment="env1")] == [ORDERS]
    assert await ledger.claims("sub1") == ()
    await grant(ledger, wanted("sub3"))


async def test_nothing_is_granted_in_an_environment_that_is_being_deleted(ledger: Ledger) -> None:
    other = principal(database="stock")
    await grant(ledger, wanted("sub1"), wanted("sub2"))
    await grant(ledger, wanted("sub1", CLIENTS, on=other))
    claims = await ledger.end_environment("env1")
    assert set(claims) == {Claim.of(wanted("sub1")), Claim.of(wanted("sub2")), Claim.of(wanted("sub1", CLIENTS, on=other))}
    with pytest.raises(Transient, match="the environment is being deleted"):
        await ledger.acquire(principal(), ADMIN, wanted=[wanted("sub3")])
    lease = await ledger.acquire(principal(), ADMIN, unwanted=claims[:2])
    await ledger.settle(lease, removed(gone(ORDERS, "sub1", "sub2")))
    await ledger.reopen_environment("env1")
    await ledger.reopen_environment("env1")
    await grant(ledger, wanted("sub3"))


async def test_a_claim_without_a_grant_ends_and_makes_nothing(ledger: Ledger, dynamodb: DynamoDBClient, table: str) -> None:
    """As a crash between two transactions leaves it."""
    await grant(ledger, wanted("sub1"), wanted("sub1", CLIENTS))
    key = {"pk": {"S": "ENVIRONMENT#env1"}, "sk": {"S": f"GRANT#{principal().source.key}#public.orders"}}
    await dynamodb.delete_item(TableName=table, Key=key)
    claims = await ledger.end("sub1")
    lease = await ledger.acquire(principal(), ADMIN, unwanted=claims)
    assert [record.path for record in await ledger.grants(principal())] == [CLIENTS]
    kept = granted(ORDERS, ended=frozenset({"sub1"}))
    await ledger.settle(lease, active(kept, gone(CLIENTS, "sub1")))
    assert await ledger.grants(principal()) == ()
    assert await ledger.claims("sub1") == ()


async def test_wanted_and_unwanted_may_meet_on_one_table(ledger: Ledger) -> None:
    await grant(ledger, wanted("sub1"))
    lease = await ledger.acquire(principal(), ADMIN, wanted=[wanted("sub2")], unwanted=[Claim.of(wanted("sub1"))])
    (record,) = await ledger.grants(principal())
    assert (record.state, record.subscriptions) == (GrantState.GRANTED, frozenset({"sub2"}))
    await ledger.settle(lease, active(granted(ORDERS, "sub2", ended=frozenset({"sub1"}))))


async def test_more_than_a_transaction_a_page_and_a_batch_hold(ledger: Ledger, wire: tuple[Wire, str]) -> None:
    paths = [TablePath(name=f"public.table {number:03}") for number in range(110)]
    wishes = [wanted(f"sub{number % 2}", path) for number, path in enumerate(paths)] + [wanted("sub2", path) for path in paths]
    lease = await ledger.acquire(principal(), ADMIN, wanted=wishes)
    assert wire[0].calls == ["TransactWriteItems"] * 2
    long = "x" * 9_600  # all together more than the megabyte of a page
    failed = [GrantOutcome(path=path, state=GrantState.FAILED, reason=long) for path in paths]
    await ledger.settle(lease, active(*failed))
    assert wire[0].calls == ["TransactWriteItems"] * 4
    assert [record.reason for record in await ledger.grants(principal())] == [long] * 110
    assert len([record async for record in ledger.find(subscription="sub2")]) == 110
    claims = [claim for number in range(3) for claim in await ledger.end(f"sub{number}")]
    assert {(claim.subscription, claim.path) for claim in claims} == {(one.subscription, one.path) for one in wishes}
    lease = await ledger.acquire(principal(), ADMIN, unwanted=claims)
    await ledger.settle(lease, removed(*(gone(path, f"sub{number % 2}", "sub2") for number, path in enumerate(paths))))
    assert await ledger.grants(principal()) == ()
    assert [await ledger.claims(f"sub{number}") for number in range(3)] == [(), (), ()]


async def test_an_end_between_two_transactions_gives_the_lease_back(ledger: Ledger, open_ledger: Open) -> None:
    await ledger.end("sub099")
    wishes = [wanted(f"sub{number:03}", TablePath(name=f"public.t{number}")) for number in range(100)]
    with pytest.raises(Transient, match="has ended"):
        await ledger.acquire(principal(), ADMIN, wanted=wishes)
    await open_ledger().acquire(principal(), ADMIN)


async def test_names_that_hold_separators_stay_apart(ledger: Ledger) -> None:
    paths = [TablePath(name=name) for name in ("a.b", "a#b", "a%23b", 'a."b;c"', "schéma.表" * 20)]
    await grant(ledger, *(wanted("sub1", path) for path in paths))
    assert {record.path for record in await ledger.grants(principal())} == set(paths)
    assert {claim.path for claim in await ledger.claims("sub1")} == set(paths)


async def test_a_failure_has_a_reason_until_it_heals(ledger: Ledger) -> None:
    lease = await ledger.acquire(principal(), ADMIN, wanted=[wanted("sub1")])
    failed = GrantOutcome(path=ORDERS, state=GrantState.FAILED, reason="no such table", subscriptions=frozenset({"sub1"}))
    await ledger.settle(lease, active(failed))
    (record,) = await ledger.grants(principal())
    assert (record.state, record.reason) == (GrantState.FAILED, "no such table")
    await grant(ledger, wanted("sub1"))
    (record,) = await ledger.grants(principal())
    assert (record.state, record.reason) == (GrantState.GRANTED, None)
    reasons = {found.state: found.reason async for found in ledger.history(environment="env1")}
    assert reasons == {GrantState.FAILED: "no such table", GrantState.GRANTED: None}


async def test_history_tells_first_and_last_and_does_not_grow(open_ledger: Open) -> None:
    moment = 1_800_000_000.0
    ledger = open_ledger(clock=lambda: moment)
    for _ in range(3):
        await grant(ledger, wanted("sub1"))
        moment += 10.0
    (record,) = [found async for found in ledger.history(environment="env1", subscription="sub1")]
    start = datetime(2027, 1, 15, 8, 0, 0, tzinfo=UTC)
    assert (record.first, (record.last - start).total_seconds()) == (start, 20.0)
    assert record.principal == principal()
    assert [found.since async for found in ledger.find(subscription="sub1")] == [start]


async def test_a_refusal_stands_until_the_subscription_is_served_or_ends(ledger: Ledger) -> None:
    for one in ("sub1", "sub2"):
        await refuse(ledger, one, "filters")
        await refuse(ledger, one, "filters of rows")
    found = {refusal.subscription: (refusal.reason, refusal.project) async for refusal in ledger.refusals()}
    assert found == {"sub1": ("filters of rows", "sales"), "sub2": ("filters of rows", "sales")}
    await grant(ledger, wanted("sub1"))
    await ledger.end("sub2")
    await refuse(ledger, "sub2", "too late")
    assert [refusal async for refusal in ledger.refusals()] == []


async def refuse(ledger: Ledger, subscription: str, reason: str) -> None:
    await ledger.refuse(domain="dzd_1", subscription=subscription, project="sales", reason=reason)


async def test_find_by_each_filter(ledger: Ledger) -> None:
    stock, far = principal(database="stock"), principal("env2", project="research")
    await grant(ledger, wanted("sub1"), wanted("sub2", CLIENTS))
    await grant(ledger, wanted("sub1", on=stock))
    await grant(ledger, wanted("sub3", on=far))
    await ledger.acquire(stock, ADMIN, wanted=[wanted("sub4", CLIENTS, on=stock)])
    lease = await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub2"))
    await ledger.settle(lease, active(gone(CLIENTS, "sub2")))

    async def found(**wish: str | GrantState) -> set[tuple[str, TablePath]]:
        return {(record.principal.id, record.path) async for record in ledger.find(**wish)}  # type: ignore[arg-type]

    one, two = (principal().id, ORDERS), (stock.id, ORDERS)
    three, four = (far.id, ORDERS), (stock.id, CLIENTS)
    assert await found() == {one, two, three, four}
    assert await found(subscription="sub1") == {one, two}
    assert await found(environment="env1") == {one, two, four}
    assert await found(project="research") == {three}
    assert await found(source=stock.source.key) == {two, four}
    assert await found(state=GrantState.GRANTING) == {four}
    assert await found(environment="env1", source=principal().source.key) == {one}
    assert await found(subscription="sub1", source=stock.source.key) == {two}
    assert await found(subscription="sub1", state=GrantState.FAILED) == set()
    revoked = {(principal().id, CLIENTS)}
    assert await found(state=GrantState.REVOKED) == revoked
    for wish in ({"subscription": "sub2"}, {"environment": "env1"}, {"project": "sales"}, {"source": principal().source.key}):
        assert await found(**wish, state=GrantState.REVOKED) == revoked
    assert await found(subscription="sub1", state=GrantState.REVOKED) == set()
    assert await found(subscription="unknown") == set()


async def test_what_is_stuck_is_found_by_its_state_and_a_revoke_that_was_cut_off_too(ledger: Ledger) -> None:
    stock = principal(database="stock")
    await grant(ledger, wanted("sub1"), wanted("sub2", CLIENTS))
    lease = await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub1"))
    await ledger.settle(lease, active(GrantOutcome(path=ORDERS, state=GrantState.STUCK_REVOKE, reason="no right")))
    lease = await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub2"))
    await ledger.release(lease)
    lease = await ledger.acquire(stock, ADMIN, wanted=[wanted("sub3", on=stock), wanted("sub3", CLIENTS, on=stock)])
    await ledger.settle(lease, active(GrantOutcome(path=ORDERS, state=GrantState.STUCK_GRANT, reason="no right")))

    async def found(state: GrantState) -> set[tuple[str, TablePath, str | None]]:
        return {(one.principal.id, one.path, one.reason) async for one in ledger.find(state=state) if one.state is state}

    assert await found(GrantState.STUCK_REVOKE) == {(principal().id, ORDERS, "no right")}
    assert await found(GrantState.REVOKING) == {(principal().id, CLIENTS, None)}
    assert await found(GrantState.STUCK_GRANT) == {(stock.id, ORDERS, "no right")}
    assert await found(GrantState.GRANTING) == {(stock.id, CLIENTS, None)}
    assert len([one async for one in ledger.waiting()]) == 3
    assert len([one async for one in ledger.find()]) == 4

    await ledger.refuse(domain="dzd_1", subscription="sub4", project="sales", reason="no role", stuck=True)
    metrics = Metrics()
    await count(ledger, metrics)
    counted = {aim: metrics.registry.get_sample_value("dzgrant_stuck", {"aim": aim}) for aim in ("grant", "revoke")}
    assert counted == {"grant": 2, "revoke": 1}


async def test_what_waits_for_long_without_a_word_is_stuck_with_the_subscriptions_that_wanted_it(open_ledger: Open) -> None:
    """Its worker died, and its message is lost; the clock of this ledger is an hour behind."""
    ledger = open_ledger(clock=lambda: time.time() - 3600)
    await grant(ledger, wanted("sub1"), wanted("sub2"))
    await ledger.release(await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub1")))
    assert await stuck(ledger) == []
    await ledger.release(await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub2")))
    await ledger.release(await ledger.acquire(principal(), ADMIN, wanted=[wanted("sub3", CLIENTS)]))
    found = [(one.record.path, one.record.state, one.subscriptions, one.revoke) for one in await stuck(ledger)]
    assert found == [
        (CLIENTS, GrantState.GRANTING, frozenset({"sub3"}), False),
        (ORDERS, GrantState.REVOKING, frozenset({"sub1", "sub2"}), True),
    ]


async def test_a_newer_admin_stays_when_an_older_claim_ends(ledger: Ledger) -> None:
    newer = Admin(account=ADMIN.account, region=REGION, connection="shop2", secret=None)
    await grant(ledger, wanted("sub1"))
    lease = await ledger.acquire(principal(), newer, wanted=[wanted("sub2", CLIENTS)])
    await ledger.settle(lease, active(granted(CLIENTS, "sub2")))
    lease = await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub1"))
    assert lease.record.admin == newer
    await ledger.settle(lease, removed(gone(ORDERS, "sub1")))
    lease = await ledger.acquire(principal(), newer, wanted=[wanted("sub2", CLIENTS)])
    assert lease.record.state is PrincipalState.PENDING  # there may be a login again from here on


@pytest.mark.parametrize(
    "elsewhere",
    [replace(ADMIN, account=AccountId("444444444444")), replace(ADMIN, region=Region("eu-west-1"))],
    ids=["another account", "another Region"],
)
async def test_another_way_to_the_same_database_does_not_move_a_principal(ledger: Ledger, elsewhere: Admin) -> None:
    """Its secret lies in the first account: looked for in another, it would be made anew, and left behind."""
    await grant(ledger, wanted("sub1"))
    lease = await ledger.acquire(principal(), elsewhere, wanted=[wanted("sub2", CLIENTS)])
    assert lease.record.admin == ADMIN
    await ledger.settle(lease, active(granted(CLIENTS, "sub2")))
    lease = await ledger.acquire(principal(), elsewhere, unwanted=await ledger.end("sub2"))
    assert lease.record.admin == ADMIN
    # Suspended half-way: something may be left there still.
    await ledger.release(lease)
    lease = await ledger.acquire(principal(), elsewhere, wanted=[wanted("sub3", CLIENTS)])
    assert lease.record.admin == ADMIN

    await ledger.settle(lease, removed(gone(ORDERS, "sub1"), gone(CLIENTS, "sub3")))
    lease = await ledger.acquire(principal(), elsewhere, wanted=[wanted("sub4")])
    assert lease.record.admin == elsewhere


async def test_the_items_are_those_of_this_version(open_ledger: Open, dynamodb: DynamoDBClient, table: str) -> None:
    """What this code writes is what tests/unit reads from the same file: a changed item needs a new version and file."""
    ledger = open_ledger(clock=lambda: 1_800_000_000.0)
    lease = await ledger.acquire(principal(), ADMIN, wanted=[wanted("sub1"), wanted("sub2"), wanted("sub2", CLIENTS)])
    absent = GrantOutcome(path=CLIENTS, state=GrantState.FAILED, reason="no such table", subscriptions=frozenset({"sub2"}))
    await ledger.settle(lease, active(granted(ORDERS, "sub1", "sub2"), absent))
    lease = await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub1"))
    await ledger.settle(lease, active(granted(ORDERS, ended=frozenset({"sub1"}))))
    await ledger.acquire(principal("env2"), ADMIN, wanted=[wanted("sub3", on=principal("env2"))])
    await refuse(ledger, "sub4", "filters")
    await ledger.end_environment("env3")
    items = (await dynamodb.scan(TableName=table))["Items"]
    for item in items:
        for name in {"owner", "nonce"} & set(item):
            item[name] = {"S": name}
        if "subscriptions" in item:
            item["subscriptions"] = {"SS": sorted(item["subscriptions"]["SS"])}
    assert sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"])) == json.loads(GOLDEN.read_text())


async def test_the_version_before_finds_what_it_reads_in_whatever_this_one_did_to_its_items(
    open_ledger: Open, dynamodb: DynamoDBClient, table: str
) -> None:
    """While a deployment rolls, both work on one ledger: each goes on with what the other left, a cut-off lease included."""
    old = json.loads(GOLDEN.read_text())
    for item in old:
        await dynamodb.put_item(TableName=table, Item=item)
    ledger = open_ledger(clock=lambda: 1_800_100_000.0)
    env2 = principal("env2")
    lease = await ledger.acquire(env2, ADMIN, wanted=[wanted("sub3", on=env2)])
    assert (lease.fence, lease.prior and lease.prior.state) == (2, PrincipalState.PENDING)
    await ledger.settle(lease, active(granted(ORDERS, "sub3")))
    await grant(ledger, wanted("sub5", TablePath(name="public.items")))
    lease = await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub2"))
    await ledger.settle(lease, active(gone(ORDERS, "sub2"), gone(CLIENTS, "sub2")))
    waiting = await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub5"))
    stuck = GrantOutcome(path=TablePath(name="public.items"), state=GrantState.STUCK_REVOKE, reason="the database is down")
    await ledger.settle(waiting, active(stuck))

    needed: dict[str, set[tuple[str, str]]] = {}
    for item in old:
        kind = item["sk"]["S"].partition("#")[0]
        needed[kind] = needed.get(kind, _shape(item)) & _shape(item)
    # DynamoDB has no empty sets: that nobody wants a table has always been that this is missing.
    needed["GRANT"].discard(("subscriptions", "SS"))
    changed = [item for item in (await dynamodb.scan(TableName=table))["Items"] if item not in old]
    assert {item["sk"]["S"].partition("#")[0] for item in changed} == needed.keys() - {"ENVIRONMENT"}
    for item in changed:
        assert needed[item["sk"]["S"].partition("#")[0]] <= _shape(item), item
        assert item["v"] == {"N": "1"}
        # The states of the first version: one that it did not know would stop it.
        known = {"PENDING", "ACTIVE", "GRANTING", "GRANTED", "REVOKING", "REVOKED", "FAILED"}
        assert "state" not in item or item["state"]["S"] in known


def _shape(item: Mapping[str, Any]) -> set[tuple[str, str]]:
    """An item's attributes, each with its DynamoDB type, and those within its maps."""
    found = {(name, next(iter(value))) for name, value in item.items()}
    inner = {(f"{name}.{part}", kind) for name, value in item.items() for part, kind in _shape(value.get("M", {}))}
    return {pair for pair in found | inner if not pair[0].startswith("dz_")}


SOME_COLUMNS = Scope(columns=frozenset({"id", "city"}))
SOME_ROWS = Scope(
    rows=AnyOf(
        parts=(
            AllOf(parts=(Comparison(column="city", operator=Operator.IN, values=("Paris", "O'Hare")),)),
            Comparison(column="city", operator=Operator.IS_NULL),
        )
    )
)


async def test_filtered_items_are_those_of_this_version(open_ledger: Open, dynamodb: DynamoDBClient, table: str) -> None:
    """As above, of the grants that older code must not take for whole ones."""
    ledger = open_ledger(clock=lambda: 1_800_000_000.0)
    clients = replace(wanted("sub-1", CLIENTS), scope=SOME_ROWS)
    wishes = [replace(wanted("sub-1"), scope=SOME_COLUMNS), replace(wanted("sub-2"), scope=SOME_ROWS), clients]
    lease = await ledger.acquire(principal(), ADMIN, wanted=wishes)
    view = Table(schema="dz_views", name="orders_1")
    both = frozenset({SOME_COLUMNS, SOME_ROWS})
    orders = replace(granted(ORDERS, "sub-1", "sub-2"), readable=view, columns=("id", "city"), settled=(1, both))
    await ledger.settle(lease, active(orders))
    items = (await dynamodb.scan(TableName=table))["Items"]
    grants = [item for item in items if item["sk"]["S"].startswith("GRANT#")]
    for item in grants:
        item["subscriptions"] = {"SS": sorted(item["subscriptions"]["SS"])}
    assert sorted(grants, key=lambda item: item["sk"]["S"]) == json.loads(GOLDEN.with_name("ledger_v2.json").read_text())


async def test_a_grant_knows_what_each_of_its_approvals_lets_be_read(
    ledger: Ledger, dynamodb: DynamoDBClient, table: str
) -> None:
    async def orders() -> tuple[GrantRecord, str]:
        (record,) = await ledger.grants(principal())
        (item,) = [item for item in (await dynamodb.scan(TableName=table))["Items"] if item["sk"]["S"].startswith("GRANT#")]
        return record, item["v"]["N"]

    await grant(ledger, wanted("sub1"))
    record, version = await orders()
    assert (record.scopes, record.allowed, version) == ({}, WHOLE, "1")

    await grant(ledger, replace(wanted("sub2"), scope=SOME_ROWS))
    record, version = await orders()
    assert (record.scopes, record.allowed, version) == ({"sub2": SOME_ROWS}, WHOLE, "2")

    # A filter that changed: the intent alone brings the new scope, before anything is granted.
    lease = await ledger.acquire(principal(), ADMIN, wanted=[replace(wanted("sub2"), scope=SOME_COLUMNS)])
    assert (await orders())[0].scopes == {"sub2": SOME_COLUMNS}
    await ledger.release(lease)

    # The approval without a filter ends, and no word of the other.
    lease = await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub1"))
    assert (await orders())[0].allowed == {SOME_COLUMNS}
    view = Table(schema="dz_views", name="orders_1")
    outcome = GrantOutcome(path=ORDERS, state=None, table=Table(schema="public", name="orders"), readable=view, columns=("id",))
    await ledger.settle(lease, active(replace(outcome, ended=frozenset({"sub1"}))))
    record, version = await orders()
    assert (record.state, record.readable, record.columns, version) == (GrantState.GRANTED, view, ("id",), "2")

    # Its filters are taken off: all may be read, though an older dzgrant is still kept away.
    await grant(ledger, wanted("sub2"))
    record, version = await orders()
    assert (record.scopes, record.allowed, record.readable, record.columns) == ({}, WHOLE, None, None)
    assert version == "2"


async def test_an_outcome_whose_answer_was_lost_is_not_written_over(ledger: Ledger) -> None:
    await grant(ledger, wanted("sub1"))
    lease = await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub1"))
    await ledger.settle(lease, removed(GrantOutcome(path=ORDERS, state=GrantState.REVOKED, ended=frozenset({"sub1"}))))
    # The worker heard of an error, and wants to say what it waits for.
    with pytest.raises(LeaseLost):
        await ledger.settle(lease, active(GrantOutcome(path=ORDERS, state=GrantState.REVOKING, reason="no answer")))
    (record,) = await ledger.principals("env1")
    assert record.state is PrincipalState.REMOVED
    assert await ledger.grants(principal()) == ()


async def test_what_is_settled_is_so_until_more_or_less_is_intended_and_not_brought_to_its_end(ledger: Ledger) -> None:
    wish = replace(wanted("sub1"), scope=SOME_ROWS)
    outcome = replace(granted(ORDERS, "sub1"), readable=Table(schema="dz_views", name="orders_1"))

    async def looked(wish: Wanted = wish, *, settles: bool) -> bool:
        """Whether it finds the grant settled."""
        lease = await ledger.acquire(principal(), ADMIN, wanted=[wish])
        (record,) = await ledger.grants(principal())
        if settles:
            await ledger.settle(lease, active(replace(outcome, settled=(record.intents, record.allowed))))
        else:
            await ledger.release(lease)
        return record.settled

    assert [await looked(settles=True) for _ in range(3)] == [False, True, True]
    # One that was cut off may have left anything.
    assert [await looked(settles=settles) for settles in (False, True, True)] == [True, False, True]
    other = replace(wish, scope=SOME_COLUMNS)
    assert [await looked(other, settles=False), await looked(settles=True), await looked(settles=True)] == [False, False, True]
    assert [await looked(other, settles=True), await looked(settles=True)] == [False, False]
    # So does an approval beside it that ended.
    await looked(replace(wish, subscription="sub2"), settles=True)
    await ledger.release(await ledger.acquire(principal(), ADMIN, unwanted=await ledger.end("sub2")))
    assert not await looked(settles=True)


async def test_check_says_what_is_wrong(ledger: Ledger, dynamodb: DynamoDBClient) -> None:
    await ledger.check()
    absent = Ledger(dynamodb, "no-such-table", owner="test", lease_seconds=LEASE_SECONDS)
    for attempt in (absent.check(), absent.acquire(principal(), ADMIN), absent.claims("sub1"), absent.grants(principal())):
        with pytest.raises(Misconfigured, match=r"no-such-table.*governance\.yaml") as wrong:
            await attempt
        assert "\n" not in str(wrong.value)
