"""What scopes together let be read: cell by cell, on a real engine; and what can't be said is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql, sqlite
from sqlalchemy.types import TypeEngine

from dzgrant.engines.filters import is_whole, reading, view_name
from dzgrant.errors import Unsupported
from dzgrant.model import AllOf, AnyOf, Comparison, Operator, RowFilter, Scope, Table

TABLE = Table(schema="sales.eu", name="Orders")
COLUMNS: Mapping[str, TypeEngine[Any]] = {
    "id": sa.Integer(),
    "Region": sa.Text(),
    "price": sa.Numeric(),
    "ratio": sa.Double(),
    "sold": sa.Date(),
    "made": sa.DateTime(),
    "seen": sa.DateTime(timezone=True),
    "paid": sa.Boolean(),
    "doc": sa.JSON(),
    "odd": sa.types.NullType(),
}
_untyped: dict[str, Callable[..., sa.Dialect]] = {
    "postgresql": postgresql.asyncpg.dialect,
    "mysql": mysql.aiomysql.dialect,
    "mssql": mssql.pyodbc.dialect,
    "oracle": oracle.oracledb.dialect,
}
DIALECTS = {name: make(paramstyle="named") for name, make in _untyped.items()}


def compare(column: str, operator: str, *values: str) -> Comparison:
    return Comparison(column=column, operator=Operator(operator), values=values)


def where(rows: RowFilter, dialect: str = "postgresql") -> str:
    """The view's condition, in one line."""
    select = reading(TABLE, COLUMNS, [Scope(columns=frozenset({"id"}), rows=rows)], DIALECTS[dialect]).select
    return " ".join(select.split(" \nWHERE ", 1)[1].split())


def test_one_whole_scope_is_the_whole() -> None:
    assert is_whole([Scope(columns=frozenset({"id"})), Scope()])
    assert not is_whole([Scope(columns=frozenset(COLUMNS))])


def test_columns_add_up_in_the_tables_order() -> None:
    scopes = [Scope(columns=frozenset({"PAID"})), Scope(columns=frozenset({"Id", "region"}))]
    found = reading(TABLE, COLUMNS, scopes, DIALECTS["postgresql"])
    assert (found.columns, found.by_rows) == (("id", "Region", "paid"), False)
    assert found.select == 'SELECT "id", "Region", "paid" \nFROM "sales.eu"."Orders"'


def test_all_columns_by_name_are_not_all_there_will_be() -> None:
    assert reading(TABLE, COLUMNS, [Scope(columns=frozenset(COLUMNS))], DIALECTS["mysql"]).columns == tuple(COLUMNS)


def test_rows_of_columns_that_are_free_add_nothing() -> None:
    scopes = [Scope(columns=frozenset({"id", "paid"})), Scope(columns=frozenset({"id"}), rows=compare("id", "equalTo", "1"))]
    found = reading(TABLE, COLUMNS, scopes, DIALECTS["postgresql"])
    assert (found.columns, found.by_rows) == (("id", "paid"), False)


def test_rows_of_all_columns_need_a_view() -> None:
    found = reading(TABLE, COLUMNS, [Scope(rows=compare("region", "equalTo", "eu"))], DIALECTS["mysql"])
    assert (found.columns, found.by_rows) == (None, True)
    assert "WHERE `Region` = 'eu'" in found.select


CELLS: Mapping[str, TypeEngine[Any]] = {"a": sa.Integer(), "b": sa.Integer(), "c": sa.Text()}
ROWS: list[tuple[int | None, int | None, str | None]] = [
    (a, b, c) for a in (0, 1, None) for b in (0, 1, None) for c in ("x", "it's", None)
]
_comparisons = st.one_of(
    st.builds(compare, st.sampled_from("aB"), st.sampled_from(["equalTo", "notEqualTo", "greaterThan"]), st.sampled_from("01")),
    st.builds(compare, st.just("C"), st.sampled_from(["in", "notIn"]), st.just("it's"), st.just("y")),
    st.builds(compare, st.sampled_from("abc"), st.sampled_from(["isNull", "isNotNull"])),
)
_filters: st.SearchStrategy[RowFilter] = st.recursive(
    _comparisons,
    lambda parts: st.builds(
        lambda kind, found: kind(parts=tuple(found)), st.sampled_from([AllOf, AnyOf]), st.lists(parts, min_size=1, max_size=3)
    ),
    max_leaves=4,
)
_scopes = st.builds(
    Scope, columns=st.one_of(st.none(), st.frozensets(st.sampled_from("abc"), min_size=1)), rows=st.one_of(st.none(), _filters)
)


