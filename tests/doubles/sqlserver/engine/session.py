"""A session as its statements see it: who and where it is, its variables, options and transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from tests.doubles.sqlserver.engine.sources import lookup
from tests.doubles.sqlserver.model import rights
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.model.instance import Client, Instance
from tests.doubles.sqlserver.model.locks import Deadlock, Owner
from tests.doubles.sqlserver.model.rows import Database, Thing, Transaction, User
from tests.doubles.sqlserver.sql.cursor import Cursor
from tests.doubles.sqlserver.sql.types import BIGINT, INT, NVARCHAR, SYSNAME, Type, Value

if TYPE_CHECKING:
    from collections.abc import Hashable

    from tests.doubles.sqlserver.engine.query import Table
    from tests.doubles.sqlserver.sql.syntax import Query

_TRANSACTIONS = count(0x100)


class Blocked(Exception):
    """A read meets what another session has written, given or taken, and not committed."""

    def __init__(self, resource: Hashable) -> None:
        super().__init__(str(resource))
        self.resource = resource


@dataclass(slots=True)
class Options:
    lock_timeout: float | None = None
    """Seconds; None: for ever."""
    implicit_transactions: bool = False
    abort_on_error: bool = False
    dirty_reads: bool = False
    no_count: bool = False


@dataclass(slots=True)
class OpenCursor:
    query: Query
    table: Table | None = None
    at: int = 0


@dataclass(slots=True)
class Session:
    instance: Instance
    client: Client
    options: Options = field(default_factory=Options)
    variables: dict[str, tuple[Type, Value]] = field(default_factory=dict)
    cursors: dict[str, OpenCursor] = field(default_factory=dict)
    caught: SqlError | None = None
    row_count: int = 0
    last_error: int = 0
    fetch_status: int = 0

    @property
    def database(self) -> Database:
        return self.client.database

    def may(self, permission: str) -> bool:
        """A permission on the server."""
        return rights.on_server(self.instance, self.client.login, permission)

    def user_in(self, database: Database) -> User:
        user = rights.user_in(self.instance, self.client.login, database)
        if user is None:
            raise SqlError(916, self.client.login.name, database.name)
        return user

    @property
    def user(self) -> User:
        return self.user_in(self.database)

    def entered(self, name: str) -> Database:
        """A database that the session may use. Raises 911, 942 or 916."""
        database = self.instance.database(name)
        if database is None:
            raise SqlError(911, name)
        if database.state != "ONLINE":
            raise SqlError(942, database.name)
        self.user_in(database)
        return database

    def variable(self, name: str) -> tuple[Value, Type]:
        """Raises 137."""
        if name.startswith("@@"):
            return self._global(name[2:].upper())
        found = self.variables.get(name.casefold())
        if found is None:
            raise SqlError(137, name)
        return found[1], found[0]

    def assign(self, name: str, value: Value) -> None:
        """Raises 137; a text is cut to its variable's length."""
        if name.casefold() not in self.variables:
            raise SqlError(137, name)
        kind = self.variables[name.casefold()][0]
        self.variables[name.casefold()] = kind, value[: kind.length] if isinstance(value, str) and kind.length else value

    def _global(self, name: str) -> tuple[Value, Type]:
        transaction = self.client.transaction
        edition = "Babelfish for Aurora PostgreSQL" if self.instance.babelfish else "Microsoft SQL Server 2022 (double)"
        timeout = self.options.lock_timeout
        values: dict[str, tuple[Value, Type]] = {
            "SPID": (self.client.number, INT),
            "TRANCOUNT": (transaction.depth if transaction else 0, INT),
            "VERSION": (edition, NVARCHAR),
            "ROWCOUNT": (self.row_count, INT),
            "ERROR": (self.last_error, INT),
            "SERVERNAME": ("DOUBLE", SYSNAME),
            "LOCK_TIMEOUT": (-1 if timeout is None else int(timeout * 1000), INT),
            "FETCH_STATUS": (self.fetch_status, INT),
            "MAX_PRECISION": (38, INT),
            "DBTS": (None, BIGINT),
        }
        if name not in values:
            raise SqlError(137, f"@@{name}")
        return values[name]

    def parts(self, name: str) -> tuple[str, ...]:
        """A name in a text, as OBJECT_ID takes it; () where it is none."""
        try:
            at = Cursor(name)
            path = at.path()
        except SqlError:
            return ()
        return path if at.at_end else ()

    def single(self, name: str | None) -> str:
        """A name of one part in a text, with or without quotes."""
        parts = self.parts(name or "")
        return parts[0] if len(parts) == 1 else name or ""

    def find(self, name: str) -> Thing | None:
        """The object that a text names, where the session may see it: in this database only."""
        path = self.parts(name)
        if not path or (len(path) > 2 and not self.database.same(path[-3], self.database.name)):
            return None
        thing = lookup(self, self.database, path[-2] if len(path) > 1 and path[-2] else None, path[-1])
        return thing if thing and rights.sees_thing(self.database, self.user, thing) else None

    def reads(self, database: Database, thing: Thing) -> None:
        """READ COMMITTED: raises `Blocked` where another session's transaction has written there."""
        resource = (database.name, "rows", thing.id)
        if not self.options.dirty_reads and self.instance.locks.held_by_other(self.client.number, resource):
            raise Blocked(resource)

    def settled(self, database: Database, thing: Thing, user: User) -> None:
        """Raises `Blocked` where another session's transaction is giving or taking what the user has on the object."""
        for principal in rights.roles_of(database, user):
            resource = (database.name, "permission", thing.id, database.fold(database.users[principal].name))
            if self.instance.locks.held_by_other(self.client.number, resource):
                raise Blocked(resource)

    async def lock(self, resource: Hashable, *, shared: bool = False, owner: Owner | None = None) -> None:
        """Held until the transaction ends, unless another owner is given. Raises 1222 or 1205."""
        timeout = self.options.lock_timeout
        try:
            held = await self.instance.locks.acquire(owner or self.owner, resource, shared=shared, timeout=timeout)
        except Deadlock:
            raise SqlError(1205, self.client.number) from None
        if not held:
            raise SqlError(1222)

    @property
    def owner(self) -> Owner:
        return self.client.number, "transaction"

    def lock_owner(self, kind: str | None) -> Owner:
        return self.client.number, "session" if (kind or "").casefold() == "session" else "transaction"

    def lock_name(self, resource: str, principal: str = "public") -> Hashable:
        """Application locks belong to a database and a principal in it; their names are told apart by case."""
        return self.database.name, "application", self.database.fold(principal), resource

    def begin(self) -> Transaction:
        transaction = self.client.transaction
        if transaction is not None:
            transaction.depth += 1
            return transaction
        self.client.transaction = Transaction(next(_TRANSACTIONS))
        return self.client.transaction

    def end(self, *, commit: bool) -> None:
        transaction = self.client.transaction
        if transaction is not None and not commit:
            transaction.undo()
        self.client.transaction = None
        self.instance.locks.release_all(self.owner)

    def close(self) -> None:
        """The client has gone: what it began is undone, what it holds is free."""
        self.end(commit=False)
        self.instance.locks.release_all((self.client.number, "session"))
        if self.instance.clients.get(self.client.number) is self.client:
            del self.instance.clients[self.client.number]

    def reset(self) -> None:
        """As sp_reset_connection: a session that has just logged in."""
        self.end(commit=False)
        self.instance.locks.release_all((self.client.number, "session"))
        self.options, self.cursors = Options(), {}
