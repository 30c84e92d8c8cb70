"""How to point things at a local cloud, for whoever started one: variables to export, and the control API by example."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

_EXAMPLE = """\
# What can be asked of it, each command with its fields; then a table, a request, an approval:
curl -s {endpoint}/_local/
curl -s {endpoint}/_local/add-environment -d '{{"id": "analysts"}}'
curl -s {endpoint}/_local/publish -d '{{"engine": "postgresql", "host": "localhost", "port": 5432, "database": "shop",
    "table": "public.orders", "username": "postgres", "password": "..."}}'
curl -s {endpoint}/_local/subscribe -d '{{"listing": "<listing>"}}'
curl -s {endpoint}/_local/approve -d '{{"request": "<id>"}}'

# The daemon, and what it did:
dzgrant run
dzgrant grants list
"""


def guide(environment: Mapping[str, str]) -> str:
    """Shell text: the variables as exports, then examples. `environment` has AWS_ENDPOINT_URL among them."""
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join(["# Point things at it:", *exports, "", _EXAMPLE.format(endpoint=environment["AWS_ENDPOINT_URL"])])
