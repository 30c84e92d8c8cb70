"""The SQL Server double refuses what the server refuses, and with its numbers: through the real driver.

Where DZGRANT_TEST_SERVERS=containers these run on the real server, but for what only a double can be told.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Any

import pyodbc
import pytest
from pydantic import SecretStr
from trustme import CA

from dzgrant.localcloud.databases import Server
from dzgrant.model import Credentials
from dzgrant.passwords import new_password
from tests.doubles.sqlserver import DoubleServer, SqlServer, start
from tests.doubles.sqlserver.client import quoted

Run = Callable[..., list[tuple[Any, ...]]]
_NUMBER = re.compile(r"\((\d+)\)")


@pytest.fixture
def real(sqlserver: Server) -> SqlServer:
    assert isinstance(sqlserver, SqlServer)
    return sqlserver


@pytest.fixture
def shop(real: SqlServer) -> Iterator[str]:
    """A database of its own, with a table of three rows."""
    name = f"double_{secrets.token_hex(4)}"
    asyncio.run(real.create_database(name))
    with session(real, name) as run:
        run("CREATE TABLE orders (id int NOT NULL, region nvarchar(20), paid bit)")
        run("INSERT INTO orders VALUES (1, N'eu', 1), (2, N'us', 0), (3, NULL, NULL)")
    yield name
    with session(real) as run:
        run(f"ALTER DATABASE {name} SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
        run(f"DROP DATABASE {name}")


@contextmanager
def session(server: SqlServer, database: str | None = None, login: Credentials | None = None) -> Iterator[Run]:
    connection = server.connect(database=database, login=login)

    def run(sql: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(connection.cursor()) as cursor:
            cursor.execute(sql, *values)
            rows: list[tuple[Any, ...]] = []
            while True:
                if cursor.description:
                    rows = [tuple(row) for row in cursor.fetchall()]
                if not cursor.nextset():
                    return rows

    try:
        yield run
    finally:
        with suppress(pyodbc.Error):
            connection.close()


@contextmanager
def refused(*numbers: int) -> Iterator[None]:
    """By one of the numbers that the error names."""
    with pytest.raises(pyodbc.Error) as failed:
        yield
    found = {int(number) for number in _NUMBER.findall(str(failed.value.args[-1]))}
    assert found & set(numbers), failed.value


def new_login(run: Run) -> Credentials:
    login = Credentials(username=f"dz_{secrets.token_hex(6)}", password=new_password())
    run(f"CREATE LOGIN {login.username} WITH PASSWORD = N'{login.password.get_secret_value()}'")
    return login


# --- the wire ---


def test_a_stranger_is_not_trusted(real: SqlServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    stranger = tmp_path_factory.mktemp("authority") / "ca.pem"
    CA().cert_pem.write_to_path(stranger)
    with pytest.raises(pyodbc.Error) as failed:
        replace(real, ca_file=stranger).connect()
    assert failed.value.args[0] == "08001"


def test_a_wrong_password_and_a_database_that_is_not_there(real: SqlServer) -> None:
    wrong = Credentials(username=real.admin.username, password=SecretStr("wrong"))
    with refused(18456), session(real, login=wrong):
        pass
    with refused(4060), session(real, database="nowhere"):
        pass


def test_values_go_both_ways(real: SqlServer) -> None:
    values = (7, 2**40, "Ünï ' ]", b"\x00\xff", True, 1.5)
    with session(real) as run:
        assert run("SELECT ?, ?, ?, ?, ?, ?", *values) == [values]
        assert run("SELECT CAST(NULL AS nvarchar(10)), N'', 0x") == [(None, "", b"")]


def test_a_long_text_comes_whole(real: SqlServer) -> None:
    text = "é" * 100_000
    with session(real) as run:
        assert run("SELECT CAST(? AS nvarchar(max))", text) == [(text,)]


def test_a_query_time_out_ends_the_statement_not_the_session(real: SqlServer) -> None:
    with closing(real.connect()) as connection:
        connection.timeout = 1
        with pytest.raises(pyodbc.Error) as failed:
            connection.execute("WAITFOR DELAY '00:00:20'")
        assert failed.value.args[0] == "HYT00"
        assert connection.execute("SELECT 1").fetchval() == 1


def test_a_killed_session_reads_no_further(real: SqlServer, shop: str) -> None:
    with session(real, shop) as run, closing(real.connect(database=shop)) as reader:
        wide = " CROSS JOIN ".join(f"orders AS o{number}" for number in range(11))
        rows = reader.cursor().execute(f"SELECT o0.id, REPLICATE(N'x', 200) FROM {wide}")
        assert rows.fetchone() is not None
        [(spid,)] = run("SELECT session_id FROM sys.dm_exec_sessions WHERE database_id = DB_ID() AND session_id <> @@SPID")
        run(f"KILL {spid}")
        with pytest.raises(pyodbc.Error) as failed:
            rows.fetchall()
        assert failed.value.args[0] == "08S01"
        rows.close()


# --- the grammar ---


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        ("SELECT 'open", 105),
        ("SELECT [open", 105),
        ("SELECT 1 FROM", 102),
        ("SELECT 1 = 1", 102),
        ("SELECT id FROM orders WHERE 1", 4145),
        ("SELECT FROM orders", 156),
        ("CREATE LOGIN x", 102),
        ("CREATE LOGIN x WITH PASSWORD = abc", 102),
        ("DROP LOGIN IF EXISTS x", 156),
        ("GRANT SELECT ON orders TO", 102),
        ("GRANT SELECT ON orders FROM public", 156),
        ("DROP SCHEMA x CASCADE", 156),
        ("KILL abc", 102),
        ("SELECT 1; CREATE VIEW v AS SELECT 1 AS a", 111),
        ("SELECT 1 CREATE SCHEMA s", 111),
        ("CREATE VIEW v AS USE master", 156),
        ("EXEC sp_getapplock N'a' + N'b', 'Exclusive'", 102),
        (f"SELECT 1 AS [{'x' * 129}]", 103),
        ("SELECT @nowhere", 137),
        ("SELECT nonesuch(1)", 195),
        ("EXEC nonesuch", 2812),
    ],
)
def test_what_the_grammar_refuses(real: SqlServer, shop: str, sql: str, number: int) -> None:
    # Which of these two it is depends on the word that stands there, not on the fault.
    numbers = (102, 156) if number in (102, 156) else (number,)
    with session(real, shop) as run, refused(*numbers):
        run(sql)


def test_a_batch_that_does_not_parse_does_nothing(real: SqlServer, shop: str) -> None:
    with session(real, shop) as run:
        with refused(102, 156):
            run("CREATE USER early WITHOUT LOGIN; SELECT FROM")
        assert run("SELECT DATABASE_PRINCIPAL_ID('early')") == [(None,)]


def test_definitions_take_no_bound_values(real: SqlServer) -> None:
    with session(real) as run, refused(102):
        run("CREATE LOGIN bound WITH PASSWORD = ?", "Abcdef-1")


def test_quoting(real: SqlServer, shop: str) -> None:
    with session(real, shop) as run:
        run("""CREATE TABLE [a]]b "c" 'd] ([x "y"] int) -- a comment /* in a comment""")
        run("""/* outer /* inner */ */ INSERT INTO "a]b ""c"" 'd" VALUES (4)""")
        assert run('SELECT t.[x "y"] FROM dbo.[a]]b "c" \'d] AS t') == [(4,)]
        assert run("SELECT QUOTENAME(N'a]b'), QUOTENAME(REPLICATE(N'x', 129))") == [("[a]]b]", None)]


