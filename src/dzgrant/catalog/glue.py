"""Glue tables and connections, read: what a table is a table of, and where its server is. Nothing here calls AWS.

Both connection schemas occur: a JDBC URL with SECRET_ID, and HOST, PORT and DATABASE with an authentication
configuration. A table of S3, Iceberg, Kafka or MongoDB is not ours, and no error: DataZone offers those too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dzgrant.catalog import jdbc, names
from dzgrant.errors import Refused, Unsupported
from dzgrant.model import Source, TablePath

if TYPE_CHECKING:
    from types_aiobotocore_glue.type_defs import ConnectionTypeDef, TableTypeDef

# Glue's ConnectionType values whose tables are read through JDBC from an engine that dzgrant knows.
_JDBC_TYPES = frozenset({"JDBC", "MYSQL", "POSTGRESQL", "ORACLE", "SQLSERVER"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where a Glue table leads: the name of its connection, and `Location` as the crawler or a person wrote it."""

    connection: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A Glue connection to a relational database. The source's database is '' where the connection names none."""

    source: Source
    secret: str | None
    """Name or ARN of the admin's secret; None: the connection's own properties hold the credentials."""


def reference(table: TableTypeDef) -> Reference | None:
    """Where the table leads, or None when it is no table of a JDBC connection.

    Raises `Unsupported` for federated tables and resource links, `Refused` for a database's table without a connection.
    """
    storage = table.get("StorageDescriptor", {})
    # A crawler writes the parameters to both places, a person to either.
    parameters = {**storage.get("Parameters", {}), **table.get("Parameters", {})}
    connection, location = parameters.get("connectionName", ""), storage.get("Location", "")
    if federated := table.get("FederatedTable"):
        if federated.get("ConnectionName", "").startswith("aws:"):
            return None  # Lake Formation's own: Redshift and S3 tables, which DataZone fulfils itself.
        raise Unsupported("a federated Glue table", do="publish the table through a JDBC connection and a crawler")
    if "://" in location:
        return None
    if not connection:
        if jdbc.engine_of(parameters.get("classification", "")) is None:
            return None
        raise Refused("the Glue table names no connection", do="set its connectionName, or crawl it again")
    if "TargetTable" in table:
        raise Unsupported("a resource link to another catalogue's table", do="publish the table that it links to")
    if not location:
        raise Refused("the Glue table has no Location", do="set it to database.schema.table, or crawl it again")
    return Reference(connection=connection, location=location)


def connection(answer: ConnectionTypeDef) -> Connection | None:
    """The connection's source and secret, or None when it is none of a relational database.

    Raises `Unsupported` for a server or a way to log in that dzgrant does not know.
    """
    kind = answer.get("ConnectionType", "JDBC")
    if kind not in _JDBC_TYPES:
        return None
    authentication = answer.get("AuthenticationConfiguration", {})
    if (way := authentication.get("AuthenticationType")) in ("IAM", "OAUTH2"):
        raise Unsupported(f"the Glue connection logs in by {way}", do="give it a secret with a username and a password")
    properties: dict[str, str] = {str(key): value for key, value in answer.get("ConnectionProperties", {}).items()}
    return Connection(
        source=_source(kind, properties, answer.get("SparkProperties", {}).get("JDBC_CONNECTION_URL")),
        secret=properties.get("SECRET_ID") or authentication.get("SecretArn") or None,
    )


def _source(kind: str, properties: dict[str, str], spark_url: str | None) -> Source:
    if url := properties.get("JDBC_CONNECTION_URL"):
        return jdbc.parse(url)
    if host := properties.get("HOST"):
        word = properties.get("JDBC_ENGINE", "") if kind == "JDBC" else kind
        return jdbc.source(word, host, properties.get("PORT", ""), properties.get("DATABASE", ""))
    if spark_url:
        return jdbc.parse(spark_url)
    raise Unsupported("the Glue connection names no server", do="give it a JDBC_CONNECTION_URL, or HOST, PORT and DATABASE")


def place(location: str, source: Source) -> tuple[Source, TablePath]:
    """The source with its database filled in, and the table below it, from a table's `Location`.

    Location is `database.schema.table`; MySQL has no schema, and there Location's database wins, since one server's
    connection serves all of its databases. Elsewhere it must be the connection's own, or else the login would be made
    in another database than the table's. A database's name may hold dots where the connection names it.
    Raises `Refused` when Location can't be read for certain.
    """
    if not names.possible(location):
        raise Refused(
            f"the Glue table's Location {location[:100]!a} is no name that a table could have",
            do="crawl the table again, or correct its Location",
        )
    for known in _names(source):
        database, dot, table = location[: len(known)], location[len(known) : len(known) + 1], location[len(known) + 1 :]
        if known and dot == "." and database.casefold() == known.casefold():
            break
    else:
        database, _, table = location.partition(".")
        if source.database and source.engine != "mysql":
            raise Refused(
                f"the Glue table's Location {location!r} is in another database than its connection, {source.database!r}",
                do="crawl the table through a connection to its own database",
            )
    if source.engine == "mysql":
        # The engine itself tells where a dot belongs, but only below a database that is certain.
        certain = source.database.casefold() == database.casefold() or "." not in table
        source = replace(source, database=database)
    else:
        certain = "." in table
        source = replace(source, database=source.database or database)
    if not (certain and database and table):
        raise Refused(
            f"the Glue table's Location {location!r} is not of the form "
            f"{'database.table' if source.engine == 'mysql' else 'database.schema.table'}",
            do="crawl the table again, or correct its Location",
        )
    return source, TablePath(name=table)


def _names(source: Source) -> tuple[str, ...]:
    """How Location may spell the source's database: Oracle's as the service, its first label, or the SID."""
    if source.engine != "oracle":
        return (source.database,)
    name = source.database.removeprefix("SID:")
    return name, name.partition(".")[0]
