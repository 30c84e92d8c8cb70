"""No password that the run made is in anything that it wrote. It runs last, and looks at what all the others left."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from dzgrant.localcloud.databases import Server
from tests.system import daemon
from tests.system.cloud import Cloud
from tests.system.story import Story


def leaks(passwords: Iterable[str], written: Mapping[str, str]) -> list[str]:
    """Where a password stands: as it is, escaped, quoted for a URL, or in base64."""
    found = []
    for password in passwords:
        forms = {password, json.dumps(password)[1:-1], quote(password, safe=""), base64.b64encode(password.encode()).decode()}
        found += [where for where, text in written.items() if any(form in text for form in forms)]
    return found


def _passwords(cloud: Cloud, prefix: str) -> set[str]:
    """Of every version of every secret whose name begins so; a login by IAM has none."""
    values = [json.loads(value) for value in cloud.values(prefix)]
    return {str(value["password"]) for value in values if value.get("authentication") != "iam"}


def _told(cloud: Cloud) -> dict[str, str]:
    letters = "\n".join(f"{letter.reason}\n{letter.body}" for letter in cloud.dead_letters())
    return {
        "the ledger": json.dumps(cloud.ledger()),
        "the outcome events": json.dumps(cloud.outcomes()),
        "the dead letters": letters,
    }


async def test_no_password_stands_in_anything_that_was_written(
    story: Story,
    cloud_of_stories: Cloud,
    cloud_of_workers: Cloud,
    ca_bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> None:
    orders, items = await story.play.create_table("orders"), await story.play.create_table("items")
    subscription = await story.granted(orders)
    story.revoke(await story.granted(items))
    story.approve(story.publish(story.play.table("misspelt")))
    await story.cloud.settled()
    commands = (
        ("grants", "list"),
        ("grants", "show", subscription),
        ("explain", subscription, "--domain", story.domain),
        ("reconcile", subscription, "--domain", story.domain),
    )
    for number, command in enumerate(commands):
        log = tmp_path / f"command-{number}.log"
        with daemon.running(story.cloud, ca_bundle, log, command=("-m", "dzgrant.cli", *command)) as run:
            assert await run.ended() == 0, log.read_text()

    clouds = (cloud_of_stories, cloud_of_workers)
    consumers = set().union(*(_passwords(cloud, "dzgrant/") for cloud in clouds))
    admins = set().union(*(_passwords(cloud, "admin/") for cloud in clouds))
    assert story.secret().credentials.password.get_secret_value() in consumers
    assert story.server.admin.password.get_secret_value() in admins

    logs = {str(path): path.read_text(errors="replace") for path in tmp_path_factory.getbasetemp().rglob("*.log")}
    assert any("worker_started" in text for text in logs.values())
    assert any(subscription in text for where, text in logs.items() if "command-" in where)
    written = {**logs, **_told(cloud_of_stories), **_told(cloud_of_workers)}
    assert leaks(consumers | admins, written) == []
    assert leaks(consumers, _servers_log(story.server)) == []
    # And the search finds what there is to find.
    planted = next(iter(consumers))
    assert leaks(consumers, {"a copy": f"{next(iter(logs.values()))} {planted}"}) == ["a copy"]
    assert leaks(consumers, {"a copy": base64.b64encode(planted.encode()).decode()}) == ["a copy"]


def _servers_log(server: Server) -> dict[str, str]:
    """Every statement that the server was sent; the tests' own admins are made there with their passwords in clear."""
    text = server.read_log()
    assert "GRANT SELECT" in text.upper(), "the server's log has no statements"
    return {server.flavour: text}