# --- logins and users ---


def test_a_login_by_its_numbers(real: SqlServer) -> None:
    with session(real) as run:
        login = new_login(run)
        with refused(15025):
            run(f"CREATE LOGIN {login.username} WITH PASSWORD = N'Abcdef-123'")
        with session(real, login=login):
            with refused(15434):
                run(f"DROP LOGIN {login.username}")
            run(f"ALTER LOGIN {login.username} DISABLE")
        with refused(18470), session(real, login=login):
            pass
        eventually(lambda: not run("SELECT session_id FROM sys.dm_exec_sessions WHERE login_name = ?", login.username))
        run(f"DROP LOGIN {login.username}")
        for verb in ("DROP LOGIN {}", "ALTER LOGIN {} DISABLE"):
            with refused(15151):
                run(verb.format(login.username))


@pytest.mark.parametrize("password", ["Ab1-", "abcdefghij", "Abcdefghij"])
def test_the_policy_refuses_a_simple_password(real: SqlServer, password: str) -> None:
    with session(real) as run:
        with refused(15116, 15118):
            run(f"CREATE LOGIN simple WITH PASSWORD = N'{password}'")
        assert run("SELECT SUSER_ID(N'simple')") == [(None,)]


def test_users_belong_to_a_sid(real: SqlServer, shop: str) -> None:
    sid = secrets.token_hex(16)
    with session(real, shop) as run:
        run(f"CREATE LOGIN keeper WITH PASSWORD = N'Abcdef-1', SID = 0x{sid}")
        with refused(15433):
            run(f"CREATE LOGIN other WITH PASSWORD = N'Abcdef-1', SID = 0x{sid}")
        run("CREATE USER u FOR LOGIN keeper")
        with refused(15023):
            run("CREATE USER u WITHOUT LOGIN")
        with refused(15063):
            run("CREATE USER v FOR LOGIN keeper")
        with refused(15007):
            run("CREATE USER v FOR LOGIN nobody_here")
        run("DROP LOGIN keeper")
        assert run("SELECT sid FROM sys.database_principals WHERE name = N'u'") == [(bytes.fromhex(sid),)]
        run("CREATE LOGIN keeper WITH PASSWORD = N'Abcdef-1'")
        run("ALTER USER u WITH LOGIN = keeper")
        assert run("SELECT SUSER_SNAME(sid) FROM sys.database_principals WHERE name = N'u'") == [("keeper",)]
        run("CREATE SCHEMA owned AUTHORIZATION u")
        with refused(15138):
            run("DROP USER u")
        run("DROP SCHEMA owned")
        run("DROP USER u")
        run("DROP LOGIN keeper")


