"""What is SQL Server's own: the fence in the marker, SIDs, exceptions, denials, other databases, the admin's rights, ODBC."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from trustme import CA

from dzgrant.engines import adapter
from dzgrant.engines.contract import Database, Limits, Readable
from dzgrant.engines.sqlserver.connections import Connections, Desk
from dzgrant.engines.sqlserver.session import Session
from dzgrant.engines.sqlserver.statements import end_session, sid
from dzgrant.errors import ConsumerRejected, DzgrantError, LeaseLost, Misconfigured, Refused, Transient, Unsupported
from dzgrant.localcloud.databases import NotAvailable, Server
from dzgrant.model import Comparison, Credentials, LoginOutcome, Operator, Scope, Table
from tests import odbc
from tests.engines.playground import OWNER, Holder, Playground, consumer
from tests.engines.sqlserver_playground import SqlserverPlayground


@pytest.fixture(params=["sqlserver"], scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """SQL Server only."""
    found: Server = request.getfixturevalue(request.param)
    return found


async def given(database: Database, *tables: Table) -> Credentials:
    login = consumer()
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    for table in tables:
        await database.grant(login.username, table, Holder())
    return login


async def test_a_stale_fence_changes_nothing(play: Playground, database: Database) -> None:
    table, other = await play.create_table("orders"), await play.create_table("items")
    login = await given(database, table)
    stale, successor = Holder(fence=6), Holder(fence=7)
    await database.grant(login.username, table, successor)
    [(marker,)] = await play.run(f"SELECT value FROM sys.extended_properties WHERE name = 'dzgrant {login.username}'")
    assert str(marker).endswith(";environment=env-1;fence=7")
    with pytest.raises(LeaseLost, match="7"):
        await database.ensure_login(login.username, consumer().password, OWNER, stale)
    with pytest.raises(LeaseLost, match="7"):
        await database.grant(login.username, other, stale)
    with pytest.raises(LeaseLost, match="7"):
        await database.revoke(login.username, [], stale)
    with pytest.raises(LeaseLost, match="7"):
        await database.drop(login.username, stale)
    await database.prove(login, Readable(table=table))
    assert not await play.can_read(login, other)


async def test_a_drop_leaves_no_marker(play: Playground, database: Database) -> None:
    login = await given(database)
    await database.drop(login.username, Holder())
    assert not await play.run(f"SELECT name FROM sys.extended_properties WHERE name = 'dzgrant {login.username}'")
    assert not await play.run(f"SELECT name FROM sys.database_principals WHERE name = '{login.username}'")


async def test_a_login_that_a_failover_left_behind_is_made_with_its_sid(play: Playground, database: Database) -> None:
    """The users of an availability group come with the database; the logins don't."""
    table = await play.create_table("orders")
    login = await given(database, table)
    await play.run(f"DROP LOGIN [{login.username}]")
    with pytest.raises(ConsumerRejected):
        await database.grant(login.username, table, Holder())
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    [(found,)] = await play.run(f"SELECT sid FROM sys.server_principals WHERE name = '{login.username}'")
    assert found == sid(login.username)
    await database.prove(login, Readable(table=table))


async def test_a_login_of_the_same_name_made_anew_by_somebody_is_refused(play: Playground, database: Database) -> None:
    login = await given(database)
    await play.run(f"DROP LOGIN [{login.username}]")
    await play.create_login(login)
    with pytest.raises(Refused, match=login.username):
        await database.ensure_login(login.username, login.password, OWNER, Holder())
    with pytest.raises(Refused, match=login.username):
        await database.drop(login.username, Holder())
    assert await database.describe(login.username) is not None


async def test_a_sid_that_another_login_has_is_refused(play: Playground, database: Database) -> None:
    login, thief = consumer(), consumer()
    password = thief.password.get_secret_value()
    await play.run(f"CREATE LOGIN [{thief.username}] WITH PASSWORD = N'{password}', SID = 0x{sid(login.username).hex()}")
    with pytest.raises(Refused, match="SID"):
        await database.ensure_login(login.username, login.password, OWNER, Holder())
    await play.run(f"DROP LOGIN [{thief.username}]")


