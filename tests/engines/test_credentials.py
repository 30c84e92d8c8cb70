"""What a login proves itself with, on every engine: a password alone, two at once, IAM; and what policies say to it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from dzgrant.engines.contract import Database, Readable
from dzgrant.errors import ConsumerRejected, DzgrantError, LeaseLost, PasswordRejected, Refused, Unsupported
from dzgrant.model import ALTERNATE, Comparison, Credentials, LoginOutcome, Operator, Scope
from dzgrant.passwords import new_password
from tests.engines.playground import OWNER, Ending, Holder, Playground, consumer


async def given(database: Database, login: Credentials) -> None:
    await database.ensure_login(login.username, login.password, OWNER, Holder())


def changed(login: Credentials) -> Credentials:
    return replace(login, password=new_password())


# --- two passwords ---


async def test_a_second_password_lets_both_in_until_the_first_is_retired(play: Playground, database: Database) -> None:
    first = consumer()
    second, third = changed(first), changed(first)
    await given(database, first)
    if not await database.add_password(first.username, second.password, Holder()):
        # One password for each login: nothing has changed, and rotation goes to the other login of the principal.
        assert await play.can_log_in(first)
        assert not await play.can_log_in(second)
        other = replace(second, username=first.username + ALTERNATE)
        await given(database, other)
        assert await play.can_log_in(other)
        await database.retire_password(first.username, Holder())
        assert await play.can_log_in(first)
        return
    assert [await play.can_log_in(login) for login in (first, second)] == [True, True]
    await database.retire_password(first.username, Holder())
    assert [await play.can_log_in(login) for login in (first, second)] == [False, True]
    assert await database.add_password(first.username, third.password, Holder())
    assert [await play.can_log_in(login) for login in (first, second, third)] == [False, True, True]


async def test_a_password_added_again_pushes_none_out(play: Playground, database: Database) -> None:
    first = consumer()
    second = changed(first)
    await given(database, first)
    added = await database.add_password(first.username, second.password, Holder())
    for _ in range(2):
        assert await database.add_password(first.username, second.password, Holder()) is added
    assert [await play.can_log_in(login) for login in (first, second)] == [True, added]
    for _ in range(2):
        await database.retire_password(first.username, Holder())
    assert [await play.can_log_in(login) for login in (first, second)] == [not added, added]


async def test_a_login_made_again_has_this_password_alone(play: Playground, database: Database) -> None:
    first = consumer()
    second, third = changed(first), changed(first)
    await given(database, first)
    await database.add_password(first.username, second.password, Holder())
    await given(database, third)
    assert [await play.can_log_in(login) for login in (first, second, third)] == [False, False, True]


async def test_a_login_cut_off_between_two_passwords_heals(play: Playground, database: Database) -> None:
    """The statement that sets the one, and that which retires the other, are not always the same."""
    first = consumer()
    second, third = changed(first), changed(first)
    await given(database, first)
    await database.add_password(first.username, second.password, Holder())
    for statements in range(3):
        with suppress(LeaseLost):
            await database.ensure_login(third.username, third.password, OWNER, Ending(statements=statements))
    await given(database, third)
    assert [await play.can_log_in(login) for login in (first, second, third)] == [False, False, True]


async def test_passwords_of_others_are_left_alone(play: Playground, database: Database) -> None:
    theirs = consumer()
    await play.create_login(theirs)
    # An engine with one password for each login need not look whose it is.
    with suppress(Refused):
        assert not await database.add_password(theirs.username, new_password(), Holder())
    with suppress(Refused):
        await database.retire_password(theirs.username, Holder())
    assert await play.can_log_in(theirs)


async def test_a_login_that_is_gone_has_nothing_to_retire(play: Playground, database: Database) -> None:
    login = consumer()
    await database.retire_password(login.username, Holder())
    with suppress(ConsumerRejected):
        assert not await database.add_password(login.username, login.password, Holder())
    assert await database.describe(login.username) is None


async def test_a_drop_takes_both_passwords(play: Playground, database: Database) -> None:
    first = consumer()
    second = changed(first)
    await given(database, first)
    await database.add_password(first.username, second.password, Holder())
    assert (await database.drop(first.username, Holder())).outcome is LoginOutcome.DROPPED
    await given(database, changed(first))
    assert [await play.can_log_in(login) for login in (first, second)] == [False, False]


# --- IAM ---


async def test_without_iam_authentication_a_login_without_a_password_is_refused(play: Playground, database: Database) -> None:
    """No server here is RDS; one that lacks its role, or its plugin, says so in one line."""
    login = consumer()
    with pytest.raises(Unsupported, match="IAM"):
        await database.ensure_login(login.username, None, OWNER, Holder())
    assert await database.describe(login.username) is None


async def test_a_login_by_iam_has_no_password(play: Playground, database: Database) -> None:
    table = await play.create_table("orders")
    login = consumer()
    async with play.iam():
        await given(database, login)
        for _ in range(2):
            await database.ensure_login(login.username, None, OWNER, Holder())
            assert not await play.can_log_in(login)
        reach = await database.grant(login.username, table, Holder())
        await database.prove_by_privileges(login.username, reach.readable)
        # Back to a password: as long as IAM is on, RDS takes none.
        await given(database, login)
        await database.prove(login, reach.readable)
        with pytest.raises(ConsumerRejected):
            await database.prove_by_privileges(login.username, reach.readable)
        await database.ensure_login(login.username, None, OWNER, Holder())
        assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED


async def test_the_proof_by_privileges_fails_for_what_is_not_granted(play: Playground, database: Database) -> None:
    table = await play.create_wide("orders", {"id": "int", "price": "int"}, [(1, 2)])
    login = consumer()
    async with play.iam():
        await database.ensure_login(login.username, None, OWNER, Holder())
        for scopes in (
            [Scope()],
            [Scope(columns=frozenset({"id"}))],
            [Scope(rows=Comparison(column="id", operator=Operator.EQUAL_TO, values=("1",)))],
        ):
            reach = await database.grant(login.username, table, Holder(), scopes)
            await database.prove_by_privileges(login.username, reach.readable)
            if scopes != [Scope()]:
                for more in (Readable(table=table), Readable(table=table, columns=("id", "price"))):
                    with pytest.raises(DzgrantError, match="can't read"):
                        await database.prove_by_privileges(login.username, more)
        await database.drop(login.username, Holder())
        with pytest.raises(ConsumerRejected):
            await database.prove_by_privileges(login.username, Readable(table=table))


# --- policies ---


async def test_a_password_that_the_policy_refuses_asks_for_a_new_one(play: Playground, database: Database) -> None:
    login = consumer()
    async with play.refuse_passwords():
        with pytest.raises(PasswordRejected):
            await given(database, login)
    assert not await play.can_log_in(login)
    await given(database, login)
    assert await play.can_log_in(login)
