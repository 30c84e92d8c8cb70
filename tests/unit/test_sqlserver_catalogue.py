"""What the rows of the catalogue come to: who may read a table, by what else, and which views nobody reads."""

from __future__ import annotations

from dzgrant.engines.sqlserver.catalogue import Access, Reader, View, Views, access, views
from dzgrant.engines.sqlserver.grants import drop_unread, view_of
from dzgrant.engines.sqlserver.session import Row
from dzgrant.model import Table

ORDERS = Table(schema="sales", name="orders")
CONSUMER = 7


class Answer:
    """The results of one batch, as the server would send them."""

    def __init__(self, *results: list[Row]) -> None:
        self._results = list(results)

    def fetch(self, batch: str, *values: str | int) -> list[list[Row]]:
        assert batch.count("?") == len(values)
        return self._results


def seen(*permissions: Row, edges: list[Row] | None = None) -> Access:
    reader: Reader = Answer([("U ", "dbo")], list(permissions), edges or [], [(CONSUMER,)])
    found = access(reader, "dz_1", ORDERS, babelfish=False)
    assert found is not None
    return found


def test_a_table_that_is_not_there_is_none() -> None:
    assert access(Answer([], [], [], [(CONSUMER,)]), "dz_1", ORDERS, babelfish=False) is None


def test_columns_and_the_table_are_told_apart() -> None:
    whole = seen((1, None, "SELECT", "G", CONSUMER, "dz_1"), (0, None, "CONNECT", "G", CONSUMER, "dz_1"))
    assert (whole.selects, whole.columns, whole.connects, whole.through()) == (True, frozenset(), True, None)
    some = seen((1, "id", "SELECT", "G", CONSUMER, "dz_1"), (1, "at", "SELECT", "W", CONSUMER, "dz_1"))
    assert (some.selects, some.columns, some.connects) == (False, frozenset({"id", "at"}), False)


def test_an_exception_from_a_grant_is_none_of_its_columns() -> None:
    found = seen((1, None, "SELECT", "G", CONSUMER, "dz_1"), (1, "pay", "SELECT", "R", CONSUMER, "dz_1"))
    assert (found.selects, found.columns, found.excepted) == (True, frozenset[str](), frozenset[str | None]({"pay"}))


def test_what_else_opens_the_table_is_named() -> None:
    found = seen(
        (1, None, "SELECT", "G", 0, "public"),
        (3, None, "SELECT", "G", 12, "analysts"),
        (0, None, "CONTROL", "G", 13, "strangers"),
        (3, None, "SELECT", "G", CONSUMER, "dz_1"),
        edges=[(CONSUMER, 11, "juniors"), (11, 12, "analysts"), (12, 11, "juniors"), (99, 13, "strangers")],
    )
    assert found.through() == "PUBLIC, its own SELECT on the schema, role analysts"


def test_fixed_roles_read_without_a_permission() -> None:
    assert seen(edges=[(CONSUMER, 16390, "db_datareader")]).through() == "role db_datareader"


def test_a_denial_is_told_with_its_place() -> None:
    found = seen(
        (1, "pay", "SELECT", "D", 0, "public"),
        (0, None, "SELECT", "D", 12, "analysts"),
        (1, None, "SELECT", "D", 99, "strangers"),
        edges=[(CONSUMER, 12, "analysts")],
    )
    assert found.denials() == ["SELECT to public on the table's column pay", "SELECT to analysts on the database"]
    assert found.through() is None


def test_a_view_is_dropped_with_its_last_reader_and_its_schema_when_empty() -> None:
    unread, read = (View(table=Table(schema="dz_1_views", name=name), definition="", readers=readers)
                    for name, readers in (("a", frozenset({"dz_1"})), ("b", frozenset({"dz_1", "dz_1_2"}))))  # fmt: skip
    both = Views(schemas=frozenset({"dz_1_views"}), views=(unread, read), shared=frozenset())
    everything = {unread.table, read.table}
    assert list(drop_unread(both, gone=everything, without="dz_1")) == ["DROP VIEW [dz_1_views].[a]"]
    alone = Views(schemas=frozenset({"dz_1_views"}), views=(unread,), shared=frozenset())
    assert list(drop_unread(alone, gone=everything, without="dz_1")) == [
        "DROP VIEW [dz_1_views].[a]",
        "DROP SCHEMA [dz_1_views]",
    ]
    assert list(drop_unread(alone, gone=set(), without="dz_1")) == []


def test_what_is_somebody_elses_in_a_schema_of_views_stays_and_keeps_the_schema() -> None:
    rows = [
        ("dz_1_views", "orders_0123abcd", "V ", "CREATE VIEW x AS SELECT 1", "dz_1"),
        ("dz_1_views", "theirs", "U ", None, None),
        ("dz_1_views", "their_view", "V ", "CREATE VIEW y AS SELECT 2", None),
    ]
    found = views(Answer(rows, [("dz_1",)]), "dz_1_views", babelfish=False)
    assert [view.table.name for view in found.views] == ["orders_0123abcd"]
    dropped = list(drop_unread(found, gone={view.table for view in found.views}, without="dz_1"))
    assert dropped == ["DROP VIEW [dz_1_views].[orders_0123abcd]"]


def test_both_logins_of_a_principal_share_a_view_and_owners_do_not() -> None:
    assert view_of("dz_1", ORDERS, "dbo") == view_of("dz_1_2", ORDERS, "dbo")
    assert view_of("dz_1", ORDERS, "dbo").schema == "dz_1_views"
    assert view_of("dz_1", ORDERS, "anna").schema != view_of("dz_1", ORDERS, "bert").schema
