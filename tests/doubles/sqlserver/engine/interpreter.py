"""Runs a batch: statement after statement, in a transaction of its own each, or in the session's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tests.doubles.sqlserver.engine import changes, procedures
from tests.doubles.sqlserver.engine.query import Table, answer
from tests.doubles.sqlserver.engine.replies import Began, Columns, Done, Ended, Failed, Moved, Noted, Reply, Row
from tests.doubles.sqlserver.engine.session import Blocked, OpenCursor, Session
from tests.doubles.sqlserver.model.failures import SqlError, german, raised
from tests.doubles.sqlserver.sql import statements as s
from tests.doubles.sqlserver.sql.batches import parse
from tests.doubles.sqlserver.sql.syntax import Case, Condition, Expression, Item, Literal, Query, Select
from tests.doubles.sqlserver.sql.types import Type, Value


class _Return(Exception):
    """RETURN: the batch ends here."""


async def run(session: Session, batch: str, parameters: dict[str, tuple[Type, Value]]) -> AsyncIterator[Reply]:
    """The replies of a batch; its errors are among them."""
    outer, session.variables = session.variables, {name.casefold(): value for name, value in parameters.items()}
    session.client.running = True
    try:
        for statement in parse(batch, babelfish=session.instance.babelfish):
            async for reply in run_one(session, statement):
                yield reply
                if isinstance(reply, Failed) and _ends_batch(session, reply.error):
                    return
    except _Return:
        return
    except SqlError as error:
        session.last_error = error.number
        yield Failed(_as_seen(session, error))
        yield Done()
    finally:
        session.variables = outer
        session.client.running = False


def _ends_batch(session: Session, error: SqlError) -> bool:
    return error.ends_batch or session.options.abort_on_error


def _as_seen(session: Session, error: SqlError) -> SqlError:
    return error.in_babelfish() if session.instance.babelfish else error


async def run_one(session: Session, statement: s.Statement) -> AsyncIterator[Reply]:
    """One statement, to its `Done`. What it did is undone when it fails, and more where the server undoes more."""
    try:
        async for reply in _steer(session, statement):
            yield reply
        session.last_error = 0
    except SqlError as error:
        session.last_error = error.number
        transaction = session.client.transaction
        if transaction is not None and (error.number == 1205 or session.options.abort_on_error):
            session.end(commit=False)
            yield Ended(transaction.number, committed=False)
        if error.ends_batch and not isinstance(statement, s.Try):
            raise
        yield Failed(_as_seen(session, error))
        yield Done()


async def _steer(session: Session, statement: s.Statement) -> AsyncIterator[Reply]:  # noqa: C901 - one arm each
    match statement:
        case s.Return(query):
            async for reply in _return(session, query):
                yield reply
        case s.Declare(variables):
            for name, kind, value in variables:
                if name.casefold() in session.variables:
                    raise SqlError(134, f"The variable name '{name}' has already been declared.")
                session.variables[name.casefold()] = kind, None
                if value is not None:
                    session.assign(name, await evaluate(session, value))
        case s.Assign(name, value):
            session.assign(name, await evaluate(session, value))
        case s.SetOption(name, setting):
            async for reply in _set(session, name, setting):
                yield reply
        case s.Use(name):
            old, session.client.database = session.database.name, session.entered(name)
            yield Moved(session.database.name, old)
            yield Done()
        case s.If() | s.While() | s.Block() | s.Try():
            async for reply in _nest(session, statement):
                yield reply
        case s.Stop():
            raise _Return
        case s.Transaction(verb):
            yield _transaction(session, verb)
            yield Done()
        case s.Print(text):
            yield Noted(0, str(await evaluate(session, text) or " "))
            yield Done()
        case s.Throw(arguments) | s.RaiseError(arguments):
            raise await _error(session, statement, arguments)
        case s.WaitFor(seconds):
            await asyncio.sleep(seconds)
            yield Done()
        case s.ExecuteText(text):
            found = await evaluate(session, text)
            async for reply in run(session, str(found or ""), {}):
                yield reply
        case s.Execute():
            async for reply in procedures.execute(session, statement, evaluate, run):
                yield reply
        case s.CursorStatement():
            async for reply in _cursor(session, statement):
                yield reply
        case _:
            async for reply in _change(session, statement):
                yield reply


async def _return(session: Session, query: Query) -> AsyncIterator[Reply]:
    items = query.selects[0].items
    table = await ask(session, query)
    session.row_count = len(table.rows)
    if any(item.variable for item in items):
        for item, value in zip(items, table.rows[-1] if table.rows else (), strict=False):
            if item.variable is None:
                raise SqlError(
                    141, "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval."
                )
            session.assign(item.variable, value)
        return
    # A definition that is being read can't change until the client has taken the last row.
    owner = (session.client.number, "result")
    for resource in table.reads:
        await session.lock(resource, shared=True, owner=owner)
    try:
        async for reply in _rows(table, table.rows):
            yield reply
    finally:
        session.instance.locks.release_all(owner)


async def _rows(table: Table, rows: list[tuple[Value, ...]]) -> AsyncIterator[Reply]:
    yield Columns(table.names, table.types)
    for row in rows:
        yield Row(row)
    yield Done(len(rows))


async def ask(session: Session, query: Query) -> Table:
    """The answer to a query, once what it reads is committed. Raises 1222 or 1205."""
    while True:
        try:
            return answer(session, query)
        except Blocked as blocked:
            await session.lock(blocked.resource, shared=True)
            session.instance.locks.release(session.owner, blocked.resource)


async def evaluate(session: Session, expression: Expression) -> Value:
    if isinstance(expression, Literal):
        return expression.value
    return (await ask(session, _query(expression))).rows[0][0]


async def holds(session: Session, condition: Condition) -> bool:
    return bool(await evaluate(session, Case(((condition, Literal(1)),), Literal(0))))


def _query(expression: Expression) -> Query:
    return Query((Select((Item(expression, None),), False, None, (), None, (), None),), (), ())


async def _set(session: Session, name: str, value: str | int) -> AsyncIterator[Reply]:
    options = session.options
    match name:
        case "LOCK_TIMEOUT":
            options.lock_timeout = None if int(value) < 0 else int(value) / 1000
        case "IMPLICIT_TRANSACTIONS":
            options.implicit_transactions = value == "ON"
        case "NOCOUNT":
            options.no_count = value == "ON"
        case "XACT_ABORT":
            options.abort_on_error = value == "ON"
        case "ISOLATION":
            options.dirty_reads = value == "READ UNCOMMITTED"
        case "LANGUAGE":
            german.set(str(value).casefold() in ("deutsch", "german"))
    yield Done()


async def _nest(session: Session, statement: s.If | s.While | s.Block | s.Try) -> AsyncIterator[Reply]:
    inner: list[s.Statement] = []
    match statement:
        case s.If(condition, then, otherwise):
            chosen = then if await holds(session, condition) else otherwise
            inner = [chosen] if chosen else []
        case s.Block(statements):
            inner = list(statements)
        case s.While(condition, body):
            # The body, then the same loop: until the condition no longer holds.
            inner = [body, statement] if await holds(session, condition) else []
        case s.Try(body, catch):
            async for reply in _try(session, body, catch):
                yield reply
            inner = []
    for one in inner:
        async for reply in run_one(session, one):
            yield reply
            if isinstance(reply, Failed) and session.options.abort_on_error:
                raise _Return


async def _try(session: Session, body: s.Block, catch: s.Block) -> AsyncIterator[Reply]:
    try:
        for one in body.statements:
            async for reply in _steer(session, one):
                yield reply
    except SqlError as error:
        session.caught = error
        async for reply in _nest(session, catch):
            yield reply
        session.caught = None


def _transaction(session: Session, verb: str) -> Reply:
    open_ = session.client.transaction
    if verb == "BEGIN":
        transaction = session.begin()
        return Began(transaction.number) if transaction.depth == 1 else Done()
    if open_ is None:
        raise SqlError(3902 if verb == "COMMIT" else 3903)
    if verb == "COMMIT" and open_.depth > 1:
        open_.depth -= 1
        return Done()
    session.end(commit=verb == "COMMIT")
    return Ended(open_.number, committed=verb == "COMMIT")


async def _error(session: Session, statement: s.Statement, arguments: tuple[Expression, ...]) -> SqlError:
    if not arguments:
        return session.caught or SqlError(10704, "To rethrow an error, a THROW statement must be used inside a CATCH block.")
    values = [await evaluate(session, argument) for argument in arguments]
    if isinstance(statement, s.Throw):
        return raised(int(str(values[0])), str(values[1]), int(str(values[2])), severity=16)
    text = str(values[0])
    if len(values) > 3:
        text = text.replace("%d", "%s") % tuple(values[3:])
    return raised(50000, text, int(str(values[2])), severity=int(str(values[1])))


async def _cursor(session: Session, statement: s.CursorStatement) -> AsyncIterator[Reply]:
    name, cursors = statement.name.casefold(), session.cursors
    if statement.query is not None:
        if name in cursors:
            raise SqlError(16915, statement.name)
        cursors[name] = OpenCursor(statement.query)
        yield Done()
        return
    cursor = cursors.get(name)
    if cursor is None:
        raise SqlError(16916, statement.name)
    match statement.verb:
        case "OPEN":
            cursor.table, cursor.at = await ask(session, cursor.query), 0
        case "CLOSE":
            cursor.table = None
        case "DEALLOCATE":
            del cursors[name]
        case "FETCH":
            if cursor.table is None:
                raise SqlError(16917)
            found = cursor.table.rows[cursor.at : cursor.at + 1]
            cursor.at += 1
            session.fetch_status = 0 if found else -1
            async for reply in _rows(cursor.table, found):
                yield reply
            return
    yield Done()


async def _change(session: Session, statement: s.Statement) -> AsyncIterator[Reply]:
    """What changes something: under its locks, in the open transaction or in one of its own."""
    if session.options.implicit_transactions and session.client.transaction is None and not isinstance(statement, s.Kill):
        yield Began(session.begin().number)
    alone = session.client.transaction is None
    changes.check_place(session, statement)
    try:
        for resource in changes.resources(session, statement):
            await session.lock(resource)
        prepared = await changes.prepare(session, statement, ask)
        transaction = session.client.transaction or session.begin()
        mark = transaction.mark()
        try:
            count = changes.change(session, transaction, statement, prepared)
        except SqlError:
            transaction.undo(mark)
            raise
    finally:
        if alone:
            session.end(commit=True)
    if count is not None:
        session.row_count = count
    yield Done(None if session.options.no_count else count)
