"""Passwords for the logins that dzgrant makes."""

from __future__ import annotations

import secrets
import string

from pydantic import SecretStr

LENGTH = 30
# Safe in the four engines, in a JDBC URL, a shell and JSON without any escape.
_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "_-.~+=")
_ALPHABET = "".join(_CLASSES)


def new_password() -> SecretStr:
    """30 characters, a letter first, at least one of each class: lower, upper, digit, symbol (more than 180 bits)."""
    while True:
        candidate = secrets.choice(string.ascii_letters) + "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH - 1))
        if all(any(char in kind for char in candidate) for kind in _CLASSES):
            return SecretStr(candidate)
