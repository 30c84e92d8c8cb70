"""Which number becomes which of dzgrant's errors."""

from __future__ import annotations

import ssl

import pytest
from pymysql.err import InterfaceError, OperationalError

from dzgrant.engines.mysql.connections import check_version
from dzgrant.engines.mysql.failures import Again, while_connecting, while_reading, while_working
from dzgrant.errors import (
    AdminRejected,
    ConsumerRejected,
    DzgrantError,
    Misconfigured,
    Refused,
    Transient,
    Unsupported,
)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1205, Transient),
        (1213, Again),
        (2006, Again),
        (2013, Again),
        (1396, Again),
        (1040, Transient),
        (1290, Transient),
        (1836, Transient),
        (1969, Transient),
        (3024, Transient),
        (1044, Misconfigured),
        (1045, Misconfigured),
        (1142, Misconfigured),
        (1227, Misconfigured),
        (1146, Refused),
        (1064, Misconfigured),
    ],
)
def test_while_working(number: int, kind: type[DzgrantError]) -> None:
    error = while_working(OperationalError(number, "what it said"), "granting", "GRANT it")
    assert type(error) is kind
    assert f"granting: what it said [{number}]" in str(error)


@pytest.mark.parametrize("error", [InterfaceError("(0, 'Not connected')"), ConnectionResetError(104, "reset")])
def test_a_lost_connection_has_no_number(error: Exception) -> None:
    assert type(while_working(error, "granting", "GRANT it")) is Again


def test_a_time_out_is_not_tried_again_at_once() -> None:
    assert type(while_working(TimeoutError(), "granting", "GRANT it")) is Transient


@pytest.mark.parametrize("number", [1045, 1698, 1862, 3118, 4151])
def test_a_refused_password_is_somebodys(number: int) -> None:
    error = OperationalError(number, "no")
    assert type(while_connecting(error, "log in", AdminRejected)) is AdminRejected
    assert type(while_connecting(error, "log in", ConsumerRejected)) is ConsumerRejected


@pytest.mark.parametrize(
    ("number", "kind"), [(2003, Transient), (1040, Transient), (1130, Misconfigured), (2059, Misconfigured), (1049, Refused)]
)
def test_while_connecting(number: int, kind: type[DzgrantError]) -> None:
    assert type(while_connecting(OperationalError(number, "no"), "log in", AdminRejected)) is kind


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ssl.SSLCertVerificationError(1, "self-signed"), Misconfigured),
        (ssl.SSLEOFError(8, "the server went away"), Transient),
        (ConnectionRefusedError(111, "refused"), Transient),
    ],
)
def test_a_failed_handshake_is_told_from_a_server_that_is_down(cause: OSError, kind: type[DzgrantError]) -> None:
    error = OperationalError(2003, "Can't connect")
    error.__cause__ = cause
    assert type(while_connecting(error, "log in", AdminRejected)) is kind


@pytest.mark.parametrize(
    ("number", "kind"), [(1142, Transient), (1356, Misconfigured), (1146, Refused), (2013, Again), (3024, Transient)]
)
def test_while_reading(number: int, kind: type[DzgrantError]) -> None:
    assert type(while_reading(OperationalError(number, "no"), "can't read")) is kind


@pytest.mark.parametrize(
    ("version", "mariadb"),
    [((8, 0, 21), False), ((8, 4, 0), False), ((9, 7, 4), False), ((10, 6, 0), True), ((11, 8, 2), True)],
)
def test_versions_are_numbers(version: tuple[int, ...], *, mariadb: bool) -> None:
    check_version(version, mariadb=mariadb)


@pytest.mark.parametrize(("version", "mariadb"), [((8, 0, 3), False), ((5, 7, 44), False), ((10, 5, 29), True)])
def test_an_old_server_is_named(version: tuple[int, ...], *, mariadb: bool) -> None:
    with pytest.raises(Unsupported, match=r"too old.*(8\.0\.21|10\.6)"):
        check_version(version, mariadb=mariadb)
