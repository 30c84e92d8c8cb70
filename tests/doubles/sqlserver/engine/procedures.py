"""The stored procedures that the double has: application locks, extended properties, sp_executesql.

From their own pages of the T-SQL reference.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from tests.doubles.sqlserver.engine.replies import Columns, Done, Reply, Row
from tests.doubles.sqlserver.engine.sources import lookup
from tests.doubles.sqlserver.model import rights
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.model.locks import Deadlock
from tests.doubles.sqlserver.sql.cursor import Cursor
from tests.doubles.sqlserver.sql.statements import Execute
from tests.doubles.sqlserver.sql.syntax import Expression
from tests.doubles.sqlserver.sql.types import INT, SMALLINT, SYSNAME, Type, Value

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.session import Session

Arguments = dict[str, Value]
Evaluate = Callable[["Session", Expression], Awaitable[Value]]
Run = Callable[["Session", str, dict[str, tuple[Type, Value]]], AsyncIterator[Reply]]

_PARAMETERS = {
    "sp_getapplock": ("@resource", "@lockmode", "@lockowner", "@locktimeout", "@dbprincipal"),
    "sp_releaseapplock": ("@resource", "@lockowner", "@dbprincipal"),
    **{
        f"sp_{verb}extendedproperty": (
            "@name", *(("@value",) if verb != "drop" else ()),
            "@level0type", "@level0name", "@level1type", "@level1name", "@level2type", "@level2name",
        )
        for verb in ("add", "update", "drop")
    },
}  # fmt: skip

_ODBC_TYPES = (("nvarchar", -9, 4000), ("varbinary", -3, 8000), ("varchar", 12, 8000), ("datetime2", 93, 27))


async def execute(session: Session, call: Execute, evaluate: Evaluate, run: Run) -> AsyncIterator[Reply]:
    """Raises 2812 for a procedure that is not there."""
    name = call.procedure[-1].lower()
    values = [(given, await evaluate(session, expression)) for given, expression in call.arguments]
    if name == "sp_executesql":
        async for reply in run(session, str(values[0][1]), _declared(values)):
            yield reply
        return
    if name == "sp_datatype_info_100":
        for reply in _types(values):
            yield reply
        return
    if name not in _PARAMETERS:
        raise SqlError(2812, ".".join(call.procedure))
    arguments = _bound(name, values)
    match name:
        case "sp_getapplock":
            code = await _get_lock(session, arguments)
        case "sp_releaseapplock":
            code = _release_lock(session, arguments)
        case _:
            code = await _property(session, name.removeprefix("sp_").removesuffix("extendedproperty"), arguments)
    if call.into is not None:
        session.assign(call.into, code)
    yield Done()


def _types(values: list[tuple[str | None, Value]]) -> Iterator[Reply]:
    """What the driver asks when it connects: how long a bound value of each ODBC type may be."""
    wanted = int(str(values[0][1])) if values else 0
    rows = [(name, number, size) for name, number, size in _ODBC_TYPES if wanted in (0, number)]
    yield Columns(("TYPE_NAME", "DATA_TYPE", "PRECISION"), (SYSNAME, SMALLINT, INT))
    for row in rows:
        yield Row(row)
    yield Done(len(rows))


def _bound(name: str, values: list[tuple[str | None, Value]]) -> Arguments:
    """By name or by place; after a name only names. Raises 8145 or 201."""
    known = _PARAMETERS[name]
    found: Arguments = {}
    for place, (given, value) in enumerate(values):
        parameter = given.casefold() if given else known[place] if place < len(known) else ""
        if parameter not in known:
            raise SqlError(8145, f"{given or place + 1} is not a parameter for procedure {name}.")
        if given is None and len(found) < place:
            raise SqlError(119, f"Must pass parameter number {place + 1} and subsequent parameters as '@name = value'.")
        found[parameter] = value
    if known[0] not in found:
        raise SqlError(201, name, known[0])
    return found


def _declared(values: list[tuple[str | None, Value]]) -> dict[str, tuple[Type, Value]]:
    """The parameters that sp_executesql's second argument declares, with their values in order or by name."""
    if len(values) < 2:
        return {}
    at = Cursor(str(values[1][1]))
    declared = at.several(lambda: (at.variable(), at.type()))
    given = {name.casefold(): value for name, value in values[2:] if name}
    by_place = [value for name, value in values[2:] if name is None]
    return {
        name: (kind, given[name.casefold()] if name.casefold() in given else by_place[place])
        for place, (name, kind) in enumerate(declared)
    }


