"""What is Oracle's own: a consumer's session decides how texts are compared, and must not by that decide what it reads."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from dzgrant.engines.contract import Database, Readable
from dzgrant.errors import Misconfigured
from dzgrant.localcloud.databases import Server
from dzgrant.model import Comparison, LoginOutcome, Operator, Scope
from tests.engines.oracle_playground import OraclePlayground
from tests.engines.playground import OWNER, Holder, Playground, consumer


@pytest.fixture(params=["oracle"], scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """Oracle only."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    ("operator", "value", "ids"),
    [
        (Operator.EQUAL_TO, "Paris", [1]),
        (Operator.NOT_EQUAL_TO, "Paris", [2, 3]),
        (Operator.IN, "Paris", [1]),
        (Operator.NOT_IN, "Paris", [2, 3]),
        (Operator.LIKE, "Par%", [1]),
        (Operator.NOT_LIKE, "P_r%", [2, 3]),
        (Operator.GREATER_THAN, "PARIS", [1, 3]),
        (Operator.LESS_THAN, "Paris", [2]),
    ],
)
@pytest.mark.parametrize("column", ["city", "code"])
async def test_a_sessions_collation_shows_no_other_row(
    play: Playground, database: Database, column: str, operator: Operator, value: str, ids: list[int]
) -> None:
    columns = {"id": "int", "city": "text", "code": "code"}
    table = await play.create_wide("cities", columns, [(1, "Paris", "Paris"), (2, "PARIS", "PARIS"), (3, "paris", "paris")])
    login = consumer()
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    scope = Scope(rows=Comparison(column=column, operator=operator, values=(value,)))
    readable = (await database.grant(login.username, table, Holder(), [scope])).readable
    async with play.server.session(database=play.source.database, login=login) as run:
        for settings in ("NLS_COMP = BINARY", "NLS_COMP = LINGUISTIC NLS_SORT = BINARY_CI"):
            await run(f"ALTER SESSION SET {settings}")
            assert await run(f'SELECT "id" FROM {play.sql(readable.table)} ORDER BY 1') == [(number,) for number in ids]
        assert await run("SELECT 1 FROM dual WHERE 'Paris' = 'PARIS'") == [(1,)]


async def test_as_few_statements_as_the_documentation_says(play: Playground, database: Database) -> None:
    if play.server.provider != "double":
        pytest.skip("a real server does not write every statement down")
    table, second = await play.create_table("orders"), await play.create_table("items")
    other, login = consumer(), consumer()
    # The profile is there from now on.
    await database.ensure_login(other.username, other.password, OWNER, Holder())

    def sent() -> int:
        """But for what the driver sets in a new session."""
        return len(re.findall(r"^\d+ \w+: (?!ORA-|ALTER SESSION)", play.server.read_log(), re.MULTILINE))

    counts = [sent()]
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    await database.grant(login.username, table, Holder())
    await database.prove(login, Readable(table=table))
    counts.append(sent())
    await database.grant(login.username, second, Holder())
    await database.prove(login, Readable(table=second))
    counts.append(sent())
    await database.revoke(login.username, [second], Holder())
    counts.append(sent())
    await database.drop(login.username, Holder())
    counts.append(sent())
    assert [after - before for before, after in pairwise(counts)] == [12, 7, 7, 7]


@pytest.mark.parametrize("admin", ["rds-like"], indirect=True)
async def test_what_only_a_dba_may_take_is_named_and_all_else_goes(play: OraclePlayground, database: Database) -> None:
    going, kept = await play.create_table("orders"), await play.create_table("items")
    login = consumer()
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    for table in (going, kept):
        await database.grant(login.username, table, Holder())
    more = await play.give_of_the_server(login)
    found = await database.describe(login.username)
    assert found
    assert set(found.beyond) == more
    with pytest.raises(Misconfigured) as refused:
        await database.revoke(login.username, [kept], Holder())
    name = login.username.upper()
    for statement in (
        f'let a DBA run: REVOKE "{play.role}" FROM "{name}"',
        f'let a DBA run: REVOKE SELECT ANY TABLE FROM "{name}"',
    ):
        assert statement in str(refused.value)
    left = await database.describe(login.username)
    assert left
    assert left.tables == (kept,)
    # It may give that on itself, so that this went and came.
    assert set(left.beyond) == {f"the role {play.role}", "SELECT ANY TABLE on the whole database"}
    await database.prove(login, Readable(table=kept))
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


async def test_a_right_to_give_on_goes_while_select_stands_in_for_read(play: Playground, database: Database) -> None:
    kept, login = await play.create_table("orders"), consumer()
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    await database.grant(login.username, kept, Holder())
    await play.run(f'GRANT READ ON {play.sql(kept)} TO "{login.username.upper()}" WITH GRANT OPTION')
    before = len(play.server.read_log())
    await database.revoke(login.username, [kept], Holder())
    changes = re.findall(r": ((?:GRANT|REVOKE) \w+) ON ", play.server.read_log()[before:])
    if play.server.provider == "double":
        assert changes == ["GRANT SELECT", "REVOKE READ", "GRANT READ", "REVOKE SELECT"]
    found = await database.describe(login.username)
    assert found
    assert found.tables == (kept,)
    assert found.beyond == ()
    await database.prove(login, Readable(table=kept))
