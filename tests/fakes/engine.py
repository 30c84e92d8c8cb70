"""An engine in memory, behind the real contract: logins with markers and passwords, grants, views, sessions.

Two kinds: one that checks the fence in a login's marker and gives a login one password (as PostgreSQL), and one that does
neither (as MySQL: no fence, two passwords at once). A statement goes over the `Line`, which may be late, fail, or be the last
thing that a worker does; what it changes, it changes whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from pydantic import SecretStr

from dzgrant.engines.contract import Database, Dropped, Limits, LoginState, Marked, Owner, Permit, Reach, Readable, views_in
from dzgrant.engines.filters import is_whole
from dzgrant.engines.marker import Marker, admitted
from dzgrant.errors import AdminRejected, ConsumerRejected, Misconfigured, Refused, Unsupported
from dzgrant.model import WHOLE, Credentials, LoginOutcome, Scope, Source, Table, TablePath

T = TypeVar("T")


class Line(Protocol):
    """Carries a statement, of this name and about this login, to the server, and its answer back."""

    async def __call__(self, name: str, statement: Callable[[], T], login: str | None) -> T: ...


@dataclass(slots=True)
class Login:
    """`passwords`: those that log in, the newest last; none: IAM. `tables`: what may be read of each."""

    marker: Marker | None
    passwords: list[str]
    enabled: bool = True
    tables: dict[Table, frozenset[Scope]] = field(default_factory=dict)
    owns: bool = False
    """Objects of its own: it can't be dropped."""


@dataclass(slots=True)
class Server:
    """One database. `paths`: what each path below it leads to; `fenced`: it checks markers' fences; `two_passwords`: a login
    may have two."""

    admin: str
    paths: dict[str, Table]
    fenced: bool
    two_passwords: bool
    logins: dict[str, Login] = field(default_factory=dict)

    def own(self, login: str, permit: Permit) -> Login | None:
        found = self.logins.get(login)
        if found is None:
            return None
        if found.marker is None:
            raise Refused(f"a login {login} exists that dzgrant did not make", do="rename or drop it")
        if self.fenced:
            found.marker = admitted(login, found.marker, permit)
        return found


class Engine:
    """The adapter. `servers` by `Source.key`."""

    def __init__(self, servers: dict[str, Server], line: Line) -> None:
        self._servers = servers
        self._line = line

    def open(self, source: Source, admin: Credentials, limits: Limits) -> Database:
        return _Database(self._servers[source.key], admin, limits, self._line)


