"""The engines: one contract, one adapter each, found by entry point so that a third party can add one."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from dzgrant.engines.contract import Adapter
from dzgrant.errors import Unsupported

GROUP = "dzgrant.engines"


@cache
def adapter(engine: str) -> Adapter:
    """The adapter of an engine. Raises `Unsupported` for an engine that no installed package brings."""
    found = entry_points(group=GROUP, name=engine)
    for entry in found:
        loaded: Adapter = entry.load()
        return loaded
    known = ", ".join(sorted({entry.name for entry in entry_points(group=GROUP)}))
    raise Unsupported(
        f"no adapter for the engine {engine!r} is installed (installed: {known})",
        do="install one, or unpublish the asset (docs/add-an-engine.md)",
    )
