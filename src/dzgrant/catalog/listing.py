"""Listings, read: which Glue tables a published asset stands for. Nothing here calls AWS.

A listing's `forms` is a JSON string whose members are forms, and a form may itself be a JSON string. Members come and
go with the form's revision, so each one may be missing; the table's ARN says again most of what they say.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from dzgrant import strict_json
from dzgrant.catalog import names
from dzgrant.errors import Unsupported
from dzgrant.model import AccountId, Asset, AssetScope, Region

_GLUE_TABLE = "GlueTableAssetType"


def _decoded(value: object) -> object:
    return strict_json.read(value) if isinstance(value, str) else value


class _GlueTableForm(BaseModel):
    model_config = ConfigDict(extra="ignore")

    arn: str | None = Field(default=None, alias="tableArn")
    catalog: str | None = Field(default=None, alias="catalogId")
    region: str | None = None
    database: str | None = Field(default=None, alias="databaseName")
    table: str | None = Field(default=None, alias="tableName")
    location: str | None = Field(default=None, alias="sourceLocation")


class _Forms(BaseModel):
    model_config = ConfigDict(extra="ignore")

    glue: Annotated[_GlueTableForm | None, BeforeValidator(_decoded)] = Field(default=None, alias="GlueTableForm")


def is_glue_table(kind: str | None) -> bool:
    """Whether an asset's type is DataZone's Glue table; the type comes short or with `amazon.datazone.` before it."""
    return (kind or "").rpartition(".")[2] == _GLUE_TABLE


def asset(*, listing: str, entity: str, forms: str, scope: AssetScope | None) -> Asset | None:
    """The Glue table that a listing of DataZone's Glue table type stands for; None for files (`s3://...`).

    Files are told here, since their account may know nothing of dzgrant and refuse to show the table.
    Raises `Unsupported` when its forms don't say which table that is.
    """
    try:
        form = _Forms.model_validate(_decoded(_decoded(forms))).glue
    except (ValidationError, ValueError):
        form = None
    if form and "://" in (form.location or ""):
        return None
    found = _identity(form) if form else None
    if not found:
        raise Unsupported(
            f"listing {listing} does not say which Glue table it is",
            do="publish it again, with catalogId, region, databaseName and tableName or tableArn in its GlueTableForm",
        )
    account, region, catalog, database, table = found
    return Asset(
        id=entity,
        listing=listing,
        account=AccountId(account),
        region=Region(region),
        catalog=catalog,
        database=database,
        table=table,
        scope=scope,
    )


def _identity(form: _GlueTableForm) -> tuple[str, str, str | None, str, str] | None:
    """Account, Region, federated catalogue, database and table; the form's own members before its ARN's."""
    # arn:<partition>:glue:<region>:<account>:table/[<catalogue>/...]<database>/<table>
    _, _, _, arn_region, arn_account, resource = [*(form.arn or "").split(":", 5), *[""] * 6][:6]
    path = resource.partition("/")[2]
    # A table's name may hold a slash, so that only what is known of it tells where the catalogue ends.
    told = f"{form.database}/{form.table}" if form.database and form.table else None
    if told and path.endswith(told):
        *catalogue, arn_database, arn_table = [path.removesuffix(told).strip("/"), "", ""]
    else:
        *catalogue, arn_database, arn_table = ["", "", *path.split("/")]
    account, _, name = (form.catalog or arn_account).partition(":")
    name = name or "/".join(filter(None, catalogue))
    region, database, table = form.region or arn_region, form.database or arn_database, form.table or arn_table
    # A producer wrote these, and they choose a role and an endpoint.
    if not (
        re.fullmatch(r"[0-9]{12}", account)
        and re.fullmatch(r"[a-z0-9-]{5,32}", region)
        and names.possible(database)
        and names.possible(table)
    ):
        return None
    return account, region, f"{account}:{name}" if name else None, database, table
