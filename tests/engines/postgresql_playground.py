"""The contract suite's words in PostgreSQL's SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from dzgrant.model import Credentials, Table, TablePath
from tests.engines.playground import Playground


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class PostgresqlPlayground(Playground):
    async def tear_down(self) -> None:
        await self.server.execute(f"DROP DATABASE {quoted(self.database)} WITH (FORCE)")

    def table(self, name: str) -> Table:
        return Table(schema="public", name=name)

    def path(self, table: Table) -> TablePath:
        return TablePath(name=f"{table.schema}.{table.name}")

    def sql(self, table: Table) -> str:
        return f"{quoted(table.schema)}.{quoted(table.name)}"

    async def create_table(self, name: str) -> Table:
        table = self.table(name)
        await self.run(f"CREATE TABLE {self.sql(table)} AS SELECT generate_series(1, 3) AS id")
        return await self._give_to_admin(table)

    async def create_view(self, name: str, over: Table) -> Table:
        table = self.table(name)
        await self.run(f"CREATE VIEW {self.sql(table)} AS SELECT id FROM {self.sql(over)}")
        return await self._give_to_admin(table)

    async def create_partitioned(self, name: str) -> Table:
        table, part = self.table(name), self.table(f"{name}_1")
        await self.run(f"CREATE TABLE {self.sql(table)} (id int) PARTITION BY RANGE (id)")
        await self.run(f"CREATE TABLE {self.sql(part)} PARTITION OF {self.sql(table)} FOR VALUES FROM (1) TO (9)")
        await self.run(f"INSERT INTO {self.sql(table)} SELECT generate_series(1, 3)")
        return await self._give_to_admin(table)

    async def create_foreign_table(self, name: str) -> Table:
        table = self.table(name)
        await self.run(f"CREATE TABLE {self.sql(table)} (id int)")
        return table

    async def create_login(self, login: Credentials) -> None:
        password = login.password.get_secret_value()
        await self.run(f"CREATE ROLE {quoted(login.username)} LOGIN PASSWORD '{password}'")

    async def let_everyone_read(self, table: Table) -> str:
        await self.run(f"GRANT SELECT ON {self.sql(table)} TO PUBLIC")
        return "PUBLIC"

    async def give_property(self, login: Credentials) -> str:
        [(large_object,)] = await self.run("SELECT lo_create(0)", login)
        return f"large object {large_object}"

    @asynccontextmanager
    async def reading(self, login: Credentials, table: Table) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        async with self.server.session(database=self.database, login=login) as run:
            await run(f"DECLARE reading CURSOR WITH HOLD FOR SELECT id FROM {self.sql(table)} ORDER BY id")

            async def next_row() -> int:
                [(found,)] = await run("FETCH 1 FROM reading")
                return int(found)

            yield next_row

    async def _give_to_admin(self, table: Table) -> Table:
        await self.run(f"ALTER TABLE {self.sql(table)} OWNER TO {quoted(self.admin.username)}")
        return table
