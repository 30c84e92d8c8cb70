"""Which expressions a grouped query may have: SQLite would take any, Oracle takes none that differs within a group."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.syntax import Call, Query, Ref, Select

AGGREGATES = ("COUNT", "SUM", "AVG", "MIN", "MAX", "LISTAGG")
_CONSTANT = ("USER", "SYSDATE", "SYSTIMESTAMP", "UID")


def check(select: Select) -> None:
    """Raises `Fault` 979 for a column that is neither grouped by nor in an aggregate, 937 where nothing is grouped by."""
    if select.group or any(_has_aggregate(item.value) for item in select.items) or select.having:
        grouped = frozenset(one.parts[-1] for one in select.group if isinstance(one, Ref))
        for item in select.items:
            if item.value not in select.group:
                _check(item.value, grouped, 979 if select.group else 937)


def _check(it: object, grouped: frozenset[str], code: int) -> None:
    if isinstance(it, Query) or _is_aggregate(it):
        return
    if isinstance(it, Ref):
        if it.parts[-1] not in grouped and it.parts not in {(name,) for name in _CONSTANT}:
            raise Fault(code, offset=it.offset)
        return
    for part in _parts(it):
        _check(part, grouped, code)


def _has_aggregate(it: object) -> bool:
    return _is_aggregate(it) or (not isinstance(it, Query) and any(_has_aggregate(part) for part in _parts(it)))


def _is_aggregate(it: object) -> bool:
    return isinstance(it, Call) and it.path[-1] in AGGREGATES and len(it.path) == 1


def _parts(it: object) -> tuple[object, ...]:
    if isinstance(it, tuple):
        return it
    return tuple(getattr(it, one.name) for one in fields(it)) if is_dataclass(it) else ()
