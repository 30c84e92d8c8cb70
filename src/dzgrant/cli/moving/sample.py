"""What AWS's sample wrote into its three DynamoDB tables, item by item.

The shapes are those that its Lambda functions write ("Guidance for connecting data products with Amazon DataZone":
grant_jdbc_subscription, copy_subscription_secret, update_subscription_records). Only what dzgrant asks for is read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dzgrant.accounts import AwsError, classify
from dzgrant.errors import Refused

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


class Tables(BaseModel):
    """The names of the three tables; the sample's own unless its configuration was changed."""

    model_config = ConfigDict(frozen=True)

    sources: str = "dz_conn_g_p_source_subscriptions"
    secrets: str = "dz_conn_g_c_secrets_mapping"
    assets: str = "dz_conn_g_c_asset_subscriptions"


class _Item(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class SourceItem(_Item):
    """One login: what one environment may read through one Glue connection."""

    connection: str = Field(alias="glue_connection_arn", pattern=r"^arn:[^:]+:glue:[^:]+:\d{12}:connection/.+$")
    environment: str = Field(alias="datazone_consumer_environment_id", pattern=r"^[a-zA-Z0-9_-]{1,36}$")
    project: str = Field(alias="datazone_consumer_project_id")
    domain: str = Field(alias="datazone_domain_id")
    secret: str = Field(alias="secret_arn")
    """The producer's."""
    locations: tuple[str, ...] = Field(alias="data_assets")
    """As Glue's `Location` spells them: `database.schema.table`, in MySQL `database.table`."""


class SecretItem(_Item):
    """The consumer's copy of a producer's secret. The account and the Region are the consumer's."""

    shared: str = Field(alias="shared_secret_arn")
    copy_of_it: str = Field(alias="secret_arn")
    account: str = Field(alias="owner_account")
    region: str = Field(alias="owner_region")


class AssetItem(_Item):
    """One asset that an environment is subscribed to, and the consumer's secret that opens it."""

    listing: str = Field(alias="datazone_listing_name")
    secret: str = Field(alias="secret_arn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """All that the tables hold."""

    sources: tuple[SourceItem, ...]
    secrets: tuple[SecretItem, ...]
    assets: tuple[AssetItem, ...]


_M = TypeVar("_M", bound=_Item)


async def read(client: DynamoDBClient, tables: Tables) -> Sample:
    """Raises `Misconfigured` for a table that is not there or not to be read, `Refused` for one that is not the sample's."""
    return Sample(
        sources=tuple([one async for one in _items(client, tables.sources, SourceItem)]),
        secrets=tuple([one async for one in _items(client, tables.secrets, SecretItem)]),
        assets=tuple([one async for one in _items(client, tables.assets, AssetItem)]),
    )


async def _items(client: DynamoDBClient, table: str, shape: type[_M]) -> AsyncIterator[_M]:
    try:
        async for page in client.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                yield shape.model_validate({name: _plain(value) for name, value in item.items()})
    except AwsError as error:
        do = "name the sample's tables, and let this role scan them (parameter SampleTables of deploy/ecs)"
        raise classify(error, f"the sample's table {table} can't be read", do=do) from error
    except ValidationError as error:
        where = ", ".join(str(problem["loc"][0]) for problem in error.errors())
        raise Refused(f"the table {table} holds an item that is not the sample's: {where}", do="check the names") from None


def _plain(value: Any) -> object:
    """Of the sample's values all are texts, and lists of texts."""
    return [_plain(one) for one in value["L"]] if "L" in value else value.get("S")
