"""The engines' contract, on real servers: the same tests for every adapter, with a superuser and with an admin like RDS's."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Thread
from typing import Any

import pytest
from structlog.testing import capture_logs
from trustme import CA

from dzgrant.engines import adapter
from dzgrant.engines.contract import Database, Readable
from dzgrant.errors import (
    AdminRejected,
    ConsumerRejected,
    DzgrantError,
    LeaseLost,
    Misconfigured,
    Refused,
    Transient,
)
from dzgrant.localcloud.databases.workplace import free_port
from dzgrant.model import Credentials, LoginOutcome, Table
from dzgrant.passwords import new_password
from tests.engines.playground import OWNER, SAID_NO, Holder, Playground, consumer

HOSTILE = [
    'a"b',
    "a]b",
    "a`b",
    "a'b",
    "a\\",
    "x;--",
    "t to public--",
    "t,secret_pay",
    "with space and.dot",
    "MiXed",
    "100%s %(x)s {y}",
    "é" * 31 + "x",
]


async def given(database: Database, login: Credentials, *tables: Table) -> None:
    await database.ensure_login(login.username, login.password, OWNER, Holder())
    for table in tables:
        await database.grant(login.username, table, Holder())


async def test_eight_at_once_make_one_login_that_works(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(given(database, login, table))
    await database.prove(login, Readable(table=table))
    assert await database.describe(login.username) is not None


async def test_a_password_set_again_replaces_the_old_one(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    old = consumer()
    new = replace(old, password=new_password())
    await given(database, old, table)
    await given(database, new)
    await database.prove(new, Readable(table=table))
    with pytest.raises(ConsumerRejected):
        await database.prove(old, Readable(table=table))


async def test_a_login_of_somebody_else_is_refused_and_untouched(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    foreign = consumer()
    await play.create_login(foreign)
    with pytest.raises(Refused, match=foreign.username):
        await database.ensure_login(foreign.username, new_password(), OWNER, Holder())
    with pytest.raises(Refused, match=foreign.username):
        await database.grant(foreign.username, table, Holder())
    with pytest.raises(Refused, match=foreign.username):
        await database.revoke(foreign.username, [], Holder())
    with pytest.raises(Refused, match=foreign.username):
        await database.drop(foreign.username, Holder())
    assert await play.can_log_in(foreign)
    assert not await play.can_read(foreign, table)


async def test_dzgrants_logins_are_listed_by_their_mark(play: Playground, database: Database) -> None:
    ours, foreign = consumer(), consumer()
    await given(database, ours)
    await play.create_login(foreign)
    found = {one.login: one.owner for one in await database.marked()}
    assert ours.username in found
    assert found[ours.username] in (OWNER, None)
    assert foreign.username not in found


async def test_a_grant_opens_this_table_for_reading_and_nothing_else(play: Playground, database: Database) -> None:
    wanted, other = await play.create_table("orders"), await play.create_table("salaries")
    login = consumer()
    await given(database, login, wanted)
    assert await play.can_read(login, wanted)
    assert not await play.can_write(login, wanted)
    assert not await play.can_read(login, other)
    state = await database.describe(login.username)
    assert state is not None
    assert (state.marked, state.enabled, state.tables) == (True, True, (wanted,))


async def test_a_grant_made_eight_times_at_once_is_one(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    await given(database, login)
    async with asyncio.TaskGroup() as group:
        grants = [group.create_task(database.grant(login.username, table, Holder())) for _ in range(8)]
    assert not any(grant.result().public for grant in grants)
    await database.prove(login, Readable(table=table))


async def test_fifty_logins_get_one_table_at_once(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    logins = [consumer() for _ in range(50)]
    async with asyncio.TaskGroup() as group:
        for login in logins:
            group.create_task(given(database, login, table))
    for login in logins[::10]:
        await database.prove(login, Readable(table=table))
    async with asyncio.TaskGroup() as group:
        drops = [group.create_task(database.drop(login.username, Holder())) for login in logins]
    assert {drop.result().outcome for drop in drops} == {LoginOutcome.DROPPED}


async def test_a_view_is_granted_without_its_table(play: Playground, database: Database) -> None:
    base = await play.create_table("base")
    view = await play.create_view("Recent Orders", base)
    login = consumer()
    await given(database, login, await database.resolve(play.path(view)))
    await database.prove(login, Readable(table=view))
    assert not await play.can_read(login, base)


async def test_a_partitioned_table_is_granted_as_one(play: Playground, database: Database) -> None:
    table = await play.create_partitioned("events")
    login = consumer()
    await given(database, login, await database.resolve(play.path(table)))
    await database.prove(login, Readable(table=table))
    assert await play.can_read(login, table)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_is_a_name(play: Playground, database: Database, name: str) -> None:
    if not play.can_be_named(name):
        with pytest.raises(Refused):
            await database.resolve(play.path(play.table(name)))
        return
    table, other = await play.create_table(name), await play.create_table("secret_pay")
    login, stranger = consumer(), consumer()
    await given(database, stranger)
    await given(database, login, await database.resolve(play.path(table)))
    await database.prove(login, Readable(table=table))
    assert not await play.can_read(login, other)
    assert not await play.can_read(stranger, table)
    await database.revoke(login.username, [], Holder())
    assert not await play.can_read(login, table)
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


async def test_a_revoke_takes_what_is_not_kept_and_may_be_done_twice(play: Playground, database: Database) -> None:
    going, kept = await play.create_table("orders"), await play.create_table("items")
    login = consumer()
    await given(database, login, going, kept)
    for _ in range(2):
        await database.revoke(login.username, [kept], Holder())
        assert not await play.can_read(login, going)
        assert await play.can_read(login, kept)
    await database.revoke(consumer().username, [], Holder())


async def test_what_dzgrant_never_gives_is_seen_and_taken_and_what_is_kept_stays(play: Playground, database: Database) -> None:
    kept = await play.create_table("orders")
    login = consumer()
    await given(database, login, kept)
    before = await database.describe(login.username)
    assert before
    assert before.beyond == ()
    more = await play.give_more(login, kept)
    found = await database.describe(login.username)
    assert found
    assert set(found.beyond) == more
    for _ in range(2):
        await database.revoke(login.username, [kept], Holder())
        assert await database.describe(login.username) == before
    await database.prove(login, Readable(table=kept))
    await play.give_more(login, kept)
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


async def test_a_drop_leaves_nothing_and_may_be_done_twice(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    await given(database, login, table)
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
    assert await database.describe(login.username) is None
    assert not await play.can_log_in(login)
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.ABSENT


async def test_an_open_session_is_dead_after_a_drop(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    await given(database, login, table)
    async with play.reading(login, table) as next_row:
        assert await next_row() == 1
        assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
        with pytest.raises(SAID_NO):
            await next_row()


async def test_an_open_cursor_stops_when_only_its_table_is_revoked(play: Playground, database: Database) -> None:
    going, kept = await play.create_table("orders"), await play.create_table("items")
    login = consumer()
    await given(database, login, going, kept)
    async with play.reading(login, going) as next_row:
        assert await next_row() == 1
        await database.revoke(login.username, [kept], Holder())
        with pytest.raises(SAID_NO):
            await next_row()
    await database.prove(login, Readable(table=kept))


async def test_a_login_that_owns_something_is_disabled_and_says_what(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    await given(database, login, table)
    owned = await play.give_property(login)
    for _ in range(2):
        dropped = await database.drop(login.username, Holder())
        assert dropped.outcome is LoginOutcome.DISABLED
        assert owned in (dropped.detail or "")
        assert not await play.can_log_in(login)
    state = await database.describe(login.username)
    assert state is not None
    assert (state.marked, state.enabled, state.tables) == (True, False, ())


async def test_a_disabled_login_works_again_when_it_is_wanted_again(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    await given(database, login, table)
    await play.give_property(login)
    await database.drop(login.username, Holder())
    await given(database, login, table)
    await database.prove(login, Readable(table=table))


async def test_a_disabled_login_asks_to_be_enabled_again(play: Playground, database: Database) -> None:
    """And not for another way into the server, as a login that the server lets in from nowhere."""
    table = await play.create_table("orders")
    login = consumer()
    await given(database, login, table)
    await play.give_property(login)
    await database.drop(login.username, Holder())
    with pytest.raises(ConsumerRejected):
        await database.prove(login, Readable(table=table))


async def test_a_login_that_somebody_dropped_asks_to_be_made_again(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    with pytest.raises(ConsumerRejected, match=login.username):
        await database.grant(login.username, table, Holder())
    # MariaDB's GRANT would make it, without a password.
    assert await database.describe(login.username) is None


@pytest.mark.parametrize("whose", ["its own", "another's"])
async def test_a_consumer_with_the_lock_of_a_login_holds_nothing_up(play: Playground, impatient: Database, whose: str) -> None:
    """The servers' locks ask for no right, so that anyone can hold dzgrant's."""
    first, second = await play.create_table("orders"), await play.create_table("items")
    login, other = consumer(), consumer()
    await given(impatient, login, first)
    await given(impatient, other)
    holder = login if whose == "its own" else other
    async with play.holding(holder, login):
        await impatient.ensure_login(login.username, login.password, OWNER, Holder())
    async with play.holding(holder, login):
        await impatient.grant(login.username, second, Holder())
    async with play.holding(holder, login):
        await impatient.revoke(login.username, [second], Holder())
    assert not await play.can_read(login, first)
    assert await play.can_read(login, second)
    async with play.holding(holder, login):
        assert (await impatient.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


async def test_a_crowd_that_takes_the_lock_again_and_again_holds_nothing_up(play: Playground, impatient: Database) -> None:
    table = await play.create_table("orders")
    login, other = consumer(), consumer()
    await given(impatient, login, table)
    await given(impatient, other)
    held, stop = asyncio.Event(), asyncio.Event()

    async def hold_up() -> None:
        while not stop.is_set():
            with suppress(*SAID_NO):
                async with play.holding(other, login) as run:
                    held.set()
                    while not stop.is_set():
                        await run("SELECT 1")
                        await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(hold_up())
        await held.wait()
        try:
            dropped = await impatient.drop(login.username, Holder())
        finally:
            stop.set()
    assert dropped.outcome is LoginOutcome.DROPPED


async def test_a_worker_that_sleeps_with_the_lock_is_waited_for(play: Playground, impatient: Database) -> None:
    login = consumer()
    async with play.holding(play.admin, login) as run:
        with pytest.raises(Transient):
            await impatient.ensure_login(login.username, login.password, OWNER, Holder())
        assert await run("SELECT 1") == [(1,)]
    assert await impatient.describe(login.username) is None
    await given(impatient, login)


@dataclass(frozen=True, slots=True)
class ComingBack(Holder):
    """A permit whose every check finds the consumer with one session more, so that there is never a time without any."""

    open_session: Callable[[], object] = field(kw_only=True)

    def check(self, seconds: float) -> None:
        self.open_session()


@contextmanager
def coming_back(play: Playground, login: Credentials) -> Iterator[ComingBack]:
    sessions = AsyncExitStack()
    # A check waits for nothing on its own loop, so the consumer has another.
    elsewhere = asyncio.new_event_loop()
    thread = Thread(target=elsewhere.run_forever)
    thread.start()

    def there(work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, elsewhere).result(timeout=10)

    try:
        yield ComingBack(
            open_session=lambda: there(sessions.enter_async_context(play.server.session(database=play.database, login=login)))
        )
    finally:
        there(sessions.aclose())
        elsewhere.call_soon_threadsafe(elsewhere.stop)
        thread.join()
        elsewhere.close()


async def test_a_consumer_that_comes_back_at_once_does_not_keep_a_revoke_from_its_end(
    play: Playground, database: Database
) -> None:
    going, kept = await play.create_table("orders"), await play.create_table("items")
    login = consumer()
    await given(database, login, going, kept)
    with coming_back(play, login) as permit:
        async with asyncio.timeout(play.limits.statement_timeout / 2):
            await database.revoke(login.username, [kept], permit)
    assert not await play.can_read(login, going)


async def test_a_path_is_found_whatever_its_case(play: Playground, database: Database) -> None:
    table = await play.create_table("Örders")
    path = play.path(table)
    assert await database.resolve(replace(path, name=path.name.lower())) == table
    assert await database.resolve(replace(path, name=path.name.upper())) == table


async def test_an_ambiguous_path_is_refused_and_names_both(play: Playground, database: Database) -> None:
    tables = [await play.create_table(name) for name in ("Orders", "orders")]
    with pytest.raises(Refused, match=r"Orders.*orders"):
        await database.resolve(play.path(tables[0]))


async def test_a_missing_table_is_refused(play: Playground, database: Database) -> None:
    with pytest.raises(Refused, match="nowhere"):
        await database.resolve(play.path(play.table("nowhere")))
    login = consumer()
    await given(database, login)
    with pytest.raises(Refused, match="nowhere"):
        await database.grant(login.username, play.table("nowhere"), Holder())


async def test_access_that_everyone_has_is_reported(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    through = await play.let_everyone_read(table)
    login = consumer()
    await given(database, login)
    reach = await database.grant(login.username, table, Holder())
    assert reach.public
    assert through in (reach.through or "")


async def test_the_proof_fails_without_the_grant(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    await given(database, login)
    with pytest.raises(DzgrantError) as failed:
        await database.prove(login, Readable(table=table))
    assert not isinstance(failed.value, ConsumerRejected)


async def test_nothing_changes_when_the_lease_ends_too_soon(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login, too_short = consumer(), Holder(outlasts=play.limits.statement_timeout - 1)
    with pytest.raises(LeaseLost):
        await database.ensure_login(login.username, login.password, OWNER, too_short)
    assert await database.describe(login.username) is None
    await given(database, login)
    with pytest.raises(LeaseLost):
        await database.grant(login.username, table, too_short)
    assert not await play.can_read(login, table)
    await database.grant(login.username, table, Holder())
    with pytest.raises(LeaseLost):
        await database.revoke(login.username, [], too_short)
    with pytest.raises(LeaseLost):
        await database.drop(login.username, too_short)
    await database.prove(login, Readable(table=table))


@pytest.mark.parametrize("admin", ["rds-like"], indirect=True)
async def test_a_table_that_the_admin_may_not_give_names_the_statement(play: Playground, database: Database) -> None:
    table = await play.create_foreign_table("salaries")
    login = consumer()
    await given(database, login)
    with pytest.raises(Misconfigured, match=r"GRANT (SELECT|READ) ON .*salaries.* WITH GRANT OPTION"):
        await database.grant(login.username, table, Holder())
    assert not await play.can_read(login, table)


async def test_a_wrong_admin_password_is_told_apart(play: Playground) -> None:
    wrong = replace(play.admin, password=new_password())
    database = adapter(play.server.engine).open(play.source, wrong, play.limits)
    with pytest.raises(AdminRejected):
        await database.resolve(play.path(play.table("orders")))
    await database.close()


async def test_a_server_that_is_down_is_tried_again(play: Playground) -> None:
    database = adapter(play.server.engine).open(replace(play.source, port=free_port()), play.admin, play.limits)
    with pytest.raises(Transient):
        await database.resolve(play.path(play.table("orders")))
    await database.close()


async def test_a_server_that_nobody_vouches_for_gets_no_password(
    play: Playground, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = tmp_path_factory.mktemp("authority") / "ca.pem"
    CA().cert_pem.write_to_path(stranger)
    limits = replace(play.limits, ca_bundle=stranger)
    database = adapter(play.server.engine).open(play.source, play.admin, limits)
    with pytest.raises(Misconfigured, match="DZGRANT_DATABASE_CA_BUNDLE"):
        await database.resolve(play.path(play.table("orders")))
    await database.close()


async def test_a_certificate_for_another_host_is_no_certificate(play: Playground) -> None:
    # Another way to write 127.0.0.1, which the certificate does not name.
    source = replace(play.source, host="127.1")
    database = adapter(source.engine).open(source, play.admin, play.limits)
    with pytest.raises(Misconfigured, match=r"127\.1.*(certificate|DZGRANT_DATABASE_CA_BUNDLE)"):
        await database.resolve(play.path(play.table("orders")))
    with pytest.raises(Misconfigured, match=r"127\.1.*(certificate|DZGRANT_DATABASE_CA_BUNDLE)"):
        await database.prove(play.admin, Readable(table=play.table("orders")))
    await database.close()


async def test_no_password_is_written_anywhere(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    already = len(play.server.read_log())
    login = consumer()
    changed = replace(login, password=new_password())
    with capture_logs() as logged:
        await given(database, login, table)
        await given(database, changed, table)
        await database.prove(changed, Readable(table=table))
        with pytest.raises(ConsumerRejected) as rejected:
            await database.prove(login, Readable(table=table))
        await database.drop(login.username, Holder())
    server_log = play.server.read_log()[already:]
    assert login.username in server_log.lower()
    error = "".join(traceback.format_exception(rejected.value)) + repr(rejected.value)
    written = error + repr(logged) + repr(database) + server_log
    for credentials in (login, changed, play.admin):
        assert credentials.password.get_secret_value() not in written
