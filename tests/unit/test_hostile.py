"""Input from outside, as bad as it can be: only errors of dzgrant's own, each a bounded line without control characters; no
name goes further that could break what it goes into. The corpus is `tests/hostile.py`; more is drawn, the same each time."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, cast
from unicodedata import category

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from dzgrant import strict_json
from dzgrant.accounts import Accounts
from dzgrant.catalog import glue, jdbc, listing, names
from dzgrant.cli import dlq
from dzgrant.errors import DzgrantError, Malformed, Refused, Transient, Unsupported
from dzgrant.intake.events import Ignored, Place, parse
from dzgrant.logs import configure
from dzgrant.model import AccountId, Asset, Region, Source, TablePath
from dzgrant.secrets.secret import opening
from dzgrant.settings import Settings
from tests.envelopes import subscription
from tests.hostile import BODIES, NAMES

HERE = Place(account=AccountId("111111111111"), region=Region("eu-central-1"))
LONGEST = 2_000
WORST = st.sampled_from(NAMES) | st.text(max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORST,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORST, inner, max_size=4),
    max_leaves=12,
)


def check_line(error: DzgrantError) -> None:
    line = str(error)
    assert line.isprintable()
    assert 0 < len(line) <= LONGEST


def only_ours(call: Callable[[], object]) -> object:
    """What it gives; None where it raises one of dzgrant's errors, which is one line."""
    try:
        return call()
    except DzgrantError as error:
        check_line(error)
        return None


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_is_no_event_is_malformed(body: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(body, place=HERE)
    check_line(caught.value)
    assert "DROP" not in str(caught.value)


def _paths(value: Any, *before: str) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*before, key)
            yield from _paths(inner, *before, key)


@settings(max_examples=300)
@given(st.sampled_from(list(_paths(subscription()))), JSON)
def test_any_value_at_any_place_of_an_event_is_read_or_refused(path: tuple[str, ...], value: object) -> None:
    event = subscription()
    at = event
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    found = only_ours(lambda: parse(json.dumps(event), place=HERE))
    if found is not None and not isinstance(found, Ignored):
        told = [getattr(found, name) for name in ("event", "domain", "subscription", "request", "listing", "project")]
        assert all(one is None or (one.isascii() and one.isprintable() and len(one) <= 128) for one in told)


@pytest.mark.parametrize(("member", "value"), [("account", "222222222222"), ("region", "us-east-1"), ("source", "aws.s3")])
def test_an_event_from_elsewhere_is_nobodys(member: str, value: str) -> None:
    assert isinstance(parse(json.dumps(subscription() | {member: value}), place=HERE), Ignored)
    assert not isinstance(parse(json.dumps(subscription()), place=HERE), Ignored)


FORM = {"catalogId": "222222222222", "region": "eu-west-1", "databaseName": "sales", "tableName": "orders"}


def asset(forms: str) -> object:
    return listing.asset(listing="listing1", entity="asset1", forms=forms, scope=None)


@pytest.mark.parametrize("forms", BODIES.values(), ids=BODIES)
def test_forms_that_are_none_are_unsupported(forms: str) -> None:
    with pytest.raises(Unsupported) as caught:
        asset(forms)
    check_line(caught.value)


@pytest.mark.parametrize("nested", [False, True])
def test_a_form_that_two_readers_could_read_in_two_ways_is_refused(nested: bool) -> None:
    form = json.dumps(FORM)
    assert asset(json.dumps({"GlueTableForm": form}))
    twice = form[:-1] + ', "tableName": "salaries"}'
    with pytest.raises(Unsupported):
        asset(json.dumps({"GlueTableForm": twice}) if nested else '{"GlueTableForm": ' + twice + "}")


@given(st.dictionaries(st.sampled_from([*FORM, "tableArn", "sourceLocation"]), JSON), st.booleans())
def test_any_form_names_a_table_of_an_account_or_is_refused(changes: dict[str, object], nested: bool) -> None:
    form = {**FORM, **changes}
    found = only_ours(lambda: asset(json.dumps({"GlueTableForm": json.dumps(form) if nested else form})))
    if found is not None:
        assert isinstance(found, Asset)
        assert len(found.account) == 12
        assert found.account.isascii()
        assert found.account.isdigit()
        assert found.region.replace("-", "").isalnum()
        assert names.possible(found.database)
        assert names.possible(found.table)


POSTGRES = Source(engine="postgresql", host="db", port=5432, database="shop")


@given(WORST, WORST, st.sampled_from(["postgresql", "mysql", "oracle", "sqlserver"]))
def test_any_location_is_a_possible_name_or_refused(database: str, path: str, engine: str) -> None:
    source = Source(engine=engine, host="db", port=1, database=database if engine != "mysql" else "")
    found = only_ours(lambda: glue.place(f"{database}.{path}", source))
    if found is not None:
        _, table = cast("tuple[Source, TablePath]", found)
        assert not [char for char in table.name if category(char) in ("Cc", "Cs")]
        # The ledger's key: a fence of 1,024 bytes, with the source's 16 digits before.
        assert len(f"GRANT#{'0' * 16}#{table.key}".encode()) <= 1_024


