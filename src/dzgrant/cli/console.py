"""The terminal."""

from __future__ import annotations

import sys
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


def console(width: int = 200) -> Console:
    """Writes to standard output, as wide as the terminal; into a pipe or a file, as wide as said.

    Text is printed as it is: a table's name may look like markup.
    """
    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else width)


def table(*columns: str, title: str | None = None) -> Table:
    return Table(*columns, title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)


def moment(when: datetime) -> str:
    """UTC, to the second."""
    return f"{when:%Y-%m-%d %H:%M:%S}Z"
