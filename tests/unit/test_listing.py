"""The forms of a listing, in the encodings and with the gaps that occur."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dzgrant.catalog import listing
from dzgrant.errors import Unsupported
from dzgrant.model import AccountId, Asset, Region

ARN = "arn:aws:glue:eu-central-1:222222222222:table/sales/orders"
# Reconstructed: a crawled PostgreSQL table's form, from the keys that deployed code reads.
FORM = {
    "tableArn": ARN,
    "tableName": "orders",
    "databaseName": "sales",
    "catalogId": "222222222222",
    "region": "eu-central-1",
    "sourceClassification": "postgresql",
    "sourceLocation": "shop.public.orders",
}
EXPECTED = Asset(
    id="asset1",
    listing="listing1",
    account=AccountId("222222222222"),
    region=Region("eu-central-1"),
    database="sales",
    table="orders",
    scope=None,
)


def read(forms: str) -> Asset | None:
    return listing.asset(listing="listing1", entity="asset1", forms=forms, scope=None)


def without(*keys: str) -> dict[str, str]:
    return {key: value for key, value in FORM.items() if key not in keys}


@pytest.mark.parametrize(
    "form",
    [
        FORM,
        json.dumps(FORM),
        without("databaseName", "sourceClassification", "sourceLocation"),
        without("tableName", "databaseName", "catalogId", "region"),
        without("tableArn"),
        {**FORM, "catalogId": ""},
        {**FORM, "databaseName": None, "columns": [{"columnName": "id"}]},
        # The shape of AWS's own sample: the ARN does not say the account.
        {**FORM, "tableArn": "arn:aws:glue:eu-central-1:*:table/sales/orders"},
    ],
)
def test_the_table_is_found_whatever_is_missing(form: object) -> None:
    forms = {"hasAttached": True, "__DataZoneGlossaryTerms": [], "GlueTableForm": form, "SubscriptionTermsForm": {}}
    assert read(json.dumps(forms)) == EXPECTED
    assert read(json.dumps(json.dumps(forms))) == EXPECTED


@pytest.mark.parametrize(
    "form",
    [
        {**FORM, "catalogId": "222222222222:federated"},
        {**FORM, "tableArn": "arn:aws:glue:eu-central-1:222222222222:table/federated/sales/orders"},
    ],
)
def test_a_federated_catalogue_is_not_taken_for_the_accounts_own(form: object) -> None:
    found = read(json.dumps({"GlueTableForm": form}))
    assert found
    assert (found.account, found.catalog) == ("222222222222", "222222222222:federated")


def test_a_slash_in_a_tables_name_is_no_catalogues_end() -> None:
    named = {**FORM, "tableName": "orders/old: all", "tableArn": f"{ARN}/old: all"}
    assert read(json.dumps({"GlueTableForm": named})) == replace(EXPECTED, table="orders/old: all")


def test_files_are_no_asset() -> None:
    assert read(json.dumps({"GlueTableForm": {**FORM, "sourceLocation": "s3://bucket/orders/"}})) is None


@pytest.mark.parametrize(
    "forms",
    [
        "",
        "no json",
        "[]",
        "{}",
        json.dumps({"GlueTableForm": "no json"}),
        json.dumps({"GlueTableForm": {"tableArn": 5}}),
        json.dumps({"GlueTableForm": without("tableArn", "catalogId")}),
        json.dumps({"GlueTableForm": {**FORM, "catalogId": "2222"}}),
        # The Region names an endpoint: only what looks like one is let through.
        json.dumps({"GlueTableForm": {**FORM, "region": "evil.example/"}}),
        "[" * 100_000,
    ],
)
def test_forms_that_do_not_say_the_table_are_unsupported(forms: str) -> None:
    with pytest.raises(Unsupported):
        read(forms)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("GlueTableAssetType", True),
        ("amazon.datazone.GlueTableAssetType", True),
        ("RedshiftTableAssetType", False),
        ("amazon.datazone.S3ObjectCollectionAssetType", False),
        ("NotGlueTableAssetType", False),
        ("", False),
        (None, False),
    ],
)
def test_the_assets_type_comes_short_or_prefixed(kind: str | None, expected: bool) -> None:
    assert listing.is_glue_table(kind) is expected
