"""The Oracle double's model, without its wire: what it refuses, with which code, and what privileges and views come to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Thread

import pytest

from tests.doubles.oracle.lexer import hidden
from tests.doubles.oracle.model import ModelInstance, ModelSession, instance
from tests.doubles.oracle.seam import OracleError, Value
from tests.doubles.oracle.state import Database

MANAGER = "Manager-1"
PASSWORD = "Consumer-1"


@pytest.fixture
def oracle() -> ModelInstance:
    return instance(Database(rds=True), MANAGER)


@pytest.fixture
def system(oracle: ModelInstance) -> ModelSession:
    return log_on(oracle, "SYSTEM", MANAGER)


@pytest.fixture
def shop(system: ModelSession) -> str:
    """A schema with a table in it."""
    run(
        system,
        "CREATE USER shop NO AUTHENTICATION QUOTA UNLIMITED ON users",
        'CREATE TABLE shop."Orders" ("id" NUMBER(10), "Region" VARCHAR2(20), sold DATE)',
        """INSERT INTO shop."Orders" VALUES (1, 'eu', DATE '2026-01-01')""",
        """INSERT INTO shop."Orders" VALUES (2, 'US', DATE '2026-02-01')""",
        """INSERT INTO shop."Orders" VALUES (3, NULL, NULL)""",
        "COMMIT",
    )
    return "SHOP"


def log_on(oracle: ModelInstance, user: str, password: str, service: str = "freepdb1") -> ModelSession:
    return oracle.open_session(user, password, service=service, program="test")


def run(session: ModelSession, *statements: str) -> None:
    for statement in statements:
        session.execute(statement)


def rows(session: ModelSession, sql: str, *binds: Value) -> list[tuple[Value, ...]]:
    return [tuple(row) for row in session.execute(sql, binds).rows]


def code(session: ModelSession, sql: str, *binds: Value) -> int:
    with pytest.raises(OracleError) as refused:
        session.execute(sql, binds)
    return refused.value.code


def user(system: ModelSession, name: str, *grants: str) -> ModelSession:
    """A new user with CREATE SESSION and these grants, logged on. The name is as it would be quoted."""
    run(system, f'CREATE USER "{name}" IDENTIFIED BY "{PASSWORD}"', f'GRANT CREATE SESSION TO "{name}"')
    run(system, *(f'GRANT {grant} TO "{name}"' for grant in grants))
    oracle = ModelInstance(system.database)
    return log_on(oracle, name, PASSWORD)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELEC 1 FROM dual", 900),
        ("CREATE NONSENSE x", 901),
        ("ALTER NONSENSE x", 940),
        ("DROP NONSENSE x", 950),
        ("SELECT 1", 923),
        ("SELECT 1 = 1 FROM dual", 923),
        ("SELECT 1 FROM dual;", 911),
        ("SELECT 1 FROM dual dual dual", 933),
        ("SELECT 1 FROM dual AS d", 933),
        ("SELECT FROM dual", 936),
        ("SELECT nothing FROM dual", 904),
        ("SELECT no_such(1) FROM dual", 904),
        ("SELECT 'x FROM dual", 1756),
        ('SELECT "x FROM dual', 1740),
        ('SELECT 1 AS "" FROM dual', 1741),
        ('SELECT 1 AS "a""b" FROM dual', 3001),
        ("SELECT (1 FROM dual", 907),
        ("SELECT 1 FROM dual WHERE 1", 920),
        ("SELECT 1 FROM nowhere", 942),
        ("SELECT dummy, COUNT(*) FROM dual", 937),
        ("SELECT dummy FROM dual GROUP BY USER", 979),
        ("SELECT TO_NUMBER('x') FROM dual", 1722),
        ("SELECT 1 FROM dual WHERE SYSDATE = '2026-01-01'", 1861),
        ("SELECT DATE '01.02.2026' FROM dual", 1861),
        ("CREATE USER x", 1935),
        ("CREATE USER x IDENTIFIED BY 'secret'", 988),
        ("CREATE USER x IDENTIFIED BY 1abc", 988),
        ("CREATE USER x IDENTIFIED BY ab-c", 922),
        ("CREATE USER x IDENTIFIED BY abc IDENTIFIED BY def", 922),
        (f'CREATE USER x IDENTIFIED BY "{"a" * 31}"', 972),
        (f'CREATE USER "{"é" * 65}" IDENTIFIED BY abc', 972),
        ("CREATE USER x IDENTIFIED BY abc PROFILE nowhere", 2380),
        ("CREATE USER x IDENTIFIED BY abc DEFAULT TABLESPACE nowhere", 959),
        ("CREATE USER IF NOT EXISTS x IDENTIFIED BY abc", 922),
        ("CREATE USER system IDENTIFIED BY abc", 1920),
        ("CREATE USER dba IDENTIFIED BY abc", 1920),
        ("CREATE USER c##x IDENTIFIED BY abc", 65094),
        ("CREATE USER x IDENTIFIED BY :1", 1027),
        ("ALTER USER nobody ACCOUNT LOCK", 1918),
        ("ALTER USER system", 922),
        ("DROP USER nobody", 1918),
        ("DROP USER nobody CASCADE CASCADE", 933),
        ("GRANT READ ON nowhere TO system", 942),
        ("GRANT FLYING TO system", 1919),
        ("GRANT CREATE FLYING TO system", 990),
        ("GRANT CREATE SESSION TO nobody", 1917),
        ("REVOKE ALTER SYSTEM FROM public", 1952),
        ("REVOKE connect FROM system", 1951),
        ("ALTER SESSION SET no_such_thing = 1", 2248),
        ("ALTER SYSTEM KILL SESSION '1'", 26),
        ("ALTER SYSTEM KILL SESSION '999,1'", 30),
        ("CREATE PROFILE p LIMIT password_rollover_time 61", 2377),
        ("CREATE PROFILE p LIMIT no_such_limit 1", 2376),
        ("DROP PROFILE nowhere", 2380),
        ("BEGIN no_such.thing; END;", 6550),
        ("BEGIN NULL", 6550),
        ("SELECT USER, COUNT(*) FROM dual FETCH FIRST 1", 905),
    ],
)
def test_what_the_server_would_refuse_is_refused(system: ModelSession, sql: str, expected: int) -> None:
    binds = ("x",) if ":1" in sql else ()
    assert code(system, sql, *binds) == expected


def test_a_name_is_folded_unless_it_is_quoted(system: ModelSession) -> None:
    run(system, "CREATE USER x IDENTIFIED BY abc", 'CREATE USER "x" IDENTIFIED BY abc', "DROP USER x")
    assert rows(system, "SELECT username FROM dba_users WHERE UPPER(username) = :1", "X") == [("x",)]


def test_names_are_shorter_below_compatible_12_2() -> None:
    old = log_on(instance(Database(compatible="12.1.0"), MANAGER), "SYSTEM", MANAGER)
    assert code(old, f"CREATE USER {'x' * 31} IDENTIFIED BY abc") == 972
    run(old, f"CREATE USER {'x' * 30} IDENTIFIED BY abc")
    assert code(old, "CREATE USER y NO AUTHENTICATION") == 922


def test_the_root_takes_common_users_only(oracle: ModelInstance) -> None:
    root = log_on(oracle, "SYSTEM", MANAGER, service="FREE")
    assert rows(root, "SELECT SYS_CONTEXT('USERENV', 'CON_NAME') FROM dual") == [("CDB$ROOT",)]
    assert code(root, "CREATE USER x IDENTIFIED BY abc") == 65096


def test_queries_are_answered_from_what_they_say(system: ModelSession, shop: str) -> None:
    """Joins, subqueries, set operators, NULLs and binds: each differs from the next in one thing only."""
    orders = 'FROM shop."Orders" o'
    assert rows(system, f'SELECT "id" {orders} WHERE "Region" = :1 ORDER BY 1', "eu") == [(1,)]
    assert rows(system, f'SELECT "id" {orders} WHERE UPPER("Region") IN (:1, :2) ORDER BY 1 DESC', "EU", "US") == [(2,), (1,)]
    assert rows(system, f'SELECT "id" {orders} WHERE "Region" IS NULL') == [(3,)]
    assert rows(system, f'SELECT "id" {orders} WHERE "Region" LIKE \'_u\'') == [(1,)]
    assert rows(system, f"SELECT \"id\" {orders} WHERE sold > DATE '2026-01-15'") == [(2,)]
    assert rows(system, f"SELECT sold {orders} WHERE \"id\" = '1'") == [(datetime(2026, 1, 1),)]
    assert rows(system, f"SELECT NVL(\"Region\", '-') {orders} WHERE ROWNUM <= 2") == [("eu",), ("US",)]
    assert rows(system, f'SELECT COUNT(*), MAX(o."id") {orders}') == [(3, 3)]
    assert rows(system, f'SELECT "id" {orders} ORDER BY "Region" FETCH FIRST 1 ROW ONLY') == [(2,)]
    assert rows(system, "SELECT '' || 'a', '' FROM dual") == [("a", None)]
    assert rows(system, "SELECT 'a' x FROM dual UNION SELECT 'a' FROM dual UNION ALL SELECT 'b' FROM dual") == [("a",), ("b",)]
    owners = "FROM dba_users u WHERE EXISTS (SELECT 1 FROM dba_objects o WHERE o.owner = u.username AND o.object_type = :1)"
    assert rows(system, f"SELECT u.username {owners} AND u.oracle_maintained = 'N'", "TABLE") == [("SHOP",)]
    assert code(system, f'SELECT "id" {orders} WHERE 1=:1') == 1008


@pytest.mark.parametrize(
    ("condition", "by_bytes", "without_case"),
    [
        ("""word = 'paris'""", 1, 3),
        ("""'paris' = word""", 1, 3),
        ("""word <> 'paris'""", 3, 1),
        ("""word > 'PARIS'""", 3, 1),
        ("""word <= 'PARIS'""", 1, 3),
        ("""word IN ('paris', 'Rome')""", 1, 4),
        ("""word NOT IN (SELECT 'paris' FROM dual)""", 3, 1),
        ("""word LIKE 'pa%'""", 1, 3),
        ("""word NOT LIKE 'pa%'""", 3, 1),
        ("""NLSSORT(word, 'NLS_SORT=BINARY') = NLSSORT('paris', 'NLS_SORT=BINARY')""", 1, 1),
        ("""NLSSORT(word, 'NLS_SORT=BINARY') > NLSSORT('Paris', 'NLS_SORT=BINARY')""", 2, 2),
        ("""NLSSORT(word, 'nls_sort = binary_ci') = NLSSORT('paris', 'NLS_SORT=BINARY_CI')""", 3, 3),
        ("""REGEXP_LIKE(word, '^pa.*$', 'c')""", 1, 1),
        ("""NOT REGEXP_LIKE(word, '^pa.*$', 'c')""", 3, 3),
        ("""id = 1""", 1, 1),
    ],
)
def test_a_session_may_compare_texts_without_case_in_views_too(
    system: ModelSession, shop: str, condition: str, by_bytes: int, without_case: int
) -> None:
    run(system, "CREATE TABLE shop.words (id NUMBER, word VARCHAR2(9))")
    for number, word in enumerate(("paris", "Paris", "PARIS", "rome", None)):
        run(system, f"INSERT INTO shop.words VALUES ({number}, '{word or ''}')")
    run(system, f"CREATE VIEW shop.found AS SELECT id FROM shop.words WHERE {condition}")
    for statement in ("ALTER SESSION SET NLS_SORT = BINARY_CI", "ALTER SESSION SET NLS_COMP = LINGUISTIC"):
        assert rows(system, "SELECT COUNT(*) FROM shop.found") == [(by_bytes,)]
        run(system, statement)
    assert rows(system, "SELECT COUNT(*) FROM shop.found") == [(without_case,)]
    assert rows(system, f"SELECT COUNT(*) FROM shop.words WHERE {condition}") == [(without_case,)]
    run(system, "ALTER SESSION SET NLS_COMP = BINARY NLS_SORT = 'binary'")
    assert rows(system, "SELECT COUNT(*) FROM shop.found") == [(by_bytes,)]


@pytest.mark.parametrize(
    ("value", "pattern", "flags", "found"),
    [
        ("a.b", r"^a\.b$", "cn", [("X",)]),
        ("axb", r"^a\.b$", "cn", []),
        ("axb", "^a.b$", "cn", [("X",)]),
        ("a\nb", "^a.b$", "cn", [("X",)]),
        ("a\nb", "^a.b$", "c", []),
        ("ab\n", "^ab$", "cn", []),
        ("(a|b)*+?{2}^$[]\\", r"^\(a\|b\)\*\+\?\{2}\^\$\[]\\$", "cn", [("X",)]),
        ("ab", "^.*b.*$", "cn", [("X",)]),
        (None, "^.*$", "cn", []),
    ],
)
def test_a_regular_expression_matches_the_whole_text(
    system: ModelSession, value: str | None, pattern: str, flags: str, found: list[tuple[str]]
) -> None:
    assert rows(system, "SELECT dummy FROM dual WHERE REGEXP_LIKE(:1, :2, :3)", value, pattern, flags) == found


def test_a_texts_bytes_are_cut(system: ModelSession) -> None:
    long, longer = "é" * 1000, "é" * 1001
    same = "SELECT 1 FROM dual WHERE NLSSORT(:1, 'NLS_SORT=BINARY') = NLSSORT(:2, 'NLS_SORT=BINARY')"
    assert rows(system, same, long, longer) == [(1,)]
    assert rows(system, same, long[:999], longer) == []
    assert rows(system, same, None, None) == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1 FROM dual WHERE REGEXP_LIKE('a', 'a')", 3001),
        ("SELECT 1 FROM dual WHERE REGEXP_LIKE('a', '^a$', 'i')", 3001),
        ("SELECT 1 FROM dual WHERE REGEXP_LIKE('a', '^a+$', 'c')", 3001),
        ("SELECT 1 FROM dual WHERE REGEXP_LIKE('a', '^\\d$', 'c')", 3001),
        (f"SELECT 1 FROM dual WHERE REGEXP_LIKE('a', '^{'a' * 511}$', 'c')", 12733),
        ("SELECT NLSSORT('a') FROM dual", 3001),
        ("SELECT NLSSORT('a', 'NLS_SORT=GERMAN') FROM dual", 3001),
        ("SELECT REGEXP_REPLACE('a', 'a', 'b', 1, 0, 'c') FROM dual", 3001),
        ("SELECT 1 FROM dual WHERE (dummy, 1) IN (('x', 1))", 3001),
        ("ALTER SESSION SET NLS_SORT = GERMAN", 3001),
        ("ALTER SESSION SET NLS_COMP = ANSI", 3001),
    ],
)
def test_what_of_collations_is_not_modelled_is_refused(system: ModelSession, sql: str, expected: int) -> None:
    run(system, "ALTER SESSION SET NLS_COMP = LINGUISTIC NLS_SORT = BINARY_CI")
    assert code(system, sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT granted_role FROM dba_role_privs START WITH grantee = :1 CONNECT BY NOCYCLE PRIOR granted_role = grantee",
        """WITH held (name) AS (
             SELECT granted_role FROM dba_role_privs WHERE grantee = :1 UNION ALL
             SELECT p.granted_role FROM held h JOIN dba_role_privs p ON p.grantee = h.name
           ) SELECT name FROM held""",
    ],
)
def test_roles_are_found_through_roles(system: ModelSession, sql: str) -> None:
    run(system, "CREATE USER u NO AUTHENTICATION", "CREATE ROLE a", "CREATE ROLE b", "GRANT b TO a", "GRANT a TO u")
    assert sorted(rows(system, sql, "U")) == [("A",), ("B",)]


def test_a_statement_is_undone_by_rollback_and_kept_by_a_definition(system: ModelSession, shop: str) -> None:
    count = 'SELECT COUNT(*) FROM shop."Orders"'
    run(system, 'DELETE FROM shop."Orders" WHERE "id" = 1', 'UPDATE shop."Orders" SET "Region" = \'eu\'')
    assert system.in_transaction
    assert rows(system, count) == [(2,)]
    run(system, "ROLLBACK")
    assert rows(system, count) == [(3,)]
    run(system, 'DELETE FROM shop."Orders" WHERE "id" = 1', "CREATE ROLE r", "ROLLBACK")
    assert rows(system, count) == [(2,)]


def test_read_lets_read_and_neither_lock_nor_write(system: ModelSession, shop: str) -> None:
    reader = user(system, "READER", 'READ ON shop."Orders"')
    selector = user(system, "SELECTOR", 'SELECT ON shop."Orders"')
    stranger = user(system, "STRANGER")
    for session in (reader, selector):
        assert len(rows(session, 'SELECT * FROM shop."Orders"')) == 3
        assert code(session, 'DELETE FROM shop."Orders"') == 1031
    assert code(reader, 'SELECT * FROM shop."Orders" FOR UPDATE') == 1031
    assert code(reader, 'LOCK TABLE shop."Orders" IN EXCLUSIVE MODE') == 1031
    assert len(rows(selector, 'SELECT * FROM shop."Orders" FOR UPDATE')) == 3
    run(selector, 'LOCK TABLE shop."Orders" IN EXCLUSIVE MODE')
    assert code(stranger, 'SELECT * FROM shop."Orders"') == 942
    run(system, 'REVOKE READ ON shop."Orders" FROM reader')
    assert code(reader, 'SELECT * FROM shop."Orders"') == 942
    assert code(system, 'GRANT SELECT ("id") ON shop."Orders" TO reader') == 969


def test_grantors_are_kept_apart(system: ModelSession, shop: str) -> None:
    """By GRANT ANY OBJECT PRIVILEGE the owner grants; with the grant option, the one who has it; and each revokes its own."""
    middle = user(system, "MIDDLE", 'READ ON shop."Orders"')
    user(system, "LAST")
    assert code(middle, 'GRANT READ ON shop."Orders" TO last') == 1031
    run(system, 'GRANT READ ON shop."Orders" TO middle WITH GRANT OPTION')
    run(middle, 'GRANT READ ON shop."Orders" TO last')
    granted = "SELECT grantee, grantor FROM dba_tab_privs WHERE owner = :1 ORDER BY 1"
    assert rows(system, granted, shop) == [("LAST", "MIDDLE"), ("MIDDLE", "SHOP")]
    assert code(middle, 'REVOKE READ ON shop."Orders" FROM system') == 1927
    assert code(middle, 'GRANT READ ON shop."Orders" TO middle') == 1749
    assert code(system, 'REVOKE READ ON shop."Orders" FROM last') == 1927
    run(system, 'REVOKE READ ON shop."Orders" FROM middle')
    assert rows(system, granted, shop) == []


def test_a_role_counts_from_the_next_session_on(oracle: ModelInstance, system: ModelSession, shop: str) -> None:
    reader = user(system, "READER")
    run(system, "CREATE ROLE analysts", 'GRANT READ ON shop."Orders" TO analysts', "GRANT analysts TO reader")
    assert code(reader, 'SELECT * FROM shop."Orders"') == 942
    assert len(rows(log_on(oracle, "READER", PASSWORD), 'SELECT * FROM shop."Orders"')) == 3


def test_a_right_to_grant_takes_the_right_itself(system: ModelSession, shop: str) -> None:
    plain = user(system, "PLAIN", "CREATE USER")
    run(plain, "CREATE USER other IDENTIFIED BY abc")
    for sql in ("GRANT CREATE SESSION TO other", "ALTER USER other ACCOUNT LOCK", "DROP USER other", "CREATE ROLE r"):
        assert code(plain, sql) == 1031
    assert code(plain, 'GRANT READ ON shop."Orders" TO other') == 942
    giver = user(system, "GIVER", "GRANT ANY OBJECT PRIVILEGE", "CREATE SESSION")
    run(giver, 'GRANT READ ON shop."Orders" TO other')
    assert code(giver, "GRANT CREATE SESSION TO other") == 1031
    run(system, "GRANT CREATE SESSION TO giver WITH ADMIN OPTION")
    run(giver, "GRANT CREATE SESSION TO other")
    assert code(giver, "GRANT SELECT ON sys.dba_users TO other") == 942


def test_the_dictionary_is_for_those_who_were_given_it(system: ModelSession, shop: str) -> None:
    plain = user(system, "PLAIN", 'READ ON shop."Orders"')
    for name in ("dba_users", "v$session", "gv$session", "sys.v_$session", "v$parameter"):
        assert code(plain, f"SELECT * FROM {name}") == 942
    assert rows(plain, "SELECT owner, table_name FROM all_tables WHERE owner <> 'SYS'") == [("SHOP", "Orders")]
    assert rows(plain, "SELECT privilege FROM session_privs") == [("CREATE SESSION",)]
    assert len(rows(plain, "SELECT banner FROM v$version")) == 1
    run(system, "GRANT SELECT ANY DICTIONARY TO plain")
    assert ("PLAIN",) in rows(plain, "SELECT username FROM v$session")


class TestViews:
    def test_a_view_works_with_its_owners_direct_rights(self, system: ModelSession, shop: str) -> None:
        reader = user(system, "READER")
        run(system, "CREATE USER views NO AUTHENTICATION", "CREATE ROLE analysts", "GRANT analysts TO views")
        run(system, 'GRANT READ ON shop."Orders" TO analysts')
        make = """CREATE VIEW views.eu AS SELECT "id" FROM shop."Orders" WHERE "Region" = 'eu'"""
        assert code(system, make) == 1031
        run(system, 'GRANT READ ON shop."Orders" TO views')
        run(system, make)
        assert code(system, "GRANT READ ON views.eu TO reader") == 1720
        run(system, 'GRANT READ ON shop."Orders" TO views WITH GRANT OPTION', "GRANT READ ON views.eu TO reader")
        assert rows(reader, "SELECT * FROM views.eu") == [(1,)]
        assert code(reader, 'SELECT * FROM shop."Orders"') == 942
        assert code(system, "GRANT SELECT ON views.eu TO reader") == 1720
        run(system, 'REVOKE READ ON shop."Orders" FROM views')
        assert code(reader, "SELECT * FROM views.eu") == 4063

    def test_replacing_keeps_the_grants(self, system: ModelSession, shop: str) -> None:
        reader = user(system, "READER")
        run(system, 'CREATE VIEW shop.v AS SELECT * FROM shop."Orders"', "GRANT READ ON shop.v TO reader")
        assert code(system, 'CREATE VIEW shop.v AS SELECT "id" FROM shop."Orders"') == 955
        run(system, 'CREATE OR REPLACE VIEW shop.v (a) AS SELECT CASE WHEN "id" = 1 THEN \'one\' END FROM shop."Orders"')
        assert rows(reader, "SELECT a FROM shop.v WHERE a IS NOT NULL") == [("one",)]
        assert rows(system, "SELECT referenced_name FROM dba_dependencies WHERE name = 'V'") == [("Orders",)]

    @pytest.mark.parametrize(
        ("select", "expected"),
        [
            ('SELECT "id" + 1 FROM shop."Orders"', 998),
            ('SELECT "id", "id" FROM shop."Orders"', 957),
            ('SELECT id FROM shop."Orders"', 904),
            ("SELECT 1 x FROM shop.nothing", 942),
            ('SELECT "id" FROM shop."Orders" WHERE "id" = :1', 1027),
            ("""SELECT CASE WHEN "id" = 1 THEN 'a' ELSE 1 END x FROM shop."Orders\"""", 932),
        ],
    )
    def test_a_view_that_can_not_be(self, system: ModelSession, shop: str, select: str, expected: int) -> None:
        assert code(system, f"CREATE VIEW shop.v AS {select}", *(("x",) if ":1" in select else ())) == expected


