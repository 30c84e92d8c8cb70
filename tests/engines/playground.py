"""What the contract suite needs to say in an engine's own SQL: one `Playground` for each engine, in a module of its own.

It acts as the superuser, or as a consumer: never through the adapter that is on trial.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import asyncpg
import oracledb
import pymysql
import pyodbc
import pytest
from pydantic import SecretStr

from dzgrant.engines.contract import Limits, Owner
from dzgrant.errors import LeaseLost
from dzgrant.localcloud.databases import Run, Server
from dzgrant.model import Credentials, Source, Table, TablePath
from dzgrant.passwords import new_password

SAID_NO = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    pymysql.MySQLError,
    pyodbc.Error,
    oracledb.Error,
    OSError,
)
"""How a driver says that the server refused, or ended the session."""

OWNER = Owner(domain="dzd_1", project="prj-1", environment="env-1")


@dataclass(frozen=True, slots=True)
class Holder:
    """The permit of a worker that holds the lease; with `outlasts`, for so many seconds."""

    fence: int = 1
    outlasts: float = 3600.0

    def check(self, seconds: float) -> None:
        if seconds > self.outlasts:
            raise LeaseLost("the lease ended")


@dataclass(slots=True)
class Ending:
    """The permit of a worker whose lease ends after so many statements: what a crash leaves is what it leaves."""

    statements: int
    fence: int = 1

    def check(self, seconds: float) -> None:
        if not self.statements:
            raise LeaseLost(f"the lease ended: a statement of {seconds} s has no room in it")
        self.statements -= 1


def consumer(password: SecretStr | None = None) -> Credentials:
    """A login that no other test uses."""
    return Credentials(username=f"dz_{secrets.token_hex(10)}", password=password or new_password())


@dataclass(frozen=True, slots=True, kw_only=True)
class Playground(ABC):
    """A place of its own for tables on a real server; `admin` is dzgrant's login there, and owns it."""

    server: Server
    admin: Credentials
    database: str = field(default_factory=lambda: f"shop_{secrets.token_hex(4)}")

    @property
    def hostile_columns(self) -> list[str]:
        """Names of columns that this engine can have."""
        return ['a"b', "a]b", "a`b", "a'b", "a\\", "x;--", "100%s %(x)s {y} :z", "Ünï", "select"]

    def can_be_named(self, name: str) -> bool:
        """A table can have this name."""
        return True

    @property
    def source(self) -> Source:
        return Source(engine=self.server.engine, host=self.server.host, port=self.server.port, database=self.database)

    @property
    def limits(self) -> Limits:
        return Limits(ca_bundle=self.server.ca_file)

    async def set_up(self) -> None:
        await self.server.create_database(self.database, owner=self.admin)

    @abstractmethod
    async def tear_down(self) -> None: ...

    @abstractmethod
    def table(self, name: str) -> Table:
        """A table of this name in the place that tables are in."""

    @abstractmethod
    def path(self, table: Table) -> TablePath:
        """As the catalogue spells it."""

    @abstractmethod
    def sql(self, table: Table) -> str:
        """The table's name, quoted."""

    @abstractmethod
    def quoted(self, name: str) -> str:
        """A column's name, quoted."""

    @abstractmethod
    async def create_wide(self, name: str, columns: Mapping[str, str], rows: Sequence[Sequence[int | str | None]]) -> Table:
        """With these columns, of kinds `int`, `text`, `date` and `blob`, and these rows; the admin's own."""

    @abstractmethod
    async def create_table(self, name: str) -> Table:
        """With one column, `id`, and the rows 1, 2 and 3; the admin's own."""

    @abstractmethod
    async def create_view(self, name: str, over: Table) -> Table: ...

    @abstractmethod
    async def create_partitioned(self, name: str) -> Table: ...

    @abstractmethod
    async def create_foreign_table(self, name: str) -> Table:
        """One that the admin neither owns nor may give away. Only asked for where the admin is no superuser."""

    @abstractmethod
    async def create_login(self, login: Credentials) -> None:
        """Somebody else's login, which dzgrant did not make."""

    @abstractmethod
    async def let_everyone_read(self, table: Table) -> str:
        """Gives SELECT to everyone, or to all there will be; returns what `Reach.through` names."""

    @abstractmethod
    async def give_property(self, login: Credentials) -> str:
        """Makes the login own something, or stand as its definer; returns what `Dropped.detail` names."""

    @abstractmethod
    async def grant_elsewhere(self, login: Credentials) -> None:
        """Gives the login something in another database of the server."""

    async def give_more(self, login: Credentials, table: Table) -> set[str]:
        """Gives the login, by hand, what dzgrant never gives, the admin's to take; returns what `LoginState.beyond` names."""
        pytest.skip(f"{self.server.flavour}: rights beyond SELECT on tables are not looked for here (docs/operations.md)")

    @abstractmethod
    def read_only(self) -> AbstractAsyncContextManager[None]:
        """The server takes no changes from the admin, like a replica."""

    @abstractmethod
    async def has_place(self, name: str) -> bool:
        """There is a schema, a database or a user of this name."""

    @abstractmethod
    async def create_place(self, name: str) -> Callable[[], Awaitable[None]]:
        """Somebody else's of this name, with a table in it; returns what removes it."""

    @abstractmethod
    def was_ended(self, error: BaseException) -> bool:
        """The driver says that the session was ended, not that the server refused a statement."""

    def iam(self) -> AbstractAsyncContextManager[None]:
        """The server offers IAM database authentication."""
        pytest.skip(f"{self.server.flavour} has no IAM authentication here: what can be run is the refusal")

    def refuse_passwords(self) -> AbstractAsyncContextManager[None]:
        """The server's policy refuses every password."""
        pytest.skip(f"{self.server.flavour} gets a verifier, which no password policy can judge")

    def localised(self) -> AbstractAsyncContextManager[None]:
        """The server speaks another language than English in new sessions."""
        pytest.skip(f"{self.server.flavour} has no messages in another language here")

    @abstractmethod
    def reading(self, login: Credentials, table: Table) -> AbstractAsyncContextManager[Callable[[], Awaitable[int]]]:
        """A session of the consumer's in the midst of reading the table: each call reads one more row, without asking anew
        for the privilege where the engine lets it."""

    @abstractmethod
    def holding(self, holder: Credentials, login: Credentials) -> AbstractAsyncContextManager[Run]:
        """A session of the holder's that has dzgrant's lock on the work on this login, after it waited for it if need be."""

    async def run(self, sql: str, login: Credentials | None = None) -> list[tuple[object, ...]]:
        """One statement in this database, as the superuser unless another login is given."""
        return await self.server.execute(sql, database=self.database, login=login)

    async def rows(self, login: Credentials, table: Table, *columns: str) -> list[tuple[object, ...]]:
        """What the login reads, in the order of the first column; all columns unless some are named."""
        names = ", ".join(map(self.quoted, columns)) or "*"
        return await self.run(f"SELECT {names} FROM {self.sql(table)} ORDER BY 1", login)

    async def can_log_in(self, login: Credentials) -> bool:
        return await self._goes_well("SELECT 1", login)

    async def can_read(self, login: Credentials, table: Table) -> bool:
        return await self._goes_well(f"SELECT * FROM {self.sql(table)}", login)

    async def can_read_column(self, login: Credentials, table: Table, column: str) -> bool:
        return await self._goes_well(f"SELECT {self.quoted(column)} FROM {self.sql(table)}", login)

    async def can_write(self, login: Credentials, table: Table) -> bool:
        return await self._goes_well(f"INSERT INTO {self.sql(table)} VALUES (4)", login)

    async def _goes_well(self, sql: str, login: Credentials) -> bool:
        try:
            await self.run(sql, login)
        except SAID_NO:
            return False
        return True
