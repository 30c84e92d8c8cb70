"""The pure parts of the local cloud: queues, names. Policies are in test_policies.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dzgrant.localcloud.commands import AddDomain, Approve, Calls, DeleteEnvironment, Made, Publish, Subscribed
from dzgrant.localcloud.places import environment
from dzgrant.localcloud.queues import Queues
from dzgrant.settings import load


@given(st.lists(st.sampled_from(["send", "receive", "delete", "show"]), max_size=60))
def test_a_queue_loses_and_doubles_nothing(steps: list[str]) -> None:
    """Against the plainest model: what was sent, what is held, what was deleted."""
    queues, place = Queues(), ("1", "r")
    queue = queues.create(place, "q")
    sent = 0
    held: list[tuple[str, str]] = []
    deleted: set[str] = set()
    for step in steps:
        if step == "send":
            queues.send(queue, str(sent), {}, 0)
            sent += 1
        elif step == "receive":
            took = queues.receive(queue, most=10, wait=0, hidden=60, gone=lambda: False)
            held += [(message.body, message.handle) for message in took]
        elif held and step == "delete":
            body, handle = held.pop()
            assert queues.delete(queue, handle) is None
            deleted.add(body)
        elif held and step == "show":
            assert queues.change(queue, held.pop()[1], 0) is None
        assert len({body for body, _ in held}) == len(held)
        assert sum(queues.counts(queue)) == sent - len(deleted)
        assert queues.counts(queue)[1] == len(held)


def test_a_poller_that_hung_up_takes_nothing() -> None:
    queues = Queues()
    queue = queues.create(("1", "r"), "q")
    queues.send(queue, "x", {}, 0)
    assert queues.receive(queue, most=1, wait=0, hidden=60, gone=lambda: True) == []
    assert queues.counts(queue) == (1, 0)


def test_a_command_knows_its_path_and_its_answer() -> None:
    assert (DeleteEnvironment.path(), AddDomain.path()) == ("delete-environment", "add-domain")
    assert (AddDomain.answer(), Approve.answer()) == (Made, Subscribed)
    assert Calls.model_validate_json('{"calls": []}').calls == ()


def test_a_commands_password_is_shown_to_the_cloud_only() -> None:
    command = Publish(engine="mysql", host="h", port=1, database="d", table="t", password="hunter2")  # type: ignore[arg-type]
    assert "hunter2" not in repr(command)
    assert "hunter2" in command.model_dump_json()


def test_the_workers_settings_follow_from_the_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("http://127.0.0.1:5000").items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings.queue_url == "http://127.0.0.1:5000/111111111111/dzgrant-events"
    assert settings.event_bus == "dzgrant"
