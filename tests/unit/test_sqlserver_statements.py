"""T-SQL text: every name and literal is quoted, whatever is in it."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from dzgrant.engines.contract import Owner
from dzgrant.engines.marker import Marker
from dzgrant.engines.sqlserver import statements
from dzgrant.engines.sqlserver.statements import Named
from dzgrant.errors import Unsupported
from dzgrant.model import Table

HOSTILE = Table(schema="Sales].[x", name="o]r'd\"e;--{y}%s")


def test_a_bracket_ends_no_name() -> None:
    text = statements.grant_select(HOSTILE, "dz_1")
    assert text == "GRANT SELECT ON OBJECT::[Sales]].[x]].[o]]r'd\"e;--{y}%s] TO [dz_1]".replace("x]].[o", "x].[o")


def test_columns_are_quoted_one_by_one() -> None:
    text = statements.grant_select(Table(schema="s", name="t"), "dz_1", ["a], [b", "c"])
    assert text == "GRANT SELECT ON OBJECT::[s].[t] ([a]], [b], [c]) TO [dz_1]"


def test_a_quote_ends_no_literal() -> None:
    marker = Marker(owner=Owner(domain="d'; DROP TABLE x; --", project="p", environment="e"), fence=7)
    text = statements.mark("dz_1", marker, anew=True)
    assert "N'managed-by=dzgrant;domain=d''; DROP TABLE x; --;" in text
    assert text.startswith("EXEC sys.sp_addextendedproperty @name = N'dzgrant dz_1', @value = N'")


def test_a_login_is_made_with_its_own_sid_and_the_servers_policy() -> None:
    text = statements.create_login("dz_1", SecretStr("pa'ss"), "shop]", babelfish=False)
    assert text == (
        "CREATE LOGIN [dz_1] WITH PASSWORD = N'pa''ss', DEFAULT_DATABASE = [shop]]],"
        f" SID = 0x{statements.sid('dz_1').hex().upper()}, CHECK_POLICY = ON, CHECK_EXPIRATION = OFF"
    )


def test_babelfish_takes_neither_sid_nor_policy() -> None:
    text = statements.create_login("dz_1", SecretStr("secret"), "shop", babelfish=True)
    assert text == "CREATE LOGIN [dz_1] WITH PASSWORD = N'secret', DEFAULT_DATABASE = [shop]"
    assert "UNLOCK" not in statements.set_password("dz_1", SecretStr("secret"), babelfish=True)


def test_a_sid_is_of_its_login_alone() -> None:
    assert len(statements.sid("dz_1")) == 16
    assert statements.sid("dz_1") == statements.sid("dz_1")
    assert statements.sid("dz_1") != statements.sid("dz_1_2")


@pytest.mark.parametrize(
    ("on", "column", "expected"),
    [
        (Table(schema="s", name="t"), None, "REVOKE SELECT ON OBJECT::[s].[t] FROM [dz_1] CASCADE AS [gran]]tor]"),
        (Table(schema="s", name="t"), "c", "REVOKE SELECT ON OBJECT::[s].[t] ([c]) FROM [dz_1] CASCADE AS [gran]]tor]"),
        (Named(kind="SCHEMA", name="s]"), None, "REVOKE SELECT ON SCHEMA::[s]]] FROM [dz_1] CASCADE AS [gran]]tor]"),
        (None, None, "REVOKE SELECT FROM [dz_1] CASCADE AS [gran]]tor]"),
    ],
)
def test_a_revoke_names_what_was_given_where(on: Table | Named | None, column: str | None, expected: str) -> None:
    assert statements.revoke("SELECT", on, column, "dz_1", grantor="gran]tor", ever=True) == expected


def test_a_permission_is_a_word_of_the_servers() -> None:
    with pytest.raises(Unsupported):
        statements.revoke("SELECT TO x; --", None, None, "dz_1", grantor=None, ever=False)


def test_the_users_of_several_databases_are_one_query() -> None:
    text = statements.users_in(["a]", "b"], b"\x01")
    assert text == (
        "SELECT N'a]', name FROM [a]]].sys.database_principals WHERE sid = 0x01\nUNION ALL\n"
        "SELECT N'b', name FROM [b].sys.database_principals WHERE sid = 0x01"
    )


def test_a_name_that_babelfish_cant_parse_is_refused_there() -> None:
    statements.check_names("orders", "it's")
    with pytest.raises(Unsupported, match="Babelfish"):
        statements.check_names("orders", "a]b")


def test_no_condition_of_a_reader_passes_into_a_view() -> None:
    text = statements.set_view(Table(schema="v", name="t"), "SELECT [id] FROM [s].[t]")
    assert text == "CREATE OR ALTER VIEW [v].[t] AS\nSELECT TOP (9223372036854775807) [id] FROM [s].[t]"
