"""The statements as values: what the grammar makes of a batch, and the engine runs."""

from __future__ import annotations

from dataclasses import dataclass

from tests.doubles.sqlserver.sql.syntax import Condition, Expression, Path, Query
from tests.doubles.sqlserver.sql.types import Type


@dataclass(frozen=True, slots=True)
class Return:
    """Queries, and what steers a batch."""

    query: Query


@dataclass(frozen=True, slots=True)
class Declare:
    variables: tuple[tuple[str, Type, Expression | None], ...]


@dataclass(frozen=True, slots=True)
class Assign:
    variable: str
    value: Expression


@dataclass(frozen=True, slots=True)
class SetOption:
    name: str
    value: str | int


@dataclass(frozen=True, slots=True)
class Use:
    database: str


@dataclass(frozen=True, slots=True)
class If:
    condition: Condition
    then: Statement
    otherwise: Statement | None


@dataclass(frozen=True, slots=True)
class While:
    condition: Condition
    body: Statement


@dataclass(frozen=True, slots=True)
class Block:
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Try:
    body: Block
    catch: Block


@dataclass(frozen=True, slots=True)
class Stop:
    """RETURN."""


@dataclass(frozen=True, slots=True)
class Transaction:
    verb: str
    """BEGIN, COMMIT or ROLLBACK."""


@dataclass(frozen=True, slots=True)
class Print:
    text: Expression


@dataclass(frozen=True, slots=True)
class Throw:
    """Without arguments: the error that the CATCH block caught."""

    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class RaiseError:
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Execute:
    procedure: Path
    arguments: tuple[tuple[str | None, Expression], ...]
    into: str | None


@dataclass(frozen=True, slots=True)
class ExecuteText:
    text: Expression


@dataclass(frozen=True, slots=True)
class WaitFor:
    seconds: float


@dataclass(frozen=True, slots=True)
class Kill:
    session: int


@dataclass(frozen=True, slots=True)
class CursorStatement:
    """DECLARE (with its query), OPEN, FETCH, CLOSE, DEALLOCATE."""

    verb: str
    name: str
    query: Query | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginStatement:
    """CREATE LOGIN and ALTER LOGIN."""

    verb: str
    name: str
    password: str | bytes | None = None
    """Bytes: HASHED."""
    sid: bytes | None = None
    policy: bool | None = None
    expiration: bool | None = None
    database: str | None = None
    language: str | None = None
    enabled: bool | None = None
    renamed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserStatement:
    verb: str
    name: str
    login: str | None = None
    without_login: bool = False
    schema: str | None = None
    renamed: str | None = None


@dataclass(frozen=True, slots=True)
class RoleStatement:
    """CREATE (with its owner), ADD or DROP (a member)."""

    verb: str
    name: str
    other: str | None
    server: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """`kind` as the statement says it: LOGIN, USER, ROLE, SCHEMA, TABLE, VIEW, DATABASE."""

    kind: str
    path: Path
    if_exists: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    verb: str
    """GRANT, REVOKE or DENY."""
    permissions: tuple[tuple[str, tuple[str, ...]], ...]
    """Each with its columns."""
    kind: str
    """OBJECT, SCHEMA, DATABASE, SERVER, LOGIN or USER."""
    path: Path
    grantees: tuple[str, ...]
    option: bool = False
    """WITH GRANT OPTION, or REVOKE GRANT OPTION FOR."""
    cascade: bool = False
    grantor: str | None = None


@dataclass(frozen=True, slots=True)
class CreateSchema:
    name: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class CreateView:
    path: Path
    columns: tuple[str, ...]
    query: Query
    text: str
    or_alter: bool
    alter: bool = False


@dataclass(frozen=True, slots=True)
class CreateTable:
    path: Path
    columns: tuple[tuple[str, Type, bool], ...]
    """Each with its name, its type, and whether it may be null."""
    scheme: str | None


@dataclass(frozen=True, slots=True)
class CreatePartition:
    """A partition FUNCTION or SCHEME."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class CreateDatabase:
    name: str
    collation: str | None


@dataclass(frozen=True, slots=True)
class AlterDatabase:
    name: str
    option: str
    immediate: bool
    """WITH ROLLBACK IMMEDIATE."""


@dataclass(frozen=True, slots=True)
class Authorize:
    """ALTER AUTHORIZATION."""

    kind: str
    path: Path
    owner: str


@dataclass(frozen=True, slots=True)
class Insert:
    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[Expression, ...], ...]
    query: Query | None


@dataclass(frozen=True, slots=True)
class Update:
    path: Path
    changes: tuple[tuple[str, Expression], ...]
    where: Condition | None


@dataclass(frozen=True, slots=True)
class Delete:
    path: Path
    where: Condition | None


Flow = Return | Declare | Assign | SetOption | Use | If | While | Block | Try | Stop | Transaction | Print | Throw | RaiseError
Work = Execute | ExecuteText | WaitFor | Kill | CursorStatement | Insert | Update | Delete
Security = LoginStatement | UserStatement | RoleStatement | Permit | Authorize
Definition = Drop | CreateSchema | CreateView | CreateTable | CreatePartition | CreateDatabase | AlterDatabase
Statement = Flow | Work | Security | Definition
