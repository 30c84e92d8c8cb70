"""SCRAM-SHA-256 verifiers: what the server stores instead of a password, computed here.

The server's statement log, and its error log when a statement fails, then hold no password. RFC 5802 section 3;
the form is that of `pg_authid.rolpassword` (PostgreSQL manual, chapter 53.8).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64encode

from pydantic import SecretStr

# RFC 7677 asks for 4096 at least, and the JDBC driver refuses less; a password of 180 bits needs no more.
_ITERATIONS = 4096


def verifier(password: SecretStr, salt: bytes | None = None) -> SecretStr:
    """`SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>`; a new salt of 16 bytes unless one is given.

    The password is ASCII, as dzgrant makes them, so that SASLprep leaves it as it is. Takes about 2 ms of CPU.
    Raises `UnicodeEncodeError` for another password.
    """
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.get_secret_value().encode("ascii"), salt, _ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    text = [b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return SecretStr("SCRAM-SHA-256${}:{}${}:{}".format(_ITERATIONS, *text))