async def test_a_user_that_somebody_dropped_comes_back_with_the_next_grant(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = await given(database, table)
    await play.run(f"DROP USER [{login.username}]")
    await database.grant(login.username, table, Holder())
    await database.prove(login, Readable(table=table))


async def test_a_login_that_may_not_connect_may_again_after_a_grant(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = await given(database, table)
    await play.run(f"REVOKE CONNECT FROM [{login.username}]")
    assert not await play.can_read(login, table)
    await database.grant(login.username, table, Holder())
    await database.prove(login, Readable(table=table))


async def test_a_denial_is_somebody_elses_to_take_back(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = await given(database)
    await play.run(f"DENY SELECT ON OBJECT::{play.sql(table)} TO public")
    with pytest.raises(Misconfigured, match="DENY SELECT to public on the table"):
        await database.grant(login.username, table, Holder())


async def test_an_exception_from_a_grant_is_made_good(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = await given(database, table)
    await play.run(f"REVOKE SELECT ON OBJECT::{play.sql(table)} ([id]) FROM [{login.username}]")
    assert not await play.can_read(login, table)
    await database.grant(login.username, table, Holder())
    assert await play.can_read(login, table)


async def test_what_others_granted_goes_too(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = await given(database)
    await play.run(f"GRANT SELECT ON SCHEMA::{play.quoted(table.schema)} TO [{login.username}] WITH GRANT OPTION")
    await play.run(f"GRANT SELECT ON OBJECT::{play.sql(table)} TO [{login.username}] WITH GRANT OPTION")
    await play.run(f"GRANT SELECT TO [{login.username}]")
    reach = await database.grant(login.username, table, Holder())
    assert reach.through == "its own SELECT on the database, its own SELECT on the schema"
    await database.revoke(login.username, [], Holder())
    assert not await play.can_read(login, table)


@pytest.mark.parametrize("admin", ["rds-like"], indirect=True)
async def test_what_is_the_servers_is_named_where_the_admin_may_not_take_it_and_all_else_goes(
    play: SqlserverPlayground, database: Database
) -> None:
    going, kept = await play.create_table("orders"), await play.create_table("items")
    login = await given(database, going, kept)
    more = await play.give_of_the_server(login)
    found = await database.describe(login.username)
    assert found
    assert set(found.beyond) == more
    with pytest.raises(Misconfigured) as refused:
        await database.revoke(login.username, [kept], Holder())
    for statement in (
        f"run, in master: ALTER SERVER ROLE [processadmin] DROP MEMBER [{login.username}]",
        f"REVOKE VIEW SERVER STATE FROM [{login.username}] CASCADE AS [sa]",
        f"REVOKE IMPERSONATE ON LOGIN::[sa] FROM [{login.username}] AS [sa]",
    ):
        assert statement in str(refused.value)
    assert not await play.can_read(login, going)
    await database.prove(login, Readable(table=kept))
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


@asynccontextmanager
async def other_database(play: Playground, login: Credentials) -> AsyncIterator[str]:
    """Another of the admin's, where somebody made a user for the login."""
    name = f"{play.database}_2"
    await play.server.create_database(name, owner=play.admin)
    await play.server.execute(f"CREATE USER [somebody] FOR LOGIN [{login.username}]", database=name)
    yield name
    await play.server.execute(f"DROP DATABASE [{name}]")


async def test_its_users_in_other_databases_go_with_the_login(play: Playground, database: Database) -> None:
    login = await given(database)
    async with other_database(play, login) as other:
        assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
        users = "SELECT name FROM sys.database_principals WHERE name = 'somebody'"
        assert not await play.server.execute(users, database=other)


async def test_what_it_owns_in_another_database_is_named(play: Playground, database: Database) -> None:
    login = await given(database)
    async with other_database(play, login) as other:
        await play.server.execute("CREATE SCHEMA [mine] AUTHORIZATION [somebody]", database=other)
        dropped = await database.drop(login.username, Holder())
        assert dropped.outcome is LoginOutcome.DISABLED
        assert dropped.detail == f"owns schema mine in database {other}"
        assert not await play.can_log_in(login)


async def lesser(play: Playground, *rights: str) -> Database:
    """Opened with an admin login that has these rights in the server, and is a user of the database."""
    admin = consumer()
    await play.create_login(admin)
    await play.run(f"CREATE USER [{admin.username}] FOR LOGIN [{admin.username}]")
    for right in rights:
        await play.run(right.format(f"[{admin.username}]"))
    return adapter("sqlserver").open(play.source, admin, play.limits)


BELOW_THREE = Scope(rows=Comparison(column="id", operator=Operator.LESS_THAN, values=("3",)))
OWNERS = "ALTER ROLE db_owner ADD MEMBER {}"


@pytest.mark.parametrize(
    ("rights", "missing"),
    [
        ((), "ALTER ROLE .db_owner. ADD MEMBER|ALTER ROLE db_owner ADD MEMBER"),
        ((OWNERS,), "GRANT ALTER ANY LOGIN TO"),
    ],
    ids=["db_owner", "logins"],
)
async def test_a_right_that_the_admin_lacks_is_named(play: Playground, rights: tuple[str, ...], missing: str) -> None:
    login = consumer()
    database = await lesser(play, *rights)
    with pytest.raises(Misconfigured, match=missing):
        await database.ensure_login(login.username, login.password, OWNER, Holder())
    await database.close()


async def test_an_admin_that_sees_no_sessions_ends_no_revoke(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = await given(database, table)
    blind = await lesser(play, OWNERS)
    with pytest.raises(Misconfigured, match="GRANT VIEW SERVER STATE TO"):
        await blind.revoke(login.username, [], Holder())
    await blind.close()


async def test_there_is_neither_iam_nor_a_second_password(play: Playground, database: Database) -> None:
    login = await given(database)
    with pytest.raises(Unsupported, match="IAM"):
        await database.ensure_login(login.username, None, OWNER, Holder())
    assert not await database.add_password(login.username, consumer().password, Holder())
    await database.retire_password(login.username, Holder())
    assert await play.can_log_in(login)


async def test_a_filter_on_a_table_of_another_owner_reads_through_its_owners_schema(
    play: Playground, database: Database
) -> None:
    """A view reads what its owner owns; one of dbo's would not read this table."""
    table = Table(schema="kept", name="orders")
    await play.run("CREATE USER [keeper] WITHOUT LOGIN")
    await play.run("CREATE SCHEMA [kept] AUTHORIZATION [keeper]")
    await play.run("CREATE TABLE [kept].[orders] (id int)")
    await play.run("INSERT INTO [kept].[orders] VALUES (1), (2), (3)")
    login = await given(database)
    reach = await database.grant(login.username, table, Holder(), [BELOW_THREE])
    await database.prove(login, reach.readable)
    assert [row[0] for row in await play.rows(login, reach.readable.table)] == [1, 2]
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
    assert not await play.has_place(reach.readable.table.schema)


@pytest.fixture(scope="session")
def freetds() -> str:
    try:
        return odbc.freetds()
    except NotAvailable as error:
        pytest.skip(str(error))


async def test_freetds_does_as_well(play: Playground, freetds: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    limits = replace(play.limits, sqlserver_driver=freetds)
    database = adapter("sqlserver").open(play.source, play.admin, limits)
    table = await play.create_table("orders")
    login = await given(database, table)
    await database.prove(login, Readable(table=table))
    with pytest.raises(ConsumerRejected):
        await database.prove(consumer(), Readable(table=table))
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
    await database.close()
    # It does not say why it can't connect; that it sends no password is what counts.
    stranger = tmp_path_factory.mktemp("authority") / "ca.pem"
    CA().cert_pem.write_to_path(stranger)
    deceived = adapter("sqlserver").open(play.source, play.admin, replace(limits, ca_bundle=stranger))
    with pytest.raises(Transient):
        await deceived.resolve(play.path(table))
    await deceived.close()
    # Neither does it say that the certificate is another host's.
    elsewhere = adapter("sqlserver").open(replace(play.source, host="127.1"), play.admin, limits)
    with pytest.raises(Transient):
        await elsewhere.resolve(play.path(table))
    await elsewhere.close()


async def test_the_name_of_a_database_ends_no_word_of_the_connection_string(play: Playground) -> None:
    name = f"{play.database} }};UID={{x"
    await play.server.create_database(name, owner=play.admin)
    database = adapter("sqlserver").open(replace(play.source, database=name), play.admin, play.limits)
    login = await given(database)
    assert await play.server.execute(f"SELECT name FROM sys.database_principals WHERE name = '{login.username}'", database=name)
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
    await database.close()
    await play.server.execute(f"DROP DATABASE [{name}]")


async def test_another_database_than_the_sources_is_not_worked_on(play: Playground) -> None:
    """Without a name, the server opens the login's default."""
    database = adapter("sqlserver").open(replace(play.source, database=""), play.admin, play.limits)
    with pytest.raises(Misconfigured, match=r"opened the database \w+ instead"):
        await database.ensure_login(consumer().username, consumer().password, OWNER, Holder())
    await database.close()


async def test_a_session_that_is_another_logins_by_now_is_not_ended(play: Playground) -> None:
    """Its number was in the list; the server gives the numbers of sessions again at once."""
    async with play.server.session() as run:
        [(number,)] = await run("SELECT @@SPID")
        assert isinstance(number, int)
        await play.run(end_session(number, consumer().username))
        assert await run("SELECT 1") == [(1,)]


@pytest.mark.parametrize("calls", [0, 1], ids=["at its end", "before another call"])
async def test_a_connection_that_was_abandoned_is_not_used_again(play: Playground, calls: int) -> None:
    connections = Connections(play.source, play.admin, replace(play.limits, pool_size=1))
    busy, over, back = threading.Event(), threading.Event(), threading.Event()
    used: list[Session] = []

    def work(desk: Desk) -> None:
        with ExitStack() as end:
            end.callback(back.set)
            used.append(session := end.enter_context(desk.session()))
            busy.set()
            over.wait(10)
            for _ in range(calls):
                session.fetch("SELECT 1")

    waiter = asyncio.create_task(connections.run("a test", work))
    await asyncio.to_thread(busy.wait, 10)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    over.set()
    assert await asyncio.to_thread(back.wait, 10)
    for _ in range(2):
        await connections.run("a test", work)
    abandoned, first, second = used
    assert abandoned is not first
    assert first is second
    await connections.close()


async def test_a_change_that_fails_leaves_nothing_of_those_before_it(play: Playground) -> None:
    """Without XACT_ABORT the batch would go on after the error, to its COMMIT."""
    connections, login, make = Connections(play.source, play.admin, play.limits), consumer(), "CREATE USER [twin] WITHOUT LOGIN"

    def work(desk: Desk) -> None:
        with desk.transaction(login.username, Holder()) as transaction:
            transaction.commit(make, make)

    with pytest.raises(DzgrantError):
        await connections.run("a test", work)
    assert not await play.run("SELECT name FROM sys.database_principals WHERE name = 'twin'")
    await connections.close()


async def test_as_few_messages_as_the_documentation_says(play: Playground, database: Database) -> None:
    if play.server.provider != "double":
        pytest.skip("a real server does not write every statement down")
    table, second = await play.create_table("orders"), await play.create_table("items")
    await database.resolve(play.path(table))

    def sent() -> int:
        """But for the driver's own: sp_unprepare, which has no text, and what pyodbc asks of a new connection string."""
        own = r"^\d+ \w+: (?=\S|\n[A-Z])(?!exec sp_executesql N'EXEC \[sys\]\.sp_datatype_info)"
        return len(re.findall(own, play.server.read_log(), re.MULTILINE))

    counts = [sent()]
    login = await given(database, table)
    await database.prove(login, Readable(table=table))
    counts.append(sent())
    await database.grant(login.username, second, Holder())
    await database.prove(login, Readable(table=second))
    counts.append(sent())
    await database.revoke(login.username, [second], Holder())
    counts.append(sent())
    await database.drop(login.username, Holder())
    counts.append(sent())
    assert [after - before for before, after in pairwise(counts)] == [11, 8, 6, 11]


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that lets connect, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


async def test_a_server_that_says_nothing_holds_nobody(play: Playground) -> None:
    limits = Limits(connect_timeout=1.0, statement_timeout=1.0, ca_bundle=play.limits.ca_bundle)
    with silent() as port:
        database = adapter("sqlserver").open(replace(play.source, port=port), play.admin, limits)
        async with asyncio.timeout(10):
            with pytest.raises(Transient):
                await database.resolve(play.path(play.table("orders")))
            await database.close()
