"""Whatever a name holds, it stays a name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from pydantic import SecretStr

from dzgrant.engines.contract import Owner
from dzgrant.engines.mysql import statements
from dzgrant.model import Table

NAMES = some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=64)


def unquoted(text: str, quote: str) -> tuple[str, str]:
    """What a server reads as the quoted name at the beginning, and the rest."""
    assert text[0] == quote
    name, at = "", 1
    while not (text[at] == quote and text[at + 1 : at + 2] != quote):
        name, at = name + text[at], at + (2 if text[at] == quote else 1)
    return name, text[at + 1 :]


@given(schema=NAMES, name=NAMES)
def test_a_table_is_two_quoted_names(schema: str, name: str) -> None:
    sql = statements.grant_select(Table(schema=schema, name=name), "dz_1").sql
    found_schema, rest = unquoted(sql.removeprefix("GRANT SELECT ON "), "`")
    found_name, rest = unquoted(rest.removeprefix("."), "`")
    assert (found_schema, found_name) == (schema, name)
    assert rest == " TO 'dz_1'@'%'"


@given(project=NAMES)
def test_a_marker_stays_a_literal(project: str) -> None:
    owner = Owner(domain="d", project=project, environment="e")
    sql = statements.create_login("dz_1", SecretStr("$A$005$x"), owner, mariadb=False).sql
    literal = sql.partition(" ATTRIBUTE ")[2]
    inner = literal[1:-1].replace("\\\\", "").replace("\\'", "")
    assert literal[0] == literal[-1] == "'"
    assert "'" not in inner


def test_the_cure_for_a_missing_right_can_be_pasted() -> None:
    table = Table(schema="shop", name="a`b")
    assert statements.grant_select(table, "dz_1").cure("o'neil") == (
        "GRANT SELECT ON `shop`.`a``b` TO 'o\\'neil'@'%' WITH GRANT OPTION"
    )
    assert statements.disable("dz_1").cure("admin") == "GRANT CREATE USER ON *.* TO 'admin'@'%'"


def test_limits_of_time_are_never_zero() -> None:
    """Zero means none."""
    sql = statements.session_settings(statement_seconds=0.2, lock_seconds=0.2)
    assert "lock_wait_timeout = 1," in sql
    assert "max_execution_time = 200 " in sql
    assert "max_statement_time = 1 " in sql
