"""JSON from outside, read so that no second reader could see another thing in it."""

from __future__ import annotations

import json
from typing import NoReturn


class UnreadableError(ValueError):
    """Why a text can't be read; the words are fixed and hold nothing of it."""


def read(text: str) -> object:
    """What the text says. Raises `UnreadableError` also for JSON that is ambiguous, endless or can't be kept: a key that
    occurs twice, NaN, a number or a nesting without measure, a half of a character (a lone surrogate)."""
    try:
        found: object = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_number)
        # An escape can spell a half, so it shows only now.
        json.dumps(found, ensure_ascii=False).encode()
    except UnreadableError:
        raise
    except RecursionError:
        raise UnreadableError("its JSON is nested too deep") from None
    except UnicodeEncodeError:
        raise UnreadableError("it holds a half of a character (a lone surrogate)") from None
    except ValueError:
        raise UnreadableError("it is not JSON") from None
    return found


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UnreadableError("a key occurs twice")
    return found


def _no_number(_: str) -> NoReturn:
    raise UnreadableError("it holds a number that JSON does not know")