class TestAccounts:
    def test_a_user_goes_only_when_it_owns_nothing_and_is_not_connected(self, system: ModelSession) -> None:
        owner = user(system, "OWNER", "CREATE TABLE", "UNLIMITED TABLESPACE")
        run(owner, "CREATE TABLE t (a NUMBER)")
        assert code(system, "DROP USER owner") == 1940
        owner.close()
        assert code(system, "DROP USER owner") == 1922
        run(system, "DROP USER owner CASCADE")
        assert code(system, "DROP USER owner") == 1918
        assert code(system, "SELECT * FROM owner.t") == 942

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ("ALTER USER u ACCOUNT LOCK", 28000),
            ("ALTER USER u PASSWORD EXPIRE", 28001),
            ("ALTER USER u IDENTIFIED BY another", 1017),
            ("ALTER USER u NO AUTHENTICATION", 1017),
            ("REVOKE CREATE SESSION FROM u", 1045),
        ],
    )
    def test_who_may_not_come_in(self, oracle: ModelInstance, system: ModelSession, change: str, expected: int) -> None:
        user(system, "U")
        run(system, change)
        with pytest.raises(OracleError) as refused:
            log_on(oracle, "U", PASSWORD)
        assert refused.value.code == expected

    def test_too_many_wrong_passwords_lock(self, oracle: ModelInstance, system: ModelSession) -> None:
        run(
            system,
            "CREATE PROFILE strict LIMIT failed_login_attempts 2",
            f'CREATE USER u IDENTIFIED BY "{PASSWORD}" PROFILE strict',
        )
        for expected in (1017, 1017, 28000):
            with pytest.raises(OracleError) as refused:
                log_on(oracle, "U", "wrong")
            assert refused.value.code == expected
        assert code(system, "DROP PROFILE strict") == 2382

    def test_both_passwords_open_during_a_rollover(self, oracle: ModelInstance, system: ModelSession) -> None:
        run(system, "CREATE PROFILE slow LIMIT password_rollover_time 1/24")
        run(system, "CREATE USER u IDENTIFIED BY first PROFILE slow", "ALTER USER u IDENTIFIED BY second")
        status = "SELECT account_status FROM dba_users WHERE username = 'U'"
        assert rows(system, status) == [("OPEN & IN ROLLOVER",)]
        assert set(oracle.passwords_of("U")) == {"first", "second"}
        run(system, "ALTER USER u IDENTIFIED BY third")
        assert set(oracle.passwords_of("U")) == {"first", "third"}
        later = datetime.now() + timedelta(hours=3)
        now, oracle.database.now = oracle.database.now, lambda: later
        assert oracle.passwords_of("U") == ["third"]
        oracle.database.now = now
        run(system, "ALTER USER u EXPIRE PASSWORD ROLLOVER PERIOD")
        assert oracle.passwords_of("U") == ["third"]
        assert rows(system, status) == [("OPEN",)]

    def test_there_is_no_rollover_before_19_12(self) -> None:
        old = log_on(instance(Database(version=(19, 11, 0, 0, 0)), MANAGER), "SYSTEM", MANAGER)
        assert code(old, "CREATE PROFILE slow LIMIT password_rollover_time 1") == 2376
        run(old, "CREATE USER u IDENTIFIED BY first", "ALTER USER u IDENTIFIED BY second")
        assert rows(old, "SELECT account_status FROM dba_users WHERE username = 'U'") == [("OPEN",)]

    def test_a_verify_function_refuses(self, oracle: ModelInstance, system: ModelSession) -> None:
        oracle.as_sysdba(
            "CREATE OR REPLACE FUNCTION never(username VARCHAR2, password VARCHAR2, old_password VARCHAR2) RETURN BOOLEAN "
            "IS BEGIN RETURN FALSE; END;"
        )
        run(system, 'ALTER PROFILE "DEFAULT" LIMIT password_verify_function never')
        assert code(system, "CREATE USER u IDENTIFIED BY abc") == 28003
        assert rows(system, "SELECT 1 FROM dba_users WHERE username = 'U'") == []