# --- permissions ---


@contextmanager
def reader(real: SqlServer, shop: str) -> Iterator[tuple[Run, Run, str]]:
    """An owner's session, and one of a new user's without any right."""
    with session(real, shop) as owner:
        login = new_login(owner)
        owner(f"CREATE USER {login.username}")
        with session(real, shop, login) as run:
            yield owner, run, login.username


def test_select_by_table_by_column_and_denied(real: SqlServer, shop: str) -> None:
    with reader(real, shop) as (owner, run, name):
        with refused(229):
            run("SELECT id FROM orders")
        owner(f"GRANT SELECT ON OBJECT::dbo.orders (id) TO {name}")
        assert run("SELECT id FROM orders ORDER BY id") == [(1,), (2,), (3,)]
        with refused(230):
            run("SELECT id FROM orders WHERE region = N'eu'")
        with refused(230):
            run("SELECT * FROM orders")
        owner(f"GRANT SELECT ON OBJECT::dbo.orders TO {name}")
        assert len(run("SELECT * FROM orders")) == 3
        owner(f"DENY SELECT ON OBJECT::dbo.orders TO {name}")
        # A table's DENY does not beat a column's GRANT: a rule kept for old programs.
        assert run("SELECT COUNT(id) FROM orders") == [(3,)]
        with refused(230):
            run("SELECT region FROM orders")
        with refused(229):
            run("DELETE FROM orders")


def test_a_view_of_the_same_owner_opens_its_table(real: SqlServer, shop: str) -> None:
    with reader(real, shop) as (owner, run, name):
        owner("CREATE VIEW paid AS SELECT id, CASE WHEN paid = 1 THEN region END AS region FROM dbo.orders WHERE paid IN (1)")
        owner(f"GRANT SELECT ON dbo.paid TO {name}")
        assert run("SELECT * FROM paid") == [(1, "eu")]
        owner("CREATE USER other WITHOUT LOGIN")
        owner("CREATE SCHEMA theirs AUTHORIZATION other")
        owner("CREATE VIEW theirs.all_orders AS SELECT id FROM dbo.orders")
        owner(f"GRANT SELECT ON theirs.all_orders TO {name}")
        with refused(229):
            run("SELECT * FROM theirs.all_orders")


def test_giving_further_needs_the_option_and_taking_back_the_cascade(real: SqlServer, shop: str) -> None:
    with reader(real, shop) as (owner, run, name):
        owner("CREATE USER third WITHOUT LOGIN")
        owner(f"GRANT SELECT ON dbo.orders TO {name}")
        with refused(15151):
            run("GRANT SELECT ON dbo.orders TO third")
        owner(f"GRANT VIEW DEFINITION TO {name}")
        owner(f"GRANT SELECT ON dbo.orders TO {name} WITH GRANT OPTION")
        run("GRANT SELECT ON dbo.orders TO third")
        with refused(4611):
            owner(f"REVOKE SELECT ON dbo.orders FROM {name}")
        owner(f"REVOKE SELECT ON dbo.orders FROM {name} CASCADE")
        assert owner("SELECT permission_name FROM sys.database_permissions WHERE major_id = OBJECT_ID('orders')") == []


