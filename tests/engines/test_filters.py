"""Parts of tables, on every engine: columns, rows, cells; narrower and wider, without a gap and without a moment too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from dzgrant.engines.contract import Database, Reach, Readable, views_in
from dzgrant.errors import LeaseLost, Refused, Unsupported
from dzgrant.model import (
    ALTERNATE,
    WHOLE,
    AllOf,
    AnyOf,
    Comparison,
    Credentials,
    LoginOutcome,
    Operator,
    RowFilter,
    Scope,
    Table,
)
from tests.engines.playground import OWNER, SAID_NO, Ending, Holder, Playground, consumer

COLUMNS = {"id": "int", "Region": "text", "price": "int", "sold": "date", "doc": "blob"}
ROWS = [
    (1, "eu", 10, "2026-01-01", None),
    (2, "us", 20, "2026-02-01", None),
    (3, None, 30, None, None),
]


def columns(*names: str) -> Scope:
    return Scope(columns=frozenset(names))


def compare(column: str, operator: Operator, *values: str) -> Comparison:
    return Comparison(column=column, operator=operator, values=values)


def where(rows: RowFilter, *names: str) -> Scope:
    return Scope(columns=frozenset(names) or None, rows=rows)


EU = compare("region", Operator.EQUAL_TO, "eu")
US = compare("region", Operator.EQUAL_TO, "us")


@pytest.fixture
async def table(play: Playground) -> Table:
    return await play.create_wide("Orders", COLUMNS, ROWS)


@pytest.fixture
async def login(database: Database) -> Credentials:
    login = consumer()
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    return login


async def given(database: Database, login: Credentials, table: Table, *scopes: Scope) -> Readable:
    """Granted and proved."""
    reach = await database.grant(login.username, table, Holder(), scopes)
    await database.prove(login, reach.readable)
    return reach.readable


async def tables(database: Database, login: Credentials) -> tuple[Table, ...]:
    state = await database.describe(login.username)
    assert state is not None
    return state.tables


async def has_views(play: Playground, login: Credentials) -> bool:
    """There is still a place for this login's views."""
    return await play.has_place(views_in(login.username))


async def readable_columns(play: Playground, login: Credentials, table: Table) -> set[str]:
    return {name for name in COLUMNS if await play.can_read_column(login, table, name)}


# --- columns ---


