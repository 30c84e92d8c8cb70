"""A login that dzgrant did not make becomes its own, because a person named it; its reader notices nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dzgrant.engines.contract import Database
from dzgrant.errors import Refused, Unsupported
from dzgrant.model import LoginOutcome
from tests.engines import sample
from tests.engines.playground import OWNER, Holder, Playground, consumer


async def test_an_adopted_login_keeps_its_password_and_is_dzgrants_to_narrow_and_to_drop(
    play: Playground, database: Database
) -> None:
    table, login = await play.create_table("orders"), consumer()
    assert play.server.engine == "sqlserver" or not await database.adopt(login.username, OWNER, Holder())
    await sample.make_login(play, login)
    if play.server.engine == "sqlserver":
        with pytest.raises(Unsupported, match="SID"):
            await database.adopt(login.username, OWNER, Holder())
        return
    await sample.grant(play, login, table)
    for _ in range(2):
        assert await database.adopt(login.username, OWNER, Holder())
    state = await database.describe(login.username)
    assert state is not None
    assert (state.marked, state.enabled) == (True, True)
    assert await play.can_read(login, table)
    await database.grant(login.username, table, Holder())
    assert await play.can_read(login, table)
    await database.revoke(login.username, [], Holder())
    assert not await play.can_read(login, table)
    assert (await database.drop(login.username, Holder())).outcome is LoginOutcome.DROPPED
    assert not await play.can_log_in(login)


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
async def test_a_login_that_bears_a_mark_already_is_left_as_it_is(play: Playground, database: Database) -> None:
    login, another = consumer(), consumer()
    await sample.make_login(play, login)
    await play.run(f"COMMENT ON ROLE {login.username} IS 'of the finance team'", play.admin)
    await database.ensure_login(another.username, another.password, replace(OWNER, environment="another"), Holder())
    for taken in (login, another):
        with pytest.raises(Refused, match=taken.username):
            await database.adopt(taken.username, OWNER, Holder())
    assert await play.run("SELECT rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = 'of the finance team'")


@pytest.mark.parametrize("server", ["mariadb", "mysql"], indirect=True)
async def test_a_name_that_two_accounts_have_is_left_as_it_is(play: Playground, database: Database) -> None:
    login = consumer()
    await sample.make_login(play, login)
    await play.run(f"CREATE USER '{login.username}'@'10.0.0.1' IDENTIFIED BY '{login.password.get_secret_value()}'")
    with pytest.raises(Refused, match=r"10\.0\.0\.1"):
        await database.adopt(login.username, OWNER, Holder())
    state = await database.describe(login.username)
    assert state is not None
    assert not state.marked
    await play.run(f"DROP USER '{login.username}'@'10.0.0.1'")