def test_who_has_no_right_sees_and_does_little(real: SqlServer, shop: str) -> None:
    with reader(real, shop) as (_, run, name):
        assert run("SELECT name FROM sys.tables") == []
        assert run("SELECT OBJECT_ID('dbo.orders'), HAS_PERMS_BY_NAME('dbo.orders', 'OBJECT', 'SELECT')") == [(None, None)]
        assert run("SELECT name FROM sys.database_principals WHERE type = 'S' AND name LIKE 'dz[_]%'") == [(name,)]
        assert run("SELECT COUNT(*) FROM sys.dm_exec_sessions WHERE is_user_process = 1") == [(1,)]
        with refused(15247):
            run("CREATE LOGIN mine WITH PASSWORD = N'Abcdef-1'")
        with refused(15151):
            run("ALTER LOGIN sa DISABLE")
        with refused(6102):
            run("KILL 60")
        with refused(262):
            run("CREATE TABLE mine (id int)")


# --- transactions and locks ---


def test_a_rollback_undoes_definitions_and_rights(real: SqlServer, shop: str) -> None:
    with session(real, shop) as run:
        run("BEGIN TRANSACTION")
        login = new_login(run)
        run(f"CREATE USER {login.username}")
        run(f"GRANT SELECT ON dbo.orders TO {login.username}")
        run("UPDATE orders SET region = N'xx' WHERE id = 1")
        run("EXEC sp_addextendedproperty @name = N'mark', @value = N'1'")
        with refused(6115):
            run("KILL 60")
        run("ROLLBACK")
        assert run("SELECT SUSER_ID(?), DATABASE_PRINCIPAL_ID(?), @@TRANCOUNT", *[login.username] * 2) == [(None, None, 0)]
        assert run("SELECT region FROM orders WHERE id = 1") == [("eu",)]
        assert run("SELECT name FROM sys.extended_properties WHERE class = 0 AND name = N'mark'") == []


def test_a_driver_that_commits_by_itself_and_one_that_does_not(real: SqlServer, shop: str) -> None:
    with closing(real.connect(database=shop, autocommit=False)) as connection, session(real, shop) as run:
        connection.execute("CREATE USER first WITHOUT LOGIN")
        connection.rollback()
        connection.execute("CREATE USER second WITHOUT LOGIN")
        connection.commit()
        assert run("SELECT name FROM sys.database_principals WHERE name IN ('first', 'second')") == [("second",)]


def test_an_error_ends_the_transaction_where_that_is_asked_for(real: SqlServer, shop: str) -> None:
    with session(real, shop) as run:
        for setting, depth in (("OFF", 1), ("ON", 0)):
            run(f"SET XACT_ABORT {setting}; BEGIN TRANSACTION")
            with refused(15151):
                run("DROP USER nobody_here")
            assert run("SELECT @@TRANCOUNT") == [(depth,)]
            run("IF @@TRANCOUNT > 0 ROLLBACK")


def test_writers_wait_and_give_up(real: SqlServer, shop: str) -> None:
    with session(real, shop) as first, session(real, shop) as second:
        first("BEGIN TRANSACTION; UPDATE orders SET region = N'x' WHERE id = 1")
        second("SET LOCK_TIMEOUT 50")
        with refused(1222):
            second("UPDATE orders SET region = N'y' WHERE id = 1")
        with refused(1222):
            second("SELECT region FROM orders WHERE id = 1")
        first("COMMIT")
        assert second("SELECT region FROM orders WHERE id = 1") == [("x",)]


def test_a_circle_of_waits_has_a_victim(real: SqlServer, shop: str) -> None:
    with session(real, shop) as first, session(real, shop) as second:
        first("CREATE TABLE items (id int)")
        first("BEGIN TRANSACTION; UPDATE orders SET region = N'x'")
        second("BEGIN TRANSACTION; INSERT INTO items VALUES (1)")
        failed: list[BaseException] = []
        waiting = threading.Thread(target=lambda: _kept(failed, lambda: first("INSERT INTO items VALUES (2)")))
        waiting.start()
        with session(real) as run:
            eventually(lambda: bool(run("SELECT session_id FROM sys.dm_exec_requests WHERE blocking_session_id > 0")))
        _kept(failed, lambda: second("UPDATE orders SET region = N'y'"))
        waiting.join(20)
        assert len(failed) == 1
        assert "(1205)" in str(failed[0])


