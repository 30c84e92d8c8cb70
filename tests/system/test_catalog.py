"""The catalogue against the local cloud: from what is published, subscribed and approved to what should be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from traceback import format_exception

import boto3
import pytest
from pydantic import SecretStr

from dzgrant.accounts import Accounts
from dzgrant.catalog import Catalog
from dzgrant.errors import Misconfigured, Refused, Transient, Unenforceable, Unsupported
from dzgrant.localcloud import commands as c
from dzgrant.localcloud.client import Control
from dzgrant.localcloud.places import CONSUMER, CONSUMER_PROJECT, GOVERNANCE, PRODUCER, REGION
from dzgrant.localcloud.process import LocalCloud, running
from dzgrant.model import Admin, Environment, Subscription, SubscriptionStatus, TablePath
from dzgrant.settings import Settings, load

HOST = "db.example.internal"


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with running() as cloud:
        yield cloud


@pytest.fixture
def control(cloud: LocalCloud) -> Iterator[Control]:
    yield cloud.control
    cloud.control.do(c.Heal())


@pytest.fixture
def settings(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    # The quota is the real service's; here it would only slow the tests down.
    monkeypatch.setenv("DZGRANT_DATAZONE_RATE", "100")
    return load()


@pytest.fixture
async def accounts(settings: Settings) -> AsyncIterator[Accounts]:
    async with Accounts(settings) as accounts:
        yield accounts


@pytest.fixture
def catalog(accounts: Accounts, settings: Settings) -> Catalog:
    return Catalog(accounts, settings)


@pytest.fixture
def domain(control: Control) -> str:
    """A V1 domain of the test's own, with the projects `producer` and `consumer`."""
    return control.do(c.AddDomain()).id


@pytest.fixture
def domain_v2(control: Control) -> str:
    return control.do(c.AddDomain(version="V2")).id


def published(domain: str, table: str = "public.orders", database: str = "shop", **more: object) -> c.Publish:
    given: dict[str, object] = {
        "engine": "postgresql",
        "host": HOST,
        "port": 5432,
        "username": "admin",
        "password": SecretStr("swordfish"),
        **more,
    }
    return c.Publish.model_validate({"domain": domain, "database": database, "table": table, **given})


def subscribed(control: Control, domain: str, listing: str, *filters: str) -> c.Subscribed:
    request = control.do(c.Subscribe(domain=domain, listing=listing, events=False)).id
    return control.do(c.Approve(request=request, filters=filters, events=False))


def added(control: Control, domain: str, **more: object) -> str:
    return control.do(c.AddEnvironment.model_validate({"domain": domain, "events": False, **more})).id


async def by_id(catalog: Catalog, domain: str, subscription: str) -> Subscription:
    found = await catalog.subscription(domain, subscription=subscription, request=None, listing=None, project=None)
    assert found
    return found


