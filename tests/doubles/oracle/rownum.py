"""ROWNUM in a condition, which SQLite says with LIMIT."""

from __future__ import annotations

from collections.abc import Sequence

from tests.doubles.oracle.messages import Fault
from tests.doubles.oracle.seam import Value
from tests.doubles.oracle.syntax import Both, Compare, Condition, Constant, Expression, Placeholder, Ref
from tests.doubles.oracle.translation import kind_of


def without_rownum(where: Condition | None, values: Sequence[Value]) -> tuple[Condition | None, int | None]:
    """The condition without `ROWNUM <= n` and the like beside the others, and that n."""
    match where:
        case Both("AND", left, right):
            first, one = without_rownum(left, values)
            second, other = without_rownum(right, values)
            both = Both("AND", first, second) if first and second else first or second
            return both, one if other is None else other if one is None else min(one, other)
        case Compare(operator, Ref(("ROWNUM",), _), right) if (bound := _number(right, values)) is not None:
            limits = {"<=": bound, "<": bound - 1, "=": 1 if bound == 1 else 0}
            if operator not in limits:
                raise Fault(3001)
            return None, max(limits[operator], 0)
        case _:
            return where, None


def _number(it: Expression, values: Sequence[Value]) -> int | None:
    match it:
        case Constant(int(value), _):
            return value
        case Placeholder(_, place) if place < len(values) and kind_of(values[place]) == "number":
            return int(values[place])  # type: ignore[arg-type]  # a number, as was just asked
        case _:
            return None
