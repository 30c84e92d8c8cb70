"""The contract suite's words in MySQL's and MariaDB's SQL."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count

import pymysql
import pytest
from pymysql.constants import CR, ER

from dzgrant.localcloud.databases import Run
from dzgrant.model import Credentials, Table, TablePath
from tests.engines.playground import Playground

_ENDED = {CR.CR_SERVER_LOST, CR.CR_SERVER_GONE_ERROR, ER.QUERY_INTERRUPTED, ER.SERVER_SHUTDOWN, 1927, 0}
"""Numbers by which the driver says that the session was ended; 1927 is MariaDB's own."""


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _literal(value: int | str | None) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _row_by_row(run: Run, table: str) -> Callable[[], Awaitable[int]]:
    offsets = count()

    async def next_row() -> int:
        [(found,)] = await run(f"SELECT id FROM {table} ORDER BY id LIMIT 1 OFFSET {next(offsets)}")
        return int(found)

    return next_row


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

    async def set_up(self) -> None:
        await super().set_up()
        if self.admin != self.server.admin:
            # What RDS's master has on all data, and dzgrant asks for its views.
            places = r"`dz\_%\_views`.*"
            await self.server.execute(
                f"GRANT CREATE, CREATE VIEW, SHOW VIEW, DROP, SELECT ON {places} TO {self.admin.username} WITH GRANT OPTION"
            )

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

    def quoted(self, name: str) -> str:
        return quoted(name)

    async def create_wide(self, name: str, columns: Mapping[str, str], rows: Sequence[Sequence[int | str | None]]) -> Table:
        table = self.table(name)
        spelled = ", ".join(f"{quoted(column)} {kind}" for column, kind in columns.items())
        await self.run(f"CREATE TABLE {self.sql(table)} ({spelled}) CHARACTER SET utf8mb4")
        for row in rows:
            await self.run(f"INSERT INTO {self.sql(table)} VALUES ({', '.join(map(_literal, row))})")
        return table

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

    async def run(self, sql: str, login: Credentials | None = None) -> list[tuple[object, ...]]:
        # Naming a database asks for a right in it, and a consumer may have none but in that of its views.
        return await self.server.execute(sql, database=None if login else self.database, login=login)

    async def grant_elsewhere(self, login: Credentials) -> None:
        await self.server.create_database(self.other_database)
        await self.run(f"CREATE TABLE {quoted(self.other_database)}.salaries (id int)")
        await self.run(f"GRANT SELECT ON {quoted(self.other_database)}.salaries TO {login.username}")

    async def give_more(self, login: Credentials, table: Table) -> set[str]:
        role, routine = f"role_{secrets.token_hex(4)}", f"{quoted(table.schema)}.{quoted('odd; `name')}"
        async with self.server.session() as run:
            await run(f"CREATE ROLE {role}")
            await run(f"GRANT {role} TO {self.admin.username} WITH ADMIN OPTION")
            await run(f"DROP PROCEDURE IF EXISTS {routine}")
            await run(f"CREATE PROCEDURE {routine}() SELECT 1")
            for given in (
                f"INSERT, SELECT ON {self.sql(table)} TO {login.username} WITH GRANT OPTION",
                f"UPDATE (id) ON {self.sql(table)} TO {login.username}",
                f"SELECT, DELETE ON {quoted(table.schema)}.* TO {login.username}",
                f"EXECUTE ON PROCEDURE {routine} TO {login.username}",
                f"PROCESS ON *.* TO {login.username}",
                f"{role} TO {login.username}",
            ):
                await run(f"GRANT {given}")
        return {
            f"GRANT OPTION, INSERT on the table {table}",
            f"UPDATE on the column {table}.id",
            f"DELETE, SELECT on the databases {table.schema}",
            f"EXECUTE on the procedure {table.schema}.odd; `name",
            "PROCESS on the whole server",
            f"the role {role}",
        }

    @asynccontextmanager
    async def localised(self) -> AsyncIterator[None]:
        await self.server.execute("SET GLOBAL lc_messages = 'de_DE'")
        try:
            with pytest.raises(pymysql.MySQLError) as said:
                await self.server.execute("SELECT nowhere")
            if "Unknown" in str(said.value):
                pytest.skip(f"this {self.server.flavour} comes without messages in German")
            yield
        finally:
            await self.server.execute("SET GLOBAL lc_messages = 'en_US'")

    async def has_place(self, name: str) -> bool:
        return bool(await self.run(f"SELECT 1 FROM information_schema.schemata WHERE schema_name = '{name}'"))

    async def create_place(self, name: str) -> Callable[[], Awaitable[None]]:
        await self.server.create_database(name)
        await self.run(f"CREATE TABLE {name}.theirs (id int)")

        async def remove() -> None:
            await self.run(f"DROP DATABASE {name}")

        return remove

    def was_ended(self, error: BaseException) -> bool:
        return not isinstance(error, pymysql.MySQLError) or error.args[0] in _ENDED

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        if self.is_mariadb and self.admin == self.server.admin:
            pytest.skip("a MariaDB of this age lets its superuser write to a replica")
        variable = "read_only" if self.is_mariadb else "super_read_only"
        await self.server.execute(f"SET GLOBAL {variable} = ON")
        try:
            yield
        finally:
            await self.server.execute("SET GLOBAL read_only = OFF")

    @asynccontextmanager
    async def reading(self, login: Credentials, table: Table) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        async with self.server.session(login=login) as run:
            # HANDLER is the cursor of these servers that asks for the privilege once, when it is opened; views have none,
            # nor tables of which only columns may be read.
            try:
                # MySQL says no when it is read first, not when it is opened.
                await run(f"HANDLER {self.sql(table)} OPEN AS trial")
                await run("HANDLER trial READ FIRST")
                await run(f"HANDLER {self.sql(table)} OPEN AS reading")
            except pymysql.MySQLError:
                yield _row_by_row(run, self.sql(table))
                return

            async def next_row() -> int:
                [(found, *_)] = await run("HANDLER reading READ NEXT")
                return int(found)

            yield next_row

    @asynccontextmanager
    async def holding(self, holder: Credentials, login: Credentials) -> AsyncIterator[Run]:
        async with self.server.session(login=holder) as run:
            await run(f"SELECT GET_LOCK('dzgrant:{login.username}', 30)")
            yield run
