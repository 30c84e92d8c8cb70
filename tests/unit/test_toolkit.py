"""`dzgrant toolkit athena`: from grants of the ledger to the product's parameters, and why there are none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dzgrant.cli.toolkit import Connector, Wish, as_parameters, connectors, why_nothing
from dzgrant.errors import Refused, Unsupported
from dzgrant.ledger import Ledger
from dzgrant.localcloud.places import TABLE
from dzgrant.model import AccountId, Environment, GrantRecord, GrantState, Principal, Region, Source, Table, TablePath
from tests.fakes.conftest import Fakes

ENVIRONMENT = Environment(
    domain="dzd_1", project="consumer", id="env-1", account=AccountId("333333333333"), region=Region("eu-central-1")
)
SHOP = Source(engine="postgresql", host="db.example.com", port=5432, database="shop")
PRINCIPAL = Principal(environment=ENVIRONMENT, source=SHOP)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def grant(
    principal: Principal = PRINCIPAL, name: str = "orders", state: GrantState = GrantState.GRANTED, reason: str | None = None
) -> GrantRecord:
    return GrantRecord(
        principal=principal,
        path=TablePath(name=f"public.{name}"),
        table=Table(schema="public", name=name),
        subscriptions=frozenset({"s"}),
        state=state,
        reason=reason,
        since=NOW,
        updated_at=NOW,
    )


def on(**parts: str) -> Principal:
    """A principal on another source."""
    return replace(PRINCIPAL, source=replace(SHOP, **parts))  # type: ignore[arg-type]


def never(_: Principal) -> bool:
    return False


def found(*grants: GrantRecord, environment: str | None = None, source: str | None = None) -> list[Connector]:
    return connectors(Wish(subscription="s", environment=environment, source=source), grants, never)


def test_the_parameters_are_what_the_product_asks_for() -> None:
    [connector] = found(grant(), grant(name="items"))
    secret = f"dzgrant/consumer/env-1/{SHOP.key}"
    catalog = f"shop_{PRINCIPAL.login[3:9]}"
    assert connector.parameters == {"Engine": "postgresql", "Secret": secret, "Catalog": catalog}
    assert as_parameters(connector)[1] == {"Key": "Secret", "Value": secret}
    assert [str(one.table) for one in connector.granted] == ["public.items", "public.orders"]


@pytest.mark.parametrize(
    ("database", "begins"),
    [("Sales-DB.2026", "sales_db_2026"), ("2026", "db_2026"), ("x" * 60, "x" * 24), ("_-_", "db"), ("ORCLPDB1", "orclpdb1")],
)
def test_a_catalogue_is_called_after_the_database_in_athenas_letters(database: str, begins: str) -> None:
    principal = on(database=database)
    assert Connector(principal=principal, granted=(), others=()).catalog == f"{begins}_{principal.login[3:9]}"


def test_environments_of_one_account_have_catalogues_of_their_own() -> None:
    other = replace(PRINCIPAL, environment=replace(ENVIRONMENT, id="env-2"))
    one, two = found(grant(), grant(other))
    assert one.catalog != two.catalog


def test_environment_and_source_choose_among_logins() -> None:
    stock = on(database="stock")
    grants = (grant(), grant(stock))
    assert len(found(*grants)) == 2
    for source in (str(stock.source), stock.source.key):
        [connector] = found(*grants, source=source, environment="env-1")
        assert connector.principal == stock
    with pytest.raises(Refused, match="no login in that environment or on that source"):
        found(*grants, environment="env-2")


def test_what_is_not_granted_yet_is_told_and_not_read() -> None:
    waiting = grant(name="items", state=GrantState.GRANTING)
    [connector] = found(grant(), waiting)
    assert connector.others == (waiting,)
    with pytest.raises(Refused, match=r"s is not granted yet: public\.items is GRANTING; see why with: dzgrant explain s"):
        found(waiting)


def test_an_engine_without_a_connector() -> None:
    with pytest.raises(Unsupported, match="no Athena connector for redshift"):
        found(grant(on(engine="redshift")))


def test_a_login_by_iam_has_no_password_for_a_connector() -> None:
    with pytest.raises(Unsupported, match="the login has no password"):
        connectors(Wish(subscription="s"), [grant()], lambda _: True)


@pytest.mark.parametrize(
    "parts", [{"database": "SID:ORCL", "engine": "oracle"}, {"database": "shop?ssl=off"}, {"database": ""}, {"host": "::1"}]
)
def test_what_a_connection_string_cannot_hold(parts: dict[str, str]) -> None:
    with pytest.raises(Unsupported, match="host or database with this name"):
        found(grant(on(**parts)))


async def test_why_a_subscription_gives_nothing() -> None:
    ledger = Ledger(await Fakes().client("dynamodb"), TABLE, owner="test", lease_seconds=60)
    assert "the ledger knows no subscription s;" in str(await why_nothing(ledger, "s"))
    await ledger.refuse(domain="dzd_1", subscription="s", project="consumer", reason="it is bounded by rows that can't be told")
    expected = (
        "subscription s is refused: it is bounded by rows that can't be told; see what it asks for with: dzgrant explain s"
    )
    assert str(await why_nothing(ledger, "s")) == expected
    assert "knows no subscription" in str(await why_nothing(ledger, "another"))
