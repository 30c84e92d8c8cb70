"""No password that a run made is in anything that it wrote; the end of every test run looks again (conftest.py)."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.system import daemon
from tests.system.cloud import Cloud
from tests.system.leaks import admins, consumers, everywhere, leaks, logs, of_server
from tests.system.story import Story


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
    assert story.secret().credentials.password.get_secret_value() in consumers(story.cloud)
    assert story.server.admin.password.get_secret_value() in admins(story.cloud)
    assert "GRANT SELECT" in of_server(story.server)[story.server.flavour].upper(), "the server's log has no statements"
    folder = tmp_path_factory.getbasetemp()
    written = logs(folder)
    assert any("worker_started" in text for text in written.values())
    assert any(subscription in text for where, text in written.items() if "command-" in where)
    assert everywhere(clouds, [story.server], folder) == []
    # And the search finds what there is to find.
    planted = next(iter(consumers(story.cloud)))
    (folder / "a copy.log").write_text(f"{next(iter(written.values()))} {planted}")
    assert len(everywhere(clouds, [], folder)) == 1
    (folder / "a copy.log").unlink()
    assert leaks([planted], {"a copy": base64.b64encode(planted.encode()).decode()}) == ["a copy"]
