"""What ODBC's answers mean: by their numbers, in whatever language their text is."""

from __future__ import annotations

import pyodbc
import pytest

from dzgrant.engines.sqlserver.failures import (
    Again,
    Blocked,
    Gone,
    LoggedIn,
    NoProcess,
    numbers,
    while_connecting,
    while_proving,
    while_working,
)
from dzgrant.errors import (
    AdminRejected,
    ConsumerRejected,
    DzgrantError,
    Misconfigured,
    PasswordRejected,
    Refused,
    Transient,
)


def answer(*found: int, state: str = "42000", text: str = "Der Vorgang (1) ist fehlgeschlagen.") -> pyodbc.Error:
    """As pyodbc tells it: the function's name stands behind the first message alone."""
    said = [f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{text} ({number})" for number in found]
    return pyodbc.ProgrammingError(state, "; ".join([f"{said[0]} (SQLExecDirectW)", *said[1:]]))


def test_each_message_has_its_number() -> None:
    assert numbers(answer(4060, 18456)) == (4060, 18456)
    assert numbers(answer(-1, state="08001")) == (-1,)
    assert numbers(ValueError("(15151)")) == ()


def test_a_number_inside_a_name_is_not_the_servers() -> None:
    assert numbers(answer(229, text="Permission was denied on the object 't (1205)', schema '(15434) (SQLExecDirectW)'.")) == (
        229,
    )


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1205, Again),
        (15025, Again),
        (15023, Again),
        (1222, Blocked),
        (15434, LoggedIn),
        (6106, NoProcess),
        (3906, Transient),
        (15118, PasswordRejected),
        (15116, PasswordRejected),
        (15433, Refused),
        (208, Refused),
        (15247, Misconfigured),
        (229, Misconfigured),
        (15151, Gone),
        (33557097, Misconfigured),
    ],
)
def test_a_number_decides(number: int, kind: type[DzgrantError]) -> None:
    assert type(while_working(answer(number), "granting")) is kind


def test_a_right_that_lacks_comes_with_its_cure() -> None:
    error = while_working(answer(15247), "making the login", "GRANT ALTER ANY LOGIN TO [admin]")
    assert "GRANT ALTER ANY LOGIN TO [admin]" in error.do


@pytest.mark.parametrize(("state", "kind"), [("08S01", Again), ("HYT00", Transient)])
def test_a_state_decides_where_the_driver_speaks(state: str, kind: type[DzgrantError]) -> None:
    assert type(while_working(answer(0, state=state), "granting")) is kind


@pytest.mark.parametrize("number", [18456, 18470])
def test_whose_password_was_refused(number: int) -> None:
    assert type(while_connecting(answer(number, state="28000"), "x", AdminRejected)) is AdminRejected
    assert type(while_connecting(answer(number, state="28000"), "x", ConsumerRejected)) is ConsumerRejected


def test_a_database_that_cant_be_opened_is_no_wrong_password() -> None:
    assert type(while_connecting(answer(4060, 18456), "x", AdminRejected)) is Transient


def test_a_certificate_that_nobody_vouches_for_names_the_setting() -> None:
    error = while_connecting(answer(-1, state="08001"), "x", AdminRejected)
    assert type(error) is Misconfigured
    assert "DZGRANT_DATABASE_CA_BUNDLE" in error.do
    assert type(while_connecting(answer(20, state="08001"), "x", AdminRejected)) is Misconfigured
    assert type(while_connecting(answer(0, state="HYT00"), "x", AdminRejected)) is Transient


def test_a_denied_proof_is_for_a_person() -> None:
    assert type(while_proving(answer(229), "x")) is Misconfigured
    assert type(while_proving(answer(1205), "x")) is Again