class TestSubscription:
    async def test_an_approved_subscription_names_its_table_in_one_call(
        self, catalog: Catalog, control: Control, domain: str
    ) -> None:
        table = control.do(published(domain))
        made = subscribed(control, domain, table.listing)
        control.forget_calls()
        found = await by_id(catalog, domain, made.subscription)
        assert [call.operation for call in control.calls() if call.service == "datazone"] == ["GetSubscription"]
        assert (found.status, found.project, found.id) == (SubscriptionStatus.APPROVED, CONSUMER_PROJECT, made.subscription)
        assert [(asset.id, asset.listing, asset.account, asset.region, asset.scope) for asset in found.assets] == [
            (table.asset, table.listing, PRODUCER, REGION, None)
        ]

    async def test_the_request_and_then_the_listing_lead_to_it_when_the_id_does_not(
        self, catalog: Catalog, control: Control, domain: str
    ) -> None:
        listing = control.do(published(domain)).listing
        first = subscribed(control, domain, listing)
        control.do(c.Cancel(subscription=first.subscription, events=False))
        second = subscribed(control, domain, listing)
        unknown = "0" * 14

        async def find(request: str | None, listing: str | None) -> str | None:
            found = await catalog.subscription(
                domain, subscription=unknown, request=request, listing=listing, project=CONSUMER_PROJECT
            )
            return found.id if found else None

        assert await find(first.request, listing) == first.subscription
        assert await find(unknown, listing) == second.subscription
        control.do(c.Revoke(subscription=second.subscription, events=False))
        assert await find(None, listing) == second.subscription
        assert await find(unknown, None) is None
        assert await find(None, None) is None

    async def test_one_that_ended_is_read_without_its_listing(self, catalog: Catalog, control: Control, domain: str) -> None:
        product = control.do(c.PublishProduct(domain=domain, listings=(control.do(published(domain)).listing,))).id
        made = subscribed(control, domain, product)
        control.do(c.Revoke(subscription=made.subscription, retain_permissions=True, events=False))
        control.forget_calls()
        found = await by_id(catalog, domain, made.subscription)
        assert (found.status, found.retain_permissions, found.assets) == (SubscriptionStatus.REVOKED, True, ())
        assert "GetListing" not in {call.operation for call in control.calls()}

    async def test_one_that_is_retained_keeps_its_tables_where_the_settings_honour_that(
        self, accounts: Accounts, settings: Settings, control: Control, domain: str
    ) -> None:
        table = control.do(published(domain))
        made = subscribed(control, domain, table.listing)
        control.do(c.Revoke(subscription=made.subscription, retain_permissions=True, events=False))
        catalog = Catalog(accounts, settings.model_copy(update={"honour_retain_permissions": True}))
        found = await by_id(catalog, domain, made.subscription)
        assert [asset.id for asset in found.assets] == [table.asset]

    async def test_a_data_product_stands_for_all_of_its_tables(self, catalog: Catalog, control: Control, domain: str) -> None:
        tables = [control.do(published(domain, name)) for name in ("public.orders", "public.customers", "public.items")]
        product = control.do(c.PublishProduct(domain=domain, listings=tuple(table.listing for table in tables))).id
        found = await by_id(catalog, domain, subscribed(control, domain, product).subscription)
        assert {(asset.id, asset.listing) for asset in found.assets} == {(table.asset, table.listing) for table in tables}

    @pytest.mark.parametrize("principal", [{"user": "alice"}, {"iam_principal": "arn:aws:iam::333333333333:role/analyst"}])
    async def test_a_subscriber_that_is_no_project_is_unsupported(
        self, catalog: Catalog, control: Control, domain: str, principal: dict[str, str]
    ) -> None:
        listing = control.do(published(domain)).listing
        request = control.do(c.Subscribe.model_validate({"domain": domain, "listing": listing, "events": False, **principal}))
        made = control.do(c.Approve(request=request.id, events=False))
        with pytest.raises(Unsupported, match="not a project"):
            await by_id(catalog, domain, made.subscription)
        # It must not hide the others of the domain.
        other = subscribed(control, domain, listing)
        assert [found.subscription.id async for found in catalog.every(domain)] == [other.subscription]

    async def test_the_domains_subscriptions_of_every_status_and_page_are_listed(
        self, catalog: Catalog, control: Control, domain: str
    ) -> None:
        listing = control.do(published(domain)).listing
        approved = {subscribed(control, domain, listing).subscription for _ in range(53)}
        revoked, cancelled = (subscribed(control, domain, listing).subscription for _ in range(2))
        control.do(c.Revoke(subscription=revoked, events=False))
        control.do(c.Cancel(subscription=cancelled, events=False))
        listed = [found async for found in catalog.every(domain)]
        every = {found.subscription.id: found.subscription.status for found in listed}
        assert every == {
            **dict.fromkeys(approved, SubscriptionStatus.APPROVED),
            revoked: SubscriptionStatus.REVOKED,
            cancelled: SubscriptionStatus.CANCELLED,
        }
        assert {found.id async for found in catalog.approved(domain, CONSUMER_PROJECT)} == approved
        assert [found async for found in catalog.approved(domain, "producer")] == []


