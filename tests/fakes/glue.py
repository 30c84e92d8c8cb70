"""Glue: what a crawler left in an account's catalogue."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.fakes.answers import Caller, Members, Refusal


class Glue:
    """`tables` by account, database and name; `connections` by account and name, as CreateConnection took them."""

    def __init__(self) -> None:
        self.tables: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.connections: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)

    def get_table(self, given: Members, caller: Caller) -> Members:
        account = given.get("CatalogId", caller.account)
        table = self.tables.get((account, given["DatabaseName"], given["Name"]))
        if table is None:
            raise Refusal("EntityNotFoundException", f"Table {given['Name']} not found.")
        return {"Table": {"DatabaseName": given["DatabaseName"], "CatalogId": account, **table}}

    def get_connection(self, given: Members, caller: Caller) -> Members:
        known = self.connections[given.get("CatalogId", caller.account)].get(given["Name"])
        if known is None:
            raise Refusal("EntityNotFoundException", f"Connection {given['Name']} not found.")
        found = dict(known)
        if given.get("HidePassword"):
            found["ConnectionProperties"] = {
                name: value for name, value in known["ConnectionProperties"].items() if name != "PASSWORD"
            }
        return {"Connection": found}
