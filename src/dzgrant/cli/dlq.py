"""`dzgrant dlq`: the dead letters of the worker's queue."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from rich.text import Text

from dzgrant import settings
from dzgrant.cli.answers import DeadLetter
from dzgrant.cli.console import console, moment, table
from dzgrant.cli.parts import with_parts
from dzgrant.errors import Refused
from dzgrant.intake import letters
from dzgrant.intake.letters import Letters, described
from dzgrant.intake.queue import Delivery, open_queue
from dzgrant.worker import Parts

T = TypeVar("T")


def list_them(*, as_json: bool) -> None:
    """Prints every dead letter, the oldest first."""
    found = sorted(_looked_at(), key=lambda letter: letter.since)
    if as_json:
        sys.stdout.writelines(f"{one.model_dump_json(exclude={'body'})}\n" for one in found)
    elif not found:
        console().print("no dead letters")
    else:
        drawn = table("id", "age", "kind", "domain", "subject", "reason")
        for one in found:
            drawn.add_row(one.id, _age(one.since), one.kind or "", one.domain or "", one.subject or "", Text(one.reason, "red"))
        console().print(drawn)
    if len(found) >= letters.MOST:
        sys.stderr.write(f"dzgrant: there may be more than these {len(found)}\n")


def show(identifier: str, *, as_json: bool) -> None:
    """Prints one whole. Raises `Refused` where there is none of this id."""
    found = next((one for one in _looked_at() if one.id == identifier), None)
    if found is None:
        raise _unknown(identifier)
    if as_json:
        sys.stdout.write(f"{found.model_dump_json()}\n")
        return
    out = console()
    for name, value in (("id", found.id), ("since", moment(found.since)), ("kind", found.kind), ("domain", found.domain)):
        out.print(f"{name:8} {value or ''}")
    out.print(f"{'subject':8} {found.subject or ''}")
    out.print(f"{'reason':8} {found.reason}\n")
    sys.stdout.write(f"{_pretty(found.body)}\n")


def redrive(names: Sequence[str]) -> None:
    """Sends these back into the queue, or all. Raises `Refused`, with nothing moved, for an id that is not there."""
    moved = _each(names, Letters.redrive)
    console().print(f"{moved} back in the queue" if moved else "no dead letters")


def drop(names: Sequence[str], *, yes: bool) -> None:
    """Deletes these, once that is confirmed. Raises `Refused`, with nothing deleted, where it is not, or one is not there."""
    if not yes:
        sys.stdout.write(f"Delete {', '.join(names)}? Type yes: ")
        sys.stdout.flush()
        if sys.stdin.readline().strip() != "yes":
            raise Refused("nothing was deleted", do="type yes, or say --yes")
    console().print(f"{_each(names, Letters.drop)} deleted")


def _looked_at() -> list[DeadLetter]:
    loaded = settings.load()

    async def look(dead: Letters) -> list[DeadLetter]:
        async with dead.taken() as found:
            return [DeadLetter.of(described(one, loaded.domain_ids, dead.place), one.body) for one in found.values()]

    return _with_letters(look)


def _each(names: Sequence[str], what: Callable[[Letters, Delivery], Awaitable[None]]) -> int:
    async def every(dead: Letters) -> int:
        async with dead.taken() as found:
            if unknown := [name for name in names if name not in found]:
                raise _unknown(unknown[0])
            chosen = dict.fromkeys(names or found)
            for name in chosen:
                await what(dead, found[name])
                del found[name]
        return len(chosen)

    return _with_letters(every)


def _with_letters(work: Callable[[Letters], Awaitable[T]]) -> T:
    loaded = settings.load()

    async def opened(parts: Parts) -> T:
        return await work(letters.of(await open_queue(await parts.accounts.sqs(), loaded.queue_url)))

    return with_parts(opened, loaded)


def _unknown(identifier: str) -> Refused:
    return Refused(f"there is no dead letter {identifier}", do="see what there is with: dzgrant dlq list")


def _age(since: datetime) -> str:
    age = max(datetime.now(UTC) - since, timedelta())
    hours, minutes = divmod(age.seconds // 60, 60)
    return f"{age.days}d {hours}h" if age.days else f"{hours}h {minutes}m"


def _pretty(body: str) -> str:
    """With nothing that a terminal would obey: anybody may have written it."""
    try:
        return json.dumps(json.loads(body), indent=2)
    except (ValueError, RecursionError):
        return body.encode("unicode_escape").decode()