class TestSessions:
    def test_a_killed_session_says_so_and_is_gone(self, system: ModelSession) -> None:
        victim = user(system, "VICTIM")
        assert code(victim, f"ALTER SYSTEM KILL SESSION '{system.sid},{system.serial}'") == 1031
        assert code(system, f"ALTER SYSTEM KILL SESSION '{system.sid},{system.serial}'") == 27
        run(system, f"ALTER SYSTEM KILL SESSION '{victim.sid},{victim.serial},@1' IMMEDIATE")
        assert code(victim, "SELECT 1 FROM dual") == 28
        assert rows(system, "SELECT 1 FROM gv$session WHERE username = 'VICTIM'") == []

    def test_a_session_may_be_only_marked(self, oracle: ModelInstance, system: ModelSession) -> None:
        victim = user(system, "VICTIM")
        oracle.database.kills_to_linger = 1
        kill = f"ALTER SYSTEM KILL SESSION '{victim.sid},{victim.serial}' IMMEDIATE"
        assert code(system, kill) == 31
        assert rows(system, "SELECT status FROM gv$session WHERE username = 'VICTIM'") == [("KILLED",)]
        assert code(system, "DROP USER victim") == 1940
        run(system, kill)
        assert code(system, kill) == 30

    def test_rds_has_its_own_kill(self, system: ModelSession) -> None:
        kill = "BEGIN rdsadmin.rdsadmin_util.kill(sid => :sid, serial => :serial, method => 'IMMEDIATE'); END;"
        victim, master = user(system, "VICTIM"), user(system, "MASTER")
        assert code(master, kill, victim.sid, victim.serial) == 6550
        run(system, "GRANT EXECUTE ON rdsadmin.rdsadmin_util TO master")
        assert rows(master, "SELECT object_type FROM all_objects WHERE owner = 'RDSADMIN'") == [("PACKAGE",)]
        master.execute(kill, (victim.sid, victim.serial))
        assert victim.killed
        assert code(master, kill, victim.sid, victim.serial) == 30

    def test_a_lock_of_dbms_lock_is_waited_for(self, oracle: ModelInstance, system: ModelSession) -> None:
        other = log_on(oracle, "SYSTEM", MANAGER)
        request = (
            "DECLARE h VARCHAR2(128); r INTEGER; BEGIN DBMS_LOCK.ALLOCATE_UNIQUE(:name, h); "
            "r := DBMS_LOCK.REQUEST(h, DBMS_LOCK.X_MODE, :timeout, FALSE); "
            "IF r NOT IN (0, 4) THEN RAISE_APPLICATION_ERROR(-20001, 'got ' || r); END IF; END;"
        )
        system.execute(request, ("a", 0))
        system.execute(request, ("a", 0))
        assert code(other, request, "a", 0) == 20001
        assert rows(other, "SELECT sid FROM gv$lock WHERE type = 'UL' AND lmode = 6") == [(system.sid,)]
        other.execute(request, ("b", 0))
        waiting = Thread(target=other.execute, args=(request, ("a", 30)))
        waiting.start()
        system.close()
        waiting.join(timeout=10)
        assert not waiting.is_alive()

    @pytest.mark.parametrize(("how", "expected"), [("cancel", 1013), ("kill", 28)])
    def test_a_wait_can_be_ended(self, oracle: ModelInstance, system: ModelSession, how: str, expected: int) -> None:
        sleeper = log_on(oracle, "SYSTEM", MANAGER)
        found: list[int] = []
        sleeping = Thread(target=lambda: found.append(code(sleeper, "BEGIN DBMS_SESSION.SLEEP(60); END;")))
        sleeping.start()
        until(lambda: rows(system, "SELECT status FROM v$session WHERE sid = :1", sleeper.sid) == [("ACTIVE",)])
        if how == "cancel":
            sleeper.cancel()
        else:
            run(system, f"ALTER SYSTEM KILL SESSION '{sleeper.sid},{sleeper.serial}' IMMEDIATE")
        sleeping.join(timeout=10)
        assert found == [expected]

    def test_a_definition_waits_for_who_works_on_the_object(
        self, oracle: ModelInstance, system: ModelSession, shop: str
    ) -> None:
        other = log_on(oracle, "SYSTEM", MANAGER)
        run(other, "INSERT INTO shop.\"Orders\" VALUES (4, 'eu', NULL)")
        assert code(system, 'DROP TABLE shop."Orders"') == 54
        run(system, "ALTER SESSION SET ddl_lock_timeout = 30")
        dropping = Thread(target=run, args=(system, 'DROP TABLE shop."Orders"'))
        dropping.start()
        other.commit()
        dropping.join(timeout=10)
        assert not dropping.is_alive()


