"""Babelfish keeps no catalogue of permissions (sys.database_permissions is empty), so dzgrant keeps its own there.

A grant of dzgrant's is a property of the database, written in the transaction that grants. What others grant is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from hashlib import sha256

from dzgrant.engines.sqlserver.statements import forget_property, set_property
from dzgrant.model import Table

RECORDS = """
SELECT CAST(value AS nvarchar(4000)) FROM sys.extended_properties WHERE class = 0 AND LEFT(name, ?) = ?
"""


def prefix(login: str) -> str:
    """What the names of its records begin with, and no other login's."""
    return f"dzgrant grant {login}:"


def _name(login: str, table: Table) -> str:
    return prefix(login) + sha256(f"{table.schema}\x1f{table.name}".encode()).hexdigest()[:16]


def record(login: str, table: Table, columns: Collection[str] | None) -> str:
    """None: the whole table, or view."""
    value = {"schema": table.schema, "name": table.name, "columns": None if columns is None else list(columns)}
    return set_property(_name(login, table), json.dumps(value, ensure_ascii=False))


def forget(login: str, table: Table) -> str:
    return forget_property(_name(login, table))


def read(value: str) -> tuple[Table, frozenset[str | None]]:
    """A record: the table, and its columns; None among them stands for the whole."""
    found = json.loads(value)
    columns = found["columns"]
    return Table(schema=found["schema"], name=found["name"]), frozenset([None] if columns is None else columns)
