"""From asset filters as GetAssetFilter answers them to what of a table may be read."""

from __future__ import annotations

from typing import Any

import pytest

from dzgrant.catalog import filters
from dzgrant.errors import Unenforceable
from dzgrant.model import AllOf, AnyOf, AssetScope, Comparison, Operator, Scope


def expression(operator: str, **what: Any) -> dict[str, Any]:
    return {"expression": {operator: {"columnName": "city", **what}}}


def rows(row_filter: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"rowConfiguration": {"rowFilter": row_filter, **more}}


def columns(*names: str) -> dict[str, Any]:
    return {"columnConfiguration": {"includedColumnNames": list(names)}}


def stated(configuration: dict[str, Any], **more: Any) -> Any:
    return {"id": "f", "domainId": "d", "assetId": "a", "name": "n", "status": "VALID", "configuration": configuration, **more}


def bounds(*names: str, error: str | None = None) -> AssetScope:
    return AssetScope(asset="ast1", filters=names, error=error)


def scope(*configurations: dict[str, Any]) -> Scope:
    names = [f"f{number}" for number in range(len(configurations))]
    return filters.scope(bounds(*names), [stated(it) for it in configurations])


PARIS = Comparison(column="city", operator=Operator.EQUAL_TO, values=("Paris",))
IS_PARIS = expression("equalTo", value="Paris")


@pytest.mark.parametrize("operator", list(Operator))
def test_every_operator(operator: Operator) -> None:
    values: tuple[str, ...]
    what: dict[str, Any]
    if operator in (Operator.IS_NULL, Operator.IS_NOT_NULL):
        values, what = (), {}
    elif operator in (Operator.IN, Operator.NOT_IN):
        values, what = ("a", ""), {"values": ["a", ""]}
    else:
        values, what = ("a'; --",), {"value": "a'; --"}
    found = scope(rows(expression(operator, **what)))
    assert found == Scope(rows=Comparison(column="city", operator=operator, values=values))


def test_clauses_nest() -> None:
    found = scope(rows({"or": [IS_PARIS, {"and": [IS_PARIS, expression("isNotNull")]}]}))
    not_null = Comparison(column="city", operator=Operator.IS_NOT_NULL)
    assert found.rows == AnyOf(parts=(PARIS, AllOf(parts=(PARIS, not_null))))


def test_filters_of_one_kind_add_up_and_each_kind_bounds_what_it_is_for() -> None:
    assert scope(columns("id", "city"), columns("name")) == Scope(columns=frozenset({"id", "city", "name"}))
    null = Comparison(column="city", operator=Operator.IS_NULL)
    assert scope(rows(IS_PARIS), rows(expression("isNull"))) == Scope(rows=AnyOf(parts=(PARIS, null)))
    assert scope(rows(IS_PARIS), columns("id")) == Scope(columns=frozenset({"id"}), rows=PARIS)


def test_the_same_approval_makes_the_same_scope_in_whatever_order_its_filters_come() -> None:
    one, other = stated(rows(IS_PARIS)), stated(rows(expression("isNull")))
    assert filters.scope(bounds("f1", "f2"), [one, other]) == filters.scope(bounds("f2", "f1"), [other, one])


def deep(levels: int) -> dict[str, Any]:
    return {"and": [deep(levels - 1)]} if levels else IS_PARIS


def test_a_filter_may_be_nested_but_not_without_end() -> None:
    assert scope(rows(deep(15))).rows is not None
    with pytest.raises(Unenforceable, match="nested more than 16 deep"):
        scope(rows(deep(16)))


@pytest.mark.parametrize(
    ("configuration", "why"),
    [
        (columns(), "includes no columns"),
        ({"columnConfiguration": {}}, "includes no columns"),
        (columns("id", ""), "includes no columns"),
        (rows(IS_PARIS, sensitive=True), "it is sensitive"),
        (rows({}), "no structure"),
        (rows({"and": [], "or": []}), "no structure"),
        (rows({"and": []}), "a clause and is empty"),
        (rows({"or": [IS_PARIS, {"and": []}]}), "a clause and is empty"),
        (rows({"xor": [IS_PARIS]}), "the clause xor is unknown"),
        (rows({"SDK_UNKNOWN_MEMBER": {"name": "not"}}), "the clause not is unknown"),
        (rows({"expression": {"SDK_UNKNOWN_MEMBER": {"name": "between"}}}), "the operator between is unknown"),
        (rows({"expression": {"regex": {"columnName": "city", "value": ".*"}}}), "the operator regex is unknown"),
        (rows(expression("equalTo")), "equalTo lacks its column or its value"),
        (rows({"expression": {"equalTo": {"value": "Paris"}}}), "equalTo lacks its column or its value"),
        (rows({"expression": {"isNull": {"columnName": ""}}}), "isNull lacks its column or its value"),
        (rows(expression("in", values=[])), "in lacks its column or its value"),
        (rows(expression("in", values=["x"] * 1001)), "more than 1000 values"),
        (rows(expression("equalTo", value="\ud83d")), "a half of a character"),
        (rows(expression("in", values=["\ud83d", "\ude00"])), "a half of a character"),
        (columns("id", "\ud800"), "a half of a character"),
        ({}, "no structure"),
        ({"SDK_UNKNOWN_MEMBER": {"name": "maskConfiguration"}}, "its configuration maskConfiguration is unknown"),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused(configuration: dict[str, Any], why: str) -> None:
    with pytest.raises(Unenforceable, match=rf"the filter f1 of asset ast1 can't be enforced: .*{why}") as refused:
        filters.scope(bounds("f0", "f1"), [stated(columns("id")), stated(configuration)])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "DataZone has no such filter any more"),
        (stated(columns("id"), status="INVALID"), "says that it is INVALID$"),
        (stated(columns("id"), status="INVALID", errorMessage="no column id"), "says that it is INVALID: no column id"),
    ],
)
def test_a_filter_that_is_not_in_force_is_refused(found: Any, why: str) -> None:
    with pytest.raises(Unenforceable) as refused:
        filters.scope(bounds("f1"), [found])
    assert why.rstrip("$") in refused.value.what


def test_an_approval_whose_scope_failed_or_names_nothing_is_refused() -> None:
    with pytest.raises(Unenforceable, match="the approval's assetScope can't be enforced: no grant"):
        filters.scope(bounds("f1", error="no grant"), [stated(columns("id"))])
    with pytest.raises(Unenforceable, match="it names no filter"):
        filters.scope(bounds(), [])


def test_filters_that_are_too_long_in_all_are_refused() -> None:
    each = [stated(rows(expression("in", values=["x" * 20] * 900))) for _ in range(2)]
    assert filters.scope(bounds("f0"), each[:1]).rows
    with pytest.raises(Unenforceable, match=r"the approval's assetScope can't be enforced: .*longer than 32,000 characters"):
        filters.scope(bounds("f0", "f1"), each)