class TestEnvironments:
    async def test_more_than_one_page_of_live_environments_of_the_configured_blueprint(
        self, catalog: Catalog, control: Control, domain: str
    ) -> None:
        live = {added(control, domain) for _ in range(51)} | {added(control, domain, status="UPDATING")}
        added(control, domain, status="DELETING")
        added(control, domain, status="CREATING")
        added(control, domain, blueprint="DefaultDataWarehouse")
        found = await catalog.environments(domain, CONSUMER_PROJECT)
        assert {environment.id for environment in found} == live
        assert {(environment.account, environment.region) for environment in found} == {(CONSUMER, REGION)}

    async def test_it_is_one_call_once_the_domain_is_known_and_sees_a_new_environment_at_once(
        self, catalog: Catalog, control: Control, domain: str
    ) -> None:
        first = added(control, domain)
        assert [environment.id for environment in await catalog.environments(domain, CONSUMER_PROJECT)] == [first]
        second = added(control, domain)
        control.forget_calls()
        found = await catalog.environments(domain, CONSUMER_PROJECT)
        assert {environment.id for environment in found} == {first, second}
        assert [call.operation for call in control.calls()] == ["ListEnvironments"]

    async def test_a_v2_project_has_one_anchor_for_each_account_and_region(
        self, catalog: Catalog, control: Control, domain_v2: str
    ) -> None:
        tooling = sorted(added(control, domain_v2, blueprint="Tooling") for _ in range(2))
        elsewhere = added(control, domain_v2, blueprint="Tooling", account=PRODUCER)
        lite = added(control, domain_v2, blueprint="ToolingLite")
        added(control, domain_v2, blueprint="DataLake")
        found = await catalog.environments(domain_v2, CONSUMER_PROJECT)
        assert {environment.id for environment in found} == {tooling[0], elsewhere}
        state = await catalog.environment(domain_v2, lite)
        assert state
        assert (state.live, state.eligible) == (True, False)
        anchor = await catalog.environment(domain_v2, tooling[0])
        assert anchor
        assert anchor.eligible

    @pytest.mark.parametrize(("blueprint", "tooling"), [("ToolingLite", False), ("OurOwnTooling", True)])
    async def test_a_v2_project_without_the_tooling_blueprint_has_the_next_best_anchor(
        self, catalog: Catalog, control: Control, domain_v2: str, blueprint: str, tooling: bool
    ) -> None:
        if tooling:
            control.do(c.AddBlueprint(domain=domain_v2, name=blueprint, tooling=True))
        anchor = added(control, domain_v2, blueprint=blueprint)
        assert [found.id for found in await catalog.environments(domain_v2, CONSUMER_PROJECT)] == [anchor]

    async def test_one_environment_and_whether_it_gets_access(self, catalog: Catalog, control: Control, domain: str) -> None:
        eligible, other = added(control, domain), added(control, domain, blueprint="CustomAwsService")
        state = await catalog.environment(domain, eligible)
        assert state
        assert state.environment == Environment(
            domain=domain, project=CONSUMER_PROJECT, id=eligible, account=CONSUMER, region=REGION
        )
        assert (state.status, state.live, state.eligible) == ("ACTIVE", True, True)
        foreign = await catalog.environment(domain, other)
        assert foreign
        assert (foreign.live, foreign.eligible) == (True, False)
        control.do(c.DeleteEnvironment(environment=eligible, events=False))
        deleting = await catalog.environment(domain, eligible)
        assert deleting
        assert (deleting.status, deleting.live, deleting.eligible) == ("DELETING", False, False)
        control.do(c.DeleteEnvironment(environment=eligible, gone=True, events=False))
        assert await catalog.environment(domain, eligible) is None

    async def test_an_environment_without_an_account_says_what_to_do(
        self, catalog: Catalog, control: Control, domain: str
    ) -> None:
        added(control, domain, account=None)
        with pytest.raises(Misconfigured, match="no account"):
            await catalog.environments(domain, CONSUMER_PROJECT)


