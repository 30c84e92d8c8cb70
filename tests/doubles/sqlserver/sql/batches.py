"""The grammar of a batch and of the statements that steer it: "Control-of-flow language" of the T-SQL reference."""

from __future__ import annotations

from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.sql import definitions
from tests.doubles.sqlserver.sql.cursor import Cursor
from tests.doubles.sqlserver.sql.queries import condition, expression, query
from tests.doubles.sqlserver.sql.security import permit
from tests.doubles.sqlserver.sql.statements import (
    Assign,
    Block,
    CreateSchema,
    CreateView,
    CursorStatement,
    Declare,
    Execute,
    ExecuteText,
    If,
    Kill,
    Print,
    RaiseError,
    Return,
    SetOption,
    Statement,
    Stop,
    Throw,
    Transaction,
    Try,
    Use,
    WaitFor,
    While,
)
from tests.doubles.sqlserver.sql.syntax import Expression
from tests.doubles.sqlserver.sql.types import Type

_SWITCHES = (
    "NOCOUNT", "XACT_ABORT", "IMPLICIT_TRANSACTIONS", "ANSI_NULLS", "ANSI_PADDING", "ANSI_WARNINGS", "ANSI_DEFAULTS",
    "QUOTED_IDENTIFIER", "ARITHABORT", "CONCAT_NULL_YIELDS_NULL", "CURSOR_CLOSE_ON_COMMIT", "ANSI_NULL_DFLT_ON", "FMTONLY",
)  # fmt: skip
_LEVELS = (("READ", "UNCOMMITTED"), ("READ", "COMMITTED"), ("REPEATABLE", "READ"), ("SERIALIZABLE",), ("SNAPSHOT",))
_CURSOR_KINDS = ("LOCAL", "GLOBAL", "FORWARD_ONLY", "STATIC", "READ_ONLY", "INSENSITIVE", "FAST_FORWARD")


def parse(batch: str, *, babelfish: bool = False) -> tuple[Statement, ...]:
    """All statements of a batch; an error in one of them refuses the whole of it. Babelfish does not parse `]]`."""
    at = Cursor(batch)
    if babelfish and at.has_doubled_bracket:
        raise SqlError(33557097, "syntax error near ']'")
    found: list[Statement] = []
    while at.accept(";"):
        pass
    while not at.at_end:
        statement = _statement(at)
        if isinstance(statement, CreateSchema | CreateView):
            if found:
                raise SqlError(111, "CREATE VIEW" if isinstance(statement, CreateView) else "CREATE SCHEMA")
            if isinstance(statement, CreateView) and not _only_semicolons(at):
                raise at.wrong()
        found.append(statement)
        while at.accept(";"):
            pass
    return tuple(found)


def _only_semicolons(at: Cursor) -> bool:
    start = at.place()
    while at.accept(";"):
        pass
    ended = at.at_end
    at.back_to(start)
    return ended


def _statement(at: Cursor) -> Statement:  # noqa: C901 - one arm for each word that begins a statement
    if at.sees("SELECT") or at.sees("WITH") or at.sees("("):
        return Return(query(at))
    match at.one_of(*_WORDS) if at.here.word in _WORDS else "":
        case "CREATE":
            return definitions.create(at)
        case "ALTER":
            return definitions.alter(at)
        case "DROP":
            return definitions.drop(at)
        case "GRANT" | "REVOKE" | "DENY" as verb:
            return permit(at, verb)
        case "INSERT":
            return definitions.insert(at)
        case "UPDATE":
            return definitions.update(at)
        case "DELETE":
            return definitions.delete(at)
        case "EXEC" | "EXECUTE":
            return _execute(at)
        case "DECLARE":
            return _declare(at)
        case "SET":
            return _set(at)
        case "USE":
            return Use(at.name())
        case "IF":
            return _if(at)
        case "WHILE":
            return While(condition(at), _statement(at))
        case "BEGIN":
            return _begin(at)
        case "COMMIT" | "ROLLBACK" as verb:
            if not at.accept("TRANSACTION") and not at.accept("TRAN"):
                at.accept("WORK")
            return Transaction(verb)
        case "KILL":
            return Kill(at.number())
        case "PRINT":
            return Print(expression(at))
        case "THROW":
            return Throw(
                at.several(lambda: expression(at)) if not at.at_end and not at.sees(";") and not at.sees("END") else ()
            )
        case "RAISERROR":
            return _raise(at)
        case "RETURN":
            return Stop()
        case "WAITFOR":
            return _wait(at)
        case "OPEN" | "CLOSE" | "DEALLOCATE" as verb:
            return CursorStatement(verb, at.name())
        case "FETCH":
            at.accept("NEXT")
            at.accept("FROM")
            return CursorStatement("FETCH", at.name())
    raise at.wrong()


