"""What Oracle's codes and python-oracledb's mean."""

from __future__ import annotations

import ssl

import oracledb
import pytest
from oracledb import errors as driver

from dzgrant.engines.oracle.failures import Again, code, while_connecting, while_reading, while_working
from dzgrant.errors import (
    AdminRejected,
    ConsumerRejected,
    DzgrantError,
    Misconfigured,
    PasswordRejected,
    Transient,
)


def ora(number: int, text: str = "whatever, in whatever language") -> oracledb.Error:
    """As the driver makes it of the server's answer."""
    detail = driver._Error(message=f"ORA-{number:05d}: {text}", code=number)
    error = detail.exc_type(detail)
    assert isinstance(error, oracledb.Error)
    return error


def dpy(number: int, cause: BaseException | None = None) -> oracledb.Error:
    detail = driver._Error(message=f"DPY-{number:04d}: something")
    error = detail.exc_type(detail)
    assert isinstance(error, oracledb.Error)
    error.__cause__ = cause
    return error


def test_the_servers_number_counts_where_the_driver_has_one_of_its_own() -> None:
    assert code(ora(31)) == "ORA-00031"
    assert code(dpy(4024)) == "DPY-4024"
    assert code(dpy(6005, dpy(6001))) == "DPY-6001"
    assert code(OSError()) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ora(54), Transient),
        (ora(4021), Transient),
        (ora(16000), Transient),
        (dpy(4024), Transient),
        (TimeoutError(), Transient),
        (ora(28), Again),
        (ora(60), Again),
        (ora(1920), Again),
        (ora(3113), Again),
        (dpy(1001), Again),
        (dpy(4011), Again),
        (ora(28003), PasswordRejected),
        (ora(28007), PasswordRejected),
        (ora(942), Misconfigured),
        (ora(1031), Misconfigured),
        (ora(1720), Misconfigured),
        (ora(1927), Misconfigured),
        (ora(65096), Misconfigured),
        (ora(600), Misconfigured),
    ],
)
def test_what_a_statements_failure_means(error: BaseException, expected: type[DzgrantError]) -> None:
    assert type(while_working(error, "granting", "GRANT it")) is expected


def test_a_right_that_lacks_names_what_to_run() -> None:
    assert while_working(ora(1031), "granting", "let a DBA run: GRANT X").do == "let a DBA run: GRANT X"


def test_the_root_is_told_from_a_pluggable_database() -> None:
    assert "pluggable" in while_working(ora(65096), "making", "").do


@pytest.mark.parametrize("number", [1017, 28000, 28001, 1045])
def test_whose_password_was_refused(number: int) -> None:
    assert type(while_connecting(ora(number), "x", AdminRejected)) is AdminRejected
    assert type(while_connecting(ora(number), "x", ConsumerRejected)) is ConsumerRejected


@pytest.mark.parametrize("error", [dpy(6005, ConnectionRefusedError()), dpy(6005, dpy(6001)), dpy(6003), ora(1033)])
def test_a_server_or_a_service_that_is_away_is_tried_again(error: BaseException) -> None:
    assert type(while_connecting(error, "x", AdminRejected)) is Transient


def test_what_tls_says() -> None:
    unknown = while_connecting(dpy(6005, ssl.SSLCertVerificationError("unknown")), "x", AdminRejected)
    plain = while_connecting(dpy(6005, ssl.SSLError("wrong version number")), "x", AdminRejected)
    another = while_connecting(dpy(6006), "x", AdminRejected)
    assert {type(error) for error in (unknown, plain, another)} == {Misconfigured}
    assert "DZGRANT_DATABASE_CA_BUNDLE" in unknown.do
    assert "TCPS" in plain.do
    assert "certificate" in another.do


def test_a_proof_that_a_broken_view_spoils_is_for_a_person() -> None:
    assert type(while_reading(ora(4063), "x")) is Misconfigured
    assert type(while_reading(ora(942), "x")) is Transient


def test_an_error_is_one_line_without_the_drivers_advice() -> None:
    line = str(while_working(ora(942, "table or view does not exist"), "granting", "GRANT it"))
    assert "Help:" not in line
    assert "https" not in line
