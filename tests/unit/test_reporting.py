"""Outcomes and answers, told over HTTP to a server that answers as EventBridge and DataZone do, faults included."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from aiolimiter import AsyncLimiter
from structlog.testing import capture_logs

from dzgrant.accounts import Accounts
from dzgrant.errors import Misconfigured, Transient
from dzgrant.metrics import Metrics
from dzgrant.model import AccountId, Environment, LoginOutcome, Principal, Region, Source
from dzgrant.reporting import Drift, DriftKind, Outcome, OutcomeKind, Reporter
from dzgrant.settings import Settings

PRINCIPAL = Principal(
    environment=Environment(
        domain="dzd_1", project="project1", id="env1", account=AccountId("333333333333"), region=Region("eu-central-1")
    ),
    source=Source(engine="postgresql", host="db.example.test", port=5432, database="shop"),
)


def granted(table: str = "public.orders", **more: Any) -> Outcome:
    return Outcome(
        kind=OutcomeKind.GRANTED, aim="grant", principal=PRINCIPAL, table=table, seconds=0.25, subscription="sub1", **more
    )


@dataclass
class Aws:
    accounts: Accounts
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    statuses: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    """Error codes for single entries, by table."""
    error: tuple[int, str] | None = None
    """What every request is answered with."""
    under_way: int = 0

    def reporter(self, bus: str | None = "dzgrant", metrics: Metrics | None = None) -> Reporter:
        return Reporter(self.accounts, metrics or Metrics(), bus=bus)

    async def answer(self, request: web.Request) -> web.Response:
        assert self.under_way == 0
        self.under_way += 1
        try:
            body = await request.json()
            if self.error:
                status, code = self.error
                return web.json_response({"__type": code, "message": "no"}, status=status, headers={"x-amzn-ErrorType": code})
            if request.method == "PATCH":
                self.statuses.append((request.path, body))
                return web.json_response({})
            return web.json_response(self.put_events(body["Entries"]))
        finally:
            self.under_way -= 1

    def put_events(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.batches.append(entries)
        codes = [self.refuse.get(json.loads(entry["Detail"])["table"]) for entry in entries]
        answers = [{"ErrorCode": code, "ErrorMessage": "no"} if code else {"EventId": "e"} for code in codes]
        return {"FailedEntryCount": sum(map(bool, codes)), "Entries": answers}


@pytest.fixture
async def aws(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aws]:
    settings = Settings(
        queue_url="http://queue.invalid", table="ledger", producer_role_name="producer", consumer_role_name="consumer"
    )
    async with Accounts(settings) as accounts:
        aws = Aws(accounts)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", aws.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{runner.addresses[0][1]}")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield aws
        await runner.cleanup()


async def test_an_outcome_is_a_line_a_count_and_an_event(aws: Aws) -> None:
    metrics = Metrics()
    with capture_logs() as logs:
        through_view = replace(granted(readable_through="PUBLIC"), readable="dz_views.orders_1", columns=("id", "city"))
        await aws.reporter(metrics=metrics).outcome(through_view)
    detail = {
        "domain": "dzd_1",
        "project": "project1",
        "environment": "env1",
        "account": "333333333333",
        "region": "eu-central-1",
        "subscription": "sub1",
        "engine": "postgresql",
        "host": "db.example.test",
        "port": 5432,
        "database": "shop",
        "table": "public.orders",
        "login": PRINCIPAL.login,
        "loginOutcome": None,
        "readable": "dz_views.orders_1",
        "columns": ["id", "city"],
        "readableThrough": "PUBLIC",
        "aim": "grant",
        "reason": None,
        "seconds": 0.25,
    }
    assert logs == [{"event": "grant_outcome", "log_level": "info", "outcome": "granted", **detail}]
    [[entry]] = aws.batches
    assert (entry["EventBusName"], entry["Source"], entry["DetailType"]) == ("dzgrant", "dzgrant", "Access Granted")
    assert json.loads(entry["Detail"]) == {"version": "1", **detail}
    assert metrics.registry.get_sample_value("dzgrant_grants_total", {"outcome": "granted", "engine": "postgresql"}) == 1


async def test_each_kind_has_its_detail_type(aws: Aws) -> None:
    reporter = aws.reporter()
    for kind in OutcomeKind:
        await reporter.outcome(
            Outcome(
                aim="rotate",
                kind=kind,
                principal=PRINCIPAL,
                table="t",
                seconds=1,
                reason="r" * 5000,
                login_outcome=LoginOutcome.DROPPED,
            )
        )
    entries = [entry for [entry] in aws.batches]
    assert [entry["DetailType"] for entry in entries] == [
        "Access Granted",
        "Access Revoked",
        "Access Kept",
        "Access Failed",
        "Access Stuck",
        "Access Resolved",
        "Access Rotated",
    ]
    detail = json.loads(entries[0]["Detail"])
    assert detail["loginOutcome"] == "dropped"
    assert len(detail["reason"]) == 1000


async def test_concurrent_outcomes_share_requests_of_ten(aws: Aws) -> None:
    reporter = aws.reporter()
    async with asyncio.TaskGroup() as group:
        for n in range(25):
            group.create_task(reporter.outcome(granted(f"t{n}")))
    assert [len(batch) for batch in aws.batches] == [10, 10, 5]


async def test_only_the_caller_whose_event_was_not_taken_hears_of_it(aws: Aws) -> None:
    aws.refuse = {"t1": "InternalFailure"}
    reporter = aws.reporter()
    answers = await asyncio.gather(*(reporter.outcome(granted(f"t{n}")) for n in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), Transient, type(None)]
    assert "InternalFailure" in str(answers[1])


async def test_a_bus_that_must_not_be_written_is_named(aws: Aws) -> None:
    aws.error = (400, "AccessDeniedException")
    with pytest.raises(
        Misconfigured, match=r"the outcome bus dzgrant can't be written: AccessDeniedException.*DZGRANT_EVENT_BUS"
    ):
        await aws.reporter().outcome(granted())


async def test_without_a_bus_no_event_is_sent(aws: Aws) -> None:
    with capture_logs() as logs:
        await aws.reporter(bus=None).outcome(granted())
    assert [line["event"] for line in logs] == ["grant_outcome"]
    assert aws.batches == []


async def test_datazone_is_answered_for_each_asset_of_a_grant(aws: Aws) -> None:
    reporter, limiter = aws.reporter(), AsyncLimiter(8, 1)
    await reporter.grant_status("dzd_1", "grant1", "asset1", "GRANTED", None, limiter=limiter)
    await reporter.grant_status("dzd_1", "grant1", "asset2", "GRANT_FAILED", "no such table", limiter=limiter)
    path = "/v2/domains/dzd_1/subscription-grants/grant1/status/"
    assert aws.statuses == [
        (path + "asset1", {"status": "GRANTED"}),
        (path + "asset2", {"status": "GRANT_FAILED", "failureCause": {"message": "no such table"}}),
    ]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AccessDeniedException"),
        (400, "ValidationException"),
        (409, "ConflictException"),
        (404, "ResourceNotFoundException"),
    ],
)
async def test_an_answer_that_datazone_does_not_want_is_only_logged(aws: Aws, status: int, code: str) -> None:
    aws.error = (status, code)
    with capture_logs() as logs:
        await aws.reporter().grant_status("dzd_1", "grant1", "asset1", "GRANTED", None, limiter=AsyncLimiter(8, 1))
    assert [(line["event"], line["code"]) for line in logs] == [("grant_status_refused", code)]


async def test_an_answer_that_datazone_could_not_take_is_given_again(aws: Aws) -> None:
    aws.error = (429, "ThrottlingException")
    with pytest.raises(Transient, match="ThrottlingException"):
        await aws.reporter().grant_status("dzd_1", "grant1", "asset1", "GRANTED", None, limiter=AsyncLimiter(8, 1))


async def test_what_a_sweep_found_is_told_logged_and_counted(aws: Aws) -> None:
    metrics = Metrics()
    found = Drift(kind=DriftKind.PASSWORD, domain="dzd_1", what="it does not open", principal=PRINCIPAL, login="dz_1")
    nobodys = Drift(kind=DriftKind.ORPHAN_SECRET, domain="dzd_1", what="nobody's", secret="dzgrant/consumer/e/s")
    with capture_logs() as logs:
        await aws.reporter(metrics=metrics).drift(found, repaired=True)
        await aws.reporter(metrics=metrics).drift(nobodys, repaired=False, reason="no right")
    told = [(entry["DetailType"], json.loads(entry["Detail"])) for batch in aws.batches for entry in batch]
    assert [kind for kind, _ in told] == ["Drift Found", "Drift Found"]
    assert told[0][1]["environment"] == "env1"
    assert [(it["kind"], it["repaired"], it["reason"]) for _, it in told] == [
        ("password", True, None),
        ("orphan_secret", False, "no right"),
    ]
    assert told[1][1]["environment"] is None
    assert [line["event"] for line in logs] == ["drift_found", "drift_found"]
    for kind, repaired in (("password", "true"), ("orphan_secret", "false")):
        assert metrics.registry.get_sample_value("dzgrant_findings_total", {"kind": kind, "repaired": repaired}) == 1
