"""Password hashes of version 2 (0x0200, a salt of four bytes, SHA-512) and the policy of the operating system.

From "CREATE LOGIN" and "Password policy" of the SQL Server documentation: at least eight characters of three of four kinds,
and not the login's name within.
"""

from __future__ import annotations

import hashlib
import secrets

from tests.doubles.sqlserver.model.failures import SqlError

_VERSION = b"\x02\x00"


def hashed(password: str, salt: bytes | None = None) -> bytes:
    salt = salt or secrets.token_bytes(4)
    return _VERSION + salt + hashlib.sha512(password.encode("utf-16-le") + salt).digest()


def fits(password: str, hash_: bytes) -> bool:
    return secrets.compare_digest(hashed(password, hash_[2:6]), hash_)


def is_hash(value: bytes) -> bool:
    return value.startswith(_VERSION) and len(value) == 70


def check_policy(password: str, login: str) -> None:
    """Raises 15116 (too short) or 15118 (not complex enough)."""
    if len(password) < 8:
        raise SqlError(15116)
    kinds = [
        any(letter.isupper() for letter in password),
        any(letter.islower() for letter in password),
        any(letter.isdigit() for letter in password),
        not password.isalnum(),
    ]
    if sum(kinds) < 3 or login.casefold() in password.casefold():
        raise SqlError(15118)
