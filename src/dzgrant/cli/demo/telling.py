"""How the demo is told: a line for each thing done, as it happens, with who did it and how long it took; a table at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dzgrant.accounts import AwsError
from dzgrant.cli.console import table
from dzgrant.cli.demo.checks import Check, Unmet
from dzgrant.cli.demo.shop import DRIVER_ERRORS
from dzgrant.errors import DzgrantError

WIDTH = 112
_COLOURS = {"producer": "blue", "consumer": "magenta", "dzgrant": "green", "governance": "yellow"}


@dataclass(slots=True)
class Note:
    """What a step adds to its line once it is done."""

    text: str = ""


@dataclass(slots=True)
class Telling:
    console: Console
    checks: list[Check] = field(default_factory=list)
    where: str = "the stage"
    """What is being told about: an engine's flavour, mostly."""

    def act(self, where: str, title: str) -> None:
        self.where = where
        self.console.print()
        self.console.print(Text.assemble((where, "bold"), ("  " + title, "dim")))

    @contextmanager
    def step(self, who: str, text: str, *, check: str | None = None) -> Iterator[Note]:
        """One line. A step that fails is a failed check, whether or not it was to be one; it raises `Unmet`."""
        began = time.monotonic()
        note, unmet = Note(), None
        try:
            with self.console.status(f"{who}: {text}"):
                yield note
        except Unmet as error:
            unmet = str(error)
        except (DzgrantError, *AwsError, *DRIVER_ERRORS) as error:
            unmet = f"{type(error).__name__}: {' '.join(str(error).split())}"
        seconds = time.monotonic() - began
        self._line(who, text, unmet or note.text, seconds, "✗" if unmet else "✓" if check else "·")
        if check or unmet:
            self.checks.append(Check(what=check or text, where=self.where, seconds=seconds, unmet=unmet))
        if unmet:
            raise Unmet(unmet)

    def leave_out(self, what: str, where: str, why: str) -> None:
        """Notes what is not checked on this machine, and why."""
        self.checks.append(Check(what=what, where=where, left_out=why))

    def _line(self, who: str, text: str, more: str, seconds: float, sign: str) -> None:
        line = Table.grid(padding=(0, 1), expand=True)
        line.width = min(WIDTH, self.console.width)
        line.add_column(width=1)
        line.add_column(width=10, style=_COLOURS.get(who, "bold"))
        line.add_column(ratio=1)
        line.add_column(width=8, justify="right", style="dim")
        style = {"✗": "bold red", "✓": "bold green"}.get(sign, "dim")
        told = Text.assemble(text, (f"  {more}", "red" if sign == "✗" else "dim") if more else "")
        line.add_row(Text(sign, style), who, told, f"{seconds:.2f} s")
        self.console.print(line)

    def summary(self) -> Table:
        """Every check with its result."""
        drawn = table("check", "where", "result", title="What was checked")
        drawn.add_column("seconds", justify="right")
        for check in self.checks:
            drawn.add_row(check.what, check.where, _result(check), f"{check.seconds:.2f}" if check.seconds else "")
        return drawn


def _result(check: Check) -> Text:
    if check.unmet:
        return Text("failed", "bold red")
    return Text(f"left out: {check.left_out}", "yellow") if check.left_out else Text("ok", "green")