_WORDS = (
    "CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "DENY", "INSERT", "UPDATE", "DELETE", "EXEC", "EXECUTE", "DECLARE", "SET",
    "USE", "IF", "WHILE", "BEGIN", "COMMIT", "ROLLBACK", "KILL", "PRINT", "THROW", "RAISERROR", "RETURN", "WAITFOR", "OPEN",
    "CLOSE", "DEALLOCATE", "FETCH",
)  # fmt: skip


def _if(at: Cursor) -> If:
    when = condition(at)
    then = _nested(at)
    start = at.place()
    at.accept(";")
    if at.accept("ELSE"):
        return If(when, then, _nested(at))
    at.back_to(start)
    return If(when, then, None)


def _nested(at: Cursor) -> Statement:
    found = _statement(at)
    if isinstance(found, CreateSchema | CreateView):
        raise at.wrong()
    return found


def _begin(at: Cursor) -> Statement:
    if at.accept("TRANSACTION") or at.accept("TRAN"):
        return Transaction("BEGIN")
    if at.accept("TRY"):
        body = _block(at, "TRY")
        at.expect("BEGIN", "CATCH")
        return Try(body, _block(at, "CATCH"))
    found = _statements_until_end(at)
    at.expect("END")
    return Block(found)


def _block(at: Cursor, kind: str) -> Block:
    found = _statements_until_end(at)
    at.expect("END", kind)
    return Block(found)


def _statements_until_end(at: Cursor) -> tuple[Statement, ...]:
    found: list[Statement] = []
    while at.accept(";"):
        pass
    while not at.sees("END"):
        found.append(_nested(at))
        while at.accept(";"):
            pass
    return tuple(found)


def _execute(at: Cursor) -> Execute | ExecuteText:
    if at.sees("("):
        return ExecuteText(at.within(lambda: expression(at)))
    into = None
    if at.here.kind == "variable":
        into = at.variable()
        at.expect("=")
    procedure = at.path(3)
    arguments: tuple[tuple[str | None, Expression], ...] = ()
    if at.here.kind in ("variable", "string", "number", "binary") or at.sees("NULL") or at.sees("-"):
        arguments = at.several(lambda: _argument(at))
    return Execute(procedure, arguments, into)


def _argument(at: Cursor) -> tuple[str | None, Expression]:
    """A literal or a variable: an expression is not allowed here, nor is a call."""
    name = None
    if at.here.kind == "variable" and at.ahead().text == "=":
        name = at.variable()
        at.expect("=")
    if at.here.kind not in ("variable", "string", "number", "binary") and not at.sees("NULL") and not at.sees("-"):
        raise at.wrong()
    found = expression(at)
    following = at.here.kind == "operator" and at.here.text not in (",", ";", ")")
    if following or type(found).__name__ in ("Binary", "Call", "Collated"):
        raise SqlError(102, "+", line=at.here.line)
    return name, found


def _declare(at: Cursor) -> Statement:
    if at.here.kind != "variable":
        return _declare_cursor(at)
    return Declare(at.several(lambda: _variable(at)))


def _variable(at: Cursor) -> tuple[str, Type, Expression | None]:
    name = at.variable()
    at.accept("AS")
    kind = at.type()
    return name, kind, expression(at) if at.accept("=") else None


def _declare_cursor(at: Cursor) -> CursorStatement:
    name = at.name()
    at.expect("CURSOR")
    while at.here.word in _CURSOR_KINDS:
        at.step()
    at.expect("FOR")
    return CursorStatement("DECLARE", name, query(at))


def _set(at: Cursor) -> Statement:
    if at.here.kind == "variable":
        name = at.variable()
        at.expect("=")
        return Assign(name, expression(at))
    if at.accept("LOCK_TIMEOUT"):
        negative = at.accept("-")
        return SetOption("LOCK_TIMEOUT", -at.number() if negative else at.number())
    if at.accept("TEXTSIZE") or at.accept("DEADLOCK_PRIORITY"):
        return SetOption("IGNORED", at.step().text)
    if at.accept("TRANSACTION", "ISOLATION", "LEVEL"):
        for level in _LEVELS:
            if at.accept(*level):
                return SetOption("ISOLATION", " ".join(level))
        raise at.wrong()
    if at.accept("LANGUAGE"):
        return SetOption("LANGUAGE", at.string() if at.here.kind == "string" else at.name())
    words = at.several(lambda: at.one_of(*_SWITCHES))
    return SetOption(words[0], at.one_of("ON", "OFF"))


def _raise(at: Cursor) -> RaiseError:
    found = at.within(lambda: at.several(lambda: expression(at)))
    if at.accept("WITH"):
        at.one_of("NOWAIT", "LOG")
    return RaiseError(found)


def _wait(at: Cursor) -> WaitFor:
    at.expect("DELAY")
    hours, minutes, seconds = at.string().split(":")
    return WaitFor(int(hours) * 3600 + int(minutes) * 60 + float(seconds))
