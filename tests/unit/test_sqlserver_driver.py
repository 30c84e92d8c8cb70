"""Which ODBC driver is taken, and how it is told whom to trust."""

from __future__ import annotations

import os
from pathlib import Path

import pyodbc
import pytest

from dzgrant.engines.sqlserver import trust
from dzgrant.engines.sqlserver.driver import AUTO, bundled, chosen
from dzgrant.errors import Misconfigured, Transient
from dzgrant.model import Source

SOURCE = Source(engine="sqlserver", host="db.example.com", port=1433, database="shop")


def test_the_wheels_driver_is_for_this_machine() -> None:
    found = bundled()
    assert found is not None
    assert Path(found).is_file()
    assert chosen(AUTO) == found


def test_a_driver_may_be_given_by_its_path(tmp_path: Path) -> None:
    library = tmp_path / "libmsodbcsql-18.so"
    library.touch()
    assert chosen(str(library)) == str(library)


def test_a_driver_that_is_not_there_says_what_to_install() -> None:
    with pytest.raises(Misconfigured, match=r"'Nobody'.*mssql-python-odbc.*DZGRANT_SQLSERVER_DRIVER"):
        chosen("Nobody")


def test_no_pool_of_the_driver_managers_is_used() -> None:
    assert pyodbc.pooling is False


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    found = tmp_path / "ca.pem"
    found.touch()
    return found


def test_the_bundle_alone_is_trusted_while_connecting(bundle: Path) -> None:
    with trust.trusting(trust.microsofts(bundle), bundle, 1):
        assert os.environ["SSL_CERT_FILE"] == str(bundle)
        assert not Path(os.environ["SSL_CERT_DIR"]).is_dir()
        with trust.trusting(trust.microsofts(bundle), bundle, 1):
            assert os.environ["SSL_CERT_FILE"] == str(bundle)


def test_the_systems_authorities_come_back(bundle: Path) -> None:
    with trust.trusting(trust.microsofts(None), None, 1):
        before = os.environ.get("SSL_CERT_FILE")
    with trust.trusting(trust.microsofts(bundle), bundle, 1):
        pass
    with trust.trusting(trust.microsofts(None), None, 1):
        assert os.environ.get("SSL_CERT_FILE") == before


def test_other_authorities_wait_outside(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.touch()
    with (
        trust.trusting(trust.microsofts(bundle), bundle, 1),
        pytest.raises(Transient),
        trust.trusting(trust.microsofts(other), other, 0.01),
    ):
        pass
    assert os.environ["SSL_CERT_FILE"] == str(bundle)


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with pytest.raises(Misconfigured, match="DZGRANT_DATABASE_CA_BUNDLE"), trust.trusting({}, missing, 1):
        pass


def test_freetds_verifies_certificate_and_name(bundle: Path) -> None:
    text = Path(trust.freetds(SOURCE, bundle)["FREETDSCONF"]).read_text()
    for line in ("[dzgrant]", "host = db.example.com", "encryption = require", f"ca file = {bundle}"):
        assert line in text.splitlines()
    assert "check certificate hostname = yes" in text
