"""Names and passwords in Oracle's statements."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from dzgrant.engines.contract import Readable, views_in
from dzgrant.engines.filters import view_name
from dzgrant.engines.oracle import statements
from dzgrant.engines.oracle.session import lock_id
from dzgrant.engines.oracle.statements import More
from dzgrant.errors import Unsupported
from dzgrant.model import ALTERNATE, Table

LOGIN = "dz_0123456789abcdef0123"
TABLE = Table(schema="Sales", name="t to public--")
NAMED = '"Sales"."t to public--"'


def text(statement: statements.Statement) -> str:
    return statement.sql.get_secret_value()


def test_logins_are_in_upper_case_and_tables_as_they_are() -> None:
    assert text(statements.grant_read(TABLE, LOGIN)) == ('GRANT READ ON "Sales"."t to public--" TO "DZ_0123456789ABCDEF0123"')


_FILES = Table(schema="SYS", name="FILES")


@pytest.mark.parametrize(
    ("more", "sql", "who"),
    [
        (More(kind="role", right="r to public"), 'REVOKE "r to public" FROM', "a DBA"),
        (More(kind="system", right="SELECT ANY TABLE"), "REVOKE SELECT ANY TABLE FROM", "a DBA"),
        (More(kind="TABLE", right="UPDATE", on=TABLE, column="c", grantor="g"), f"REVOKE UPDATE ON {NAMED} FROM", '"g"'),
        (More(kind="DIRECTORY", right="READ", on=_FILES, grantor="g"), 'REVOKE READ ON DIRECTORY "FILES" FROM', '"g"'),
        (More(kind="MINING MODEL", right="ALTER", on=TABLE, grantor="g"), f"REVOKE ALTER ON MINING MODEL {NAMED} FROM", '"g"'),
    ],
)
def test_a_revoke_names_what_was_given_on_what(more: More, sql: str, who: str) -> None:
    found = statements.revoke_more(more, LOGIN)
    assert text(found) == f'{sql} "DZ_0123456789ABCDEF0123"'
    assert found.cure.startswith(f"let {who}")


def test_a_privilege_is_words_of_the_servers() -> None:
    with pytest.raises(Unsupported):
        statements.revoke_more(More(kind="system", right="DBA FROM x; --"), LOGIN)


@pytest.mark.parametrize("name", ['a"b', "a\0b", ""])
def test_what_can_be_no_name_is_refused(name: str) -> None:
    with pytest.raises(Unsupported):
        statements.grant_read(Table(schema="S", name=name), LOGIN)


def test_braces_in_a_name_stay_as_they_are() -> None:
    table = Table(schema="S", name="100%s %(x)s {admin}")
    assert '"100%s %(x)s {admin}"' in text(statements.drop_view(table))
    assert statements.read_nothing(Readable(table=table, columns=("{y}",))) == (
        'SELECT "{y}" FROM "S"."100%s %(x)s {admin}" WHERE 1 = 0'
    )


def test_a_password_is_in_no_representation() -> None:
    made = statements.create_login(LOGIN, SecretStr("s3cret~password"))
    assert 'IDENTIFIED BY "s3cret~password"' in text(made)
    assert "s3cret" not in repr(made) + str(made)


def test_a_password_that_would_leave_its_quotes_is_no_password() -> None:
    with pytest.raises(ValueError, match="double quote") as refused:
        statements.set_password(LOGIN, SecretStr('x" ACCOUNT UNLOCK --'))
    assert "UNLOCK" not in str(refused.value)


def test_our_names_fit_in_thirty_bytes() -> None:
    longest = [LOGIN + ALTERNATE, views_in(LOGIN), view_name(Table(schema="S", name="é" * 64), statements.NAME_BYTES)]
    assert all(len(name.encode()) <= 30 for name in longest)


def test_both_logins_of_a_principal_share_a_lock_that_dbms_lock_takes() -> None:
    assert lock_id(LOGIN) == lock_id(LOGIN + ALTERNATE) != lock_id("dz_other")
    assert 0 <= lock_id(LOGIN) < 2**30


def test_only_a_server_that_knows_rollover_is_asked_for_it() -> None:
    assert "PASSWORD_ROLLOVER_TIME" in text(statements.create_profile(rollover=True))
    assert "PASSWORD_ROLLOVER_TIME" not in text(statements.create_profile(rollover=False))
