"""Queries, answered by SQLite: the tree becomes SQLite's SQL, over the rows of what it names.

Nothing here knows a particular query. Names are resolved as the server does (207, 208, 209), and their use is noted for the
permissions that they ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.doubles.sqlserver.engine import sources
from tests.doubles.sqlserver.engine.expressions import Translator
from tests.doubles.sqlserver.engine.sources import Content, Read, Source
from tests.doubles.sqlserver.engine.sqlite import Store
from tests.doubles.sqlserver.model.failures import SqlError
from tests.doubles.sqlserver.sql.syntax import (
    At,
    Column,
    Derived,
    Expression,
    From,
    Item,
    Join,
    Literal,
    Named,
    Query,
    Rows,
    Select,
    Star,
)
from tests.doubles.sqlserver.sql.types import Type, Value, type_of, widest

if TYPE_CHECKING:
    from tests.doubles.sqlserver.engine.session import Session


@dataclass(frozen=True, slots=True)
class Table:
    """A result."""

    names: tuple[str, ...]
    types: tuple[Type, ...]
    rows: list[tuple[Value, ...]]
    reads: tuple[tuple[str, str, int], ...]
    """The definitions that it needs to stay as they are while it is sent, as the locks name them."""


def answer(session: Session, query: Query) -> Table:
    """Raises what the server would, before it reads a row."""
    with Store(session) as store:
        reading = Reading(session, store)
        text, columns = reading.query(query)
        sources.check(session, reading.reads)
        rows = store.rows(text, [kind for _, kind in columns])
    types = tuple(
        kind or widest([type_of(row[place]) for row in rows[:1000]] or [type_of(None)])
        for place, (_, kind) in enumerate(columns)
    )
    reads = tuple(("definition", read.database.name, read.thing.id) for read in reading.reads)
    return Table(tuple(name for name, _ in columns), types, rows, reads)


def shape(session: Session, query: Query) -> list[tuple[str, Type]]:
    """The columns of a view, without reading a row, and without asking for permission."""
    with Store(session) as store:
        _, columns = Reading(session, store).query(query)
    return [(name, kind or type_of("")) for name, kind in columns]


class Reading:
    """One query on its way to SQLite. `chain`: the owner of the view that it is the text of."""

    def __init__(self, session: Session, store: Store, chain: int | None = None, outer: tuple[Source, ...] = ()) -> None:
        self.session, self.store, self.chain = session, store, chain
        self.reads: list[Read] = []
        self.outer = outer
        self._named: dict[str, tuple[str, list[tuple[str, Type | None]]]] = {}

    def query(self, query: Query, outer: tuple[Source, ...] = ()) -> tuple[str, list[tuple[str, Type | None]]]:
        """SQLite's text, and the columns it gives."""
        for name, inner in query.named:
            self._named[self.session.database.fold(name)] = self.query(inner, outer)
        parts = [self._select(select, outer) for select in query.selects]
        _, columns, scope = parts[0]
        text = parts[0][0]
        for operator, (other, other_columns, _) in zip(query.operators, parts[1:], strict=True):
            if len(other_columns) != len(columns):
                raise SqlError(205, "Queries combined with UNION, INTERSECT or EXCEPT must have equally many expressions.")
            text += f" {operator} {other}"
        if query.order:
            terms = (
                self._order(order.expression, columns, scope) + (" DESC" if order.descending else "") for order in query.order
            )
            text += " ORDER BY " + ", ".join(terms)
        top = query.selects[0].top
        if top is not None:
            text = f"SELECT * FROM ({text}) LIMIT {self._scalar(top)}"
        elif query.offset is not None:
            limit = self._scalar(query.fetch) if query.fetch is not None else "-1"
            text += f" LIMIT {limit} OFFSET {self._scalar(query.offset)}"
        return text, columns

    def _select(
        self, select: Select, outer: tuple[Source, ...]
    ) -> tuple[str, list[tuple[str, Type | None]], tuple[Source, ...]]:
        scope: list[Source] = []
        froms = [self._source(source, scope, outer) for source in select.sources]
        visible = (*scope, *outer)
        translator = Translator(self, tuple(scope), visible)
        items = [expanded for item in select.items for expanded in self._expanded(item, scope)]
        columns: list[tuple[str, Type | None]] = []
        texts: list[str] = []
        for place, (name, expression) in enumerate(items):
            text, kind = translator.value(expression)
            columns.append((name, kind))
            texts.append(f"{text} AS c{place}")
        sql = "SELECT " + ("DISTINCT " if select.distinct else "") + ", ".join(texts)
        if froms:
            sql += " FROM " + " CROSS JOIN ".join(froms)
        if select.where is not None:
            sql += f" WHERE {translator.condition(select.where)}"
        if select.group:
            sql += " GROUP BY " + ", ".join(translator.value(by)[0] for by in select.group)
        if select.having is not None:
            sql += f" HAVING {translator.condition(select.having)}"
        return sql, columns, visible

    def _expanded(self, item: Item, scope: list[Source]) -> list[tuple[str, Expression]]:
        expression = item.expression
        if not isinstance(expression, Star):
            name = expression.path[-1] if isinstance(expression, Column) else ""
            return [(item.alias or name, expression)]
        wanted = [source for source in scope if not expression.path or self.fits(source, expression.path)]
        if not wanted:
            raise (
                SqlError(208, ".".join(expression.path))
                if expression.path
                else SqlError(263, "Must specify table to select from.")
            )
        found: list[tuple[str, Expression]] = []
        for source in wanted:
            for place, (name, _) in enumerate(source.columns):
                found.append((name, At(source.alias, place)))
        return found

    def fits(self, source: Source, path: tuple[str, ...]) -> bool:
        """Whether the source may be called so: by its alias, or the end of its name."""

        def fold(name: str) -> str:
            return name.casefold() if source.fold_names else name

        return len(path) <= len(source.names) and all(
            not given or fold(given) == fold(name) for given, name in zip(reversed(path), reversed(source.names), strict=False)
        )

    def _order(self, expression: Expression, columns: list[tuple[str, Type | None]], scope: tuple[Source, ...]) -> str:
        if isinstance(expression, Literal) and isinstance(expression.value, int):
            return str(expression.value)
        path = expression.path if isinstance(expression, Column) else ()
        named = [
            place for place, (name, _) in enumerate(columns) if len(path) == 1 and self.session.database.same(name, path[0])
        ]
        if named:
            return f"c{named[0]}"
        return Translator(self, scope, scope).value(expression)[0]

    def _scalar(self, expression: Expression) -> str:
        return Translator(self, (), ()).value(expression)[0]

    def _source(self, source: From, scope: list[Source], outer: tuple[Source, ...]) -> str:
        match source:
            case Named(path, alias):
                return self._name(path, alias, scope)
            case Derived(query, alias):
                text, columns = self.query(query, outer)
                return self._add(scope, f"({text})", (alias,), columns)
            case Rows(rows, alias, names):
                values = [", ".join(f"{self._scalar(value)} AS c{place}" for place, value in enumerate(row)) for row in rows]
                text = " UNION ALL ".join(f"SELECT {row}" for row in values)
                return self._add(scope, f"({text})", (alias,), [(name, None) for name in names])
            case Join(kind, left, right, on):
                start = len(scope)
                first, second = self._source(left, scope, outer), self._source(right, scope, outer)
                if on is None:
                    return f"{first} CROSS JOIN {second}"
                within = tuple(scope[start:])
                condition = Translator(self, within, (*within, *outer)).condition(on)
                return f"{first} {kind} JOIN {second} ON {condition}"

    def _name(self, path: tuple[str, ...], alias: str | None, scope: list[Source]) -> str:
        named = self._named.get(self.session.database.fold(path[-1])) if len(path) == 1 else None
        if named is not None:
            return self._add(scope, f"({named[0]})", (alias or path[-1],), named[1])
        system = sources.system_view(self.session, path)
        names = (alias,) if alias else path
        if system is not None:
            content, database = system
            text = self.store.load(content, "cs" if database.sensitive else "ci")
            return self._add(scope, text, names, list(content.columns), fold=not database.sensitive)
        return self._thing(path, names, scope)

    def _thing(self, path: tuple[str, ...], names: tuple[str, ...], scope: list[Source]) -> str:
        database, thing = sources.thing_at(self.session, path)
        collation = "cs" if database.sensitive else "ci"
        columns: list[tuple[str, Type]] = [(column.name, column.type) for column in thing.columns]
        owner = database.owner_of(thing)
        if thing.query is None:
            self.session.reads(database, thing)
            text = self.store.load(Content(columns, list(thing.rows)), collation)
        else:
            inner = Reading(self.session, self.store, chain=owner)
            text = f"({inner.query(thing.query)[0]})"
            self.reads += inner.reads
        added = self._add(scope, text, names, list(columns), fold=not database.sensitive)
        chained = self.chain == owner and database is self.session.database
        self.reads.append(Read(database, thing, scope[-1], chained))
        return added

    def _add(
        self,
        scope: list[Source],
        text: str,
        names: tuple[str, ...],
        columns: list[tuple[str, Type | None]],
        *,
        fold: bool | None = None,
    ) -> str:
        alias = self.store.new_name()
        folds = not self.session.database.sensitive if fold is None else fold
        scope.append(Source(alias, names, columns, "ci" if folds else "cs", folds))
        return f"{text} AS {alias}"
