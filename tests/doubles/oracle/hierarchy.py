"""CONNECT BY, said as SQLite's recursive query."""

from __future__ import annotations

from dataclasses import replace

from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.syntax import Join, Select
from tests.doubles.oracle.translation import Scope, Translator, quoted


def hierarchy(select: Select, placed: dict[str, str], scope: Scope, translator: Translator) -> str:
    """The rows that START WITH finds, and those that CONNECT BY finds from them; of one table, and without LEVEL."""
    if len(select.sources) != 1 or select.connect is None or isinstance(select.sources[0], Join):
        raise Fault(3001)
    [(alias, table)] = placed.items()
    within = replace(scope, prior=Scope({" prior": scope.relations[alias]}))
    start = translator.condition(select.start, within) if select.start else "1"
    connect = translator.condition(select.connect, within)
    first = f"SELECT {quoted(alias)}.rowid FROM {table} AS {quoted(alias)} WHERE {start}"
    above = f'" found" JOIN {table} AS " prior" ON " prior".rowid = " found"." row"'
    below = f"SELECT {quoted(alias)}.rowid FROM {above} JOIN {table} AS {quoted(alias)} ON {connect}"
    found = f'WITH RECURSIVE " found"(" row") AS ({first} UNION {below}) SELECT " row" FROM " found"'
    return f"(SELECT * FROM {table} WHERE rowid IN ({found})) AS {quoted(alias)}"
