"""`dzgrant rotate`: new passwords for the principals that are named, or for those whose password is old."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.table import Table
from rich.text import Text

from dzgrant.cli.console import console, moment, table
from dzgrant.cli.parts import with_parts
from dzgrant.errors import DzgrantError, Misconfigured, Refused
from dzgrant.ledger import Ledger
from dzgrant.model import PrincipalRecord, PrincipalState
from dzgrant.saga.rotation import Turn, due
from dzgrant.together import together
from dzgrant.worker import Parts

_AT_ONCE = 4
_AGE = re.compile(r"(\d+)([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    record: PrincipalRecord
    done: str
    login: str
    error: str | None = None


def age(given: str) -> timedelta:
    """`30d`, `12h`, `90m`. Raises `Misconfigured` for anything else."""
    if (parts := _AGE.fullmatch(given)) is None:
        raise Misconfigured(f"{given} is no age", do="write --older-than 30d, 12h or 90m")
    return timedelta(**{_UNITS[parts[2]]: int(parts[1])})


def rotate(names: Sequence[str], older_than: str | None, *, dry_run: bool) -> bool:
    """Prints what was done, or would be; whether all could be. Raises `Refused` for a principal that can't be rotated."""
    if bool(names) == (older_than is not None):
        raise Misconfigured("which principals?", do="name them, or say --older-than 30d")
    oldest = age(older_than) if older_than else None
    done = with_parts(lambda parts: _rotated(parts, names, oldest, dry_run=dry_run))
    console().print(_drawn(done) if done else "nothing is due")
    return not any(one.error for one in done)


async def _rotated(parts: Parts, names: Sequence[str], oldest: timedelta | None, *, dry_run: bool) -> list[_Done]:
    def decide(record: PrincipalRecord) -> Turn | None:
        if oldest is None:
            return Turn.ROTATE if record.state is PrincipalState.ACTIVE else None
        return due(record, datetime.now(UTC), oldest)

    every = await _every(parts.ledger) if oldest else [await _named(parts.ledger, name) for name in names]
    room = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(record: PrincipalRecord, turn: Turn) -> _Done:
        if dry_run:
            return _Done(record=record, done=f"would {turn.name.lower()}", login=record.login)
        try:
            async with room:
                turned = await parts.runner.turn(record, decide)
        except DzgrantError as error:
            return _Done(record=record, done="failed", login=record.login, error=str(error))
        if turned is None:
            return _Done(record=record, done="nothing: it logs in by IAM, or is not due", login=record.login)
        return _Done(record=record, done=f"{turn.name.lower()}d", login=turned.login)

    return await together(in_turn(record, turn) for record in every if (turn := decide(record)))


async def _every(ledger: Ledger) -> list[PrincipalRecord]:
    return sorted([record async for record in ledger.every_principal()], key=lambda record: record.principal.id)


async def _named(ledger: Ledger, name: str) -> PrincipalRecord:
    known = await ledger.principals(name.partition("/")[0])
    record = next((one for one in known if one.principal.id == name), None)
    if record is None:
        raise Refused(f"the ledger knows no principal {name}", do="see what there is with: dzgrant grants list")
    if record.state is not PrincipalState.ACTIVE:
        raise Refused(f"the principal {name} is {record.state}, not ACTIVE", do="see why with: dzgrant grants show")
    return record


def _drawn(done: Sequence[_Done]) -> Table:
    drawn = table("principal", "source", "login", "password of", "done", "error")
    for one in done:
        record = one.record
        made = moment(record.password_at) if record.password_at else "unknown"
        error = Text(one.error or "", "red")
        drawn.add_row(record.principal.id, str(record.principal.source), one.login, made, one.done, error)
    return drawn
