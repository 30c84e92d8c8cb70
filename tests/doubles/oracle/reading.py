"""Answers a SELECT: each relation that it names is laid out in an SQLite database in memory, and the query asked there.

A relation is the user's own right to read it; a view is read with its owner's rights, laid out, and then read like a table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from tests.doubles.oracle import grouping
from tests.doubles.oracle.functions import FUNCTIONS, MOMENT, Listagg, like, regexp_like
from tests.doubles.oracle.hierarchy import hierarchy
from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.rights import Who, reads, sees
from tests.doubles.oracle.rownum import without_rownum
from tests.doubles.oracle.seam import Column, Value
from tests.doubles.oracle.state import Database, Thing
from tests.doubles.oracle.syntax import (
    Combined,
    Constant,
    From,
    Item,
    Join,
    Kind,
    Named,
    Query,
    Ref,
    Select,
    Sort,
    Star,
    relations,
)
from tests.doubles.oracle.translation import Scope, Stored, Translator, quoted, sqlite_name, stored

_DUAL = (Column("DUMMY", size=1),)


@dataclass(frozen=True, slots=True)
class Answer:
    columns: tuple[Column, ...]
    rows: list[tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads as one user. `schema` is where a bare name is looked for; `names` are USER, SYSDATE and PL/SQL's variables."""

    database: Database
    who: Who
    schema: str
    names: Mapping[str, Value]
    context: Callable[[str, str], str | None]
    dictionary: Callable[[Thing, Who], Iterable[tuple[Value, ...]]]
    values: Sequence[Value] = ()
    folding: bool = False
    """The session compares texts without case, within views too. ORDER BY, DISTINCT and GROUP BY stay as they are."""

    def read(self, query: Query) -> Answer:
        with closing(sqlite3.connect(":memory:")) as paper:
            return _Desk(self, paper).answer(query, locking=query.locks)

    def thing(self, path: tuple[str, ...], offset: int = 0, *, locking: bool = False) -> Thing:
        """What the name means, which this user may read. Raises `Fault` 942 or 1031."""
        thing = self.database.find(path, self.schema)
        if thing is None or thing.kind == "PACKAGE" or not sees(self.database, self.who, thing):
            raise Fault(942, offset=offset)
        if not reads(self.database, self.who, thing, locking=locking):
            raise Fault(1031, offset=offset)
        return thing

    def content(self, thing: Thing) -> Iterable[tuple[Value, ...]]:
        """Raises `Fault` 4063 for a view that its owner may not read any more."""
        if thing.of_dictionary:
            return self.dictionary(thing, self.who)
        if thing.query is None:
            return thing.rows
        try:
            return replace(self, who=Who(thing.owner), schema=thing.owner, values=()).read(thing.query).rows
        except Fault:
            raise Fault(4063, thing) from None


