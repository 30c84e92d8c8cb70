"""What each changing statement locks, and where it is allowed; the changes themselves are in their own modules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING

from tests.doubles.sqlserver.engine import data, definitions, permits, principals
from tests.doubles.sqlserver.engine.sources import lookup, thing_at
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.model.rows import Transaction
from tests.doubles.sqlserver.sql import statements as s
from tests.doubles.sqlserver.sql.syntax import Query
from tests.doubles.sqlserver.sql.types import Value

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.query import Table
    from tests.doubles.sqlserver.engine.session import Session

Rows = list[tuple[Value, ...]]
Ask = Callable[["Session", Query], Awaitable["Table"]]
_ON_SERVER = (s.LoginStatement, s.CreateDatabase, s.AlterDatabase, s.Kill)


def check_place(session: Session, statement: s.Statement) -> None:
    """Raises 226 or 6115 within a transaction, 3906 in a database that is only read."""
    within = session.client.transaction is not None
    whole_database = isinstance(statement, s.CreateDatabase | s.AlterDatabase)
    if within and (whole_database or (isinstance(statement, s.Drop) and statement.kind == "DATABASE")):
        raise SqlError(226, "CREATE DATABASE" if isinstance(statement, s.CreateDatabase) else "ALTER DATABASE")
    if within and isinstance(statement, s.Kill):
        raise SqlError(6115)
    of_server = isinstance(statement, _ON_SERVER) or (isinstance(statement, s.Drop) and statement.kind in ("LOGIN", "DATABASE"))
    of_server = of_server or (isinstance(statement, s.Authorize) and statement.kind == "DATABASE")
    if session.database.read_only and not of_server:
        raise SqlError(3906, session.database.name)


def resources(session: Session, statement: s.Statement) -> list[Hashable]:
    """What the statement locks until its transaction ends: the rows that it will write, as the server's catalogue has them."""
    if session.instance.deadlocks:
        session.instance.deadlocks -= 1
        raise SqlError(1205, session.client.number)
    database = session.database
    match statement:
        case s.LoginStatement(name=name):
            return [("login", name.casefold())]
        case s.Drop("LOGIN", (name,)):
            return [("login", name.casefold())]
        case s.UserStatement(name=name) | s.RoleStatement(name=name) | s.Drop("USER" | "ROLE", (name,)):
            return [(database.name, "user", database.fold(name))]
        case s.Permit(kind=kind, path=path, grantees=grantees):
            thing = lookup(session, database, path[0] if len(path) > 1 else None, path[-1]) if kind == "OBJECT" else None
            place = thing.id if thing else (kind, *path)
            return [(database.name, "permission", place, database.fold(name)) for name in grantees]
        case s.CreateSchema(name=name) | s.Drop("SCHEMA", (name,)):
            return [(database.name, "schema", database.fold(name))]
        case s.CreateView(path=path) | s.CreateTable(path=path) | s.Drop(_, path):
            return [(database.name, "object", tuple(database.fold(part) for part in path)), *_definition(session, path)]
        case s.Insert(path) | s.Update(path) | s.Delete(path):
            found, thing = thing_at(session, path)
            return [(found.name, "rows", thing.id)]
    return []


def _definition(session: Session, path: tuple[str, ...]) -> list[Hashable]:
    """What a reader of the object holds while it reads."""
    thing = lookup(session, session.database, path[-2] if len(path) > 1 else None, path[-1])
    return [("definition", session.database.name, thing.id)] if thing else []


async def prepare(session: Session, statement: s.Statement, ask: Ask) -> Rows:
    """The rows of a query that the statement needs."""
    query = data.query_of(session, statement)
    return (await ask(session, query)).rows if query is not None else []


def change(session: Session, transaction: Transaction, statement: s.Statement, rows: Rows) -> int | None:
    """Does it; returns how many rows it touched, where it says so."""
    match statement:
        case s.LoginStatement() | s.UserStatement() | s.RoleStatement():
            principals.change(session, transaction, statement)
        case s.Drop("LOGIN" | "USER" | "ROLE"):
            principals.drop(session, transaction, statement)
        case s.Permit():
            permits.permit(session, transaction, statement)
        case s.Insert() | s.Update() | s.Delete():
            return data.change(session, transaction, statement, rows)
        case s.Kill(number):
            _kill(session, number)
        case _:
            definitions.change(session, transaction, statement)
    return None


def _kill(session: Session, number: int) -> None:
    """Tells the session's connection to end: it is gone a moment later, as on the server."""
    if not session.may("ALTER ANY CONNECTION"):
        raise SqlError(6102)
    if not 1 <= number <= 32767:
        raise SqlError(6101, number)
    if number == session.client.number:
        raise SqlError(6104)
    client = session.instance.clients.get(number)
    if client is None:
        raise SqlError(6106, number)
    client.end()
