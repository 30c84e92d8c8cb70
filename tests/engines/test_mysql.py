"""What only MySQL and MariaDB get wrong: wildcards, stale grants, hidden rows, plain text, locks that are sessions."""

from __future__ import annotations

import asyncio
import struct
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import aiomysql
import pymysql
import pytest
from pydantic import SecretStr
from pymysql.constants import CLIENT

from dzgrant.engines import adapter
from dzgrant.engines.contract import Database, Limits, Reach, Readable
from dzgrant.engines.mysql.driver import connect
from dzgrant.errors import AdminRejected, ConsumerRejected, LeaseLost, Misconfigured, Refused, Transient
from dzgrant.localcloud.databases import Run, Server
from dzgrant.localcloud.databases.server import trust
from dzgrant.model import Comparison, Credentials, LoginOutcome, Operator, Scope, Source, Table, TablePath
from dzgrant.passwords import new_password
from tests.engines.mysql_playground import MysqlPlayground
from tests.engines.playground import OWNER, SAID_NO, Ending, Holder, consumer


@pytest.fixture(params=["mariadb", "mysql"], scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """The two of this family only."""
    found: Server = request.getfixturevalue(request.param)
    return found


only_mariadb = pytest.mark.parametrize("server", ["mariadb"], indirect=True)
only_mysql = pytest.mark.parametrize("server", ["mysql"], indirect=True)
only_superuser = pytest.mark.parametrize("admin", ["superuser"], indirect=True)
only_rds_like = pytest.mark.parametrize("admin", ["rds-like"], indirect=True)


async def sessions(play: MysqlPlayground, run: Run) -> list[tuple[int, str, str, str]]:
    """Id, user, command and state of each."""
    source = "information_schema" if play.is_mariadb else "performance_schema"
    rows = await run(f"SELECT id, user, command, state FROM {source}.processlist")
    return [(number, user, command, state) for number, user, command, state in rows]


async def given(database: Database, login: Credentials, *tables: Table) -> None:
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    for table in tables:
        await database.grant(login.username, table, Holder())


async def make_admin(play: MysqlPlayground, *grants: str) -> Credentials:
    admin = Credentials(username=f"{play.database}_a", password=new_password())
    await play.run(f"CREATE USER {admin.username} IDENTIFIED BY '{admin.password.get_secret_value()}' REQUIRE SSL")
    for grant in grants:
        await play.run(grant.format(admin=admin.username, database=play.database))
    return admin


@asynccontextmanager
async def opened(play: MysqlPlayground, admin: Credentials) -> AsyncIterator[Database]:
    database = adapter("mysql").open(play.source, admin, play.limits)
    try:
        yield database
    finally:
        await database.close()


# --- the login ---


async def test_a_crash_after_the_login_was_made_heals(play: MysqlPlayground, database: Database) -> None:
    """The marker comes with the login, so that the next try knows it and sets its own password."""
    table = await play.create_table("orders")
    login = consumer()
    await given(database, replace(login, password=new_password()))
    await given(database, login, table)
    await database.prove(login, Readable(table=table))


async def test_the_marker_survives_what_is_done_to_a_login(play: MysqlPlayground, database: Database) -> None:
    login = consumer()
    await given(database, login)
    await play.run(f"ALTER USER {login.username} IDENTIFIED BY '{new_password().get_secret_value()}' ACCOUNT LOCK")
    state = await database.describe(login.username)
    assert state is not None
    assert (state.marked, state.enabled) == (True, False)


@only_mysql
async def test_the_marker_says_whose_login_it_is(play: MysqlPlayground, database: Database) -> None:
    """MariaDB has no place for a comment: there the ledger alone knows."""
    login = consumer()
    await given(database, login)
    [(marker,)] = await play.run(f"SELECT attribute FROM information_schema.user_attributes WHERE user = '{login.username}'")
    assert all(word in str(marker) for word in ("dzgrant", OWNER.domain, OWNER.project, OWNER.environment))


async def test_an_account_for_another_host_is_refused_and_untouched(play: MysqlPlayground, database: Database) -> None:
    """It would win at login, and its password is not dzgrant's."""
    login, other = consumer(), new_password()
    await play.run(f"CREATE USER {login.username}@localhost IDENTIFIED BY '{other.get_secret_value()}'")
    with pytest.raises(Refused, match=f"'{login.username}'@'localhost'"):
        await given(database, login)
    await play.run(f"DROP USER {login.username}@localhost")
    await given(database, login)
    await play.run(f"CREATE USER {login.username}@localhost IDENTIFIED BY '{other.get_secret_value()}'")
    with pytest.raises(Refused, match=f"'{login.username}'@'localhost'"):
        await given(database, login)
    # It keeps nobody from taking dzgrant's own away.
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


async def test_a_login_needs_tls(play: MysqlPlayground, database: Database) -> None:
    login = consumer()
    await given(database, login)
    [(created,)] = await play.run(f"SHOW CREATE USER {login.username}")
    assert "REQUIRE SSL" in str(created)


async def test_a_password_does_not_expire_with_the_servers_others(play: MysqlPlayground, database: Database) -> None:
    login = consumer()
    await given(database, login)
    [(created,)] = await play.run(f"SHOW CREATE USER {login.username}")
    assert "PASSWORD EXPIRE NEVER" in str(created)


@only_mysql
async def test_a_password_policy_stands_in_nobodys_way(play: MysqlPlayground, database: Database, mysql: Server) -> None:
    table = await play.create_table("orders")
    login = consumer()
    await mysql.execute("INSTALL COMPONENT 'file://component_validate_password'")
    await mysql.execute("SET GLOBAL validate_password.length = 100, GLOBAL password_history = 3")
    try:
        await given(database, login, table)
        await given(database, login, table)
        await database.prove(login, Readable(table=table))
    finally:
        await mysql.execute("SET GLOBAL password_history = 0")
        await mysql.execute("UNINSTALL COMPONENT 'file://component_validate_password'")


@only_mariadb
async def test_a_strict_server_names_the_setting(play: MysqlPlayground, database: Database, mariadb: Server) -> None:
    """It wants to see passwords, and would write them to its general log."""
    login = consumer()
    try:
        await mariadb.execute("INSTALL SONAME 'simple_password_check'")
    except pymysql.err.OperationalError:
        pytest.skip("this MariaDB comes without its plugin simple_password_check")
    try:
        with pytest.raises(Misconfigured, match="strict_password_validation = OFF"):
            await given(database, login)
        await mariadb.execute("SET GLOBAL strict_password_validation = OFF")
        await given(database, login)
    finally:
        await mariadb.execute("SET GLOBAL strict_password_validation = ON")
        await mariadb.execute("UNINSTALL SONAME 'simple_password_check'")


@only_rds_like
async def test_a_read_only_server_is_tried_again(play: MysqlPlayground, database: Database) -> None:
    """A superuser may write all the same."""
    login = consumer()
    await play.server.execute("SET GLOBAL read_only = ON")
    try:
        with pytest.raises(Transient):
            await given(database, login)
    finally:
        await play.server.execute("SET GLOBAL read_only = OFF")
    await given(database, login)


async def test_a_login_by_iam_is_proved_by_what_the_grant_tables_say(play: MysqlPlayground, database: Database) -> None:
    """The plugin is RDS's; an account of it is what the grant tables would hold there, written into them."""
    table = await play.create_wide("orders", {"id": "int", "price": "int"}, [(1, 2)])
    login = consumer()
    await given(database, login)
    reach = await database.grant(login.username, table, Holder(), [Scope(columns=frozenset({"id"}))])
    with pytest.raises(ConsumerRejected):
        await database.prove_by_privileges(login.username, reach.readable)
    plugin = (
        "UPDATE mysql.global_priv SET priv = JSON_SET(priv, '$.plugin', 'AWSAuthenticationPlugin')"
        if play.is_mariadb
        else "UPDATE mysql.user SET plugin = 'AWSAuthenticationPlugin', authentication_string = 'RDS'"
    )
    await play.run(f"{plugin} WHERE user = '{login.username}'")
    await database.prove_by_privileges(login.username, reach.readable)
    for more in (Readable(table=table), Readable(table=table, columns=("id", "price"))):
        with pytest.raises(Misconfigured, match="can't read"):
            await database.prove_by_privileges(login.username, more)


# --- grants ---


async def test_a_wildcard_in_a_name_is_no_wildcard(play: MysqlPlayground, database: Database) -> None:
    table, lookalike = await play.create_table("a_b%"), await play.create_table("axbx")
    login = consumer()
    await given(database, login, table)
    assert await play.can_read(login, table)
    assert not await play.can_read(login, lookalike)


async def test_a_path_that_differs_by_more_than_case_is_not_found(play: MysqlPlayground, database: Database) -> None:
    """The collation of information_schema takes `cafe` for `café`."""
    await play.create_table("café")
    with pytest.raises(Refused):
        await database.resolve(TablePath(name="cafe"))


async def test_a_view_that_cannot_be_read_says_what_to_mend(play: MysqlPlayground, database: Database) -> None:
    base = await play.create_table("base")
    view = await play.create_view("broken", base)
    login = consumer()
    await given(database, login, view)
    await play.run(f"DROP TABLE {play.sql(base)}")
    with pytest.raises(Misconfigured, match="view"):
        await database.prove(login, Readable(table=view))


async def test_all_ways_to_a_table_are_reported(play: MysqlPlayground, database: Database) -> None:
    table, other = await play.create_table("orders"), await play.create_table("items")
    login, inner, outer = consumer(), f"{play.database}_in", f"{play.database}_out"
    await given(database, login)
    assert await database.grant(login.username, table, Holder()) == Reach(
        readable=Readable(table=table), public=False, through=None
    )
    async with play.server.session() as run:
        await run(f"CREATE ROLE {inner}, {outer}")
        await run(f"GRANT {inner} TO {outer}")
        await run(f"GRANT {outer} TO {login.username}")
        await run(f"GRANT SELECT ON {play.sql(table)} TO {inner}")
    assert await database.grant(login.username, table, Holder()) == Reach(
        readable=Readable(table=table), public=True, through=f"role {inner}"
    )
    assert not (await database.grant(login.username, other, Holder())).public
    await play.run(f"GRANT SELECT ON {play.database}.* TO {login.username}")
    through = (await database.grant(login.username, other, Holder())).through
    assert through == "its own SELECT on the whole database"
    await play.run(f"DROP ROLE {inner}, {outer}")


async def test_what_the_anonymous_account_may_read_is_reported(play: MysqlPlayground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    await given(database, login)
    await play.run("CREATE USER ''@'203.0.113.%' IDENTIFIED BY 'Nobody-knows-1'")
    try:
        await play.run(f"GRANT SELECT ON {play.database}.* TO ''@'203.0.113.%'")
        reach = await database.grant(login.username, table, Holder())
        assert reach == Reach(readable=Readable(table=table), public=True, through="the anonymous account")
    finally:
        await play.run("DROP USER ''@'203.0.113.%'")


# --- revokes ---


async def test_the_stale_grant_of_a_renamed_table_goes(play: MysqlPlayground, database: Database) -> None:
    """The grant stays with the name: whoever makes a table of that name next would share it."""
    old, dropped, kept = [await play.create_table(name) for name in ("orders", "items", "kept")]
    login = consumer()
    await given(database, login, old, dropped, kept)
    await play.run(f"RENAME TABLE {play.sql(old)} TO {play.sql(play.table('new'))}")
    await play.run(f"DROP TABLE {play.sql(dropped)}")
    await database.revoke(login.username, [kept], Holder())
    for name in ("orders", "items"):
        assert not await play.can_read(login, await play.create_table(name))
    assert await play.can_read(login, kept)


@pytest.mark.parametrize(
    "wider",
    ["SELECT ON {database}.*", "SELECT (id) ON {database}.orders", "SELECT ON *.*"],
    ids=["database", "column", "server"],
)
@pytest.mark.parametrize("keeps", [True, False], ids=["keeps", "keeps-nothing"])
async def test_a_revoke_takes_what_others_gave_too(
    play: MysqlPlayground, database: Database, wider: str, *, keeps: bool
) -> None:
    going, kept = await play.create_table("orders"), await play.create_table("items")
    login = consumer()
    await given(database, login, kept)
    await play.run(f"GRANT {wider.format(database=play.database)} TO {login.username}")
    assert await play._goes_well(f"SELECT id FROM {play.sql(going)}", login)
    await database.revoke(login.username, [kept] if keeps else [], Holder())
    assert not await play._goes_well(f"SELECT id FROM {play.sql(going)}", login)
    assert await play.can_read(login, kept) is keeps


async def test_a_revoke_cut_off_anywhere_takes_nothing_that_is_kept(play: MysqlPlayground, database: Database) -> None:
    going, kept = await play.create_table("orders"), await play.create_table("items")
    login = consumer()
    await given(database, login, going, kept)
    await play.run(f"GRANT SELECT ON {play.database}.* TO {login.username}")
    for statements in range(2):
        with pytest.raises(LeaseLost):
            await database.revoke(login.username, [kept], Ending(statements=statements))
        assert await play.can_read(login, kept)
    await database.revoke(login.username, [kept], Holder())
    await database.prove(login, Readable(table=kept))
    assert not await play.can_read(login, going)


@only_rds_like
async def test_a_table_that_cannot_be_given_back_keeps_no_session_alive(play: MysqlPlayground, database: Database) -> None:
    going, theirs = await play.create_table("orders"), await play.create_foreign_table("theirs")
    login = consumer()
    await given(database, login, going)
    # What such an admin can take with all the rest only.
    await play.run(f"GRANT SELECT ON *.* TO {login.username}")
    await play.run(f"GRANT SELECT ON {play.sql(theirs)} TO {login.username}")
    async with play.reading(login, going) as next_row:
        assert await next_row() == 1
        with pytest.raises(Misconfigured, match="theirs"):
            await database.revoke(login.username, [theirs], Holder())
        with pytest.raises(SAID_NO):
            await next_row()


async def test_a_session_left_over_from_a_dropped_login_is_ended(play: MysqlPlayground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    await given(database, login, table)
    async with play.reading(login, table) as next_row:
        assert await next_row() == 1
        await play.run(f"DROP USER {login.username}")
        assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.ABSENT
        with pytest.raises(SAID_NO):
            await next_row()


@only_mysql
@only_rds_like
async def test_a_session_of_a_login_in_another_case_is_somebody_elses(play: MysqlPlayground, database: Database) -> None:
    login = consumer()
    theirs = replace(login, username=login.username.upper())
    await play.create_login(theirs)
    await given(database, login)
    async with play.server.session(login=theirs) as run:
        assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
        assert await run("SELECT 1") == [(1,)]
    await play.run(f"DROP USER {theirs.username}")


@only_mysql
@only_rds_like
async def test_a_definer_of_what_the_admin_cannot_see_is_kept(play: MysqlPlayground, database: Database) -> None:
    """MariaDB drops it without a word; where the admin sees the object, the contract suite has the case."""
    hidden = await play.create_foreign_table("hidden")
    login = consumer()
    await given(database, login)
    await play.run(f"CREATE DEFINER = {login.username} VIEW {play.sql(replace(hidden, name='v'))} AS SELECT 1")
    dropped = await database.drop(login.username, Holder())
    assert dropped.outcome is LoginOutcome.DISABLED
    assert "definer" in (dropped.detail or "")
    assert not await play.can_log_in(login)


async def test_a_readers_condition_is_told_of_no_hidden_row(play: MysqlPlayground, database: Database) -> None:
    """Merged into the reader's query, a view lets it: an error, a SLEEP or, as here, a warning tells what other rows hold."""
    table = await play.create_wide("orders", {"id": "int", "word": "text"}, [(1, "mine"), (2, "hidden")])
    login = consumer()
    await given(database, login)
    mine = Comparison(column="id", operator=Operator.LESS_THAN, values=("2",))
    reach = await database.grant(login.username, table, Holder(), [Scope(rows=mine)])
    async with play.server.session(login=login) as run:
        # The driver makes Python warnings of the server's.
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert await run(f"SELECT id FROM {play.sql(reach.readable.table)} WHERE CAST(word AS SIGNED) = 0") == [(1,)]
    assert any("mine" in str(warning.message) for warning in told)
    assert not any("hidden" in str(warning.message) for warning in told)


# MySQL calls the mode deprecated, and the driver makes a Python warning of that.
@pytest.mark.filterwarnings("ignore:Changing sql mode")
@pytest.mark.parametrize("operator", [Operator.NOT_EQUAL_TO, Operator.NOT_LIKE, Operator.NOT_IN])
async def test_a_reader_who_wants_padding_sees_no_hidden_row(
    play: MysqlPlayground, database: Database, operator: Operator
) -> None:
    """A CHAR comes with its padding under PAD_CHAR_TO_FULL_LENGTH, which is equal to no value of a filter then."""
    table = play.table("orders")
    collation = "utf8mb4_nopad_bin" if play.is_mariadb else "utf8mb4_0900_bin"
    await play.run(f"CREATE TABLE {play.sql(table)} (id int, city char(9) CHARACTER SET utf8mb4 COLLATE {collation})")
    await play.run(f"INSERT INTO {play.sql(table)} VALUES (1, 'Paris'), (2, 'Rome')")
    login = consumer()
    await given(database, login)
    elsewhere = Comparison(column="city", operator=operator, values=("Paris",))
    reach = await database.grant(login.username, table, Holder(), [Scope(rows=elsewhere)])
    async with play.server.session(login=login) as run:
        await run("SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'")
        assert await run(f"SELECT id FROM {play.sql(reach.readable.table)}") == [(2,)]


@pytest.mark.filterwarnings("ignore:.*sql mode")
async def test_the_servers_mode_changes_the_meaning_of_no_literal(play: MysqlPlayground) -> None:
    word = "\\' OR true -- "
    table = await play.create_wide("orders", {"id": "int", "word": "text"}, [(1, "7"), (2, "hidden")])
    async with play.server.session() as run:
        [(mode,)] = await run("SELECT @@GLOBAL.sql_mode")
        await run("SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
        database = adapter("mysql").open(play.source, play.admin, play.limits)
        try:
            login = consumer()
            await given(database, login)
            scope = Scope(rows=Comparison(column="word", operator=Operator.EQUAL_TO, values=(word,)))
            reach = await database.grant(login.username, table, Holder(), [scope])
            assert await play.rows(login, reach.readable.table) == []
            assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
        finally:
            await database.close()
            await run(f"SET GLOBAL sql_mode = '{mode}'")


async def test_a_readers_open_transaction_keeps_no_view_as_it_is(play: MysqlPlayground, impatient: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    await given(impatient, login)

    def only(row: str) -> Scope:
        return Scope(rows=Comparison(column="id", operator=Operator.EQUAL_TO, values=(row,)))

    view = (await impatient.grant(login.username, table, Holder(), [only("1")])).readable.table
    async with play.server.session(login=login) as run:
        await run("START TRANSACTION")
        assert await run(f"SELECT id FROM {play.sql(view)}") == [(1,)]
        await impatient.grant(login.username, table, Holder(), [only("2")])
        with pytest.raises(SAID_NO):
            await run(f"SELECT id FROM {play.sql(view)}")
    assert await play.rows(login, view) == [(2,)]


@only_superuser
async def test_an_admin_without_a_place_for_views_gets_the_statement(play: MysqlPlayground) -> None:
    admin = await make_admin(play, *ALL)
    table = await play.create_table("orders")
    login = consumer()
    scope = Scope(rows=Comparison(column="id", operator=Operator.IS_NULL))
    async with opened(play, admin) as database:
        await given(database, login)
        with pytest.raises(
            Misconfigured,
            match=r"GRANT CREATE, CREATE VIEW, SHOW VIEW, DROP, SELECT ON `dz\\_%\\_views`\.\* TO .* GRANT OPTION",
        ):
            await database.grant(login.username, table, Holder(), [scope])
        await play.run(
            f"GRANT CREATE, CREATE VIEW, SHOW VIEW, DROP, SELECT ON `dz\\_%\\_views`.* TO {admin.username} WITH GRANT OPTION"
        )
    # A new session: these rights count from then on.
    right = "CONNECTION ADMIN" if play.is_mariadb else "CONNECTION_ADMIN"
    await play.run(f"GRANT {right} ON *.* TO {admin.username}")
    async with opened(play, admin) as database:
        await database.prove(login, (await database.grant(login.username, table, Holder(), [scope])).readable)
        assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


# --- the admin's rights ---

ALL = (
    "GRANT CREATE USER, PROCESS ON *.* TO {admin}",
    "GRANT SELECT ON mysql.* TO {admin}",
    "GRANT SELECT, REFERENCES ON {database}.* TO {admin} WITH GRANT OPTION",
)


@only_superuser
async def test_the_rights_in_the_documentation_are_enough(play: MysqlPlayground) -> None:
    kill = "CONNECTION ADMIN" if play.is_mariadb else "CONNECTION_ADMIN"
    admin = await make_admin(play, *ALL, f"GRANT {kill} ON *.* TO {{admin}}")
    table, kept = await play.create_table("orders"), await play.create_table("items")
    login = consumer()
    async with opened(play, admin) as database:
        await given(database, login, await database.resolve(TablePath(name="ORDERS")), kept)
        await database.prove(login, Readable(table=table))
        async with play.reading(login, table) as next_row:
            await database.revoke(login.username, [kept], Holder())
            with pytest.raises(SAID_NO):
                await next_row()
        assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


@only_superuser
@pytest.mark.parametrize(
    ("missing", "cure"),
    [
        (0, r"GRANT CREATE USER ON \*\.\* TO"),
        (1, r"GRANT SELECT ON mysql\.\* TO"),
        (2, r"GRANT SELECT ON `shop_\w+`\.`orders` TO '\w+'@'%' WITH GRANT OPTION"),
    ],
)
async def test_a_missing_right_names_the_statement(play: MysqlPlayground, missing: int, cure: str) -> None:
    table = await play.create_table("orders")
    admin = await make_admin(play, *ALL[:missing], *ALL[missing + 1 :])
    async with opened(play, admin) as database:
        with pytest.raises(Misconfigured, match=cure):
            await given(database, consumer(), table)


@only_superuser
async def test_an_admin_that_sees_no_sessions_does_not_take_them_for_none(play: MysqlPlayground, database: Database) -> None:
    """Without PROCESS, the list of sessions is short and no error."""
    admin = await make_admin(play, ALL[0].replace(", PROCESS", ""), *ALL[1:])
    login = consumer()
    await given(database, login)
    async with opened(play, admin) as blind:
        with pytest.raises(Misconfigured, match=r"GRANT PROCESS ON \*\.\*"):
            await blind.drop(login.username, Holder())


@only_superuser
async def test_an_admin_that_may_end_no_session_says_so(play: MysqlPlayground) -> None:
    admin = await make_admin(play, *ALL)
    right = "CONNECTION ADMIN" if play.is_mariadb else "CONNECTION_ADMIN"
    table = await play.create_table("orders")
    login = consumer()
    async with opened(play, admin) as database:
        await given(database, login, table)
        async with play.reading(login, table) as next_row:
            with pytest.raises(Misconfigured, match=rf"GRANT {right} ON \*\.\* TO '{admin.username}'"):
                await database.drop(login.username, Holder())
            assert await next_row() == 1


# --- locks, connections ---


async def test_a_lost_lease_gives_the_lock_back(play: MysqlPlayground, database: Database) -> None:
    login = consumer()
    with pytest.raises(LeaseLost):
        await database.ensure_login(login.username, login.password, OWNER, Holder(outlasts=1))
    async with play.server.session() as run:
        assert await run(f"SELECT GET_LOCK('dzgrant:{login.username}', 5)") == [(1,)]


async def test_a_cancelled_change_leaves_a_pool_that_works(play: MysqlPlayground, database: Database) -> None:
    login = consumer()
    async with play.server.session() as run, asyncio.timeout(play.limits.lock_timeout):
        await run(f"SELECT GET_LOCK('dzgrant:{login.username}', 0)")
        waiting = [asyncio.create_task(given(database, login)) for _ in range(play.limits.pool_size)]
        try:
            while [state for *_, state in await sessions(play, run)].count("User lock") < play.limits.pool_size:
                await asyncio.wait(waiting, timeout=0.01)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
        assert all(task.cancelled() for task in waiting)
    await given(database, login)


async def test_connections_that_the_server_closed_are_replaced(play: MysqlPlayground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    await given(database, login, table)
    async with play.server.session() as run:
        idle = [
            number
            for number, user, command, _ in await sessions(play, run)
            if (user, command) == (play.admin.username, "Sleep")
        ]
        assert idle
        for number in idle:
            await run(f"KILL {number}")
    assert await database.resolve(TablePath(name="orders")) == table
    await database.grant(login.username, table, Holder())


async def test_as_few_statements_as_the_module_says(play: MysqlPlayground, database: Database) -> None:
    table, second = await play.create_table("orders"), await play.create_table("items")
    login = consumer()
    await database.resolve(TablePath(name="orders"))

    def sent() -> int:
        return play.server.read_log().count("Query\t")

    counts = [sent()]
    await given(database, login, table)
    await database.prove(login, Readable(table=table))
    counts.append(sent())
    await database.grant(login.username, second, Holder())
    await database.prove(login, Readable(table=second))
    counts.append(sent())
    await database.revoke(login.username, [second], Holder())
    counts.append(sent())
    await database.drop(login.username, Holder())
    counts.append(sent())
    assert [after - before for before, after in pairwise(counts)] == [10, 6, 6, 7]


async def test_as_few_statements_for_a_filter_as_the_module_says(play: MysqlPlayground, database: Database) -> None:
    columns, rows = await play.create_table("orders"), await play.create_table("items")
    login = consumer()
    await given(database, login)

    def sent() -> int:
        return play.server.read_log().count("Query\t")

    counts = [sent()]
    one = Comparison(column="id", operator=Operator.EQUAL_TO, values=("1",))
    for table, scope in ((columns, Scope(columns=frozenset({"id"}))), (rows, Scope(rows=one))):
        await database.prove(login, (await database.grant(login.username, table, Holder(), [scope])).readable)
        counts.append(sent())
    assert [after - before for before, after in pairwise(counts)] == [8, 14]


async def test_a_message_holds_one_statement(play: MysqlPlayground) -> None:
    """The last line of defence against a name that is more than a name; aiomysql allows several by itself."""
    driver = await connect(play.source, play.admin, play.limits, AdminRejected)
    try:
        with pytest.raises(pymysql.err.ProgrammingError):
            await driver.run("DO 1; DO 2")
    finally:
        await driver.ensure_closed()


# --- TLS ---


async def test_an_unreadable_bundle_is_named(play: MysqlPlayground) -> None:
    nowhere = play.server.ca_file.with_name("nowhere.pem")
    database = adapter("mysql").open(play.source, play.admin, replace(play.limits, ca_bundle=nowhere))
    with pytest.raises(Misconfigured, match=r"nowhere\.pem.*DZGRANT_DATABASE_CA_BUNDLE"):
        await database.resolve(TablePath(name="orders"))
    await database.close()


_PLUGIN = b"mysql_clear_password"
_CAPABILITIES = CLIENT.PROTOCOL_41 | CLIENT.SECURE_CONNECTION | CLIENT.PLUGIN_AUTH
# HandshakeV10 of MySQL's protocol, by a server that denies TLS and asks for the password as it is.
_GREETING = (
    b"\x0a8.4.0\0"
    + struct.pack("<I8sxHBHHB10x", 1, b"saltsalt", _CAPABILITIES & 0xFFFF, 45, 2, _CAPABILITIES >> 16, 21)
    + b"saltsaltsalt\0"
    + _PLUGIN
    + b"\0"
)


async def test_a_server_without_tls_gets_no_password(mariadb: Server) -> None:
    heard = bytearray()

    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(len(_GREETING).to_bytes(3, "little") + b"\0" + _GREETING)
        try:
            async with asyncio.timeout(1):
                while said := await reader.read(4096):
                    heard.extend(said)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()

    admin = Credentials(username="admin", password=SecretStr("correct-horse"))
    async with await asyncio.start_server(pretend, "127.0.0.1", 0) as impostor:
        port = impostor.sockets[0].getsockname()[1]
        source = Source(engine="mysql", host="localhost", port=port, database="shop")
        database = adapter("mysql").open(source, admin, Limits(ca_bundle=mariadb.ca_file))
        with pytest.raises(Misconfigured, match="TLS"):
            await database.resolve(TablePath(name="orders"))
        with pytest.raises(Misconfigured, match="TLS"):
            await database.prove(admin, Readable(table=Table(schema="shop", name="orders")))
        await database.close()
        assert heard == b""

        # Why this is the adapter's business: the driver by itself gives the password away.
        with pytest.raises((aiomysql.MySQLError, TimeoutError)):
            await aiomysql.connect(
                host="localhost",
                port=port,
                user=admin.username,
                password=admin.password.get_secret_value(),
                ssl=trust(mariadb.ca_file),
            )
        assert b"correct-horse" in heard


async def test_a_rejected_admin_leaves_no_connection_open(play: MysqlPlayground) -> None:
    wrong = replace(play.admin, password=new_password())
    async with opened(play, wrong) as database:
        for _ in range(play.limits.pool_size + 1):
            with pytest.raises(AdminRejected):
                await database.describe("dz_nobody")


async def test_the_way_to_a_view_shows_no_more_than_the_view(play: MysqlPlayground, database: Database) -> None:
    table, login = await play.create_wide("orders", {"id": "int", "word": "text"}, [(1, "one")]), consumer()
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    rows = Comparison(column="id", operator=Operator.EQUAL_TO, values=("1",))
    some, all_rows = Scope(columns=frozenset({"id"}), rows=rows), Scope(columns=frozenset({"word"}), rows=rows)

    async def ways() -> list[str]:
        found = await play.server.execute(
            f"SELECT column_name FROM mysql.columns_priv WHERE user = '{login.username}' AND column_priv = 'References'"
        )
        return sorted(str(name) for (name,) in found)

    for scopes, expected in (([some], ["id"]), ([some, all_rows], ["id", "word"]), ([all_rows], ["word"])):
        await database.grant(login.username, table, Holder(), scopes)
        assert await ways() == expected
        async with play.server.session(database=play.database, login=login) as run:
            assert sorted(row[0] for row in await run(f"SHOW COLUMNS FROM {play.sql(table)}")) == expected
            with pytest.raises(SAID_NO):
                await run(f"SHOW CREATE TABLE {play.sql(table)}")
            with pytest.raises(SAID_NO):
                await run(f"CREATE TABLE mine (id int, FOREIGN KEY (id) REFERENCES {play.sql(table)} (id))")
    await database.grant(login.username, table, Holder())
    assert await ways() == []
    await database.grant(login.username, table, Holder(), [some])
    await database.revoke(login.username, [], Holder())
    assert await ways() == []


@pytest.mark.parametrize("admin", ["rds-like"], indirect=True)
async def test_a_role_that_the_admin_may_not_take_is_named_and_all_else_goes(play: MysqlPlayground, database: Database) -> None:
    going, kept = await play.create_table("orders"), await play.create_table("items")
    login, role = consumer(), f"role_{play.database}"
    await given(database, login, going, kept)
    async with play.server.session() as run:
        await run(f"CREATE ROLE {role}")
        await run(f"GRANT {role} TO {login.username}")
        with pytest.raises(
            Misconfigured, match=f"administrator of the server run: REVOKE `{role}`.* FROM '{login.username}'@'%'"
        ):
            await database.revoke(login.username, [kept], Holder())
        assert not await play.can_read(login, going)
        await database.prove(login, Readable(table=kept))
        await run(f"DROP ROLE {role}")
    await database.revoke(login.username, [kept], Holder())
