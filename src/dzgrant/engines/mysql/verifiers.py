"""What the server stores instead of a password, computed here, so that the password is in no statement and no log.

MariaDB writes `IDENTIFIED BY '<password>'` to its general log as it came. It also means that a password policy of the
server (validate_password) sees no password; dzgrant's have more than 180 bits.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from itertools import cycle, islice

from pydantic import SecretStr

_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT_LENGTH = 20
_HEAD = len("$A$005$")
# The least that MySQL takes.
_ROUNDS = 5000
# The order in which SHA-crypt writes the digest's bytes, three at a time; bytes 31 and 30 come last.
_TRIPLES = tuple((step * 21 % 30, (step * 21 + 10) % 30, (step * 21 + 20) % 30) for step in range(10))


def native(password: SecretStr) -> SecretStr:
    """The authentication string of `mysql_native_password`, `*` and 40 hexadecimal digits.

    Two rounds of SHA-1 without a salt, and all that MariaDB has without a plugin that clients lack. Since the password is
    random, nobody guesses it from this.
    """
    once = hashlib.sha1(password.get_secret_value().encode("ascii"), usedforsecurity=False).digest()
    return SecretStr("*" + hashlib.sha1(once, usedforsecurity=False).hexdigest().upper())


def caching_sha2(password: SecretStr) -> SecretStr:
    """The authentication string of `caching_sha2_password`; takes 3 ms of CPU.

    `$A$`, thousands of rounds as three hexadecimal digits, `$`, 20 characters of salt, 43 of digest (MySQL's
    sha2_password source). A salt out of the digest's own alphabet needs no escape in SQL.
    """
    salt = "".join(secrets.choice(_ALPHABET) for _ in range(_SALT_LENGTH))
    digest = sha_crypt(password.get_secret_value().encode("ascii"), salt.encode())
    return SecretStr(f"$A${_ROUNDS // 1000:03X}${salt}{digest}")


def is_of(verifier: SecretStr, password: SecretStr) -> bool:
    """Whether an authentication string of `caching_sha2_password` is this password's; takes 3 ms of CPU."""
    form, salted = verifier.get_secret_value()[:_HEAD], verifier.get_secret_value()[_HEAD:]
    if form != f"$A${_ROUNDS // 1000:03X}$":
        return False
    digest = sha_crypt(password.get_secret_value().encode("ascii"), salted[:_SALT_LENGTH].encode())
    return hmac.compare_digest(digest, salted[_SALT_LENGTH:])


def sha_crypt(password: bytes, salt: bytes) -> str:
    """43 characters: Ulrich Drepper's SHA-crypt with SHA-256 ("Unix crypt using SHA-256 and SHA-512", 2007).

    No library will do: crypt(3) and its like stop at 16 characters of salt, and MySQL has 20.
    """
    sha = hashlib.sha256
    mixed = sha(password + salt + password).digest()
    start = sha(password + salt + _repeated(mixed, len(password)))
    bits = len(password)
    while bits:
        start.update(mixed if bits & 1 else password)
        bits >>= 1
    digest = start.digest()
    p = _repeated(sha(password * len(password)).digest(), len(password))
    s = _repeated(sha(salt * (16 + digest[0])).digest(), len(salt))
    # Which parts stand beside the digest repeats after 2 * 3 * 7 rounds; it stands before them and after them by turns.
    beside = [(s if step % 3 else b"") + (p if step % 7 else b"") for step in range(42)]
    pairs = [(beside[step] + p, p + beside[step + 1]) for step in range(0, 42, 2)]
    for behind, before in islice(cycle(pairs), _ROUNDS // 2):
        digest = sha(before + sha(digest + behind).digest()).digest()
    return _written(digest)


def _repeated(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def _written(digest: bytes) -> str:
    numbers = [(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in _TRIPLES]
    numbers.append((digest[31] << 8 | digest[30], 3))
    return "".join(_ALPHABET[number >> 6 * place & 63] for number, length in numbers for place in range(length))
