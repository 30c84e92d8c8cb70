"""The contract suite's words in PostgreSQL's SQL."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import pytest

from dzgrant.localcloud.databases import Run
from dzgrant.model import Credentials, Table, TablePath
from tests import locales
from tests.engines.playground import Playground


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: int | str | None) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlPlayground(Playground):
    """A schema of its own, since a database takes a second to make; its name needs quoting."""

    database: str = "shop"
    schema: str = field(default_factory=lambda: f'Sales "{secrets.token_hex(4)}".eu')

    async def set_up(self) -> None:
        admin = quoted(self.admin.username)
        async with self.server.session() as run:
            # Two of these at once would update one row of the catalogue: "tuple concurrently updated".
            await run("SELECT pg_advisory_lock(1)")
            if not await run(f"SELECT FROM pg_database WHERE datname = '{self.database}'"):
                await self.server.create_database(self.database)
            await run(f"GRANT ALL ON DATABASE {self.database} TO {admin} WITH GRANT OPTION")
        await self.run(f"CREATE SCHEMA {quoted(self.schema)} AUTHORIZATION {admin}")

    async def tear_down(self) -> None:
        await self.run(f"DROP SCHEMA {quoted(self.schema)} CASCADE")

    def table(self, name: str) -> Table:
        return Table(schema=self.schema, name=name)

    def path(self, table: Table) -> TablePath:
        return TablePath(name=f"{table.schema}.{table.name}")

    def sql(self, table: Table) -> str:
        return f"{quoted(table.schema)}.{quoted(table.name)}"

    def quoted(self, name: str) -> str:
        return quoted(name)

    async def create_wide(self, name: str, columns: Mapping[str, str], rows: Sequence[Sequence[int | str | None]]) -> Table:
        table, types = self.table(name), {"blob": "jsonb"}
        spelled = ", ".join(f"{quoted(column)} {types.get(kind, kind)}" for column, kind in columns.items())
        await self.run(f"CREATE TABLE {self.sql(table)} ({spelled})")
        for row in rows:
            await self.run(f"INSERT INTO {self.sql(table)} VALUES ({', '.join(map(_literal, row))})")
        return await self._give_to_admin(table)

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

    async def grant_elsewhere(self, login: Credentials) -> None:
        async with self.server.session() as run:
            await run(f"CREATE SCHEMA {login.username} AUTHORIZATION {quoted(self.admin.username)}")
            await run(f"GRANT USAGE ON SCHEMA {login.username} TO {login.username}")

    async def give_more(self, login: Credentials, table: Table) -> set[str]:
        role, schema = f"role_{secrets.token_hex(4)}", quoted(table.schema)
        routine = f'{schema}."odd; name"(a integer, b text)'
        async with self.server.session(database=self.database, login=self.admin) as run:
            await run(f"CREATE ROLE {role}")
            await run(f"CREATE OR REPLACE FUNCTION {routine} RETURNS integer LANGUAGE sql AS 'SELECT 1'")
            for given in (
                f"INSERT, UPDATE (id) ON {self.sql(table)} TO {login.username} WITH GRANT OPTION",
                f"SELECT ON {self.sql(table)} TO {login.username} WITH GRANT OPTION",
                f"CREATE ON SCHEMA {schema} TO {login.username}",
                f"CREATE ON DATABASE {self.database} TO {login.username}",
                f"EXECUTE ON FUNCTION {routine} TO {login.username}",
                f"{role} TO {login.username} WITH ADMIN OPTION",
            ):
                await run(f"GRANT {given}")
        attributes = ["CREATEDB", "CREATEROLE"]
        if self.admin == self.server.admin:
            attributes += ["SUPERUSER", "REPLICATION", "BYPASSRLS"]
        await self.run(f"ALTER ROLE {login.username} {' '.join(attributes)}")
        return {
            *(f"the attribute {attribute}" for attribute in attributes),
            f"INSERT, UPDATE on TABLE {schema}.{table.name}",
            f"GRANT OPTION FOR SELECT on TABLE {schema}.{table.name}",
            f"CREATE on SCHEMA {schema}",
            f"CREATE on DATABASE {self.database}",
            f"EXECUTE on ROUTINE {routine}",
            f"the role {role}",
        }

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        admin = quoted(self.admin.username)
        await self.run(f"ALTER ROLE {admin} SET default_transaction_read_only = on")
        try:
            yield
        finally:
            async with self.server.session() as run:
                await run("SET default_transaction_read_only = off")
                await run(f"ALTER ROLE {admin} RESET default_transaction_read_only")

    @asynccontextmanager
    async def localised(self) -> AsyncIterator[None]:
        locales.make_german()
        try:
            await self.run(f"ALTER DATABASE shop SET lc_messages = '{locales.GERMAN}'")
        except asyncpg.InvalidParameterValueError:
            pytest.skip(f"the machine of this {self.server.flavour} has no locale {locales.GERMAN}")
        try:
            with pytest.raises(asyncpg.PostgresError) as said:
                await self.run("SELECT 1 / 0")
            if "Division durch Null" not in str(said.value):
                pytest.skip(f"this {self.server.flavour} comes without messages in German")
            yield
        finally:
            await self.run("ALTER DATABASE shop RESET lc_messages")

    async def has_place(self, name: str) -> bool:
        return bool(await self.run(f"SELECT FROM pg_namespace WHERE nspname = '{name}'"))

    async def create_place(self, name: str) -> Callable[[], Awaitable[None]]:
        await self.run(f"CREATE SCHEMA {name}")
        await self.run(f"CREATE TABLE {name}.theirs (id int)")

        async def remove() -> None:
            await self.run(f"DROP SCHEMA {name} CASCADE")

        return remove

    def was_ended(self, error: BaseException) -> bool:
        # 42: no right, no such table; 3F: no such schema.
        return not (getattr(error, "sqlstate", None) or "").startswith(("42", "3F"))

    @asynccontextmanager
    async def iam(self) -> AsyncIterator[None]:
        """What can be shown here: who is in the role. The token is RDS's own matter."""
        await self.run("CREATE ROLE rds_iam")
        if self.admin != self.server.admin:
            await self.run(f"GRANT rds_iam TO {quoted(self.admin.username)} WITH ADMIN OPTION")
        try:
            yield
        finally:
            await self.run("DROP ROLE rds_iam")

    @asynccontextmanager
    async def reading(self, login: Credentials, table: Table) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        async with self.server.session(database=self.database, login=login) as run:
            await run(f"DECLARE reading CURSOR WITH HOLD FOR SELECT id FROM {self.sql(table)} ORDER BY id")

            async def next_row() -> int:
                [(found,)] = await run("FETCH 1 FROM reading")
                return int(found)

            yield next_row

    @asynccontextmanager
    async def holding(self, holder: Credentials, login: Credentials) -> AsyncIterator[Run]:
        async with self.holding_key(holder, f"dzgrant login {login.username}") as run:
            yield run

    @asynccontextmanager
    async def holding_key(self, holder: Credentials, key: str) -> AsyncIterator[Run]:
        async with self.server.session(database=self.database, login=holder) as run:
            await run(f"SELECT pg_advisory_lock(hashtextextended('{key}', 0))")
            yield run

    async def _give_to_admin(self, table: Table) -> Table:
        await self.run(f"ALTER TABLE {self.sql(table)} OWNER TO {quoted(self.admin.username)}")
        return table
