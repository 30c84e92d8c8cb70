"""Names as the catalogue gives them: any text that a database could have for a name."""

from __future__ import annotations

from unicodedata import category

# The ledger's key of a table has 1,024 bytes. No engine here allows a schema's name and a table's as long as this.
LONGEST = 900


def possible(name: str) -> bool:
    """Whether it has a fit length, no control characters and no halves of characters (lone surrogates)."""
    if any(category(char) in ("Cc", "Cs") for char in name):
        return False
    return 0 < len(name.casefold().encode()) <= LONGEST
