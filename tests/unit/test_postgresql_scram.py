"""The verifier is the one that RFC 7677 works out by hand."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode

import pytest
from pydantic import SecretStr

from dzgrant.engines.postgresql.scram import verifier

# RFC 7677, section 3: user `user`, password `pencil`.
SALT = "W22ZaJ0SNY7soEsUEjb6gQ=="
AUTH_MESSAGE = (
    b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
)
CLIENT_PROOF = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
SERVER_SIGNATURE = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_it_answers_for_the_exchange_of_the_rfc() -> None:
    text = verifier(SecretStr("pencil"), b64decode(SALT)).get_secret_value()
    method, salted, keys = text.split("$")
    assert (method, salted) == ("SCRAM-SHA-256", f"4096:{SALT}")
    stored_key, server_key = (b64decode(key) for key in keys.split(":"))
    assert b64encode(hmac.digest(server_key, AUTH_MESSAGE, "sha256")).decode() == SERVER_SIGNATURE
    client_signature = hmac.digest(stored_key, AUTH_MESSAGE, "sha256")
    client_key = bytes(a ^ b for a, b in zip(b64decode(CLIENT_PROOF), client_signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored_key


def test_a_password_never_has_the_same_verifier_twice() -> None:
    password = SecretStr("pencil")
    assert verifier(password) != verifier(password)


def test_a_password_that_saslprep_might_change_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        verifier(SecretStr("pençil"))