def shows(rows: RowFilter | None, row: Mapping[str, object]) -> bool | None:
    """SQL's three answers, told in Python."""
    match rows:
        case None:
            return True
        case Comparison():
            value = row[rows.column.lower()]
            wanted = {int(text) if isinstance(value, int) else text for text in rows.values}
            if rows.operator in {Operator.IS_NULL, Operator.IS_NOT_NULL}:
                return (value is None) is (rows.operator is Operator.IS_NULL)
            if value is None:
                return None
            if rows.operator is Operator.GREATER_THAN:
                return str(value) > str(*wanted)
            return (value in wanted) is (rows.operator in {Operator.EQUAL_TO, Operator.IN})
    found = {shows(part, row) for part in rows.parts}
    decides = isinstance(rows, AnyOf)
    return decides if decides in found else None if None in found else not decides


@given(scopes=st.lists(_scopes.filter(lambda scope: scope != Scope()), min_size=1, max_size=4))
def test_a_cell_is_seen_when_one_scope_shows_its_row_and_column(scopes: list[Scope]) -> None:
    found = reading(Table(schema="main", name="t"), CELLS, scopes, sqlite.dialect())
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE t (a int, b int, c text)")
    database.executemany("INSERT INTO t VALUES (?, ?, ?)", ROWS)
    seen = database.execute(found.select).fetchall()
    database.close()
    columns = found.columns or tuple(CELLS)
    expected = []
    for row in (dict(zip(CELLS, values, strict=True)) for values in ROWS):
        showing = [scope for scope in scopes if shows(scope.rows, row)]
        granted = {name for scope in showing for name in (scope.columns or CELLS)}
        if showing:
            expected.append(tuple(row[name] if name in granted else None for name in columns))
    assert sorted(map(repr, seen)) == sorted(map(repr, expected))
    # Where no view is needed the columns say the same.
    assert found.by_rows or seen == [tuple(dict(zip(CELLS, row, strict=True))[name] for name in columns) for row in ROWS]


HOSTILE = "'; DROP TABLE x; --\\' %s :y \" é"


@pytest.mark.parametrize(
    ("dialect", "literal"),
    [
        ("postgresql", """'''; DROP TABLE x; --\\'' %s :y " é'"""),
        ("mysql", """'''; DROP TABLE x; --\\\\'' %s :y " é'"""),
        ("mssql", """N'''; DROP TABLE x; --\\'' %s :y " é'"""),
        ("oracle", """nlssort('''; DROP TABLE x; --\\'' %s :y " é', 'NLS_SORT=BINARY')"""),
    ],
)
def test_text_is_quoted_as_the_dialect_quotes_it(dialect: str, literal: str) -> None:
    assert where(compare("Region", "equalTo", HOSTILE), dialect).endswith(f" = {literal}")


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("postgresql", "\"Region\" LIKE '50!!%_[\\' ESCAPE '!'"),
        ("mysql", "`Region` LIKE '50!!%_[\\\\' ESCAPE '!'"),
        ("mssql", "[Region] LIKE N'50!!%_![\\' ESCAPE '!'"),
        ("oracle", "REGEXP_LIKE(\"Region\", '^50!.*.\\[\\\\$', 'cn')"),
    ],
)
def test_in_like_nothing_but_percent_and_underscore_is_a_wildcard(dialect: str, sql: str) -> None:
    assert where(compare("region", "like", "50!%_[\\"), dialect) == sql


