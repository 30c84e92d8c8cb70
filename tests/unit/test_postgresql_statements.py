"""Whatever a name holds, it stays a name; the real server says the same in tests/engines."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from dzgrant.engines.postgresql import statements
from dzgrant.model import Table

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=63)
IDENTIFIER = '"(?:[^"]|"")*"'
LITERAL = "'(?:[^']|'')*'"


@given(schema=NAMES, name=NAMES, login=NAMES)
def test_a_grant_is_one_statement_on_one_table(schema: str, name: str, login: str) -> None:
    sql = statements.grant_select(Table(schema=schema, name=name), login)
    found = re.fullmatch(f"GRANT SELECT ON TABLE ({IDENTIFIER})\\.({IDENTIFIER}) TO ({IDENTIFIER})", sql)
    assert found is not None
    assert [part[1:-1].replace('""', '"') for part in found.groups()] == [schema, name, login]


@given(verifier=NAMES, login=NAMES)
def test_a_literal_is_one_literal(verifier: str, login: str) -> None:
    sql = statements.create_login(login, SecretStr(verifier))
    found = re.fullmatch(f"CREATE ROLE ({IDENTIFIER}) LOGIN PASSWORD ({LITERAL})", sql)
    assert found is not None
    assert found[2][1:-1].replace("''", "'") == verifier


def test_locks_are_taken_in_the_order_given() -> None:
    sql = statements.lock(statements.login_key("dz'1"), statements.PARENTS_KEY)
    assert "unnest(ARRAY['dzgrant login dz''1', 'dzgrant schemas and database'])" in sql


def test_membership_is_asked_for_in_the_servers_own_words() -> None:
    assert statements.join("dz_1", 15) == 'GRANT "dz_1" TO CURRENT_USER'
    assert statements.join("dz_1", 16) == 'GRANT "dz_1" TO CURRENT_USER WITH INHERIT TRUE, SET TRUE'
