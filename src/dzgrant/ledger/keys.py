"""Where each item lies.

An environment's partition holds its principals with their grants and history, the mark that it is being deleted, and what
its role and Glue databases had before dzgrant extended them. A
subscription is one item, so that it can be ended and its claims read in one call.
"""

from __future__ import annotations

from typing import NamedTuple

from dzgrant.model import GrantState, Principal, Source, TablePath

PRINCIPAL = "PRINCIPAL#"
GRANT = "GRANT#"
HISTORY = "HISTORY#"
ENVIRONMENT = "ENVIRONMENT"
EXTENSION = "EXTENSION"
SUBSCRIPTION = "SUBSCRIPTION"
SWEEP = "SWEEP"


class Key(NamedTuple):
    """The table's primary key."""

    pk: str
    sk: str


def partition(environment: str) -> str:
    """The partition of an environment."""
    return f"ENVIRONMENT#{environment}"


def ending(environment: str) -> Key:
    """The mark that the environment is being deleted."""
    return Key(partition(environment), ENVIRONMENT)


def extension(environment: str) -> Key:
    """What was there before the environment was extended."""
    return Key(partition(environment), EXTENSION)


def subscription(identifier: str) -> Key:
    return Key(f"SUBSCRIPTION#{identifier}", SUBSCRIPTION)


def sweep(domain: str) -> Key:
    """How far the sweep of a domain has come, and who is at it."""
    return Key(f"SWEEP#{domain}", SWEEP)


def principal(of: Principal) -> Key:
    return Key(partition(of.environment.id), PRINCIPAL + of.source.key)


def grants(source: Source) -> str:
    """The prefix of the grants of one source, in an environment's partition."""
    return f"{GRANT}{source.key}#"


def grant(of: Principal, path: TablePath) -> Key:
    return Key(partition(of.environment.id), grants(of.source) + _part(path))


def history(of: Principal, path: TablePath, by: str, state: GrantState) -> Key:
    return Key(partition(of.environment.id), f"{HISTORY}{of.source.key}#{_part(path)}#{by}#{state}")


def _part(path: TablePath) -> str:
    # Only the separator is escaped: a sort key has 1,024 bytes, and two names of SQL Server may fill 768 of them.
    return path.key.replace("%", "%25").replace("#", "%23")