async def test_columns_are_granted_and_no_others(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    readable = await given(database, login, table, columns("ID", "region"))
    assert readable.columns == ("id", "Region")
    assert await readable_columns(play, login, readable.table) == {"id", "Region"}
    assert not await play.can_read(login, table)
    assert await tables(database, login) == (readable.table,)


async def test_columns_of_several_approvals_add_up(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    readable = await given(database, login, table, columns("price"), columns("id"))
    assert readable.columns == ("id", "price")
    assert await readable_columns(play, login, readable.table) == {"id", "price"}


async def test_columns_are_narrowed_and_widened(play: Playground, database: Database, login: Credentials, table: Table) -> None:
    for scopes in ([columns("id", "price")], [columns("id")], [columns("id", "Region", "price")], WHOLE, [columns("price")]):
        readable = await given(database, login, table, *scopes)
        expected = set(readable.columns or COLUMNS)
        assert await readable_columns(play, login, readable.table) == expected
        assert await play.can_read(login, table) is (scopes is WHOLE)


async def test_a_filtered_grant_may_be_done_twice(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    for scopes in ([columns("id")], [where(EU, "id")]):
        first, second = [await database.grant(login.username, table, Holder(), scopes) for _ in range(2)]
        assert first == second
        await database.prove(login, second.readable)


@pytest.mark.parametrize("first", ["the whole", "more columns"])
async def test_an_open_session_reads_on_in_no_column_that_was_taken(
    play: Playground, database: Database, login: Credentials, table: Table, first: str
) -> None:
    before = Scope() if first == "the whole" else columns("id", "price")
    readable = await given(database, login, table, before)
    async with play.reading(login, readable.table) as next_row:
        assert await next_row() == 1
        await database.grant(login.username, table, Holder(), [columns("price")])
        with pytest.raises(SAID_NO):
            await next_row()


@pytest.mark.parametrize("before", [Scope(), where(AnyOf(parts=(EU, US)))], ids=["the whole", "more rows"])
async def test_a_narrowing_that_was_cut_off_anywhere_leaves_no_session_open_once_done(
    play: Playground, database: Database, login: Credentials, table: Table, before: Scope
) -> None:
    cut = True
    statements = 0
    while cut:
        statements += 1
        readable = await given(database, login, table, before)
        async with play.reading(login, readable.table) as next_row:
            assert await next_row() == 1
            try:
                await database.grant(login.username, table, Ending(statements=statements), [where(US)])
            except LeaseLost:
                await database.grant(login.username, table, Holder(), [where(US)])
            else:
                cut = False
            with pytest.raises(SAID_NO):
                await next_row()
    assert statements > 1


@pytest.mark.parametrize("scope", [columns("id", "price"), where(AnyOf(parts=(EU, US)))], ids=["columns", "rows"])
async def test_what_is_settled_stays_open_unless_there_is_something_to_change(
    play: Playground, database: Database, login: Credentials, table: Table, scope: Scope
) -> None:
    readable = await given(database, login, table, scope)
    async with play.reading(login, readable.table) as next_row:
        assert await next_row() == 1
        await database.grant(login.username, table, Holder(), [scope], settled=True)
        assert await next_row() == 2
    await given(database, login, table, Scope())
    async with play.reading(login, table) as next_row:
        assert await next_row() == 1
        # The ledger knows nothing of the whole table that somebody gave.
        await database.grant(login.username, table, Holder(), [scope], settled=True)
        with pytest.raises(SAID_NO):
            await next_row()
    await database.prove(login, readable)


# --- rows ---


async def test_rows_are_read_through_a_view_alone(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    readable = await given(database, login, table, where(EU))
    assert readable.table.schema.lower() == views_in(login.username)
    assert readable.columns is None
    assert [row[:3] for row in await play.rows(login, readable.table)] == [(1, "eu", 10)]
    assert await readable_columns(play, login, table) == set()
    assert await tables(database, login) == (readable.table,)
    assert not await play.can_write(login, readable.table)


async def test_a_login_that_reads_nothing_but_a_view_opens_the_database_that_its_secret_names(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    await given(database, login, table, where(EU))
    async with play.server.session(database=play.source.database, login=login):
        assert not await play.can_read(login, table)
    await database.revoke(login.username, [table], Holder())
    async with play.server.session(database=play.source.database, login=login):
        assert not await play.can_read(login, table)


async def test_a_cell_is_read_when_one_approval_shows_it(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    dear = compare("price", Operator.GREATER_THAN, "15")
    readable = await given(database, login, table, where(EU, "id", "region"), where(dear, "id", "price"))
    assert readable.columns == ("id", "Region", "price")
    assert await play.rows(login, readable.table) == [(1, "eu", None), (2, None, 20), (3, None, 30)]


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        (compare("region", Operator.NOT_EQUAL_TO, "eu"), [2]),
        (compare("region", Operator.IS_NULL), [3]),
        (compare("region", Operator.LIKE, "_u"), [1]),
        (compare("region", Operator.NOT_LIKE, "e%"), [2]),
        (compare("region", Operator.IN, "eu", "us"), [1, 2]),
        (compare("price", Operator.NOT_IN, "10", "11"), [2, 3]),
        (compare("sold", Operator.LESS_THAN, "2026-01-15"), [1]),
        (compare("sold", Operator.GREATER_THAN_OR_EQUAL_TO, "2026-02-01"), [2]),
        (
            AnyOf(parts=(AllOf(parts=(US, compare("price", Operator.LESS_THAN, "9"))), compare("id", Operator.EQUAL_TO, "3"))),
            [3],
        ),
    ],
)
async def test_every_comparison_is_the_engines_own(
    play: Playground, database: Database, login: Credentials, table: Table, rows: RowFilter, ids: list[int]
) -> None:
    readable = await given(database, login, table, where(rows, "id"))
    assert [found for (found,) in await play.rows(login, readable.table)] == ids


HOSTILE = ["'; DROP TABLE x; --", "100%s %(x)s {y} :z", "back\\slash\\'", 'say "hi"', "`tick` [x]", "Ünï—códe 𝄞", "a!b_c%"]


async def test_hostile_values_are_values(play: Playground, database: Database, login: Credentials) -> None:
    table = await play.create_wide("values", {"id": "int", "word": "text"}, [*enumerate(HOSTILE), (99, "else")])
    for number, word in enumerate(HOSTILE):
        readable = await given(database, login, table, where(compare("word", Operator.EQUAL_TO, word)))
        assert await play.rows(login, readable.table) == [(number, word)]
    like = compare("word", Operator.LIKE, "%\\%")
    readable = await given(database, login, table, where(like, "id"))
    assert await play.rows(login, readable.table) == [(2,)]


async def test_hostile_column_names_are_names(play: Playground, database: Database, login: Credentials) -> None:
    names = dict.fromkeys(play.hostile_columns, "int")
    table = await play.create_wide("hostile", names, [tuple(range(len(names)))])
    for name in names:
        readable = await given(database, login, table, columns(name))
        assert readable.columns == (name,)
        assert await play.can_read_column(login, readable.table, name)
    first, *others = names
    readable = await given(
        database,
        login,
        table,
        where(compare(first, Operator.EQUAL_TO, "0"), *others[:3]),
        where(compare(others[-1], Operator.EQUAL_TO, "-1"), *others[3:]),
    )
    assert await play.rows(login, readable.table) == [(1, 2, 3, *[None] * (len(names) - 4))]


async def test_a_view_over_the_longest_name_has_a_name(play: Playground, database: Database, login: Credentials) -> None:
    twins = [await play.create_wide("é" * 31 + last, {"id": "int"}, [(1,)]) for last in "xy"]
    one = compare("id", Operator.EQUAL_TO, "1")
    views = {(await given(database, login, table, where(one))).table for table in twins}
    assert len(views) == 2


# --- narrower and wider ---


async def test_a_table_turns_into_its_view_and_back(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    await given(database, login, table, Scope())
    readable = await given(database, login, table, where(EU))
    assert not await play.can_read(login, table)
    assert await readable_columns(play, login, table) == set()
    assert [row[:1] for row in await play.rows(login, readable.table)] == [(1,)]
    assert await given(database, login, table, Scope()) == Readable(table=table)
    assert await play.can_read(login, table)
    assert not await has_views(play, login)


async def test_an_open_session_reads_on_in_no_table_that_became_a_view(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    await given(database, login, table, Scope())
    async with play.reading(login, table) as next_row:
        assert await next_row() == 1
        await given(database, login, table, where(EU))
        with pytest.raises(SAID_NO):
            await next_row()


@asynccontextmanager
async def always_reading(play: Playground, login: Credentials, view: Table) -> AsyncIterator[asyncio.Queue[frozenset[object]]]:
    """A consumer that reads the view again and again, in new sessions, and what it saw each time."""
    seen: asyncio.Queue[frozenset[object]] = asyncio.Queue()

    async def read() -> None:
        while True:
            try:
                found = await play.rows(login, view, "id")
            except SAID_NO as error:
                # Its session may be ended; it must never be told that it has no right, or that there is no such view.
                if not play.was_ended(error):
                    raise
            else:
                seen.put_nowait(frozenset(number for (number,) in found))

    async with asyncio.TaskGroup() as group:
        reader = group.create_task(read())
        try:
            yield seen
        finally:
            reader.cancel()


async def test_a_filter_changes_without_a_gap_or_a_moment_too_much(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    readable = await given(database, login, table, where(EU, "id"))
    async with always_reading(play, login, readable.table) as seen, asyncio.timeout(60):
        for rows, names in ((US, ("id", "price")), (EU, ("id",)), (US, ("id", "Region"))) * 3:
            assert (await given(database, login, table, where(rows, *names))).table == readable.table
            found = [await seen.get() for _ in range(seen.qsize() + 2)]
            assert set(found) <= {frozenset({1}), frozenset({2})}
            # The last of them began after the grant had ended.
            assert found[-1] == ({1} if rows is EU else {2})


async def test_a_second_login_shares_the_view(play: Playground, database: Database, login: Credentials, table: Table) -> None:
    second = replace(consumer(), username=login.username + ALTERNATE)
    await database.ensure_login(second.username, second.password, OWNER, Holder())
    readable = await given(database, login, table, where(EU, "id"))
    assert await given(database, second, table, where(EU, "id")) == readable
    # The view is one, so that a narrower filter holds for both at once.
    assert await given(database, second, table, where(US, "id")) == readable
    assert await play.rows(login, readable.table) == await play.rows(second, readable.table) == [(2,)]
    await database.drop(login.username, Holder())
    assert await play.rows(second, readable.table) == [(2,)]
    await database.drop(second.username, Holder())
    assert not await has_views(play, login)


async def test_a_second_login_ends_the_firsts_sessions_only_when_it_narrows_them(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    """Rotation gives the second login what the first one has, while that is at work."""
    second = replace(consumer(), username=login.username + ALTERNATE)
    await database.ensure_login(second.username, second.password, OWNER, Holder())
    either = AnyOf(parts=(EU, US))
    view = (await given(database, login, table, where(either))).table
    async with play.reading(login, view) as next_row:
        assert await next_row() == 1
        await given(database, second, table, where(either))
        assert await next_row() == 2
    await database.drop(second.username, Holder())
    await database.ensure_login(second.username, second.password, OWNER, Holder())
    async with play.reading(login, view) as next_row:
        assert await next_row() == 1
        await given(database, second, table, where(EU))
        with pytest.raises(SAID_NO):
            await next_row()


# --- taking away ---


async def test_a_revoke_takes_views_and_keeps_those_of_tables_to_keep(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    other = await play.create_wide("items", COLUMNS, ROWS)
    kept = await given(database, login, table, where(EU))
    gone = await given(database, login, other, where(EU))
    for _ in range(2):
        await database.revoke(login.username, [table], Holder())
        assert await tables(database, login) == (kept.table,)
        assert len(await play.rows(login, kept.table)) == 1
        assert not await play.can_read(login, gone.table)
    await database.revoke(login.username, [], Holder())
    assert await tables(database, login) == ()
    assert not await has_views(play, login)


async def test_a_revoke_takes_columns_and_keeps_those_of_tables_to_keep(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    other = await play.create_wide("items", COLUMNS, ROWS)
    kept = await given(database, login, table, columns("id", "price"))
    gone = await given(database, login, other, columns("id"))
    await database.revoke(login.username, [table], Holder())
    assert await readable_columns(play, login, kept.table) == {"id", "price"}
    assert await readable_columns(play, login, gone.table) == set()


async def test_a_drop_leaves_no_view_and_may_be_done_twice(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    readable = await given(database, login, table, where(EU))
    async with play.reading(login, readable.table) as next_row:
        assert await next_row() == 1
        assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
        with pytest.raises(SAID_NO):
            await next_row()
    assert not await has_views(play, login)
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.ABSENT


# --- what can't be ---


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (columns("id", "nowhere"), "nowhere"),
        (where(compare("nowhere", Operator.IS_NULL)), "nowhere"),
        (where(compare("price", Operator.EQUAL_TO, "10 OR 1=1")), "price"),
        (where(compare("price", Operator.LIKE, "1%")), "price"),
        (where(compare("doc", Operator.EQUAL_TO, "{}")), "doc"),
        (where(compare("sold", Operator.EQUAL_TO, "yesterday")), "sold"),
        (where(compare("id", Operator.IN)), "id"),
    ],
)
async def test_a_filter_that_cannot_be_is_refused_and_changes_nothing(
    play: Playground, database: Database, login: Credentials, table: Table, scope: Scope, said: str
) -> None:
    with pytest.raises(Unsupported, match=f"filter can't be applied: .*{said}.*Orders"):
        await database.grant(login.username, table, Holder(), [scope])
    assert await tables(database, login) == ()
    assert not await has_views(play, login)


async def test_a_place_of_somebody_else_is_refused_and_untouched(
    play: Playground, database: Database, login: Credentials, table: Table
) -> None:
    theirs = await play.create_place(views_in(login.username))
    with pytest.raises(Refused, match=f"(?i){views_in(login.username)}"):
        await database.grant(login.username, table, Holder(), [where(EU)])
    assert await tables(database, login) == ()
    await database.drop(login.username, Holder())
    assert await has_views(play, login)
    await theirs()


async def test_an_unfiltered_grant_says_that_the_table_is_read(database: Database, login: Credentials, table: Table) -> None:
    for scopes in (WHOLE, [Scope(), where(EU)], [columns("id"), Scope()]):
        reach = await database.grant(login.username, table, Holder(), scopes)
        assert reach == Reach(readable=Readable(table=table), public=False, through=None)
