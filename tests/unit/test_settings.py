"""Settings: every variable is documented, and a wrong one is named in one line."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from dzgrant import settings
from dzgrant.errors import Misconfigured
from dzgrant.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
NEEDED = {
    "DZGRANT_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/111111111111/dzgrant",
    "DZGRANT_TABLE": "dzgrant",
    "DZGRANT_PRODUCER_ROLE_NAME": "dzgrant-producer",
    "DZGRANT_CONSUMER_ROLE_NAME": "dzgrant-consumer",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DZGRANT_{name.upper()}", raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


def test_the_documentation_lists_exactly_the_settings() -> None:
    rows = re.findall(r"^\| `(DZGRANT_\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert rows == settings.documented()


def test_the_needed_ones_suffice_and_the_rest_has_defaults() -> None:
    loaded = settings.load()
    assert loaded.environment_blueprints == ("DefaultDataLake",)
    assert loaded.honour_retain_permissions is False


@pytest.mark.parametrize("name", list(NEEDED))
def test_a_missing_one_is_named_in_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(Misconfigured) as caught:
        settings.load()
    assert f"{name} is not set" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DZGRANT_QUEUE_URL", "not a url"),
        ("DZGRANT_CONCURRENCY", "0"),
        ("DZGRANT_CONCURRENCY", "many"),
        ("DZGRANT_SECRET_RECOVERY_DAYS", "3"),
        ("DZGRANT_KMS_KEY_ALIAS", "dzgrant"),
        ("DZGRANT_LOG_LEVEL", "loud"),
        ("DZGRANT_DATABASE_CA_BUNDLE", "/nowhere/ca.pem"),
        ("DZGRANT_LEASE_SECONDS", "11"),
    ],
)
def test_a_wrong_one_is_named_with_what_it_should_be(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured) as caught:
        settings.load()
    assert f"{name} is wrong" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_values_may_be_split_by_commas_or_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DZGRANT_ENVIRONMENT_BLUEPRINTS", "DefaultDataLake, CustomAwsService")
    assert settings.load().environment_blueprints == ("DefaultDataLake", "CustomAwsService")


def test_the_external_id_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DZGRANT_EXTERNAL_ID", "only-for-us")
    assert "only-for-us" not in repr(settings.load())


def test_a_grace_ends_before_the_next_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DZGRANT_ROTATE_AFTER_DAYS", "1")
    monkeypatch.setenv("DZGRANT_ROTATION_GRACE_HOURS", "24")
    with pytest.raises(Misconfigured, match="DZGRANT_ROTATE_AFTER_DAYS is wrong: it must be longer"):
        settings.load()
    monkeypatch.setenv("DZGRANT_ROTATION_GRACE_HOURS", "23")
    assert settings.load().rotate_after == timedelta(days=1)