@pytest.mark.parametrize("name", NAMES[7:16])
def test_a_name_that_only_looks_dangerous_stays_what_it_is(name: str) -> None:
    _, path = glue.place(f"shop.public.{name}", POSTGRES)
    assert path.name == f"public.{name}"


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("Location", "Parameters"), JSON)), JSON)
def test_any_glue_table_leads_somewhere_or_nowhere(storage: dict[str, object], name: object) -> None:
    answer = {
        "Name": "t",
        "StorageDescriptor": {
            "Location": str(storage.get("Location", "")),
            "Parameters": {"connectionName": str(name), "classification": str(storage.get("Parameters", ""))},
        },
    }
    only_ours(lambda: glue.reference(cast("Any", answer)))


PROPERTIES = ("JDBC_CONNECTION_URL", "HOST", "PORT", "DATABASE", "JDBC_ENGINE", "SECRET_ID")


@given(st.dictionaries(st.sampled_from(PROPERTIES), WORST), st.sampled_from(["JDBC", "MYSQL", "ORACLE", "X"]))
def test_any_connection_is_one_server_or_refused(properties: dict[str, str], kind: str) -> None:
    found = only_ours(lambda: glue.connection(cast("Any", {"ConnectionType": kind, "ConnectionProperties": properties})))
    if isinstance(found, glue.Connection):
        assert found.source.host.isascii()
        assert not set(found.source.host) & set("%;{}()/\\@'\" \t\n")


@pytest.mark.parametrize(
    "url",
    [
        "jdbc:sqlserver://;serverName={fe80::1%a;Trusted_Connection=yes};portNumber=1433;databaseName=shop",
        "jdbc:postgresql://[fe80::1%eth0]:5432/shop",
        "jdbc:postgresql://[fe80::1%\n]:5432/shop",
    ],
)
def test_a_host_with_a_scope_is_refused(url: str) -> None:
    with pytest.raises(Unsupported):
        jdbc.parse(url)


@pytest.mark.parametrize(
    "pattern",
    [
        "jdbc:oracle:thin:@(" + "( HOST = " * 30_000,
        "jdbc:oracle:thin:@(DESCRIPTION=" + "(HOST=a" + " " * 300_000 + ")",
        "jdbc:sqlserver://h;" + "{" * 100_000,
        "jdbc:sqlserver://h;a={" + "}}" * 100_000,
        "jdbc:postgresql://" + "a." * 100_000 + "/x",
        "jdbc:postgresql://" + "@" * 300_000,
        "jdbc:" + "a-" * 200_000 + ":",
        "jdbc:mysql://h/" + "%" * 300_000,
        "jdbc:sqlserver://h" + ";a=b" * 50_000,
    ],
    ids=lambda url: url[:28],
)
def test_no_url_takes_long(pattern: str) -> None:
    began = time.process_time()
    only_ours(lambda: jdbc.parse(pattern))
    assert time.process_time() - began < 2


@given(JSON | WORST, st.sampled_from(["what", "do", "subscription", "environment", "source", "table"]))
def test_an_error_is_one_bounded_line_whatever_went_into_it(value: object, place: str) -> None:
    given = {"what": "it failed", "do": "mend it", place: str(value) * 50 or "x"}
    error = Transient(given.pop("what"), do=given.pop("do")).about(**given)
    check_line(error)


@given(WORST)
def test_a_log_line_stays_one_line_of_ascii(text: str) -> None:
    root, own = logging.getLogger(), logging.getLogger("dzgrant")
    kept, stream = (root.handlers[:], root.level, own.level), io.StringIO()
    configure("info", stream)
    try:
        structlog.stdlib.get_logger("dzgrant.test").warning("nasty", text=text)
    finally:
        structlog.reset_defaults()
        root.handlers[:] = kept[0]
        root.setLevel(kept[1])
        own.setLevel(kept[2])
    (line,) = stream.getvalue().split("\n")[:-1]
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["text"] == text


@given(JSON.map(json.dumps) | WORST | st.sampled_from(list(BODIES.values())))
def test_any_text_is_credentials_or_none(text: str) -> None:
    found = opening(text)
    assert found is None or found.username


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_dead_letter_is_shown_with_nothing_that_a_terminal_obeys(body: str) -> None:
    shown = dlq._pretty(body)
    assert shown.isascii()
    assert shown.replace("\n", "").isprintable()


@given(JSON)
def test_strict_json_reads_what_json_reads_or_refuses(value: object) -> None:
    text = json.dumps(value)
    try:
        found = strict_json.read(text)
    except strict_json.UnreadableError:
        assert "NaN" in text or "Infinity" in text or "\\ud" in text
    else:
        assert found == json.loads(text)


def test_an_account_and_a_region_are_admitted_by_the_settings_alone() -> None:
    wish = {"queue_url": "http://q", "table": "ledger", "producer_role_name": "p", "consumer_role_name": "c"}
    place = (AccountId("222222222222"), Region("eu-west-1"))
    Accounts(Settings.model_validate(wish)).admit(*place)
    Accounts(Settings.model_validate(wish | {"accounts": "222222222222", "regions": "eu-west-1 us-east-1"})).admit(*place)
    for narrower in ({"accounts": "333333333333"}, {"regions": "us-east-1"}):
        with pytest.raises(Refused) as caught:
            Accounts(Settings.model_validate(wish | narrower)).admit(*place)
        check_line(caught.value)
