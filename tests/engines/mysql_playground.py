"""The contract suite's words in MySQL's and MariaDB's SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from dzgrant.localcloud.databases import Run
from dzgrant.model import Credentials, Table, TablePath
from tests.engines.playground import SAID_NO, Playground


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


class MysqlPlayground(Playground):
    @property
    def is_mariadb(self) -> bool:
        return self.server.flavour.startswith("MariaDB")

    @property
    def other_database(self) -> str:
        """One in which an admin like RDS's has no rights."""
        return f"{self.database}_theirs"

    @property
    def everyones_role(self) -> str:
        return f"{self.database}_all"

    async def tear_down(self) -> None:
        async with self.server.session() as run:
            await run(f"DROP DATABASE {quoted(self.database)}")
            await run(f"DROP DATABASE IF EXISTS {quoted(self.other_database)}")
            if not self.is_mariadb:
                await run("SET GLOBAL mandatory_roles = ''")
                await run(f"DROP ROLE IF EXISTS {self.everyones_role}")

    def table(self, name: str) -> Table:
        return Table(schema=self.database, name=name)

    def path(self, table: Table) -> TablePath:
        return TablePath(name=table.name)

    def sql(self, table: Table) -> str:
        return f"{quoted(table.schema)}.{quoted(table.name)}"

    async def create_table(self, name: str) -> Table:
        table = self.table(name)
        async with self.server.session(database=self.database) as run:
            await run(f"CREATE TABLE {self.sql(table)} (id int)")
            await run(f"INSERT INTO {self.sql(table)} VALUES (1), (2), (3)")
        return table

    async def create_view(self, name: str, over: Table) -> Table:
        table = self.table(name)
        await self.run(f"CREATE VIEW {self.sql(table)} AS SELECT id FROM {self.sql(over)}")
        return table

    async def create_partitioned(self, name: str) -> Table:
        table = self.table(name)
        await self.run(f"CREATE TABLE {self.sql(table)} (id int) PARTITION BY HASH (id) PARTITIONS 2")
        return table

    async def create_foreign_table(self, name: str) -> Table:
        table = Table(schema=self.other_database, name=name)
        await self.server.create_database(self.other_database)
        await self.run(f"CREATE TABLE {self.sql(table)} (id int)")
        return table

    async def create_login(self, login: Credentials) -> None:
        password = login.password.get_secret_value()
        await self.run(f"CREATE USER {login.username} IDENTIFIED BY '{password}'")

    async def let_everyone_read(self, table: Table) -> str:
        if self.is_mariadb:
            await self.run(f"GRANT SELECT ON {self.sql(table)} TO PUBLIC")
            return "PUBLIC"
        async with self.server.session() as run:
            await run(f"CREATE ROLE {self.everyones_role}")
            await run(f"GRANT SELECT ON {self.sql(table)} TO {self.everyones_role}")
            await run(f"SET GLOBAL mandatory_roles = '{self.everyones_role}'")
        return f"role {self.everyones_role}"

    async def give_property(self, login: Credentials) -> str:
        view = self.table("of_the_consumer")
        await self.run(f"CREATE DEFINER = {login.username} VIEW {self.sql(view)} AS SELECT 1 AS id")
        return f"view {view}"

    async def can_log_in(self, login: Credentials) -> bool:
        # Without a database: naming one asks for a right in it.
        try:
            await self.server.execute("SELECT 1", login=login)
        except SAID_NO:
            return False
        return True

    @asynccontextmanager
    async def reading(self, login: Credentials, table: Table) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        # HANDLER is the cursor of these servers that asks for the privilege once, when it is opened.
        async with self.server.session(database=self.database, login=login) as run:
            await run(f"HANDLER {self.sql(table)} OPEN AS reading")

            async def next_row() -> int:
                [(found,)] = await run("HANDLER reading READ NEXT")
                return int(found)

            yield next_row

    @asynccontextmanager
    async def holding(self, holder: Credentials, login: Credentials) -> AsyncIterator[Run]:
        async with self.server.session(login=holder) as run:
            await run(f"SELECT GET_LOCK('dzgrant:{login.username}', 30)")
            yield run
