"""What moto's Glue leaves out of a connection: its type, where its secret is, its schema; and DeleteConnection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from moto.glue.models import glue_backends

from dzgrant.localcloud.calls import Answer, Call, answer, error

_LEFT_OUT = ("ConnectionType", "AuthenticationConfiguration", "ConnectionSchemaVersion")


def admit(call: Call) -> Call | Answer:
    """The call, or the answer to one that moto does not know."""
    if call.operation != "DeleteConnection":
        return call
    name = str(call.json().get("ConnectionName"))
    if glue_backends[call.account][call.region].connections.pop(name, None) is None:
        return error("EntityNotFoundException", f"Connection {name} not found.")
    return answer({})


def exists(account: str, region: str, name: str) -> bool:
    """GetConnections would say it page by page."""
    return name in glue_backends[account][region].connections


def complete(call: Call, given: Answer) -> Answer:
    """moto's answer with what it left out."""
    if call.operation != "GetConnection" or given.status != 200:
        return given
    members = given.json()
    _complete(call, members["Connection"])
    return replace(given, headers=answer({}).headers, body=answer(members).body)


def _complete(call: Call, connection: dict[str, Any]) -> None:
    stored = glue_backends[call.account][call.region].connections[connection["Name"]].connection_input
    authentication = stored.get("AuthenticationConfiguration")
    connection |= {name: stored[name] for name in _LEFT_OUT if name in stored}
    connection.setdefault("ConnectionSchemaVersion", 2 if authentication else 1)
