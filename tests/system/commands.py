"""The commands as a person runs them: processes of their own, beside the story's worker."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.system import daemon
from tests.system.story import Story


@dataclass(frozen=True, slots=True)
class Commands:
    """`await commands("grants", "list")`, in the story's local cloud; what a person types comes as `typed`."""

    story: Story
    ca_bundle: Path

    async def __call__(self, *arguments: str, typed: str = "", **changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dzgrant.cli", *arguments]
        variables = daemon.environment(self.story.cloud, self.ca_bundle, changes) | {"COLUMNS": "250"}
        return await asyncio.to_thread(
            subprocess.run, command, env=variables, input=typed, capture_output=True, text=True, timeout=90, check=False
        )
