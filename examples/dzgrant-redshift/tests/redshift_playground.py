"""The contract suite's words, as far as they differ from PostgreSQL's."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from dzgrant.localcloud.databases import Run
from dzgrant.localcloud.databases.server import PostgresqlServer
from dzgrant.model import Credentials, Table
from tests.engines.playground import Playground
from tests.engines.postgresql_playground import PostgresqlPlayground, quoted


class RedshiftServer(PostgresqlServer):
    """A PostgreSQL that stands for a cluster."""

    engine = "redshift"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedshiftPlayground(PostgresqlPlayground):
    """A database of its own, since the adapter keeps its tables there."""

    database: str = field(default_factory=lambda: f"shop_{secrets.token_hex(4)}")

    async def set_up(self) -> None:
        await self.server.create_database(self.database, owner=self.admin)
        await self.run(f"CREATE SCHEMA {quoted(self.schema)} AUTHORIZATION {quoted(self.admin.username)}")

    async def tear_down(self) -> None:
        await self.server.execute(f"DROP DATABASE {quoted(self.database)} WITH (FORCE)")

    async def give_property(self, login: Credentials) -> str:
        table = self.table(f"own {login.username}")
        await self.run(f"CREATE TABLE {self.sql(table)} (id int)")
        await self.run(f"ALTER TABLE {self.sql(table)} OWNER TO {quoted(login.username)}")
        return str(table)

    async def give_more(self, login: Credentials, table: Table) -> set[str]:
        """The adapter looks at tables alone; skips."""
        return await Playground.give_more(self, login, table)

    @asynccontextmanager
    async def holding(self, holder: Credentials, login: Credentials) -> AsyncIterator[Run]:
        """The lock is on a table of the admin's, so that a consumer can't even ask for it."""
        async with self.server.session(database=self.database, login=holder) as run:
            if holder == self.admin:
                await run("BEGIN")
                if not await run("SELECT 1 FROM pg_class WHERE relname = 'logins'"):
                    await run("CREATE SCHEMA dzgrant")
                    await run("CREATE TABLE dzgrant.logins (login varchar(128), owner varchar(512), fence bigint)")
                    await run("CREATE TABLE dzgrant.grants (login varchar(128), relation bigint, what varchar(64))")
                    await run("COMMIT")
                    await run("BEGIN")
                await run("LOCK dzgrant.logins")
            yield run
