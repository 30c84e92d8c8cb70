"""When a principal is due for a new password, or for the end of the old one; and how the ledger writes that down."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dzgrant.cli.rotate import age
from dzgrant.errors import Misconfigured
from dzgrant.ledger import items
from dzgrant.model import (
    AccountId,
    Admin,
    Environment,
    Principal,
    PrincipalRecord,
    PrincipalState,
    Region,
    Source,
    Spare,
)
from dzgrant.saga.rotation import Turn, due

NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
MONTH = timedelta(days=30)
PRINCIPAL = Principal(
    environment=Environment(domain="dzd_1", project="p", id="e", account=AccountId("333333333333"), region=Region("eu-west-1")),
    source=Source(engine="postgresql", host="db", port=5432, database="shop"),
)
FIRST, SECOND = PRINCIPAL.logins
RECORD = PrincipalRecord(
    principal=PRINCIPAL,
    admin=Admin(account=AccountId("222222222222"), region=Region("eu-west-1"), connection="c", secret="s"),
    state=PrincipalState.ACTIVE,
    producer_secret=None,
    consumer_secret=None,
    fence=1,
    updated_at=NOW,
    login=FIRST,
    password_at=NOW - MONTH,
)
BEGUN = Spare(login=SECOND, until=None)


@pytest.mark.parametrize(
    ("record", "older_than", "expected"),
    [
        (RECORD, MONTH, Turn.ROTATE),
        (RECORD, MONTH + timedelta(seconds=1), None),
        (RECORD, None, None),
        (replace(RECORD, password_at=None), MONTH, Turn.ROTATE),
        (replace(RECORD, spare=BEGUN), None, Turn.ROTATE),
        (replace(RECORD, spare=BEGUN, state=PrincipalState.PENDING), MONTH, None),
        (replace(RECORD, spare=Spare(login=SECOND, until=NOW)), MONTH, Turn.RETIRE),
        (replace(RECORD, spare=Spare(login=SECOND, until=NOW), state=PrincipalState.DISABLED), None, Turn.RETIRE),
        (replace(RECORD, spare=Spare(login=SECOND, until=NOW + timedelta(seconds=1))), timedelta(0), None),
        (replace(RECORD, state=PrincipalState.DISABLED), MONTH, None),
        (replace(RECORD, state=PrincipalState.REMOVED), MONTH, None),
    ],
)
def test_due(record: PrincipalRecord, older_than: timedelta | None, expected: Turn | None) -> None:
    assert due(record, NOW, older_than) is expected


@pytest.mark.parametrize(
    ("record", "every", "openable"),
    [
        (RECORD, (FIRST,), (FIRST,)),
        (replace(RECORD, spare=BEGUN), (FIRST, SECOND), (FIRST, SECOND)),
        (replace(RECORD, login=SECOND, spare=Spare(login=FIRST, until=NOW)), (SECOND, FIRST), (SECOND,)),
        (replace(RECORD, spare=Spare(login=FIRST, until=NOW)), (FIRST,), (FIRST,)),
    ],
)
def test_the_logins_that_may_exist_and_that_secrets_may_hold(
    record: PrincipalRecord, every: tuple[str, ...], openable: tuple[str, ...]
) -> None:
    assert (record.logins, record.openable) == (every, openable)


@pytest.mark.parametrize("spare", [None, BEGUN, Spare(login=SECOND, until=NOW)])
def test_a_spare_is_read_as_it_was_written(spare: Spare | None) -> None:
    written = {
        "v": items.number(items.SCHEMA),
        "principal": items.principal(PRINCIPAL),
        "admin": items.admin(RECORD.admin),
        "state": items.text(RECORD.state),
        "fence": items.number(1),
        "updated_at": items.moment(NOW),
        "login": items.text(SECOND),
        "password_at": items.moment(NOW - MONTH),
    } | ({"spare": items.spare(spare)} if spare else {})
    assert items.holding(written).record == replace(RECORD, login=SECOND, spare=spare)  # type: ignore[arg-type]


def test_ages() -> None:
    assert [age("30d"), age("12h"), age("90m")] == [MONTH, timedelta(hours=12), timedelta(minutes=90)]
    for wrong in ("30", "d", "-1d", "1w", ""):
        with pytest.raises(Misconfigured):
            age(wrong)