@dataclass(slots=True)
class _Desk:
    """One query's work: the laid out relations, by what they are."""

    reader: Reader
    paper: sqlite3.Connection
    laid_out: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    """WITH's names, and where each was laid out."""

    def __post_init__(self) -> None:
        for name, (function, _) in FUNCTIONS.items():
            self.paper.create_function(sqlite_name(name), -1, partial(self._called, function))
        self.paper.create_function("ora_like", 3, partial(self._called, partial(_like, self.reader.folding)))
        self.paper.create_function(sqlite_name("REGEXP_LIKE"), 3, partial(self._called, regexp_like))
        self.paper.create_collation("BINARY_CI", _without_case)
        self.paper.create_aggregate("ora_listagg", 3, Listagg)  # type: ignore[arg-type]  # its protocol takes ints only

    def answer(self, query: Query, scope: Scope | None = None, *, locking: bool = False) -> Answer:
        translator = self._translator()
        text, columns = self.text(query, scope, translator, locking=locking)
        self.faults.clear()
        try:
            rows = self.paper.execute(text, translator.used).fetchall()
        except sqlite3.Error as error:
            raise self.faults[0] if self.faults else Fault(600, error) from error
        return Answer(columns, [tuple(map(_meant, row, (column.kind for column in columns))) for row in rows])

    def text(
        self, query: Query, scope: Scope | None, translator: Translator, *, locking: bool = False
    ) -> tuple[str, tuple[Column, ...]]:
        """The query in SQLite's SQL, and the columns of its answer."""
        for named in query.named:
            self._lay_out_named(named)
        text, columns, inside = self._body(query.body, scope, translator, locking=locking)
        if query.order:
            text += " ORDER BY " + ", ".join(self._sort(one, columns, inside, translator) for one in query.order)
        if query.limit is not None or query.offset:
            text += f" LIMIT {-1 if query.limit is None else query.limit} OFFSET {query.offset}"
        return text, columns

    def _translator(self) -> Translator:
        def subquery(query: Query, scope: Scope) -> tuple[str, Kind]:
            text, columns = self.text(query, scope, translator)
            return text, columns[0].kind

        translator = Translator(self.reader.values, self.reader.names, self.reader.context, subquery, self.reader.folding)
        return translator

    def _body(
        self, body: Select | Combined, scope: Scope | None, translator: Translator, *, locking: bool
    ) -> tuple[str, tuple[Column, ...], Scope]:
        if isinstance(body, Select):
            return self._select(body, scope, translator, locking=locking)
        left, columns, _ = self._body(body.left, scope, translator, locking=False)
        right, others, _ = self._body(body.right, scope, translator, locking=False)
        if len(columns) != len(others):
            raise Fault(1789)
        operator = "EXCEPT" if body.operator == "MINUS" else body.operator
        return f"SELECT * FROM ({left}) {operator} SELECT * FROM ({right})", columns, Scope({})

    def _select(
        self, select: Select, outer: Scope | None, translator: Translator, *, locking: bool
    ) -> tuple[str, tuple[Column, ...], Scope]:
        grouping.check(select)
        placed: dict[str, str] = {}
        for source in select.sources:
            self._place(source, placed, locking=locking)
        scope = Scope({alias: {one.name: one.kind for one in self.laid_out[table]} for alias, table in placed.items()}, outer)
        items = [part for item in select.items for part in self._item(item, placed, scope, translator)]
        sources = ", ".join(self._source(source, placed, scope, translator) for source in select.sources)
        if select.connect:
            sources = hierarchy(select, placed, scope, translator)
        where, limit = without_rownum(select.where, translator.values)
        text = f"SELECT {'DISTINCT ' if select.distinct else ''}{', '.join(said for said, _ in items)} FROM {sources}"
        if where:
            text += f" WHERE {translator.condition(where, scope)}"
        if select.group:
            text += " GROUP BY " + ", ".join(translator.expression(one, scope)[0] for one in select.group)
        if select.having:
            text += f" HAVING {translator.condition(select.having, scope)}"
        if limit is not None:
            text = f"SELECT * FROM ({text} LIMIT {limit})"
        return text, tuple(column for _, column in items), scope

    def _lay_out_named(self, named: Named) -> None:
        """WITH; where the second part of a UNION ALL reads the name, it is asked again for as long as it finds rows."""
        body = named.query.body
        if not (isinstance(body, Combined) and any(source == (named.name,) for source in relations(body.right))):
            self.known[named.name] = self._lay_out(_renamed(self.answer(named.query), named.columns))
            return
        if not named.columns or body.operator != "UNION ALL":
            raise Fault(32039)
        found = new = _renamed(self.answer(Query(body.left)), named.columns)
        while new.rows:
            self.known[named.name] = self._lay_out(new)
            new = Answer(new.columns, self.answer(Query(body.right)).rows)
            if any(row in found.rows for row in new.rows):
                raise Fault(32044)
            found = Answer(found.columns, found.rows + new.rows)
        self.known[named.name] = self._lay_out(found)

    def _item(self, item: Item, placed: dict[str, str], scope: Scope, translator: Translator) -> list[tuple[str, Column]]:
        if isinstance(item.value, Star):
            wanted = [alias for alias in placed if item.value.qualifier in (None, alias)]
            if not wanted:
                raise Fault(904, f'"{item.value.qualifier}"')
            return [
                (f"{quoted(alias)}.{quoted(column.name)} AS {quoted(column.name)}", column)
                for alias in wanted
                for column in self.laid_out[placed[alias]]
            ]
        text, kind = translator.expression(item.value, scope)
        size = 4000
        if isinstance(item.value, Ref):
            size = next((c.size for t in placed.values() for c in self.laid_out[t] if c.name == item.value.parts[-1]), size)
        return [(f"{text} AS {quoted(item.name)}", Column(item.name, kind, size))]

    def _sort(self, one: Sort, columns: tuple[Column, ...], scope: Scope, translator: Translator) -> str:
        match one.by:
            case Constant(int(place), _):
                if not 1 <= place <= len(columns):
                    raise Fault(1785)
                text = str(place)
            case Ref((name,), _) if any(column.name == name for column in columns):
                text = quoted(name)
            case by:
                text = translator.expression(by, scope)[0]
        nulls = one.nulls or ("FIRST" if one.descending else "LAST")
        return f"{text}{' DESC' if one.descending else ''} NULLS {nulls}"

    def _place(self, source: From | Join, placed: dict[str, str], *, locking: bool) -> None:
        """Lays out what the FROM clause names; `placed` says where each alias is."""
        if isinstance(source, Join):
            self._place(source.left, placed, locking=locking)
            self._place(source.right, placed, locking=locking)
            return
        if isinstance(source.source, Query):
            placed[_alias(source)] = self._lay_out(self.answer(source.source))
            return
        path = source.source
        table = self.known.get(path[0]) if len(path) == 1 else None
        if table is None and path in (("DUAL",), ("SYS", "DUAL")):
            table = self._lay_out(Answer(_DUAL, [("X",)]))
        if table is None:
            thing = self.reader.thing(path, source.offset, locking=locking)
            table = self._lay_out(Answer(thing.columns, list(self.reader.content(thing))))
        placed[_alias(source)] = table

    def _lay_out(self, answer: Answer) -> str:
        table = f"t{len(self.laid_out)}"
        self.laid_out[table] = answer.columns
        self.paper.execute(f"CREATE TABLE {table} ({', '.join(quoted(column.name) for column in answer.columns)})")
        marks = ", ".join("?" * len(answer.columns))
        self.paper.executemany(f"INSERT INTO {table} VALUES ({marks})", [tuple(map(stored, row)) for row in answer.rows])
        return table

    def _source(self, source: From | Join, placed: dict[str, str], scope: Scope, translator: Translator) -> str:
        if isinstance(source, Join):
            left = self._source(source.left, placed, scope, translator)
            right = self._source(source.right, placed, scope, translator)
            on = f" ON {translator.condition(source.on, scope)}" if source.on else ""
            return f"{left} {source.how} {right}{on}"
        alias = _alias(source)
        return f"{placed[alias]} AS {quoted(alias)}"

    def _called(self, function: Callable[..., Any], *arguments: Stored) -> Any:
        # SQLite forgets what a function raised.
        try:
            return function(*arguments)
        except Fault as fault:
            self.faults.append(fault)
            raise


def _renamed(answer: Answer, names: tuple[str, ...]) -> Answer:
    if names and len(names) != len(answer.columns):
        raise Fault(32038)
    columns = tuple(replace(column, name=name) for column, name in zip(answer.columns, names, strict=True)) if names else None
    return Answer(columns or answer.columns, answer.rows)


def _alias(source: From) -> str:
    """What its columns are qualified with; a subquery without an alias has a name that nobody can write."""
    return source.alias or (f" {source.offset}" if isinstance(source.source, Query) else source.source[-1])


def _like(folding: bool, escape: Stored, value: Stored, pattern: Stored) -> int | None:
    if value is None or pattern is None:
        return None
    text, wanted = (str(it).lower() if folding else str(it) for it in (value, pattern))
    return like(text, wanted, None if escape is None else str(escape))


def _without_case(one: str, other: str) -> int:
    first, second = one.lower(), other.lower()
    return (first > second) - (first < second)


def _meant(value: Stored, kind: Kind) -> Value:
    if isinstance(value, str) and kind in ("date", "timestamp"):
        moment = datetime.strptime(value, MOMENT)
        return moment.replace(microsecond=0) if kind == "date" else moment
    return value
