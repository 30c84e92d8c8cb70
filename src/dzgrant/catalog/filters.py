"""Asset filters, read: what of a table an approval lets be read. Nothing here calls AWS.

Several filters of one approval add up: the columns are those of all its column filters together, and a row is let
through by any of its row filters (DataZone user guide, "Grant access with filters": it "unions all the columns and all
the row filter conditions"). A row filter alone bounds no columns, and a column filter no rows; where an approval has
both kinds, each bounds what it is for. The guide does not say that last thing: of two readings it is the narrower.

What can't be read for certain is refused. A filter's text is a producer's, so its size and depth are bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dzgrant.errors import Unenforceable
from dzgrant.model import AllOf, AnyOf, AssetScope, Comparison, Operator, RowFilter, Scope

if TYPE_CHECKING:
    from types_aiobotocore_datazone.type_defs import GetAssetFilterOutputTypeDef

    Filter = GetAssetFilterOutputTypeDef

_DEEPEST = 16
_MOST_VALUES = 1000
# An item of the ledger has 400 KB, and keeps what each of several approvals bounds.
_LONGEST = 32_000
_NO_VALUE = frozenset({Operator.IS_NULL, Operator.IS_NOT_NULL})
_MANY_VALUES = frozenset({Operator.IN, Operator.NOT_IN})


class _Unread(Exception):
    """Why a filter can't be read, for the end of a line."""


def scope(bounds: AssetScope, filters: Sequence[Filter | None]) -> Scope:
    """What the approval lets be read; `filters` are those that `bounds` names, None for one that is gone.

    Raises `Unenforceable`: INVALID, sensitive, empty or unknown in form, with the filter's id and what to do.
    """
    if bounds.error:
        raise _refused("the approval's assetScope", bounds.error)
    if not bounds.filters:
        raise _refused("the approval's assetScope", "it names no filter")
    columns: set[str] = set()
    rows: list[RowFilter] = []
    # In order of their ids, so that the same approval always makes the same scope.
    for identifier, stated in sorted(zip(bounds.filters, filters, strict=True), key=lambda pair: pair[0]):
        try:
            _add(stated, columns, rows)
        except _Unread as unread:
            raise _refused(f"the filter {identifier} of asset {bounds.asset}", str(unread)) from None
    found = Scope(columns=frozenset(columns) if columns else None, rows=_any_of(rows) if rows else None)
    if len(repr(found)) > _LONGEST:
        raise _refused("the approval's assetScope", f"its filters are longer than {_LONGEST:,} characters in all")
    return found


def _refused(what: str, why: str) -> Unenforceable:
    return Unenforceable(
        f"{what} can't be enforced: {why}", do="correct the filter, or approve the subscription with another, then retry"
    )


def _any_of(rows: Sequence[RowFilter]) -> RowFilter:
    return rows[0] if len(rows) == 1 else AnyOf(parts=tuple(rows))


def _add(stated: Filter | None, columns: set[str], rows: list[RowFilter]) -> None:
    if stated is None:
        raise _Unread("DataZone has no such filter any more")
    if stated.get("status") == "INVALID" or stated.get("errorMessage"):
        raise _Unread(f"DataZone says that it is INVALID{': ' + found if (found := stated.get('errorMessage')) else ''}")
    configuration: Mapping[str, Any] = stated["configuration"]
    kind, what = _only_member(configuration)
    if kind == "columnConfiguration":
        included = what.get("includedColumnNames") or ()
        if not included or not all(included):
            raise _Unread("it includes no columns")
        _check_characters(included)
        columns.update(included)
    elif kind == "rowConfiguration":
        # No AWS page says what sensitive means to a fulfiller, so the values may not be the filter's own.
        if what.get("sensitive"):
            raise _Unread("it is sensitive, and no page of AWS says what its values then are")
        rows.append(_row_filter(what.get("rowFilter") or {}, depth=1))
    else:
        raise _Unread(f"its configuration {kind} is unknown")


def _row_filter(stated: Mapping[str, Any], *, depth: int) -> RowFilter:
    if depth > _DEEPEST:
        raise _Unread(f"it is nested more than {_DEEPEST} deep")
    kind, what = _only_member(stated)
    if kind == "expression":
        return _comparison(what)
    if kind not in ("and", "or"):
        raise _Unread(f"the clause {kind} is unknown")
    parts = tuple(_row_filter(part, depth=depth + 1) for part in what)
    if not parts:
        raise _Unread(f"a clause {kind} is empty")
    return AllOf(parts=parts) if kind == "and" else AnyOf(parts=parts)


def _comparison(stated: Mapping[str, Any]) -> Comparison:
    name, what = _only_member(stated)
    try:
        operator = Operator(name)
    except ValueError:
        raise _Unread(f"the operator {name} is unknown") from None
    if operator in _MANY_VALUES:
        values = tuple(what.get("values") or ())
    else:
        values = () if operator in _NO_VALUE else (what.get("value"),)
    if not what.get("columnName") or None in values or (operator in _MANY_VALUES and not values):
        raise _Unread(f"an expression {name} lacks its column or its value")
    if len(values) > _MOST_VALUES:
        raise _Unread(f"an expression {name} has more than {_MOST_VALUES} values")
    _check_characters((what["columnName"], *values))
    return Comparison(column=what["columnName"], operator=operator, values=values)


def _check_characters(texts: Iterable[str]) -> None:
    """JSON can spell a half of a character, which neither the ledger nor a database can keep."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise _Unread("it holds a half of a character (a lone surrogate)") from None


def _only_member(union: Mapping[str, Any]) -> tuple[str, Any]:
    """A union's member and what it is. One that the SDK does not know has the name SDK_UNKNOWN_MEMBER (botocore)."""
    if len(union) != 1:
        raise _Unread("it has no structure that dzgrant knows")
    ((kind, what),) = union.items()
    return (what["name"], {}) if kind == "SDK_UNKNOWN_MEMBER" else (kind, what)
