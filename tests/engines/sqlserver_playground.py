"""The contract suite's words in T-SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import pyodbc
import pytest

from dzgrant.localcloud.databases import Run
from dzgrant.model import Credentials, Table, TablePath
from tests.doubles.sqlserver import DoubleServer, SqlServer
from tests.doubles.sqlserver.client import quoted
from tests.engines.playground import SAID_NO, Playground

_COLLATION = "Latin1_General_100_CS_AS"
_KINDS = {"int": "int", "text": "nvarchar(100)", "date": "date", "blob": "varbinary(max)"}


def literal(value: int | str | None) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "N'" + value.replace("'", "''") + "'"


class SqlserverPlayground(Playground):
    """A database of its own, which tells upper case from lower; its tables' schema needs quoting."""

    schema = "Sales 'eu'.x"

    @property
    def is_babelfish(self) -> bool:
        return self.server.flavour.startswith("Babelfish")

    @property
    def hostile_columns(self) -> list[str]:
        return [name for name in super().hostile_columns if not (self.is_babelfish and "]" in name)]

    @property
    def other_database(self) -> str:
        return f"{self.database}_theirs"

    async def set_up(self) -> None:
        assert isinstance(self.server, SqlServer)
        await self.server.create_database(self.database, owner=self.admin, collation=_COLLATION)
        await self.run(f"CREATE SCHEMA {quoted(self.schema)}")

    async def tear_down(self) -> None:
        async with self.server.session() as run:
            for name in (self.database, self.other_database):
                if await run(f"SELECT name FROM sys.databases WHERE name = {literal(name)}"):
                    await run(f"ALTER DATABASE {quoted(name)} SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
                    await run(f"DROP DATABASE {quoted(name)}")

    def table(self, name: str) -> Table:
        return Table(schema=self.schema, name=name)

    def path(self, table: Table) -> TablePath:
        return TablePath(name=f"{table.schema}.{table.name}")

    def sql(self, table: Table) -> str:
        return f"{quoted(table.schema)}.{quoted(table.name)}"

    def quoted(self, name: str) -> str:
        return quoted(name)

    async def create_wide(self, name: str, columns: Mapping[str, str], rows: Sequence[Sequence[int | str | None]]) -> Table:
        table = self.table(name)
        spelled = ", ".join(f"{quoted(column)} {_KINDS[kind]}" for column, kind in columns.items())
        await self.run(f"CREATE TABLE {self.sql(table)} ({spelled})")
        for row in rows:
            await self.run(f"INSERT INTO {self.sql(table)} VALUES ({', '.join(map(literal, row))})")
        return table

    async def create_table(self, name: str) -> Table:
        return await self.create_wide(name, {"id": "int"}, [(1,), (2,), (3,)])

    async def create_view(self, name: str, over: Table) -> Table:
        table = self.table(name)
        await self.run(f"CREATE VIEW {self.sql(table)} AS SELECT id FROM {self.sql(over)}")
        return table

    async def create_partitioned(self, name: str) -> Table:
        table = self.table(name)
        await self.run("CREATE PARTITION FUNCTION by_id (int) AS RANGE LEFT FOR VALUES (2)")
        await self.run("CREATE PARTITION SCHEME by_id AS PARTITION by_id ALL TO ([PRIMARY])")
        await self.run(f"CREATE TABLE {self.sql(table)} (id int) ON by_id (id)")
        return table

    async def create_foreign_table(self, name: str) -> Table:
        pytest.skip("nothing in a database is foreign to its owners, and dzgrant's admin must be one")

    async def create_login(self, login: Credentials) -> None:
        password = literal(login.password.get_secret_value())
        await self.run(f"CREATE LOGIN {quoted(login.username)} WITH PASSWORD = {password}")

    async def can_log_in(self, login: Credentials) -> bool:
        # To master, which is open to all: a login need not have a user in this database.
        try:
            await self.server.execute("SELECT 1", login=login)
        except SAID_NO:
            return False
        return True

    async def let_everyone_read(self, table: Table) -> str:
        await self.run(f"GRANT SELECT ON OBJECT::{self.sql(table)} TO public")
        return "PUBLIC"

    async def give_property(self, login: Credentials) -> str:
        await self.run(f"CREATE SCHEMA of_the_consumer AUTHORIZATION {quoted(login.username)}")
        return "schema of_the_consumer"

    async def grant_elsewhere(self, login: Credentials) -> None:
        name = quoted(login.username)
        await self.server.create_database(self.other_database)
        async with self.server.session(database=self.other_database) as run:
            await run("CREATE TABLE salaries (id int)")
            await run(f"CREATE USER {name} FOR LOGIN {name}")
            await run(f"GRANT SELECT ON OBJECT::dbo.salaries TO {name}")

    async def give_more(self, login: Credentials, table: Table) -> set[str]:
        """Rights on the server are no admin's like RDS's to take."""
        name, role = quoted(login.username), f"role of {self.database}"
        if not await self.run(f"SELECT name FROM sys.database_principals WHERE name = {literal(role)}"):
            await self.run(f"CREATE ROLE {quoted(role)}")
        await self.run(f"ALTER ROLE {quoted(role)} ADD MEMBER {name}")
        if self.is_babelfish:
            return {f"the role {role}"}
        for words in (
            f"SELECT ON OBJECT::{self.sql(table)} TO {name} WITH GRANT OPTION",
            f"INSERT, UPDATE (id) ON OBJECT::{self.sql(table)} TO {name}",
            f"EXECUTE ON SCHEMA::{quoted(self.schema)} TO {name} WITH GRANT OPTION",
            f"IMPERSONATE ON USER::dbo TO {name}",
            f"CREATE TABLE TO {name}",
        ):
            await self.run(f"GRANT {words}")
        await self.run(f"ALTER ROLE db_datareader ADD MEMBER {name}")
        here = {
            f"GRANT OPTION FOR SELECT on the object {table}",
            f"INSERT on the object {table}",
            f"UPDATE (id) on the object {table}",
            f"EXECUTE on the schema {self.schema}",
            "IMPERSONATE on the user dbo",
            "CREATE TABLE on the database",
            "the role db_datareader",
            f"the role {role}",
        }
        return here | (await self.give_of_the_server(login) if self.admin == self.server.admin else set())

    async def give_of_the_server(self, login: Credentials) -> set[str]:
        name = quoted(login.username)
        async with self.server.session() as run:
            await run(f"GRANT VIEW SERVER STATE TO {name} WITH GRANT OPTION")
            await run(f"GRANT IMPERSONATE ON LOGIN::{quoted(self.server.admin.username)} TO {name}")
            await run(f"ALTER SERVER ROLE processadmin ADD MEMBER {name}")
        return {
            "VIEW SERVER STATE on the server",
            f"IMPERSONATE on the login {self.server.admin.username}",
            "the server role processadmin",
        }

    async def has_place(self, name: str) -> bool:
        return bool(await self.run(f"SELECT name FROM sys.schemas WHERE name = {literal(name)}"))

    async def create_place(self, name: str) -> Callable[[], Awaitable[None]]:
        await self.run(f"CREATE SCHEMA {quoted(name)}")
        await self.run(f"CREATE TABLE {quoted(name)}.theirs (id int)")

        async def remove() -> None:
            await self.run(f"DROP TABLE {quoted(name)}.theirs")
            await self.run(f"DROP SCHEMA {quoted(name)}")

        return remove

    def was_ended(self, error: BaseException) -> bool:
        return not isinstance(error, pyodbc.Error) or str(error.args[0]).startswith("08")

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        async with self.server.session() as run:
            await run(f"ALTER DATABASE {quoted(self.database)} SET READ_ONLY WITH ROLLBACK IMMEDIATE")
            try:
                yield
            finally:
                await run(f"ALTER DATABASE {quoted(self.database)} SET READ_WRITE WITH ROLLBACK IMMEDIATE")

    @asynccontextmanager
    async def refuse_passwords(self) -> AsyncIterator[None]:
        if not isinstance(self.server, DoubleServer) or self.is_babelfish:
            pytest.skip(f"{self.server.flavour} has a password policy of its own, or none")
        instance = self.server.double.instance
        instance.strict_policy = True
        try:
            yield
        finally:
            instance.strict_policy = False

    @asynccontextmanager
    async def localised(self) -> AsyncIterator[None]:
        """Sessions of this admin speak German from now on."""
        admin = quoted(self.admin.username)
        await self.server.execute(f"ALTER LOGIN {admin} WITH DEFAULT_LANGUAGE = German")
        try:
            yield
        finally:
            await self.server.execute(f"ALTER LOGIN {admin} WITH DEFAULT_LANGUAGE = us_english")

    @asynccontextmanager
    async def reading(self, login: Credentials, table: Table) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        async with self.server.session(database=self.database, login=login) as run:
            await run(f"DECLARE reading CURSOR GLOBAL STATIC FOR SELECT id FROM {self.sql(table)} ORDER BY id; OPEN reading")

            async def next_row() -> int:
                [(found,)] = await run("FETCH NEXT FROM reading")
                return int(found)

            yield next_row

    @asynccontextmanager
    async def holding(self, holder: Credentials, login: Credentials) -> AsyncIterator[Run]:
        """dzgrant locks as dbo, which a consumer can't: its lock of this name is another."""
        principal = "dbo" if holder == self.admin else "public"
        async with self.server.session(database=self.database, login=holder) as run:
            await run(
                f"EXEC sp_getapplock @Resource = N'dzgrant login {login.username}', @LockMode = N'Exclusive', "
                f"@LockOwner = N'Session', @LockTimeout = 30000, @DbPrincipal = N'{principal}'"
            )
            yield run
