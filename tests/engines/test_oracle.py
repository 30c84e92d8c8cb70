"""What is Oracle's own: a consumer's session decides how texts are compared, and must not by that decide what it reads."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from dzgrant.engines.contract import Database, Readable
from dzgrant.localcloud.databases import Server
from dzgrant.model import Comparison, Operator, Scope
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
