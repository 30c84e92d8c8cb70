"""The pages name what there is: files, commands with their options, targets, settings, metrics, states, alarms."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from dzgrant.cli.app import app
from dzgrant.metrics import Metrics
from dzgrant.model import GrantState
from dzgrant.reporting import DriftKind
from dzgrant.settings import Settings

ROOT = Path(__file__).parents[2]
COMMAND = typer.main.get_command(app)
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/*.md")]
OPERATIONS = (ROOT / "docs/operations.md").read_text()
CODE = "\n".join(path.read_text() for path in ROOT.glob("src/dzgrant/**/*.py"))
GOVERNANCE = (ROOT / "deploy/ecs/governance.yaml").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    fenced = "\n".join(re.findall(r"(?ms)^ *```\w*\n(.*?)^ *```", text))
    commands = re.findall(r"(?m)^ *(?:\$ )?dzgrant ([a-z][^#\n]*)", fenced) + re.findall(r"`dzgrant ([a-z][^`]*)`", text)
    assert [wrong for command in commands for wrong in unknown(COMMAND, command.split())] == []
    targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text())
    named = re.findall(r"(?m)(?:^|`)make ([a-z-]+)", text)
    assert sorted(set(named) - set(targets)) == []
    settings = {f"DZGRANT_{name.upper()}" for name in Settings.model_fields} | {"DZGRANT_MYSQLD"}
    assert sorted(set(re.findall(r"DZGRANT_[A-Z_]+[A-Z]", text)) - settings) == []


def unknown(command: Any, words: list[str]) -> list[str]:
    """The words of a command line that dzgrant does not know; `list|retry` are two."""
    if isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        inner = {word: command.commands.get(word) for word in words[0].split("|")}
        return [f for word, found in inner.items() for f in (unknown(found, words[1:]) if found else [word])]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in words if word.startswith("--") and word.strip(".,]") not in options]


def test_the_readme_leads_to_each_page_once() -> None:
    table = "\n".join(re.findall(r"(?m)^\|.*$", (ROOT / "README.md").read_text()))
    assert sorted(re.findall(r"\]\(docs/([^)]+)\)", table)) == sorted(page.name for page in ROOT.glob("docs/*.md"))


def test_an_operator_reads_of_what_there_is() -> None:
    metrics = {metric.name for metric in Metrics().registry.collect()}
    assert {name.removesuffix("_total") for name in re.findall(r"`(dzgrant_[a-z_]+)", OPERATIONS)} <= metrics
    assert re.findall(r"(?m)^\| `([A-Z_]+)` \|", OPERATIONS) == list(GrantState)
    kinds = re.findall(r"(?m)^\| ((?:`\w+`(?:, )?)+) \|", OPERATIONS.partition("## Sweep")[2].partition("**Orphans.**")[0])
    assert set(re.findall(r"\w+", " ".join(kinds))) == set(DriftKind)
    alarms = re.findall(r"(?m)^\| ((?:`[a-z-]+`(?:, )?)+) \|", OPERATIONS)
    assert set(re.findall(r"[a-z-]+", " ".join(alarms))) >= set(re.findall(r"AlarmName: !Sub \$\{Name\}-(.+)", GOVERNANCE))
    events = set(re.findall(r'\$\.event = "(\w+)"', GOVERNANCE))
    assert {event for event in events if f'"{event}"' not in CODE} <= {"environment_stuck"}  # f"environment_{kind}"
