"""The statements that change access, as Redshift's grammar has them. It binds no values in these: each part is quoted here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from pydantic import SecretStr
from sqlalchemy import String
from sqlalchemy.dialects.postgresql.asyncpg import dialect as postgresql

from dzgrant.model import Table

# Redshift quotes as PostgreSQL does.
DIALECT = postgresql(paramstyle="named")  # type: ignore[no-untyped-call]
_identifier: Callable[[str], str] = DIALECT.identifier_preparer.quote_identifier
_literal: Callable[[str], str] = String().literal_processor(DIALECT)  # type: ignore[no-untyped-call]

NEVER, ALWAYS = "infinity", "1970-01-01"
"""When a login's password is no longer good. Redshift has no other way to shut a login out, and keep it."""

SET_UP = (
    "CREATE SCHEMA IF NOT EXISTS dzgrant",
    "CREATE TABLE IF NOT EXISTS dzgrant.logins (login varchar(128), owner varchar(512), fence bigint)",
    "CREATE TABLE IF NOT EXISTS dzgrant.grants (login varchar(128), relation bigint, what varchar(64))",
)
"""Redshift keeps no comment on a user: the markers, the fences and what was granted are tables of the admin's own."""


def begin(lock_seconds: float, statement_seconds: float) -> str:
    """Opens a transaction with the one lock that all of dzgrant's work in this database waits for."""
    lock, statement = round(lock_seconds * 1000), round(statement_seconds * 1000)
    return f"BEGIN; SET statement_timeout TO {lock}; LOCK dzgrant.logins; SET statement_timeout TO {statement}"


def create_login(login: str, password: SecretStr) -> str:
    return f"CREATE USER {_identifier(login)} PASSWORD {_literal(_hash(login, password))}"


def set_password(login: str, password: SecretStr) -> str:
    return f"ALTER USER {_identifier(login)} PASSWORD {_literal(_hash(login, password))} VALID UNTIL {_literal(NEVER)}"


def disable(login: str) -> str:
    return f"ALTER USER {_identifier(login)} VALID UNTIL {_literal(ALWAYS)}"


def drop_login(login: str) -> str:
    return f"DROP USER {_identifier(login)}"


def grant_usage(schema: str, login: str) -> str:
    return f"GRANT USAGE ON SCHEMA {_identifier(schema)} TO {_identifier(login)}"


def revoke_usage(schema: str, login: str) -> str:
    return f"REVOKE ALL ON SCHEMA {_identifier(schema)} FROM {_identifier(login)}"


def grant_select(table: Table, login: str, columns: Sequence[str] | None = None) -> str:
    some = f" ({', '.join(map(_identifier, columns))})" if columns else ""
    return f"GRANT SELECT{some} ON {name(table)} TO {_identifier(login)}"


def revoke_all(table: Table, login: str) -> str:
    return f"REVOKE ALL ON {name(table)} FROM {_identifier(login)}"


def read_nothing(table: Table, columns: Sequence[str] | None) -> str:
    return f"SELECT {', '.join(map(_identifier, columns)) if columns else '*'} FROM {name(table)} LIMIT 0"  # noqa: S608  # each part is quoted


def create_schema(schema: str) -> str:
    return f"CREATE SCHEMA IF NOT EXISTS {_identifier(schema)}"


def create_view(view: Table, select: str) -> str:
    return f"CREATE VIEW {name(view)} AS {select}"


def drop_view(view: Table) -> str:
    return f"DROP VIEW IF EXISTS {name(view)}"


def drop_schema(schema: str) -> str:
    return f"DROP SCHEMA IF EXISTS {_identifier(schema)} RESTRICT"


def name(table: Table) -> str:
    return f"{_identifier(table.schema)}.{_identifier(table.name)}"


def _hash(login: str, password: SecretStr) -> str:
    """`md5` and the digest of password and name: the form that Redshift and PostgreSQL both take instead of the password.

    Redshift's `sha256|...` is the better one where only Redshift is meant; 180 random bits make it matter little.
    """
    return "md5" + hashlib.md5((password.get_secret_value() + login).encode(), usedforsecurity=False).hexdigest()
