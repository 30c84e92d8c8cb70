"""What the model holds, as frozen rows: a change replaces a row, so that a transaction can put the old one back."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.doubles.sqlserver.sql.syntax import Query
from tests.doubles.sqlserver.sql.types import Type, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A server principal: a login (S) or a server role (R)."""

    id: int
    name: str
    sid: bytes
    kind: str = "S"
    hash: bytes = b""
    disabled: bool = False
    policy: bool = True
    expiration: bool = False
    database: str = "master"
    language: str = "us_english"
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A database principal: a user (S) or a role (R)."""

    id: int
    name: str
    kind: str
    sid: bytes | None
    schema: str | None
    owner: int = 1
    fixed: bool = False
    created: datetime


@dataclass(frozen=True, slots=True)
class Schema:
    id: int
    name: str
    owner: int


@dataclass(frozen=True, slots=True)
class TableColumn:
    name: str
    type: Type
    nullable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A table (U) or a view (V)."""

    id: int
    name: str
    schema: int
    kind: str
    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[Value, ...], ...] = ()
    query: Query | None = None
    text: str = ""
    scheme: str | None = None
    created: datetime


@dataclass(frozen=True, slots=True)
class PermissionKey:
    """`kind` is sys.database_permissions.class_desc; `minor` a column's id, or 0."""

    kind: str
    major: int
    minor: int
    grantee: int
    permission: str
    grantor: int


GRANT, GRANT_OPTION, DENY, EXCEPTION = "G", "W", "D", "R"
"""sys.database_permissions.state; R: a column that was revoked while the whole object stays granted."""


@dataclass(slots=True, kw_only=True)
class Database:
    """`sensitive`: its collation tells upper case from lower."""

    id: int
    name: str
    owner: bytes
    sensitive: bool
    created: datetime
    state: str = "ONLINE"
    read_only: bool = False
    users: dict[int, User] = field(default_factory=dict)
    members: dict[tuple[int, int], bool] = field(default_factory=dict)
    """(role, member)"""
    schemas: dict[int, Schema] = field(default_factory=dict)
    things: dict[int, Thing] = field(default_factory=dict)
    permissions: dict[PermissionKey, str] = field(default_factory=dict)
    properties: dict[tuple[int, int, int, str], Value] = field(default_factory=dict)
    """(class, major id, minor id, name): sys.extended_properties."""
    partitioning: dict[tuple[str, str], bool] = field(default_factory=dict)

    @property
    def collation(self) -> str:
        return "Latin1_General_100_CS_AS" if self.sensitive else "SQL_Latin1_General_CP1_CI_AS"

    def fold(self, name: str) -> str:
        """Equal for names that are one in this database."""
        return name if self.sensitive else name.casefold()

    def same(self, first: str, second: str) -> bool:
        return self.fold(first) == self.fold(second)

    def user(self, name: str) -> User | None:
        return next((user for user in self.users.values() if self.same(user.name, name)), None)

    def user_of(self, sid: bytes) -> User | None:
        return next((user for user in self.users.values() if user.sid == sid), None)

    def schema(self, name: str) -> Schema | None:
        return next((schema for schema in self.schemas.values() if self.same(schema.name, name)), None)

    def thing(self, schema: str, name: str) -> Thing | None:
        within = self.schema(schema)
        return next(
            (thing for thing in self.things.values() if within and thing.schema == within.id and self.same(thing.name, name)),
            None,
        )

    def owner_of(self, thing: Thing) -> int:
        return self.schemas[thing.schema].owner


class Transaction:
    """What is to be put back, newest first. `name` is the number that the wire gives it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.depth = 1
        self._undo: list[Callable[[], None]] = []

    def put(self, table: dict[Any, Any], key: Hashable, row: object) -> None:
        """Sets a row, or removes it where `row` is None."""
        before = table.get(key)

        def undo() -> None:
            _set(table, key, before)

        self._undo.append(undo)
        _set(table, key, row)

    def set(self, database: Database, name: str, value: object) -> None:
        """Sets a property of the database itself."""
        before = getattr(database, name)
        self._undo.append(lambda: setattr(database, name, before))
        setattr(database, name, value)

    def mark(self) -> int:
        """Where a statement begins, for `undo`."""
        return len(self._undo)

    def undo(self, mark: int = 0) -> None:
        while len(self._undo) > mark:
            self._undo.pop()()


def _set(table: dict[Any, Any], key: Hashable, row: object) -> None:
    if row is None:
        table.pop(key, None)
    else:
        table[key] = row
