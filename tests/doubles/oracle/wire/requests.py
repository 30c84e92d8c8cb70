"""What the client asks: TTC functions, and what it hangs on in front of them (the driver's messages/*.pyx)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from tests.doubles.oracle.seam import OracleError, Value
from tests.doubles.oracle.wire.values import Reader, read_date, read_oracle_number


class Function(IntEnum):
    REEXECUTE = 4
    FETCH = 5
    LOGOFF = 9
    COMMIT = 14
    ROLLBACK = 15
    REEXECUTE_AND_FETCH = 78
    EXECUTE = 94
    CLOSE_CURSORS = 105
    AUTH_PHASE_TWO = 115
    AUTH_PHASE_ONE = 118
    SET_END_TO_END_ATTR = 135
    PING = 147


class Option(IntFlag):
    EXECUTE = 0x20
    FETCH = 0x40
    COMMIT = 0x100
    NOT_PLSQL = 0x8000


class Message(IntEnum):
    PROTOCOL = 1
    DATA_TYPES = 2
    FUNCTION = 3
    ROW_DATA = 7
    PIGGYBACK = 17


@dataclass(frozen=True)
class Negotiate:
    """The first two messages of a connection: the protocol's version, or the data types."""

    what: Message


@dataclass(frozen=True)
class Plain:
    """A function without arguments: COMMIT, ROLLBACK, PING, LOGOFF."""

    function: Function


@dataclass(frozen=True)
class Authenticate:
    function: Function
    user: str
    mode: int
    pairs: Mapping[str, str]


@dataclass(frozen=True)
class BindType:
    """How the values of one placeholder are written."""

    number: int
    national: bool
    long: bool


@dataclass(frozen=True)
class Execute:
    """A statement by its text, or by the cursor that holds it. `rows` has the values of each execution."""

    cursor: int
    sql: str | None
    options: Option
    prefetch: int
    types: tuple[BindType, ...]
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True)
class Fetch:
    cursor: int
    count: int


@dataclass(frozen=True)
class Asked:
    """A request, and the cursors that the client closes with it."""

    request: Negotiate | Plain | Authenticate | Execute | Fetch
    closed: tuple[int, ...] = ()


def read(data: bytes, types_of: Callable[[int], Sequence[BindType]]) -> Asked:
    """Read a whole message. Raises values.Incomplete, or OracleError 3115 for what this double does not speak.

    `types_of` gives the bind types of an open cursor, since a repeated execution does not send them again.
    """
    reader = Reader(data)
    closed: tuple[int, ...] = ()
    while (message := reader.byte()) == Message.PIGGYBACK:
        function = reader.byte()
        reader.byte()
        if function == Function.CLOSE_CURSORS:
            reader.byte()
            closed += tuple(reader.number() for _ in range(reader.number()))
        elif function == Function.SET_END_TO_END_ATTR:
            _end_to_end(reader)
        else:
            raise OracleError(3115, "unsupported network datatype or representation")
    if message in (Message.PROTOCOL, Message.DATA_TYPES):
        return Asked(Negotiate(Message(message)))
    if message != Message.FUNCTION:
        raise OracleError(3115, "unsupported network datatype or representation")
    code = reader.byte()
    reader.byte()  # its number in sequence
    return Asked(_function(code, reader, types_of), closed)


def _function(
    code: int, reader: Reader, types_of: Callable[[int], Sequence[BindType]]
) -> Plain | Authenticate | Execute | Fetch:
    match code:
        case Function.EXECUTE:
            return _execute(reader, types_of)
        case Function.REEXECUTE | Function.REEXECUTE_AND_FETCH:
            return _reexecute(Function(code), reader, types_of)
        case Function.FETCH:
            return Fetch(reader.number(), reader.number())
        case Function.AUTH_PHASE_ONE | Function.AUTH_PHASE_TWO:
            return _authenticate(Function(code), reader)
        case Function.COMMIT | Function.ROLLBACK | Function.LOGOFF | Function.PING:
            return Plain(Function(code))
    raise OracleError(3115, "unsupported network datatype or representation")