def test_application_locks(real: SqlServer, shop: str) -> None:
    def lock(run: Run, owner: str = "Session", wait: int = 0, principal: str = "public") -> int:
        [(got,)] = run(
            "DECLARE @r int; EXEC @r = sp_getapplock @Resource = N'one', @LockMode = N'Exclusive', "
            f"@LockOwner = N'{owner}', @LockTimeout = {wait}, @DbPrincipal = N'{principal}'; SELECT @r"
        )
        return int(got)

    with reader(real, shop) as (owner, run, _):
        assert lock(owner) == 0
        assert lock(run, wait=50) == -1
        owner("EXEC sp_releaseapplock @Resource = N'one', @LockOwner = N'Session'")
        assert lock(run) == 0
        run("EXEC sp_releaseapplock @Resource = N'one', @LockOwner = N'Session'")
        owner("BEGIN TRANSACTION")
        assert lock(owner, "Transaction", principal="dbo") == 0
        assert lock(run) == 0
        owner("ROLLBACK")


# --- databases ---


def test_a_database_that_is_only_read(real: SqlServer, shop: str) -> None:
    with session(real) as run:
        run(f"ALTER DATABASE {shop} SET READ_ONLY WITH ROLLBACK IMMEDIATE")
        with session(real, shop) as reads, refused(3906):
            reads("CREATE USER late WITHOUT LOGIN")
        run(f"ALTER DATABASE {shop} SET READ_WRITE WITH ROLLBACK IMMEDIATE")


def test_case_is_for_the_collation_to_say(real: SqlServer, shop: str) -> None:
    sensitive = f"{shop}_cs"
    asyncio.run(real.create_database(sensitive, collation="Latin1_General_100_CS_AS"))
    with session(real, shop) as run:
        assert run("SELECT ID FROM ORDERS WHERE Region = N'EU'") == [(1,)]
    with session(real, sensitive) as run:
        run("CREATE TABLE Orders (id int)")
        run("CREATE TABLE orders (id int)")
        for sql, number in (("SELECT ID FROM orders", 207), ("SELECT id FROM ORDERS", 208)):
            with refused(number):
                run(sql)
        run(f"USE master; DROP DATABASE {quoted(sensitive)}")


# --- what only a double can be told ---


def test_it_writes_down_what_it_was_sent_but_for_passwords(authority: CA) -> None:
    with start(authority) as server, session(server) as run:
        login = new_login(run)
        run("SELECT ?", "a bound value")
        with refused(102):
            run("NONSENSE 1")
        log = server.read_log()
    assert "a bound value" in log
    assert "NONSENSE 1" in log
    assert "CREATE LOGIN' was found" in log
    assert login.password.get_secret_value() not in log


def test_numbers_stay_when_the_words_are_german(authority: CA) -> None:
    with start(authority) as server, session(server) as run:
        run("ALTER LOGIN sa WITH DEFAULT_LANGUAGE = German")
        with session(server) as german, pytest.raises(pyodbc.Error, match="nicht möglich") as failed:
            german("DROP LOGIN nobody_here")
    assert "(15151)" in str(failed.value)


def test_a_deadlock_can_be_asked_for(authority: CA) -> None:
    with start(authority) as server, session(server) as run:
        server.double.instance.deadlocks = 1
        with refused(1205):
            new_login(run)
        new_login(run)


def test_babelfish_says_one_number_and_knows_less(babelfish: Server) -> None:
    assert isinstance(babelfish, DoubleServer)
    with session(babelfish) as run:
        login = new_login(run)
        for sql in (
            f"CREATE LOGIN {login.username} WITH PASSWORD = N'Abcdef-1'",
            "DROP LOGIN nobody_here",
            "SELECT name FROM sys.sql_logins",
            "SELECT 1 AS [a]]b]",
            "CREATE LOGIN other WITH PASSWORD = N'Abcdef-1', CHECK_POLICY = ON",
        ):
            with refused(33557097):
                run(sql)
        run(f"CREATE USER {login.username}")
        assert run("SELECT * FROM sys.database_permissions") == []
        assert run("SELECT CAST(SERVERPROPERTY('Babelfish') AS int)") == [(1,)]


def _kept(failed: list[BaseException], work: Callable[[], object]) -> None:
    try:
        work()
    except pyodbc.Error as error:
        failed.append(error)


def eventually(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