@pytest.mark.parametrize(
    ("column", "value", "literals"),
    [
        ("id", "7", ["7"] * 4),
        ("id", "-1.50e3", ["-1500"] * 4),
        ("price", "0.00000001", ["0.00000001"] * 4),
        ("ratio", "1.5", ["1.5"] * 4),
        ("paid", "TRUE", ["true", "true", "1", "1"]),
        ("sold", "2026-11-24", ["DATE '2026-11-24'", "DATE '2026-11-24'", "CAST('2026-11-24' AS date)", "DATE '2026-11-24'"]),
        (
            "made",
            "2026-11-24T01:02:03.5",
            [
                "TIMESTAMP '2026-11-24 01:02:03.500000'",
                "TIMESTAMP '2026-11-24 01:02:03.500000'",
                "CAST('2026-11-24T01:02:03.500000' AS datetime2)",
                "TIMESTAMP '2026-11-24 01:02:03.500000'",
            ],
        ),
        (
            "seen",
            "2026-11-24 01:02:03",
            [
                "TIMESTAMP WITH TIME ZONE '2026-11-24 01:02:03+00:00'",
                "1795482123.000000",
                "CAST('2026-11-24T01:02:03+00:00' AS datetimeoffset)",
                "TIMESTAMP '2026-11-24 01:02:03+00:00'",
            ],
        ),
    ],
)
def test_a_value_is_a_literal_of_its_columns_type(column: str, value: str, literals: list[str]) -> None:
    found = [where(compare(column, "equalTo", value), dialect).split(" = ")[1] for dialect in DIALECTS]
    assert found == literals


ORACLES = {"text": sa.VARCHAR(), "code": sa.CHAR(), "national": sa.NVARCHAR(), "national code": sa.NCHAR()}


def in_oracle(rows: RowFilter) -> str:
    select = reading(TABLE, ORACLES, [Scope(rows=rows)], DIALECTS["oracle"]).select
    return " ".join(select.split(" \nWHERE ", 1)[1].split())


@pytest.mark.parametrize(
    ("operator", "values", "sql"),
    [
        ("equalTo", ["a"], "nlssort(text, 'NLS_SORT=BINARY') = nlssort('a', 'NLS_SORT=BINARY')"),
        ("notEqualTo", ["a"], "nlssort(text, 'NLS_SORT=BINARY') != nlssort('a', 'NLS_SORT=BINARY')"),
        ("greaterThan", ["a"], "nlssort(text, 'NLS_SORT=BINARY') > nlssort('a', 'NLS_SORT=BINARY')"),
        ("lessThanOrEqualTo", ["a"], "nlssort(text, 'NLS_SORT=BINARY') <= nlssort('a', 'NLS_SORT=BINARY')"),
        (
            "in",
            ["a ", "b"],
            "nlssort(text, 'NLS_SORT=BINARY') IN (nlssort('a ', 'NLS_SORT=BINARY'), nlssort('b', 'NLS_SORT=BINARY'))",
        ),
        ("notIn", ["a"], "(nlssort(text, 'NLS_SORT=BINARY') NOT IN (nlssort('a', 'NLS_SORT=BINARY')))"),
        ("like", ["a%b_c"], "REGEXP_LIKE(text, '^a.*b.c$', 'cn')"),
        ("notLike", [".[]\\()*+?{}|^$"], r"NOT REGEXP_LIKE(text, '^\.\[]\\\(\)\*\+\?\{}\|\^\$$', 'cn')"),
        ("isNull", [], "text IS NULL"),
    ],
)
def test_oracles_texts_are_compared_in_no_sessions_collation(operator: str, values: list[str], sql: str) -> None:
    assert in_oracle(compare("text", operator, *values)).replace('"', "") == sql


@pytest.mark.parametrize(
    ("column", "sql"),
    [
        ("code", "nlssort(regexp_replace(code, ' +$', '', 1, 0, 'c'), {key} = nlssort(' a', {key}"),
        ("national", "nlssort(national, {key} = nlssort(to_nchar(' a '), {key}"),
        ("national code", "nlssort(regexp_replace(national code, ' +$', '', 1, 0, 'c'), {key} = nlssort(to_nchar(' a'), {key}"),
    ],
)
def test_oracles_padding_and_national_characters_count_as_in_a_comparison(column: str, sql: str) -> None:
    assert in_oracle(compare(column, "equalTo", " a ")).replace('"', "") == sql.format(key="'NLS_SORT=BINARY')")


@pytest.mark.parametrize(("operator", "longest"), [("equalTo", "é" * 450), ("notIn", "a" * 900), ("notLike", "." * 255)])
def test_a_text_that_oracle_would_cut_is_refused(operator: str, longest: str) -> None:
    assert longest in in_oracle(compare("text", operator, longest)).replace("\\", "")
    with pytest.raises(Unsupported, match=r"column text has more than \d+ bytes"):
        in_oracle(compare("text", operator, longest + "a"))


def test_mysqls_timestamp_is_compared_in_no_sessions_time_zone() -> None:
    assert where(compare("seen", "lessThan", "1970-01-02"), "mysql") == "unix_timestamp(`seen`) < 86400.000000"


