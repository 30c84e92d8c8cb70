"""The contract suite's words in Oracle's SQL."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import oracledb
import pytest

from dzgrant.engines.oracle.session import lock_id
from dzgrant.localcloud.databases import Run
from dzgrant.model import Credentials, Table, TablePath
from tests.doubles.oracle.server import OracleServer
from tests.engines.playground import Playground

_ENDED = {"DPY-1001", "DPY-4011", "ORA-00028", "ORA-01012", "ORA-03113", "ORA-03114", "ORA-03135"}
"""Codes by which the driver or the server says that the session was ended."""
_KINDS = {"int": "NUMBER(10)", "text": "VARCHAR2(200)", "code": "CHAR(9)", "date": "DATE", "blob": "BLOB"}
_PROFILE_OF_ALL = "ALTER PROFILE DEFAULT LIMIT PASSWORD_VERIFY_FUNCTION"


def quoted(name: str) -> str:
    """Nothing escapes a `"` in a name, since none can hold one."""
    return f'"{name}"'


def user(name: str) -> str:
    """As dzgrant spells it here."""
    return quoted(name.upper())


def _literal(value: int | str | None, kind: str) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    text = "'" + value.replace("'", "''") + "'"
    return f"DATE {text}" if kind == "date" else text


@dataclass(frozen=True, kw_only=True)
class OraclePlayground(Playground):
    """A schema of its own, since a pluggable database takes minutes to make; its name needs quoting."""

    server: OracleServer
    database: str = OracleServer.default_database
    schema: str = field(default_factory=lambda: f"Sales {secrets.token_hex(4)}.eu")

    @property
    def hostile_columns(self) -> list[str]:
        return [name for name in super().hostile_columns if self.can_be_named(name)]

    def can_be_named(self, name: str) -> bool:
        return '"' not in name

    async def set_up(self) -> None:
        await self.server.create_database(self.schema, owner=self.admin)

    @property
    def role(self) -> str:
        """A role of this playground's; `give_of_the_server` makes it."""
        return f"Role of {self.schema}"

    async def tear_down(self) -> None:
        if await self._has_role():
            await self.run(f"DROP ROLE {quoted(self.role)}")
        await self.run(f"DROP USER {quoted(self.schema)} CASCADE")

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
        kinds = list(columns.values())
        async with self.server.session(database=self.database) as run:
            spelled = ", ".join(f"{quoted(column)} {_KINDS[kind]}" for column, kind in columns.items())
            await run(f"CREATE TABLE {self.sql(table)} ({spelled})")
            for row in rows:
                await run(f"INSERT INTO {self.sql(table)} VALUES ({', '.join(map(_literal, row, kinds))})")
        return table

    async def create_table(self, name: str) -> Table:
        return await self.create_wide(name, {"id": "int"}, [(1,), (2,), (3,)])

    async def create_view(self, name: str, over: Table) -> Table:
        table = self.table(name)
        await self.run(f'CREATE VIEW {self.sql(table)} AS SELECT "id" FROM {self.sql(over)}')
        return table

    async def create_partitioned(self, name: str) -> Table:
        table = self.table(name)
        await self.run(
            f'CREATE TABLE {self.sql(table)} ("id" NUMBER(10)) PARTITION BY RANGE ("id") '
            "(PARTITION low VALUES LESS THAN (3), PARTITION high VALUES LESS THAN (MAXVALUE))"
        )
        return table

    async def create_foreign_table(self, name: str) -> Table:
        # GRANT ANY OBJECT PRIVILEGE does not reach what is SYS's. It stays: SYS has no schema to throw away.
        table = Table(schema="SYS", name=f"{name} {secrets.token_hex(4)}")
        self.server.as_sysdba(f'CREATE TABLE {quoted(table.name)} ("id" NUMBER(10))')
        return table

    async def create_login(self, login: Credentials) -> None:
        async with self.server.session(database=self.database) as run:
            await run(f'CREATE USER {user(login.username)} IDENTIFIED BY "{login.password.get_secret_value()}"')
            await run(f"GRANT CREATE SESSION TO {user(login.username)}")

    async def let_everyone_read(self, table: Table) -> str:
        await self.run(f"GRANT READ ON {self.sql(table)} TO PUBLIC")
        return "PUBLIC"

    async def give_property(self, login: Credentials) -> str:
        await self.run(f"CREATE TABLE {user(login.username)}.theirs (id NUMBER)")
        return f"{login.username.upper()}.THEIRS"

    async def grant_elsewhere(self, login: Credentials) -> None:
        pytest.skip("an Oracle user is of one pluggable database: there is no elsewhere")

    async def _has_role(self) -> bool:
        return bool(await self.run(f"SELECT role FROM dba_roles WHERE role = '{self.role}'"))

    async def give_more(self, login: Credentials, table: Table) -> set[str]:
        """System privileges and roles are no admin's like RDS's to take."""
        name = user(login.username)
        await self.run(f"GRANT READ ON {self.sql(table)} TO {name} WITH GRANT OPTION")
        await self.run(f"GRANT SELECT, INSERT, DELETE ON {self.sql(table)} TO {name}")
        await self.run(f'GRANT UPDATE ("id") ON {self.sql(table)} TO {name}')
        await self.run(f"GRANT EXECUTE ON rdsadmin.rdsadmin_util TO {name}")
        rights = ("READ WITH GRANT OPTION", "SELECT", "INSERT", "DELETE", "UPDATE (id)")
        here = {*(f"{right} on the table {table}" for right in rights), "EXECUTE on the package RDSADMIN.RDSADMIN_UTIL"}
        return here | (await self.give_of_the_server(login) if self.admin == self.server.admin else set())

    async def give_of_the_server(self, login: Credentials) -> set[str]:
        name = user(login.username)
        if not await self._has_role():
            await self.run(f"CREATE ROLE {quoted(self.role)}")
        await self.run(f"GRANT {quoted(self.role)} TO {name}")
        await self.run(f"GRANT CREATE SESSION TO {name} WITH ADMIN OPTION")
        await self.run(f"GRANT SELECT ANY TABLE TO {name}")
        return {
            f"the role {self.role}",
            "CREATE SESSION WITH ADMIN OPTION on the whole database",
            "SELECT ANY TABLE on the whole database",
        }

    async def has_place(self, name: str) -> bool:
        return bool(await self.run(f"SELECT 1 FROM dba_users WHERE username = '{name.upper()}'"))

    async def create_place(self, name: str) -> Callable[[], Awaitable[None]]:
        await self.server.create_database(name.upper())
        await self.run(f"CREATE TABLE {user(name)}.theirs (id NUMBER)")

        async def remove() -> None:
            await self.run(f"DROP USER {user(name)} CASCADE")

        return remove

    async def can_log_in(self, login: Credentials) -> bool:
        return await self._goes_well("SELECT 1 FROM dual", login)

    def was_ended(self, error: BaseException) -> bool:
        return not isinstance(error, oracledb.Error) or error.args[0].full_code in _ENDED

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        self._reopen("READ ONLY")
        try:
            yield
        finally:
            self._reopen("READ WRITE")

    def _reopen(self, mode: str) -> None:
        self.server.as_sysdba(f"ALTER PLUGGABLE DATABASE {self.database} CLOSE IMMEDIATE")
        self.server.as_sysdba(f"ALTER PLUGGABLE DATABASE {self.database} OPEN {mode}")

    @asynccontextmanager
    async def refuse_passwords(self) -> AsyncIterator[None]:
        self.server.as_sysdba(
            "CREATE OR REPLACE FUNCTION refuse_all(username VARCHAR2, password VARCHAR2, old_password VARCHAR2) "
            "RETURN BOOLEAN IS BEGIN RETURN FALSE; END;"
        )
        await self.run(f"{_PROFILE_OF_ALL} refuse_all")
        try:
            yield
        finally:
            await self.run(f"{_PROFILE_OF_ALL} NULL")

    @asynccontextmanager
    async def localised(self) -> AsyncIterator[None]:
        self.server.as_sysdba(
            "CREATE OR REPLACE TRIGGER in_german AFTER LOGON ON DATABASE "
            "BEGIN EXECUTE IMMEDIATE 'ALTER SESSION SET NLS_LANGUAGE = GERMAN'; END;"
        )
        try:
            yield
        finally:
            self.server.as_sysdba("DROP TRIGGER in_german")

    @asynccontextmanager
    async def reading(self, login: Credentials, table: Table) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        async with self.server.connection(database=self.database, login=login) as connection:
            cursor = connection.cursor()
            # Else the driver would have all of it before the first row is asked for.
            cursor.arraysize, cursor.prefetchrows = 1, 0
            await cursor.execute(f'SELECT "id" FROM {self.sql(table)} ORDER BY "id"')

            async def next_row() -> int:
                row = await cursor.fetchone()
                assert row is not None
                return int(row[0])

            yield next_row

    @asynccontextmanager
    async def holding(self, holder: Credentials, login: Credentials) -> AsyncIterator[Run]:
        lock = (
            "DECLARE got INTEGER; BEGIN "
            f"got := DBMS_LOCK.REQUEST(id => {lock_id(login.username)}, lockmode => DBMS_LOCK.X_MODE, timeout => 30); END;"
        )
        async with self.server.session(database=self.database, login=holder) as run:
            if holder == self.admin:
                await run(lock)
            else:
                # Unlike in the other engines, only those that were given the package can.
                with pytest.raises(oracledb.DatabaseError, match="PLS-00201"):
                    await run(lock)

            async def in_dual(sql: str) -> list[tuple[object, ...]]:
                return await run(f"{sql} FROM dual")

            yield in_dual
