"""Open cursors: a statement that was executed, and the rows of it that the client has not had yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.doubles.oracle.seam import Column, Session, Value
from tests.doubles.oracle.wire import responses
from tests.doubles.oracle.wire.requests import BindType, Execute, Option


@dataclass
class Cursor:
    sql: str
    types: tuple[BindType, ...] = ()
    columns: tuple[Column, ...] = ()
    """As the client was last told."""
    left: Sequence[Sequence[Value]] = ()
    given: int = field(default=0)


def run(session: Session, cursor: Cursor, number: int, request: Execute) -> bytes:
    """Execute it, once for each row of binds, and answer with its first rows. Raises OracleError."""
    cursor.types = request.types
    results = [session.execute(cursor.sql, binds) for binds in request.rows]
    if Option.COMMIT in request.options:
        session.commit()
    answer = b""
    if request.types and Option.NOT_PLSQL not in request.options and request.sql is not None:
        answer += responses.input_binds(len(request.types))
    columns = results[-1].columns
    if columns != cursor.columns or (columns and request.sql is not None):
        answer += responses.describe(columns)
    cursor.columns, cursor.left, cursor.given = columns, results[-1].rows, 0
    if not columns:
        affected = sum(result.affected for result in results)
        ending = responses.end(cursor=number, count=affected, in_transaction=session.in_transaction)
        return answer + responses.nothing_returned() + ending
    wanted = request.prefetch if Option.FETCH in request.options else 0
    more = fetched(cursor, number, wanted, in_transaction=session.in_transaction)
    return answer + more


def fetched(cursor: Cursor, number: int, count: int, *, in_transaction: bool) -> bytes:
    """The next rows. The client learns that they were the last when it gets fewer than it asked for."""
    rows, cursor.left = cursor.left[:count], cursor.left[count:]
    cursor.given += len(rows)
    ending = responses.end(cursor=number, count=cursor.given, in_transaction=in_transaction, exhausted=len(rows) < count)
    return responses.rows(cursor.columns, rows) + ending