def test_conditions_keep_their_brackets() -> None:
    either = AnyOf(parts=(compare("id", "equalTo", "1"), compare("id", "isNull")))
    both = AllOf(parts=(either, AnyOf(parts=(compare("region", "notIn", "a", "b"), compare("region", "notLike", "c%")))))
    assert where(both) == (
        "(\"id\" = 1 OR \"id\" IS NULL) AND ((\"Region\" NOT IN ('a', 'b')) OR \"Region\" NOT LIKE 'c%' ESCAPE '!')"
    )


def nested(depth: int) -> RowFilter:
    return AllOf(parts=(nested(depth - 1),)) if depth else compare("id", "isNull")


def test_a_filter_is_nested_twenty_deep_at_most() -> None:
    assert where(nested(19)) == '"id" IS NULL'
    with pytest.raises(Unsupported, match="20 deep"):
        where(nested(20))


@pytest.mark.parametrize(
    "rows",
    [
        compare("nowhere", "isNull"),
        compare("id", "equalTo", "1 OR 1=1"),
        compare("id", "equalTo", "NaN"),
        compare("id", "equalTo", "1_000"),
        compare("id", "equalTo", "٣"),
        compare("id", "equalTo", "1e999"),
        compare("id", "equalTo", ""),
        compare("id", "equalTo"),
        compare("id", "equalTo", "1", "2"),
        compare("id", "isNull", "1"),
        compare("id", "in"),
        compare("id", "notIn"),
        compare("id", "like", "1%"),
        compare("price", "greaterThan", "cheap"),
        compare("sold", "equalTo", "24.11.2026"),
        compare("sold", "equalTo", "2026-11-24T00:00:00"),
        compare("made", "equalTo", "2026-11-24T00:00:00Z"),
        compare("made", "equalTo", "2026-11-24T00:00:00.1234567"),
        compare("paid", "equalTo", "yes"),
        compare("paid", "lessThan", "true"),
        compare("doc", "equalTo", "{}"),
        compare("odd", "equalTo", "1"),
        compare("Region", "equalTo", "\0"),
        AllOf(parts=()),
        AnyOf(parts=()),
    ],
)
def test_what_cannot_be_said_is_refused(rows: RowFilter) -> None:
    with pytest.raises(Unsupported, match=r"^the filter can't be applied: .*\(table sales\.eu\.Orders\)"):
        where(rows)


def test_a_column_must_be_one() -> None:
    twins = {"a": sa.Text(), "A": sa.Text()}
    for column, said in (("a", "'a' is ambiguous: a, A"), ("b", "no column 'b'")):
        with pytest.raises(Unsupported, match=said):
            reading(TABLE, twins, [Scope(columns=frozenset({column}))], DIALECTS["oracle"])
    with pytest.raises(Unsupported, match="no column is left"):
        reading(TABLE, twins, [Scope(columns=frozenset())], DIALECTS["oracle"])


@pytest.mark.parametrize("quote", ['"', "]", "`"])
def test_names_are_quoted(quote: str) -> None:
    name = f"a{quote}b :c %(d)s"
    table = Table(schema=name, name=name)
    for dialect in DIALECTS.values():
        text = dialect.identifier_preparer.quote_identifier(name)
        scope = Scope(columns=frozenset({name}), rows=compare(name, "equalTo", "1"))
        other = Scope(columns=frozenset({"x"}), rows=compare("x", "equalTo", "1"))
        select = reading(table, {name: sa.Integer(), "x": sa.Integer()}, [scope, other], dialect).select
        assert f"CASE WHEN ({text} = 1) THEN {text} END AS {text}" in select
        assert f"FROM {text}.{text} " in select


def test_a_views_name_is_readable_short_and_its_own() -> None:
    assert (
        view_name(Table(schema="s", name="Größe of"), 63)
        == "Größe_of_" + view_name(Table(schema="s", name="Größe of"), 63)[-8:]
    )
    names = [Table(schema=schema, name=name) for schema, name in [("a", "b.c"), ("a.b", "c"), ("a", "b_c"), ("a", "é" * 99)]]
    assert len({view_name(name, 30) for name in names}) == 4
    assert [len(view_name(name, 30).encode()) for name in names][-1] in {29, 30}
    assert view_name(names[0], 30).startswith("b_c_")
