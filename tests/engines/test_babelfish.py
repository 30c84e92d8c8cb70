"""The same adapter on Babelfish, whose catalogue does not say who was given what: so what is asked here is who can read."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from dzgrant.engines.contract import Database, Readable, views_in
from dzgrant.errors import ConsumerRejected, DzgrantError, Refused, Unsupported
from dzgrant.localcloud.databases import Server
from dzgrant.model import WHOLE, Comparison, Credentials, LoginOutcome, Operator, Scope, Table
from dzgrant.passwords import new_password
from tests.engines.playground import OWNER, SAID_NO, Holder, Playground, consumer

COLUMNS = {"id": "int", "region": "text", "price": "int"}
ROWS = [(1, "eu", 10), (2, "us", 20), (3, None, 30)]
EU = Scope(rows=Comparison(column="region", operator=Operator.EQUAL_TO, values=("eu",)))


@pytest.fixture(scope="session")
def server(babelfish: Server) -> Server:
    return babelfish


@pytest.fixture
async def table(play: Playground) -> Table:
    return await play.create_wide("orders", COLUMNS, ROWS)


async def given(database: Database, login: Credentials, table: Table, *scopes: Scope) -> Readable:
    """Made, granted and proved."""
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    reach = await database.grant(login.username, table, Holder(), scopes or WHOLE)
    await database.prove(login, reach.readable)
    return reach.readable


async def test_a_login_from_its_beginning_to_its_end(play: Playground, database: Database, table: Table) -> None:
    other, login = await play.create_table("salaries"), consumer()
    await given(database, login, table)
    assert await play.can_read(login, table)
    assert not await play.can_read(login, other)
    assert not await play.can_write(login, table)
    for _ in range(2):
        await database.revoke(login.username, [], Holder())
        assert not await play.can_read(login, table)
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.ABSENT
    assert not await play.can_log_in(login)


async def test_a_role_is_seen_and_taken_and_what_is_kept_stays(play: Playground, database: Database, table: Table) -> None:
    login = consumer()
    readable = await given(database, login, table)
    before = await database.describe(login.username)
    more = await play.give_more(login, table)
    found = await database.describe(login.username)
    assert found
    assert set(found.beyond) == more
    await database.revoke(login.username, [table], Holder())
    assert await database.describe(login.username) == before
    await database.prove(login, readable)


async def test_a_revoke_leaves_what_is_to_keep(play: Playground, database: Database, table: Table) -> None:
    kept, login = await play.create_table("items"), consumer()
    await given(database, login, table)
    await given(database, login, kept)
    await database.revoke(login.username, [kept], Holder())
    assert not await play.can_read(login, table)
    assert await play.can_read(login, kept)


async def test_eight_at_once_make_one_login_that_works(play: Playground, database: Database, table: Table) -> None:
    login = consumer()
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(given(database, login, table))
    assert await play.can_read(login, table)


async def test_a_password_set_again_replaces_the_old_one(database: Database, table: Table) -> None:
    old = consumer()
    new = replace(old, password=new_password())
    readable = await given(database, old, table)
    await given(database, new, table)
    with pytest.raises(ConsumerRejected):
        await database.prove(old, readable)


async def test_a_login_of_somebody_else_stays_as_it_is(play: Playground, database: Database) -> None:
    foreign = consumer()
    await play.create_login(foreign)
    with pytest.raises(Refused, match=foreign.username):
        await database.ensure_login(foreign.username, new_password(), OWNER, Holder())
    with pytest.raises(Refused, match=foreign.username):
        await database.drop(foreign.username, Holder())
    assert await play.can_log_in(foreign)


async def test_columns_are_narrowed_and_widened(play: Playground, database: Database, table: Table) -> None:
    login = consumer()
    for names in (None, {"id", "price"}, {"id"}, {"id", "region"}, None, {"price"}):
        await given(database, login, table, Scope(columns=frozenset(names) if names else None))
        readable = {name for name in COLUMNS if await play.can_read_column(login, table, name)}
        assert readable == (names or set(COLUMNS))


async def test_rows_are_read_through_a_view_that_goes_with_the_last_login(
    play: Playground, database: Database, table: Table
) -> None:
    login = consumer()
    await given(database, login, table)
    readable = await given(database, login, table, EU)
    assert await play.rows(login, readable.table) == [(1, "eu", 10)]
    assert not await play.can_read(login, table)
    await database.drop(login.username, Holder())
    assert not await play.has_place(views_in(login.username))


async def test_an_open_session_is_dead_after_a_drop(play: Playground, database: Database, table: Table) -> None:
    login = consumer()
    await given(database, login, table)
    async with play.reading(login, table) as next_row:
        assert await next_row() == 1
        assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
        with pytest.raises(SAID_NO):
            await next_row()


async def test_a_name_that_babelfish_cannot_parse_is_refused(database: Database) -> None:
    login = consumer()
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    with pytest.raises(Unsupported, match="closing bracket"):
        await database.grant(login.username, Table(schema="dbo", name="a]b"), Holder())


async def test_the_proof_fails_without_the_grant(database: Database, table: Table) -> None:
    login = consumer()
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    with pytest.raises(DzgrantError):
        await database.prove(login, Readable(table=table))