async def _get_lock(session: Session, arguments: Arguments) -> int:
    """0 got, 1 got after a wait, -1 timed out, -3 a deadlock's victim, -999 a call that can't be."""
    owner = session.lock_owner(str(arguments.get("@lockowner") or "Transaction"))
    mode = str(arguments.get("@lockmode") or "").casefold()
    if mode not in ("exclusive", "shared", "update", "intentshared", "intentexclusive"):
        return -999
    if owner[1] == "transaction" and session.client.transaction is None:
        return -999
    wait = arguments.get("@locktimeout")
    timeout = session.options.lock_timeout if wait is None else None if int(str(wait)) < 0 else int(str(wait)) / 1000
    principal = str(arguments.get("@dbprincipal") or "public")
    if not _is(session, principal):
        return -999
    name = session.lock_name(str(arguments["@resource"]), principal)
    shared = mode == "shared"
    if await session.instance.locks.acquire(owner, name, shared=shared, timeout=0):
        return 0
    try:
        return 1 if await session.instance.locks.acquire(owner, name, shared=shared, timeout=timeout) else -1
    except Deadlock:
        return -3


def _is(session: Session, principal: str) -> bool:
    """Whether the session may lock as this user or role: it is it, or a member of it or of db_owner."""
    found = session.database.user(principal)
    me = session.user
    return found is not None and (found.id in rights.roles_of(session.database, me) or rights.is_owner(session.database, me))


def _release_lock(session: Session, arguments: Arguments) -> int:
    """Raises 1223 for a lock that is not held."""
    owner = session.lock_owner(str(arguments.get("@lockowner") or "Transaction"))
    name = session.lock_name(str(arguments["@resource"]), str(arguments.get("@dbprincipal") or "public"))
    if not session.instance.locks.release(owner, name):
        raise SqlError(
            1223, f"Cannot release the application lock because it is not currently held: {arguments['@resource']!s}"
        )
    return 0


async def _property(session: Session, verb: str, arguments: Arguments) -> int:
    """Raises 15135, 15233 or 15217."""
    database = session.database
    if database.read_only:
        raise SqlError(3906, database.name)
    kind, major, minor, target = _property_target(session, arguments)
    name = str(arguments["@name"])
    key = next((k for k in database.properties if k[:3] == (kind, major, minor) and database.same(k[3], name)), None)
    if verb == "add" and key is not None:
        raise SqlError(15233, name, target)
    if verb != "add" and key is None:
        raise SqlError(15217, name, target)
    await session.lock((database.name, "property", kind, major))
    alone = session.client.transaction is None
    transaction = session.client.transaction or session.begin()
    value = arguments.get("@value")
    transaction.put(database.properties, key or (kind, major, minor, name), None if verb == "drop" else value or "")
    if alone:
        session.end(commit=True)
    return 0


def _property_target(session: Session, arguments: Arguments) -> tuple[int, int, int, str]:
    """The class, the ids, and the name that an error shows. Needs the right to change the target."""
    database, me = session.database, session.user
    kinds = [str(arguments.get(f"@level{level}type") or "").upper() for level in range(3)]
    names = [str(arguments.get(f"@level{level}name") or "") for level in range(3)]
    path = ".".join(name for name in names if name) or "object specified"
    match kinds:
        case ["", "", ""]:
            if rights.in_database(database, me, "ALTER"):
                return 0, 0, 0, path
        case ["USER", "", ""]:
            user = database.user(names[0])
            if user is not None and rights.in_database(database, me, "ALTER ANY USER"):
                return 4, user.id, 0, path
        case ["SCHEMA", "", ""]:
            schema = database.schema(names[0])
            if schema is not None and rights.on_schema(database, me, schema.id, "ALTER"):
                return 3, schema.id, 0, path
        case ["SCHEMA", "TABLE" | "VIEW", ""]:
            thing = lookup(session, database, names[0], names[1])
            if thing is not None and rights.on_schema(database, me, thing.schema, "ALTER"):
                return 1, thing.id, 0, path
    raise SqlError(15135, path)
