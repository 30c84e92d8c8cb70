"""Whether a password that the run made stands in anything that it wrote."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from dzgrant.localcloud.databases import Server
from tests.system.cloud import Cloud


def leaks(passwords: Iterable[str], written: Mapping[str, str]) -> list[str]:
    """Where a password stands: as it is, escaped, quoted for a URL, or in base64."""
    found = []
    for password in passwords:
        forms = {password, json.dumps(password)[1:-1], quote(password, safe=""), base64.b64encode(password.encode()).decode()}
        found += [where for where, text in written.items() if any(form in text for form in forms)]
    return found


def consumers(cloud: Cloud) -> set[str]:
    """The passwords that dzgrant made."""
    return _passwords(cloud, "dzgrant/")


def admins(cloud: Cloud) -> set[str]:
    return _passwords(cloud, "admin/")


def logs(folder: Path) -> dict[str, str]:
    """Each worker's and command's own."""
    return {str(path): path.read_text(errors="replace") for path in folder.rglob("*.log")}


def told(cloud: Cloud) -> dict[str, str]:
    letters = "\n".join(f"{letter.reason}\n{letter.body}" for letter in cloud.dead_letters())
    return {
        "the ledger": json.dumps(cloud.ledger()),
        "the outcome events": json.dumps(cloud.outcomes()),
        "the dead letters": letters,
    }


def of_server(server: Server) -> dict[str, str]:
    """Every statement that the server was sent."""
    return {server.flavour: server.read_log()}


def everywhere(clouds: Iterable[Cloud], servers: Iterable[Server], folder: Path) -> list[str]:
    """Every leak. The tests' own admins are made with their passwords in clear, so a server's log is searched for the
    consumers' alone."""
    clouds = tuple(clouds)
    made = set().union(*map(consumers, clouds))
    written = logs(folder)
    for number, cloud in enumerate(clouds):
        written |= {f"{where} of cloud {number}": text for where, text in told(cloud).items()}
    found = leaks(made.union(*map(admins, clouds)), written)
    for server in servers:
        found += leaks(made, of_server(server))
    return found


def _passwords(cloud: Cloud, prefix: str) -> set[str]:
    """Of every version of every secret whose name begins so; a login by IAM has none."""
    values = [json.loads(value) for value in cloud.values(prefix)]
    return {str(value["password"]) for value in values if value.get("authentication") != "iam"}
