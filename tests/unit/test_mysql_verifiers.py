"""Verifiers of MySQL and MariaDB against values that other programs made."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from dzgrant.engines.mysql import verifiers

# Made by glibc's crypt(3), "$5$<salt>$<digest>".
CRYPT = [
    ("Hello world!", "saltstring", "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
    ("a" * 30, "12345678901234./", "b8qLWsRCMgCAZ6flZjJenWm54wIaV.uD2ro1SBMF1k6"),
    ("x", "s", "dW5XYXYClLA6gQlrluhRP/DxJYAevXA9e.Rufup9G5."),
    ("0123456789" * 5, "Ab", "ADWikxcIk3SrkZl.BSZ3Mm0HYI513ACUstpgRLLdy53"),
]


@pytest.mark.parametrize(("password", "salt", "digest"), CRYPT)
def test_sha_crypt_is_that_of_the_c_library(password: str, salt: str, digest: str) -> None:
    assert verifiers.sha_crypt(password.encode(), salt.encode()) == digest


def test_a_caching_sha2_verifier_has_a_new_salt_each_time() -> None:
    made = [verifiers.caching_sha2(SecretStr("one password")).get_secret_value() for _ in range(2)]
    assert all(re.fullmatch(r"\$A\$005\$[./0-9A-Za-z]{63}", verifier) for verifier in made)
    assert made[0] != made[1]


def test_a_caching_sha2_verifier_is_known_by_its_password() -> None:
    password = SecretStr("one password")
    verifier = verifiers.caching_sha2(password)
    assert verifiers.is_of(verifier, password)
    assert not verifiers.is_of(verifier, SecretStr("another"))
    for other in ("", "RDS", "$A$009$" + verifier.get_secret_value()[7:]):
        assert not verifiers.is_of(SecretStr(other), password)


def test_a_native_verifier_is_that_of_the_server() -> None:
    # MariaDB: SELECT PASSWORD('abc')
    assert verifiers.native(SecretStr("abc")).get_secret_value() == "*0D3CED9BEC10A777AEC23CCC353A8C08A633045E"


@pytest.mark.parametrize("make", [verifiers.native, verifiers.caching_sha2])
def test_a_verifier_shows_in_no_log(make: Callable[[SecretStr], SecretStr]) -> None:
    assert "*****" in repr(make(SecretStr("abc")))