# Each holds the password, and each is none that a database could be opened with.
NO_LOGINS = [
    "hunter2-secret",
    '"hunter2-secret"',
    '["hunter2-secret"]',
    '{"password": "hunter2-secret"}',
    '{"username": "admin", "password": ["hunter2-secret"]}',
    '{"username": "admin", "password": {"hunter2-secret": 1}}',
    '{"username": {"hunter2-secret": 1}, "password": "hunter2-secret"}',
    '{"username": "admin", "password": "hunter2-secret"',
    '{"username": "admin", "password": "hunter2-secret", "password": "another"}',
    '{"username": "admin", "password": "hunter2-secret\\u0000"}',
    '{"username": "admin", "password": "hunter2-secret\\ud800"}',
    '{"username": "admin\\u0000database", "password": "hunter2-secret"}',
    '{"username": "admin\\nhunter2-secret", "password": "hunter2-secret"}',
    '{"username": "", "password": "hunter2-secret"}',
    '{"username": "' + "a" * 300 + '", "password": "hunter2-secret"}',
    '{"username": NaN, "password": "hunter2-secret"}',
    "\x1b[31mhunter2-secret",
    '{"hunter2-secret": ' + "[" * 20_000 + "]" * 20_000 + "}",
]


async def test_an_admin_secret_that_is_none_is_said_in_one_line_without_what_it_holds(
    catalog: Catalog, control: Control, cloud: LocalCloud, domain: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = control.do(published(domain, connection=f"{domain}-nasty")).secret_arn
    admin = Admin(account=PRODUCER, region=REGION, connection=f"{domain}-nasty", secret=secret)
    client = boto3.client(
        "secretsmanager",
        endpoint_url=cloud.endpoint,
        region_name=REGION,
        aws_access_key_id=f"AKIA{PRODUCER}",
        aws_secret_access_key="local",
    )
    for value in NO_LOGINS:
        client.put_secret_value(SecretId=secret, SecretString=value)
        with pytest.raises(Misconfigured, match="is not what is expected") as caught:
            await catalog.admin_credentials(admin, fresh=True)
        told = [str(caught.value), repr(caught.value), *format_exception(caught.value), caplog.text]
        assert not [line for line in told if "hunter2" in line], value
        assert str(caught.value).isprintable()
    client.close()


class TestOwners:
    async def looks(self, catalog: Catalog, control: Control, domain: str, listing: str) -> list[tuple[str, str]]:
        """The calls that it takes to say what a subscription to the listing wants, by account."""
        subscription = await by_id(catalog, domain, subscribed(control, domain, listing).subscription)
        control.forget_calls()
        await catalog.wanted(subscription, ())
        return [(call.operation, call.account) for call in control.calls() if call.service != "sts"]

    async def test_one_call_for_an_owner_and_none_for_its_next_table(
        self, catalog: Catalog, control: Control, domain: str
    ) -> None:
        one, two = (control.do(published(domain, name)).listing for name in ("public.orders", "public.items"))
        first, second = await self.looks(catalog, control, domain, one), await self.looks(catalog, control, domain, two)
        assert first[0] == ("ListEnvironments", GOVERNANCE)
        assert [name for name, _ in [*first, *second]].count("ListEnvironments") == 1
        assert {account for _, account in second} == {PRODUCER}

    @pytest.mark.parametrize(
        "place", [{}, {"account": CONSUMER}, {"account": PRODUCER, "region": "eu-west-1"}, {"status": "DELETING"}]
    )
    async def test_another_accounts_table_is_refused_before_anything_is_asked_there(
        self, catalog: Catalog, control: Control, domain: str, place: dict[str, str]
    ) -> None:
        thief = control.do(c.AddProject(domain=domain)).id
        if place:
            added(control, domain, project=thief, **{"account": PRODUCER, **place})
        made = subscribed(control, domain, control.do(published(domain, project=thief)).listing)
        subscription = await by_id(catalog, domain, made.subscription)
        control.forget_calls()
        with pytest.raises(Refused, match=f"account {PRODUCER} in {REGION}, where its owner, project {thief}, has no live"):
            await catalog.wanted(subscription, ())
        assert {call.account for call in control.calls()} == {GOVERNANCE}
        # Its own environment may have come a second ago.
        added(control, domain, project=thief, account=PRODUCER, blueprint="CustomAwsService")
        await catalog.wanted(subscription, ())

    async def test_a_data_product_is_its_owners_whatever_it_holds(
        self, catalog: Catalog, control: Control, domain: str
    ) -> None:
        thief = control.do(c.AddProject(domain=domain)).id
        loot = control.do(published(domain)).listing
        product = control.do(c.PublishProduct(domain=domain, project=thief, listings=(loot,))).id
        with pytest.raises(Refused, match=f"its owner, project {thief}"):
            await self.looks(catalog, control, domain, product)

    @pytest.mark.parametrize("who", ["*", "guest"])
    async def test_a_shared_catalogue_is_published_from_by_those_who_may(
        self, accounts: Accounts, settings: Settings, control: Control, domain: str, who: str
    ) -> None:
        shared = settings.model_copy(update={"shared_catalogues": (f"{who}={PRODUCER}",)})
        for project in ("guest", "other"):
            control.do(c.AddProject(domain=domain, id=project))
        catalog = Catalog(accounts, shared)
        listing = control.do(published(domain, project="guest")).listing
        assert "ListEnvironments" not in [name for name, _ in await self.looks(catalog, control, domain, listing)]
        listing = control.do(published(domain, "public.items", project="other")).listing
        if who == "guest":
            with pytest.raises(Refused, match="its owner, project other"):
                await self.looks(catalog, control, domain, listing)
        else:
            await self.looks(catalog, control, domain, listing)

    @pytest.mark.parametrize(
        ("update", "reason"),
        [
            ({"accounts": (CONSUMER,)}, f"account {PRODUCER} is not to be served .*; add it to DZGRANT_ACCOUNTS"),
            ({"regions": ("us-east-1",)}, f"Region {REGION} of account {PRODUCER} is not to be served"),
        ],
    )
    async def test_what_the_settings_leave_out_is_refused_before_a_role_is_assumed(
        self, settings: Settings, control: Control, domain: str, update: dict[str, object], reason: str
    ) -> None:
        listing = control.do(published(domain)).listing
        narrow = settings.model_copy(update=update)
        async with Accounts(narrow) as accounts:
            catalog = Catalog(accounts, narrow)
            subscription = await by_id(catalog, domain, subscribed(control, domain, listing).subscription)
            control.forget_calls()
            with pytest.raises(Refused, match=reason):
                await catalog.wanted(subscription, ())
            assert {call.service for call in control.calls()} == {"datazone"}


class TestWanted:
    async def wanted(self, catalog: Catalog, control: Control, domain: str, command: c.Publish, *filters: str) -> list[object]:
        environment = added(control, domain)
        made = subscribed(control, domain, control.do(command).listing, *filters)
        subscription = await by_id(catalog, domain, made.subscription)
        wanted = await catalog.wanted(subscription, await catalog.environments(domain, CONSUMER_PROJECT))
        assert {one.principal.environment.id for one in wanted} <= {environment}
        return [(str(one.principal.source), one.path) for one in wanted]

    @pytest.mark.parametrize(
        ("more", "source", "path"),
        [
            ({}, f"postgresql://{HOST}:5432/shop", "public.orders"),
            ({"url": f"jdbc:postgresql://{HOST.upper()}/shop?ssl=true"}, f"postgresql://{HOST}:5432/shop", "public.orders"),
            ({"table": "Sales.My Orders; --"}, f"postgresql://{HOST}:5432/shop", "Sales.My Orders; --"),
            (
                {"engine": "mysql", "port": 3306, "table": "orders", "url": f"jdbc:mysql://{HOST}:3306/"},
                f"mysql://{HOST}:3306/shop",
                "orders",
            ),
            (
                {"engine": "sqlserver", "port": 1433, "table": "dbo.orders"},
                f"sqlserver://{HOST}:1433/shop",
                "dbo.orders",
            ),
            (
                {"engine": "oracle", "port": 1521, "table": "HR.EMP", "url": f"jdbc:oracle:thin:@//{HOST}:1521/shop"},
                f"oracle://{HOST}:1521/SHOP",
                "HR.EMP",
            ),
        ],
    )
    async def test_each_engines_table_is_wanted_by_source_and_path(
        self, catalog: Catalog, control: Control, domain: str, more: dict[str, object], source: str, path: str
    ) -> None:
        command = published(domain, **{"connection": domain, **more})  # type: ignore[arg-type]
        assert await self.wanted(catalog, control, domain, command) == [(source, TablePath(name=path))]

    async def test_two_connections_to_one_server_are_one_source(self, catalog: Catalog, control: Control, domain: str) -> None:
        one = await self.wanted(catalog, control, domain, published(domain, connection=f"{domain}-one"))
        url = f"jdbc:postgresql://user:secret@{HOST.upper()}./shop?sslmode=require"
        added_later = published(domain, connection=f"{domain}-two", url=url)
        listing = control.do(added_later).listing
        subscription = await by_id(catalog, domain, subscribed(control, domain, listing).subscription)
        (other,) = await catalog.wanted(subscription, await catalog.environments(domain, CONSUMER_PROJECT))
        assert [(str(other.principal.source), other.path)] == one

    @pytest.mark.parametrize(
        "more",
        [
            {"location": "s3://bucket/orders/", "parameters": {"classification": "parquet", "connectionName": None}},
            {"parameters": {"classification": "iceberg", "connectionName": None}},
        ],
    )
    async def test_a_table_that_is_not_read_through_jdbc_is_not_wanted(
        self, catalog: Catalog, control: Control, domain: str, more: dict[str, object]
    ) -> None:
        assert await self.wanted(catalog, control, domain, published(domain, **more)) == []  # type: ignore[arg-type]
        # Nor is it an error when it is filtered: DataZone itself sees to that.
        filtered = subscribed(control, domain, control.do(published(domain, **more)).listing, "filter1")  # type: ignore[arg-type]
        assert await catalog.wanted(await by_id(catalog, domain, filtered.subscription), ()) == ()

    async def test_a_filter_that_is_not_there_fails_closed(self, catalog: Catalog, control: Control, domain: str) -> None:
        with pytest.raises(Unenforceable, match=r"the filter filter1 of asset \w+ can't be enforced: DataZone has no such"):
            await self.wanted(catalog, control, domain, published(domain), "filter1")

    async def test_another_database_than_the_connections_is_refused(
        self, catalog: Catalog, control: Control, domain: str
    ) -> None:
        with pytest.raises(Refused, match="another database"):
            await self.wanted(catalog, control, domain, published(domain, location="other.public.orders"))

    async def test_a_missing_connection_is_to_be_fixed(self, catalog: Catalog, control: Control, domain: str) -> None:
        command = published(domain, parameters={"connectionName": "nowhere"})
        with pytest.raises(Misconfigured, match="nowhere"):
            await self.wanted(catalog, control, domain, command)

    async def test_a_throttled_call_is_tried_again_later(self, catalog: Catalog, control: Control, domain: str) -> None:
        made = subscribed(control, domain, control.do(published(domain)).listing)
        match = c.Match(services=("datazone",))
        control.do(c.Fail(times=10, status=429, code="ThrottlingException", match=match))
        with pytest.raises(Transient):
            await by_id(catalog, domain, made.subscription)

    async def test_tables_of_one_connection_ask_for_it_once_within_its_time(
        self, catalog: Catalog, control: Control, domain: str
    ) -> None:
        connection = f"{domain}-cached"
        listings = [control.do(published(domain, name, connection=connection)).listing for name in ("public.a", "public.b")]
        made = [subscribed(control, domain, listing).subscription for listing in listings]
        one, other = [await by_id(catalog, domain, subscription) for subscription in made]
        await catalog.wanted(one, ())
        control.forget_calls()
        await catalog.wanted(other, ())
        assert [call.operation for call in control.calls()] == ["GetTable"]


class TestCredentials:
    async def admin(self, catalog: Catalog, control: Control, domain: str, **more: object) -> Admin:
        added(control, domain)
        command = published(domain, connection=domain, **more)  # type: ignore[arg-type]
        subscription = await by_id(catalog, domain, subscribed(control, domain, control.do(command).listing).subscription)
        (wanted,) = await catalog.wanted(subscription, await catalog.environments(domain, CONSUMER_PROJECT))
        return wanted.admin

    @pytest.mark.parametrize("credentials", ["secret_id", "secret_arn", "inline"])
    async def test_wherever_glue_keeps_them(self, catalog: Catalog, control: Control, domain: str, credentials: str) -> None:
        admin = await self.admin(catalog, control, domain, credentials=credentials)
        assert (admin.account, admin.connection, admin.secret is None) == (PRODUCER, domain, credentials == "inline")
        found = await catalog.admin_credentials(admin)
        assert (found.username, found.password.get_secret_value()) == ("admin", "swordfish")

    async def test_a_rotated_secret_is_read_again_when_asked(self, catalog: Catalog, control: Control, domain: str) -> None:
        admin = await self.admin(catalog, control, domain)
        await catalog.admin_credentials(admin)
        # Publishing again puts the new credentials into the connection's secret.
        control.do(published(domain, connection=domain, password=SecretStr("rotated")))
        cached = await catalog.admin_credentials(admin)
        assert cached.password.get_secret_value() == "swordfish"
        fresh = await catalog.admin_credentials(admin, fresh=True)
        assert fresh.password.get_secret_value() == "rotated"
        assert await catalog.admin_credentials(admin) == fresh

    async def test_a_missing_secret_is_to_be_fixed(self, catalog: Catalog, control: Control, domain: str) -> None:
        admin = await self.admin(catalog, control, domain, secret="nowhere")
        with pytest.raises(Misconfigured, match="nowhere"):
            await catalog.admin_credentials(admin)

    @pytest.mark.parametrize("gone", ["deleted", "scheduled for deletion"])
    async def test_a_secret_that_the_connection_no_longer_names_is_not_missed(
        self, accounts: Accounts, catalog: Catalog, control: Control, domain: str, gone: str
    ) -> None:
        """The ledger remembers the secret of the time of the grant; the connection names another one since."""
        secrets = await accounts.secrets("producer", PRODUCER, REGION)
        old = (await secrets.create_secret(Name=f"old/{domain}", SecretString="{}"))["ARN"]
        await secrets.delete_secret(SecretId=old, ForceDeleteWithoutRecovery=gone == "deleted")
        present = await self.admin(catalog, control, domain)
        found = await catalog.admin_credentials(replace(present, secret=old))
        assert (found.username, found.password.get_secret_value()) == ("admin", "swordfish")


class TestCustomTargets:
    async def test_a_grant_on_a_custom_target_is_ours_to_answer(self, catalog: Catalog, control: Control, domain: str) -> None:
        environment = added(control, domain, blueprint="CustomAwsService")
        control.do(c.AddTarget(environment=environment, provider="dzgrant"))
        control.do(c.AddTarget(environment=environment, provider="Amazon DataZone"))
        table = control.do(published(domain))
        made = subscribed(control, domain, table.listing)
        grants = [await catalog.subscription_grant(domain, grant) for grant in made.grants]
        assert [(grant.provider, grant.custom) for grant in grants if grant] == [("dzgrant", True), ("Amazon DataZone", False)]
        ours = grants[0]
        assert ours
        assert (ours.subscription, ours.environment, ours.listing) == (made.subscription, environment, table.listing)
        assert [(asset.id, asset.status) for asset in ours.assets] == [(table.asset, "GRANT_PENDING")]
        subscription = await by_id(catalog, domain, made.subscription)
        assert [found.id for found in await catalog.custom_environments(await catalog.custom_grants(subscription))] == [
            environment
        ]

        control.do(c.DeleteGrant(grant=ours.id, events=False))
        leaving = await catalog.subscription_grant(domain, ours.id)
        assert leaving
        assert leaving.leaving
        assert await catalog.custom_environments(await catalog.custom_grants(subscription)) == ()
        assert await catalog.subscription_grant(domain, "0" * 14) is None


class TestCheck:
    async def test_the_domains_that_are_there_pass(
        self, accounts: Accounts, settings: Settings, domain: str, domain_v2: str
    ) -> None:
        await Catalog(accounts, settings.model_copy(update={"domain_ids": (domain, domain_v2)})).check()

    @pytest.mark.parametrize(
        ("update", "named"),
        [
            ({"domain_ids": ("dzd_nowhere",)}, "dzd_nowhere"),
            ({"environment_blueprints": ("DefautDataLake",)}, "DefautDataLake"),
        ],
    )
    async def test_a_wrong_one_is_named(
        self, accounts: Accounts, settings: Settings, domain: str, update: dict[str, object], named: str
    ) -> None:
        wrong = settings.model_copy(update={"domain_ids": (domain,), **update})
        with pytest.raises(Misconfigured, match=named):
            await Catalog(accounts, wrong).check()
