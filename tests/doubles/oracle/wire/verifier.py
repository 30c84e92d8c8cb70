"""The proof of a password: O5LOGON with the 12c verifier (the driver's messages/auth.pyx and crypto.pyx).

The server sends a challenge, the client sends one back and, under a key that both make of the two, the password. Both
challenges are encrypted under the verifier, so that only who knows the password comes to the same key. A server that
holds two passwords, during a rollover, tries both: the same challenge decrypts to another value under each.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

VERIFIER_12C = 0x4815
_VERIFIER_ROUNDS = 4096
_KEY_ROUNDS = 3
_BLOCK = bytes(16)


@dataclass(frozen=True)
class Challenge:
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    key_salt: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    encrypted: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    """Random under every verifier: the server decrypts it with the verifier that it tries."""

    def parameters(self) -> dict[str, str]:
        return {
            "AUTH_SESSKEY": self.encrypted.hex().upper(),
            "AUTH_VFR_DATA": self.salt.hex().upper(),
            "AUTH_PBKDF2_CSK_SALT": self.key_salt.hex().upper(),
            "AUTH_PBKDF2_VGEN_COUNT": str(_VERIFIER_ROUNDS),
            "AUTH_PBKDF2_SDER_COUNT": str(_KEY_ROUNDS),
        }


@dataclass(frozen=True)
class Proven:
    password: str
    response: str
    """AUTH_SVR_RESPONSE: the server's own proof that it knew the password."""


def proven(challenge: Challenge, answer: Mapping[str, str], passwords: Sequence[str]) -> Proven | None:
    """Which of the passwords the client's answer was made with, None when with none of them."""
    client_key, encrypted = bytes.fromhex(answer["AUTH_SESSKEY"]), bytes.fromhex(answer["AUTH_PASSWORD"])
    for password in passwords:
        key = _shared_key(challenge, client_key, password)
        if hmac.compare_digest(_decrypt(key, encrypted)[16:], _padded(password.encode())):
            return Proven(password, _encrypt(key, secrets.token_bytes(16) + b"SERVER_TO_CLIENT").hex().upper())
    return None


def _shared_key(challenge: Challenge, client_key: bytes, password: str) -> bytes:
    salt = challenge.salt + b"AUTH_PBKDF2_SPEEDY_KEY"
    stretched = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _VERIFIER_ROUNDS, 64)
    verifier = hashlib.sha512(stretched + challenge.salt).digest()[:32]
    both = _decrypt(verifier, client_key) + _decrypt(verifier, challenge.encrypted)
    return hashlib.pbkdf2_hmac("sha512", both.hex().upper().encode(), challenge.key_salt, _KEY_ROUNDS, 32)


def _padded(plain: bytes) -> bytes:
    padder = padding.PKCS7(128).padder()
    return padder.update(plain) + padder.finalize()


def _encrypt(key: bytes, plain: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CBC(_BLOCK)).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


def _decrypt(key: bytes, encrypted: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.CBC(_BLOCK)).decryptor()
    return decryptor.update(encrypted) + decryptor.finalize()