def _authenticate(function: Function, reader: Reader) -> Authenticate:
    has_user = reader.byte()
    reader.number()
    mode = reader.number()
    reader.byte()
    count = reader.number()
    reader.skip("bb")
    user = (reader.text() or b"") if has_user else b""
    pairs = {}
    for _ in range(count):
        key = reader.counted().decode()
        pairs[key] = reader.counted().decode()
        reader.number()
    return Authenticate(function, user.decode(), mode, pairs)


def _end_to_end(reader: Reader) -> None:
    """Names of the client, its module and action: of no use here, but what follows begins behind them."""
    reader.skip("bbn")
    lengths = []
    for part in ("bn", "bn", "bn", "bnbn", "bn", "bnbn", "bn"):
        reader.skip(part[:-1])
        lengths.append(reader.number())
    client, module, action, _, info, _, operation = lengths
    for length in (client, module, action, info, operation):
        if length:
            reader.text()


def _execute(reader: Reader, types_of: Callable[[int], Sequence[BindType]]) -> Execute:
    options = Option(reader.number())
    cursor = reader.number()
    has_sql = reader.byte()
    reader.skip("nbnbbn")
    prefetch = reader.number()
    reader.skip("nb")
    count = reader.number()
    reader.skip("bbbbbbnnbbbnbnnbnbbnbnbbn")
    sql = (reader.text() or b"").decode() if has_sql else None
    vector = [reader.number() for _ in range(13)]
    types = tuple(_bind_type(reader) for _ in range(count))
    executions = vector[1] if count and not vector[7] else 1
    plsql = Option.NOT_PLSQL not in options
    kinds = types or (() if sql is not None else tuple(types_of(cursor)))
    rows = tuple(_row(reader, types, plsql=plsql) for _ in range(executions)) if types else ((),)
    return Execute(cursor, sql, options, prefetch, kinds, rows)


def _reexecute(function: Function, reader: Reader, types_of: Callable[[int], Sequence[BindType]]) -> Execute:
    cursor, count, _, second = (reader.number() for _ in range(4))
    types = tuple(types_of(cursor))
    fetches = function == Function.REEXECUTE_AND_FETCH
    options = Option.EXECUTE | (Option.FETCH if fetches else Option(0)) | (Option.COMMIT if second & 1 else Option(0))
    executions = 1 if fetches else count
    rows = tuple(_row(reader, types, plsql=False) for _ in range(executions)) if types else ((),)
    return Execute(cursor, None, options, count if fetches else 0, types, rows)


def _bind_type(reader: Reader) -> BindType:
    kind, _, _, _ = reader.raw(4)
    size = reader.number()
    reader.skip("nn")
    object_id = reader.counted()
    reader.skip("nn")
    form = reader.byte()
    reader.skip("nn")
    if object_id or kind not in _READ:
        raise OracleError(3115, "unsupported network datatype or representation")
    return BindType(kind, form == 2, size > 32767)


def _row(reader: Reader, types: Sequence[BindType], *, plsql: bool) -> tuple[Value, ...]:
    """Long values come last, but not in PL/SQL."""
    if reader.byte() != Message.ROW_DATA:
        raise OracleError(3106, "fatal two-task communication protocol error")
    order = sorted(range(len(types)), key=lambda place: types[place].long and not plsql)
    values: dict[int, Value] = {}
    for place in order:
        data = reader.text()
        values[place] = None if data is None else _READ[types[place].number](data, types[place].national)
    return tuple(values[place] for place in range(len(types)))


def _text(data: bytes, national: bool) -> Value:
    return data.decode("utf-16-be" if national else "utf-8")


# By the driver's ORA_TYPE_NUM: VARCHAR 1, NUMBER 2, BINARY_INTEGER 3, LONG 8, DATE 12, RAW 23, CHAR 96, TIMESTAMP 180.
_READ: Mapping[int, Callable[[bytes, bool], Value]] = {
    1: _text,
    2: lambda data, _: read_oracle_number(data),
    3: lambda data, _: read_oracle_number(data),
    8: _text,
    12: lambda data, _: read_date(data),
    23: lambda data, _: data,
    96: _text,
    180: lambda data, _: read_date(data),
}