class _Database:
    def __init__(self, server: Server, admin: Credentials, limits: Limits, line: Line) -> None:
        self._server = server
        self._admin = admin
        self._bound = limits.statement_timeout
        self._line = line

    async def _ask(self, name: str, statement: Callable[[], T], login: str | None = None, permit: Permit | None = None) -> T:
        def admit() -> T:
            if self._admin.password.get_secret_value() != self._server.admin:
                raise AdminRejected("the admin's password was refused", do="put the right one into its secret")
            return statement()

        if permit is not None:
            permit.check(self._bound)
        return await self._line(name, admit, login)

    async def resolve(self, path: TablePath) -> Table:
        def look() -> Table:
            found = [table for name, table in self._server.paths.items() if TablePath(name=name).key == path.key]
            if len(found) != 1:
                raise Refused(f"{len(found)} tables fit {path}", do="correct its location in Glue")
            return found[0]

        return await self._ask("resolve", look)

    async def ensure_login(self, login: str, password: SecretStr | None, owner: Owner, permit: Permit) -> None:
        def make() -> None:
            found = self._server.own(login, permit)
            if found is None:
                found = self._server.logins[login] = Login(None, [])
            found.marker = Marker(owner=owner, fence=permit.fence)
            found.passwords = [password.get_secret_value()] if password else []
            found.enabled = True

        await self._ask("ensure_login", make, login, permit)

    async def adopt(self, login: str, owner: Owner, permit: Permit) -> bool:
        raise Unsupported("the fake engine adopts no logins", do="use a real one")

    async def grant(
        self, login: str, table: Table, permit: Permit, scopes: Collection[Scope] = WHOLE, *, settled: bool = False
    ) -> Reach:
        def give() -> Reach:
            if table not in self._server.paths.values():
                raise Refused(f"no table {table}", do="publish it again under its new name")
            found = self._server.own(login, permit)
            if found is None:
                raise ConsumerRejected(f"the login {login} is gone")
            found.tables[table] = frozenset(scopes)
            return Reach(readable=_readable(login, table, scopes), public=False, through=None)

        return await self._ask("grant", give, login, permit)

    async def prove(self, consumer: Credentials, readable: Readable) -> None:
        def read() -> None:
            found = self._server.logins.get(consumer.username)
            if found is None or not found.enabled or consumer.password.get_secret_value() not in found.passwords:
                raise ConsumerRejected(f"{consumer.username} is refused")
            if all(_readable(consumer.username, table, scopes) != readable for table, scopes in found.tables.items()):
                raise Misconfigured(f"{consumer.username} can't read {readable.table}", do="grant it")

        await self._ask("prove", read)

    async def prove_by_privileges(self, login: str, readable: Readable) -> None:
        raise Unsupported("the fake engine has no IAM authentication", do="use a real one")

    async def revoke(self, login: str, keep: Collection[Table], permit: Permit) -> None:
        def take() -> None:
            found = self._server.own(login, permit)
            if found is not None:
                found.tables = {table: scopes for table, scopes in found.tables.items() if table in keep}

        await self._ask("revoke", take, login, permit)

    async def drop(self, login: str, permit: Permit) -> Dropped:
        def disable() -> bool:
            found = self._server.own(login, permit)
            if found is not None:
                found.enabled = False
            return found is not None

        def drop() -> Dropped:
            found = self._server.own(login, permit)
            if found is None:
                return Dropped(outcome=LoginOutcome.ABSENT)
            found.tables.clear()
            if found.owns:
                return Dropped(outcome=LoginOutcome.DISABLED, detail="it owns objects")
            del self._server.logins[login]
            return Dropped(outcome=LoginOutcome.DROPPED)

        if not await self._ask("disable", disable, login, permit):
            return Dropped(outcome=LoginOutcome.ABSENT)
        return await self._ask("drop", drop, login, permit)

    async def add_password(self, login: str, password: SecretStr, permit: Permit) -> bool:
        if not self._server.two_passwords:
            return False

        def add() -> bool:
            found = self._server.own(login, permit)
            if found is None:
                raise ConsumerRejected(f"the login {login} is gone")
            new = password.get_secret_value()
            if found.passwords[-1:] != [new]:
                found.passwords = [*found.passwords[-1:], new]
            return True

        return await self._ask("add_password", add, login, permit)

    async def retire_password(self, login: str, permit: Permit) -> None:
        def retire() -> None:
            if (found := self._server.own(login, permit)) is not None:
                found.passwords = found.passwords[-1:]

        if self._server.two_passwords:
            await self._ask("retire_password", retire, login, permit)

    async def describe(self, login: str) -> LoginState | None:
        def look() -> LoginState | None:
            found = self._server.logins.get(login)
            if found is None:
                return None
            tables = sorted(_readable(login, table, scopes).table for table, scopes in found.tables.items())
            return LoginState(marked=found.marker is not None, enabled=found.enabled, tables=tuple(tables), sessions=0)

        return await self._ask("describe", look)

    async def marked(self) -> tuple[Marked, ...]:
        def look() -> tuple[Marked, ...]:
            found = self._server.logins.items()
            return tuple(Marked(login=name, owner=one.marker.owner) for name, one in found if one.marker)

        return await self._ask("marked", look)

    async def close(self) -> None:
        """There is nothing to close."""


def _readable(login: str, table: Table, scopes: Collection[Scope]) -> Readable:
    """Columns are granted as such; rows by a view, as in PostgreSQL."""
    if is_whole(scopes):
        return Readable(table=table)
    columns = None
    if all(scope.columns is not None for scope in scopes):
        columns = tuple(sorted({column for scope in scopes for column in scope.columns or ()}))
    if any(scope.rows is not None for scope in scopes):
        return Readable(table=Table(schema=views_in(login), name=table.name), columns=columns)
    return Readable(table=table, columns=columns)
