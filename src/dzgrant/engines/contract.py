"""What an engine's adapter must do. Everything else about SQL stays inside the adapter.

An adapter is found through the entry-point group `dzgrant.engines`; the entry point's name is the engine's, as in
`Source.engine`, and its object is an `Adapter`. Every method that changes access is safe to run twice, asks its
`Permit` before each statement that changes access, and bounds each statement on the server. Errors are those of
`dzgrant.errors`, decided by the engine's error codes:

- `Transient`: no connection, a lock not got in time, a deadlock, a serialization failure, a read-only replica;
- `AdminRejected`: the admin's password was refused; `Misconfigured`: the admin lacks a right, TLS can't be verified;
- `ConsumerRejected`: the consumer's password was refused (`prove`), or its login is gone (`grant`);
- `Refused`: no such table, an ambiguous path, a login of this name that dzgrant did not make.

No error, and no log line of an adapter, holds a password or a statement that holds one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from dzgrant.model import Credentials, LoginOutcome, Source, Table, TablePath


class Permit(Protocol):
    """The right to change one principal, bounded in time: the ledger's lease."""

    @property
    def fence(self) -> int:
        """Grows with every new holder; an engine with transactional DDL refuses a smaller one than it has seen."""
        ...

    def check(self, seconds: float) -> None:
        """Raises `LeaseLost` unless the permit outlasts so many seconds from now, with a margin for clocks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the work on one source; times in seconds."""

    pool_size: int = 4
    connect_timeout: float = 5.0
    statement_timeout: float = 10.0
    lock_timeout: float = 5.0
    ca_bundle: Path | None = None
    """PEM file of the authorities that may vouch for a database server; None: the system's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose login it is: written into the login's marker, for people and for the sweep."""

    domain: str
    project: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What `grant` saw beside its own work."""

    public: bool
    """The table can be read without this grant too: through PUBLIC, a role, or a wider privilege."""
    through: str | None
    """Through what, for a person: `PUBLIC`, `role analysts`, ...; None when `public` is false."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """What became of a login, and why it is only disabled, where it is."""

    outcome: LoginOutcome
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginState:
    """A login as the engine has it now."""

    marked: bool
    enabled: bool
    tables: tuple[Table, ...]
    """The tables it was given, in the source's database, in order."""
    sessions: int


class Database(Protocol):
    """One source, opened with its admin login. Tasks share it; it keeps a small pool of connections."""

    async def resolve(self, path: TablePath) -> Table:
        """The one table, view, partitioned, materialised or foreign table that the path names, whatever its case.

        Raises `Refused` when none or several fit, naming them.
        """
        ...

    async def ensure_login(self, login: str, password: SecretStr, owner: Owner, permit: Permit) -> None:
        """Afterwards the login exists, is dzgrant's own and enabled, and has this password; TLS is required of it.

        Raises `Refused` for a login of this name without dzgrant's marker, which stays untouched.
        """
        ...

    async def grant(self, login: str, table: Table, permit: Permit) -> Reach:
        """Afterwards the login may SELECT from the table and reach it (CONNECT, USAGE); checked in the engine's catalogue."""
        ...

    async def prove(self, consumer: Credentials, table: Table) -> None:
        """Logs in as the consumer, over TLS, and reads the table without fetching a row."""
        ...

    async def revoke(self, login: str, keep: Collection[Table], permit: Permit) -> None:
        """Afterwards the login can read no table but those to keep, and has no open session: an open cursor would read on.

        What it takes away is what the engine's catalogue says the login was given, so a renamed table is found too.
        A login that is not there is done already.
        """
        ...

    async def drop(self, login: str, permit: Permit) -> Dropped:
        """Disable, end its sessions, revoke all, drop; never CASCADE. A login that owns objects is left disabled.

        Raises `Refused` for a login without dzgrant's marker, which stays untouched.
        """
        ...

    async def describe(self, login: str) -> LoginState | None:
        """The login as it is, or None when there is none. Changes nothing."""
        ...

    async def close(self) -> None:
        """Closes every connection; the database is not used afterwards."""
        ...


class Adapter(Protocol):
    """The entry point's object. Opening connects to nothing yet."""

    def open(self, source: Source, admin: Credentials, limits: Limits) -> Database: ...