def test_a_standby_takes_no_changes(oracle: ModelInstance, system: ModelSession, shop: str) -> None:
    oracle.as_sysdba("ALTER PLUGGABLE DATABASE freepdb1 CLOSE IMMEDIATE")
    assert code(system, "SELECT 1 FROM dual") == 28
    oracle.as_sysdba("ALTER PLUGGABLE DATABASE freepdb1 OPEN READ ONLY")
    system = log_on(oracle, "SYSTEM", MANAGER)
    changes = ("CREATE USER x IDENTIFIED BY abc", 'DELETE FROM shop."Orders"', 'GRANT READ ON shop."Orders" TO public')
    assert {code(system, sql) for sql in changes} == {16000}
    assert len(rows(system, 'SELECT * FROM shop."Orders"')) == 3


def test_messages_come_in_the_sessions_language(oracle: ModelInstance, system: ModelSession) -> None:
    oracle.as_sysdba(
        "CREATE OR REPLACE TRIGGER german AFTER LOGON ON DATABASE "
        "BEGIN EXECUTE IMMEDIATE 'ALTER SESSION SET NLS_LANGUAGE = GERMAN'; END;"
    )
    with pytest.raises(OracleError, match="ORA-00942: Tabelle oder View nicht vorhanden"):
        log_on(oracle, "SYSTEM", MANAGER).execute("SELECT * FROM nowhere")


@pytest.mark.parametrize(
    "statement",
    [
        'CREATE USER x IDENTIFIED BY "Secret.1"',
        "alter user x identified  by Secret.1 --",
        'ALTER USER x IDENTIFIED BY "Secret.1',
    ],
)
def test_the_log_is_an_audit_trail_without_passwords(oracle: ModelInstance, system: ModelSession, statement: str) -> None:
    with pytest.raises(OracleError):
        run(system, "CREATE USER x IDENTIFIED BY y", statement)
    log = "\n".join(oracle.log)
    assert "USER x" in log or "user x" in log
    assert "Secret" not in log
    assert "Secret" not in hidden(statement)


def until(ready: Callable[[], bool]) -> None:
    deadline = datetime.now() + timedelta(seconds=10)
    while not ready():
        assert datetime.now() < deadline


def test_what_the_text_of_a_statement_holds_is_no_secret_elsewhere(oracle: ModelInstance, system: ModelSession) -> None:
    run(system, "SELECT 'visible' FROM dual")
    assert any("'visible'" in line for line in oracle.log)
