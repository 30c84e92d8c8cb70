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

from dzgrant.model import ALTERNATE, WHOLE, Credentials, LoginOutcome, Scope, Source, Table, TablePath


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
    sqlserver_driver: str = "auto"
    """Name or path of the ODBC driver for SQL Server, as DZGRANT_SQLSERVER_DRIVER has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose login it is: written into the login's marker, for people and for the sweep."""

    domain: str
    project: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """What a consumer reads: a table, or the view of dzgrant's that stands for it, and which of its columns."""

    table: Table
    columns: tuple[str, ...] | None = None
    """As the engine spells them, in the table's order; None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What `grant` led to, and what it saw beside its own work."""

    readable: Readable

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
    """The tables it was given, wholly or some columns of, in the source's database, in order; views of dzgrant's, too."""
    sessions: int
    beyond: tuple[str, ...] = ()
    """What else it was given, for a person: other rights, also to give on; on a schema, a database, a routine, the server; a
    role, an attribute of the login. dzgrant gives nothing of the kind, and `revoke` takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A login that bears dzgrant's mark, of whichever installation."""

    login: str
    owner: Owner | None
    """None: the engine's mark does not say whose it is."""


class Database(Protocol):
    """One source, opened with its admin login. Tasks share it; it keeps a small pool of connections."""

    async def resolve(self, path: TablePath) -> Table:
        """The one table, view, partitioned, materialised or foreign table that the path names, whatever its case.

        Raises `Refused` when none or several fit, naming them.
        """
        ...

    async def ensure_login(self, login: str, password: SecretStr | None, owner: Owner, permit: Permit) -> None:
        """Afterwards the login exists, is dzgrant's own and enabled, and has this password alone; TLS is required of it.

        Without a password it logs in by IAM database authentication instead, and by nothing else. Raises `Refused` for
        a login of this name without dzgrant's marker, which stays untouched; `PasswordRejected` when the server's rules
        refuse the password; `Unsupported` without a password where the engine or the server has no such authentication.
        """
        ...

    async def adopt(self, login: str, owner: Owner, permit: Permit) -> bool:
        """Marks a login that dzgrant did not make as its own, for a person has named it; else it stays as it is.

        Safe to repeat. Whether it is there. Raises `Refused` for one that bears somebody else's mark, and `Unsupported`
        where the engine can't take a login over.
        """
        ...

    async def grant(
        self, login: str, table: Table, permit: Permit, scopes: Collection[Scope] = WHOLE, *, settled: bool = False
    ) -> Reach:
        """Afterwards the login may read what the scopes together let it of the table, and no more of it; checked in the
        engine's catalogue. It may reach it, too (CONNECT, USAGE).

        Columns are granted as such where the engine can; rows, and columns where it can't, by a view in `views_in(login)`
        that dzgrant owns: the table itself is not readable then. What is given is given before what is more is taken,
        and what is taken is taken from open sessions too: after a crash nothing may be left to take, and they be open still.
        Where the same was given before and came to its end (`settled`), they stay as long as nothing is to change. Raises
        `Unsupported` for a filter that this table can't have.
        """
        ...

    async def prove(self, consumer: Credentials, readable: Readable) -> None:
        """Logs in as the consumer, over TLS, and reads it without fetching a row."""
        ...

    async def prove_by_privileges(self, login: str, readable: Readable) -> None:
        """As `prove`, by what the engine's catalogue says: for a login whose IAM token is not dzgrant's to make."""
        ...

    async def revoke(self, login: str, keep: Collection[Table], permit: Permit) -> None:
        """Afterwards the login can read no table but those to keep, has nothing of what `LoginState.beyond` names, and no open
        session: an open cursor would read on. Raises `Misconfigured`, last, for what the admin may not take away.

        A view of dzgrant's stays while its table is to keep, and goes when no login may read it. What it takes away is
        what the engine's catalogue says the login was given, so a renamed table is found too. A login that is not there
        is done already.
        """
        ...

    async def drop(self, login: str, permit: Permit) -> Dropped:
        """Disable, end its sessions, revoke all, drop; never CASCADE. A login that owns objects is left disabled.

        Views in `views_in(login)` that no login may read any more go, and the place itself when it is empty.
        Raises `Refused` for a login without dzgrant's marker, which stays untouched.
        """
        ...

    async def add_password(self, login: str, password: SecretStr, permit: Permit) -> bool:
        """Afterwards this password logs in, and the one before does too, until `retire_password`. Safe to repeat with the
        same password. False, with nothing changed: a login has but one password here, so that rotation takes a second login.

        Raises as `ensure_login`, and `ConsumerRejected` when the login is gone.
        """
        ...

    async def retire_password(self, login: str, permit: Permit) -> None:
        """Afterwards the newest password alone logs in. A login that is not there, or has but one, is done already."""
        ...

    async def describe(self, login: str) -> LoginState | None:
        """The login as it is, or None when there is none. Changes nothing."""
        ...

    async def marked(self) -> tuple[Marked, ...]:
        """Every login with dzgrant's mark, by the mark and not by its name: those of the server's other databases too, where
        logins are the server's. Changes nothing."""
        ...

    async def close(self) -> None:
        """Closes every connection; the database is not used afterwards."""
        ...


def views_in(login: str) -> str:
    """Where the views of a login's principal are: the schema, database or user that dzgrant owns; 29 characters.

    Both logins of a principal read the same views, so that what a consumer reads keeps its name through a rotation.
    """
    return login.removesuffix(ALTERNATE) + "_views"


class Adapter(Protocol):
    """The entry point's object. Opening connects to nothing yet."""

    def open(self, source: Source, admin: Credentials, limits: Limits) -> Database: ...
