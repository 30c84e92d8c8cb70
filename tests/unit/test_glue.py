"""Glue tables and connections as AWS answers them, and where they lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dzgrant.catalog import glue
from dzgrant.errors import Refused, Unsupported
from dzgrant.model import Source, TablePath

if TYPE_CHECKING:
    from types_aiobotocore_glue.type_defs import ConnectionTypeDef, TableTypeDef

# A crawled SQL Server view, as a live catalogue answered it (redash's test suite).
CRAWLED: dict[str, object] = {
    "Name": "jdbc_table",
    "StorageDescriptor": {
        "Columns": [{"Name": "row_id", "Type": "int"}],
        "Location": "Database.Schema.Table",
        "Compressed": False,
        "NumberOfBuckets": -1,
        "SerdeInfo": {"Parameters": {}},
        "Parameters": {
            "UPDATED_BY_CRAWLER": "jdbc",
            "classification": "sqlserver",
            "connectionName": "jdbctest",
            "typeOfData": "view",
        },
    },
    "TableType": "EXTERNAL_TABLE",
    "Parameters": {
        "UPDATED_BY_CRAWLER": "jdbc",
        "classification": "sqlserver",
        "connectionName": "jdbctest",
        "typeOfData": "view",
    },
}


def table(answer: dict[str, object]) -> TableTypeDef:
    return cast("TableTypeDef", answer)


def connection(answer: dict[str, object]) -> ConnectionTypeDef:
    return cast("ConnectionTypeDef", {"Name": "shop", **answer})


def test_a_crawled_table_leads_to_its_connection() -> None:
    expected = glue.Reference(connection="jdbctest", location="Database.Schema.Table")
    assert glue.reference(table(CRAWLED)) == expected


@pytest.mark.parametrize("place", ["Parameters", "StorageDescriptor"])
def test_parameters_in_one_place_are_enough(place: str) -> None:
    parameters = {"connectionName": "shop"}
    storage: dict[str, object] = {"Location": "shop.public.orders"}
    if place == "StorageDescriptor":
        answer: dict[str, object] = {"Name": "orders", "StorageDescriptor": {**storage, "Parameters": parameters}}
    else:
        answer = {"Name": "orders", "StorageDescriptor": storage, "Parameters": parameters}
    assert glue.reference(table(answer)) == glue.Reference(connection="shop", location="shop.public.orders")


@pytest.mark.parametrize(
    "answer",
    [
        {"Name": "files", "StorageDescriptor": {"Location": "s3://bucket/files/"}, "Parameters": {"classification": "parquet"}},
        # A crawler that reaches S3 through a NETWORK connection leaves its name too.
        {
            "Name": "files",
            "StorageDescriptor": {"Location": "s3://bucket/files/"},
            "Parameters": {"classification": "csv", "connectionName": "vpc"},
        },
        {"Name": "iceberg", "Parameters": {"table_type": "ICEBERG"}},
        {"Name": "view", "TableType": "VIRTUAL_VIEW"},
        {"Name": "redshift", "FederatedTable": {"ConnectionName": "aws:redshift", "Identifier": "x"}},
    ],
)
def test_a_table_that_is_not_read_through_jdbc_is_nobodys_error(answer: dict[str, object]) -> None:
    assert glue.reference(table(answer)) is None


@pytest.mark.parametrize(
    "answer",
    [
        {"Name": "t", "FederatedTable": {"ConnectionName": "snow", "ConnectionType": "SNOWFLAKE"}},
        {
            "Name": "link",
            "TargetTable": {"CatalogId": "2", "DatabaseName": "d", "Name": "t"},
            "Parameters": {"connectionName": "shop"},
            "StorageDescriptor": {"Location": "shop.public.orders"},
        },
    ],
)
def test_federated_tables_and_links_are_unsupported(answer: dict[str, object]) -> None:
    with pytest.raises(Unsupported):
        glue.reference(table(answer))


@pytest.mark.parametrize(
    "answer",
    [
        {"Name": "t", "StorageDescriptor": {"Location": "a.b.c"}, "Parameters": {"classification": "postgresql"}},
        {"Name": "t", "Parameters": {"classification": "postgresql", "connectionName": "shop"}},
    ],
)
def test_a_databases_table_that_leads_nowhere_is_refused(answer: dict[str, object]) -> None:
    with pytest.raises(Refused):
        glue.reference(table(answer))


def source(engine: str = "postgresql", database: str = "shop", port: int = 5432) -> Source:
    return Source(engine=engine, host="db", port=port, database=database)


@pytest.mark.parametrize(
    ("answer", "expected", "secret"),
    [
        (
            {
                "ConnectionType": "JDBC",
                "ConnectionProperties": {"JDBC_CONNECTION_URL": "jdbc:postgresql://DB:5432/shop", "SECRET_ID": "admin"},
            },
            source(),
            "admin",
        ),
        (
            {
                "ConnectionType": "POSTGRESQL",
                "ConnectionSchemaVersion": 2,
                "ConnectionProperties": {"HOST": "db", "PORT": "5432", "DATABASE": "shop"},
                "AuthenticationConfiguration": {"AuthenticationType": "BASIC", "SecretArn": "arn:aws:secretsmanager:x"},
            },
            source(),
            "arn:aws:secretsmanager:x",
        ),
        (
            {"ConnectionType": "JDBC", "ConnectionProperties": {"HOST": "db", "PORT": "3306", "JDBC_ENGINE": "mysql"}},
            source("mysql", "", 3306),
            None,
        ),
        (
            {
                "ConnectionType": "MYSQL",
                "ConnectionProperties": {"USERNAME": "admin"},
                "SparkProperties": {"JDBC_CONNECTION_URL": "jdbc:mysql://db/shop"},
            },
            source("mysql", "shop", 3306),
            None,
        ),
    ],
)
def test_both_connection_schemas_name_source_and_secret(
    answer: dict[str, object], expected: Source, secret: str | None
) -> None:
    assert glue.connection(connection(answer)) == glue.Connection(source=expected, secret=secret)


@pytest.mark.parametrize("kind", ["MONGODB", "KAFKA", "NETWORK", "SNOWFLAKE"])
def test_a_connection_to_no_relational_database_is_nobodys_error(kind: str) -> None:
    assert glue.connection(connection({"ConnectionType": kind, "ConnectionProperties": {}})) is None


@pytest.mark.parametrize(
    "answer",
    [
        {"ConnectionType": "JDBC", "ConnectionProperties": {}},
        {"ConnectionType": "JDBC", "ConnectionProperties": {"JDBC_CONNECTION_URL": "jdbc:db2://db:50000/dev"}},
        {"ConnectionType": "JDBC", "ConnectionProperties": {"HOST": "db", "PORT": "1"}},
        {
            "ConnectionType": "MYSQL",
            "ConnectionProperties": {"HOST": "db", "PORT": "3306"},
            "AuthenticationConfiguration": {"AuthenticationType": "IAM"},
        },
    ],
)
def test_a_connection_that_dzgrant_cannot_use_is_unsupported(answer: dict[str, object]) -> None:
    with pytest.raises(Unsupported):
        glue.connection(connection(answer))


@pytest.mark.parametrize(
    ("location", "known", "database", "path"),
    [
        ("shop.public.orders", source(), "shop", "public.orders"),
        ("Shop.public.Orders", source(), "shop", "public.Orders"),
        ("shop.public.orders", source(database=""), "shop", "public.orders"),
        ("my.shop.public.or.ders", source(database="my.shop"), "my.shop", "public.or.ders"),
        ("Database.Schema.Table", source("sqlserver", "Database"), "Database", "Schema.Table"),
        ("orcl.HR.EMP", source("oracle", "SID:ORCL"), "SID:ORCL", "HR.EMP"),
        ("orcl.HR.EMP", source("oracle", "ORCL.EXAMPLE.COM"), "ORCL.EXAMPLE.COM", "HR.EMP"),
        ("ORCL.EXAMPLE.COM.HR.EMP", source("oracle", "ORCL.EXAMPLE.COM"), "ORCL.EXAMPLE.COM", "HR.EMP"),
        ("shop.orders", source("mysql"), "shop", "orders"),
        ("shop.orders", source("mysql", ""), "shop", "orders"),
        ("other.orders", source("mysql"), "other", "orders"),
        ("SHOP.orders", source("mysql"), "SHOP", "orders"),
        ("shop.or.ders", source("mysql"), "shop", "or.ders"),
        ("my.shop.orders", source("mysql", "my.shop"), "my.shop", "orders"),
        # Folding changes a name's length: the database still ends at the dot.
        ("straße.public.orders", source(database="straße"), "straße", "public.orders"),
    ],
)
def test_location_is_read_against_the_connection(location: str, known: Source, database: str, path: str) -> None:
    found, table_path = glue.place(location, known)
    assert found.database == database
    assert table_path == TablePath(name=path)
    assert (found.engine, found.host, found.port) == (known.engine, known.host, known.port)


@pytest.mark.parametrize(
    ("location", "known"),
    [
        ("other.public.orders", source()),
        ("shop2.public.orders", source()),
        ("other.dbo.orders", source("sqlserver", "shop")),
        ("other.HR.EMP", source("oracle", "ORCL")),
        ("shop.orders", source()),
        ("shop", source()),
        ("shop.", source()),
        (".public.orders", source(database="")),
        ("orders", source("mysql")),
        ("shop.", source("mysql")),
        # Either database `a` or database `a.b`: nobody can tell.
        ("a.b.orders", source("mysql")),
        ("a.b.orders", source("mysql", "")),
    ],
)
def test_a_location_that_is_not_certain_is_refused(location: str, known: Source) -> None:
    with pytest.raises(Refused):
        glue.place(location, known)


NAMES = st.text(alphabet='aAßİ. "', max_size=6)


@given(st.lists(NAMES, max_size=4).map(".".join), NAMES, st.sampled_from(["postgresql", "mysql", "sqlserver", "oracle"]))
def test_what_is_read_is_what_location_says(location: str, database: str, engine: str) -> None:
    known = source(engine, database)
    try:
        found, path = glue.place(location, known)
    except Refused:
        return
    written = location.removesuffix(f".{path.name}")
    assert location == f"{written}.{path.name}"
    if engine == "mysql" or not database:
        assert found.database == written
    else:
        assert found == known
        assert written.casefold() in {database.casefold(), database.partition(".")[0].casefold()}
    assert engine == "mysql" or "." in path.name
