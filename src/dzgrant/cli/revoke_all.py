"""`dzgrant revoke-all`: every access of a domain that the ledger knows ends, by the same steps as after an event.

It is for an uninstall. No subscription is marked as ended, since DataZone still approves them: a worker that runs would
grant them again at its next event, and a re-installed one does at its first reconciliation.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from dzgrant.cli.console import console, table
from dzgrant.cli.parts import with_parts
from dzgrant.errors import DzgrantError, LeaseHeld, Refused
from dzgrant.ledger import Ledger
from dzgrant.model import GrantRecord, PrincipalRecord
from dzgrant.together import together
from dzgrant.worker import Parts

_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Access:
    """What one principal has."""

    record: PrincipalRecord
    grants: tuple[GrantRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """What became of it; `detail` says why a login is only disabled, or what stands in the way."""

    access: _Access
    done: str
    detail: str = ""

    @property
    def ended(self) -> bool:
        return self.done in (_REVOKED, _DISABLED)


_REVOKED = "revoked"
_DISABLED = "revoked; the login is disabled, not dropped"
_WAITING = "not yet"


def revoke_all(domain: str, yes: str | None, *, dry_run: bool) -> bool:
    """Prints what ends, asks, ends it and prints what became of it; whether all could be ended.

    Raises `Refused`, with nothing changed, unless the domain's id is given once more.
    """
    every = with_parts(lambda parts: _known(parts.ledger, domain))
    if not every:
        console().print(f"the ledger knows of no access in the domain {domain}: nothing to do")
        return True
    console().print(_listed(every))
    tables = sum(len(access.grants) for access in every)
    if dry_run:
        console().print(f"would end: {len(every)} principals with {tables} tables; nothing was changed")
        return True
    _confirm(domain, yes)
    ends = with_parts(lambda parts: _revoked(parts, every))
    console().print(_told(ends))
    waiting = [end for end in ends if not end.ended]
    counts = Counter(end.done for end in ends)
    console().print(", ".join(f"{number} {done}" for done, number in sorted(counts.items(), reverse=True)))
    if waiting:
        console().print("run it again when what stands in the way is gone; it goes on from here")
    return not waiting


async def _known(ledger: Ledger, domain: str) -> list[_Access]:
    """Every principal of which something may be left. The listing may be a second behind; the work itself is not."""
    records = [record async for record in ledger.every_principal() if record.principal.environment.domain == domain]
    found = [_Access(record=record, grants=await ledger.grants(record.principal)) for record in records]
    return sorted(found, key=lambda access: access.record.principal.id)


def _confirm(domain: str, yes: str | None) -> None:
    if yes is None:
        sys.stdout.write(
            "Stop the service first: it would grant again from its next event or reconciliation.\n"
            f"Type the domain's id, {domain}, to end all of this: "
        )
        sys.stdout.flush()
        yes = sys.stdin.readline().strip()
    if yes != domain:
        raise Refused(f"{yes or 'nothing'} is not {domain}: nothing was revoked", do="give the id of the very domain")


async def _revoked(parts: Parts, every: Sequence[_Access]) -> list[_End]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(access: _Access) -> _End:
        async with room:
            return await _ended(parts, access)

    return await together(in_turn(access) for access in every)


async def _ended(parts: Parts, access: _Access) -> _End:
    try:
        journey = await parts.runner.remove(access.record)
    except LeaseHeld as held:
        return _End(access=access, done=_WAITING, detail=f"{held}: is the service stopped?")
    except DzgrantError as error:
        return _End(access=access, done=_WAITING, detail=str(error))
    if journey.progress.others:
        return _End(access=access, done=_WAITING, detail="a worker granted again meanwhile: stop the service")
    dropped = journey.dropped
    if dropped is not None and dropped.detail:
        return _End(access=access, done=_DISABLED, detail=dropped.detail)
    return _End(access=access, done=_REVOKED)


def _listed(every: Sequence[_Access]) -> Table:
    drawn = table("principal\nlogin", "source", "state", "tables", "subscriptions")
    for access in every:
        record = access.record
        drawn.add_row(
            f"{record.principal.id}\n{', '.join(record.logins)}",
            str(record.principal.source),
            record.state,
            "\n".join(str(grant.table or grant.path) for grant in access.grants),
            "\n".join(", ".join(sorted(grant.subscriptions)) for grant in access.grants),
        )
    return drawn


def _told(ends: Sequence[_End]) -> Table:
    drawn = table("principal", "source", "done", "why")
    for end in ends:
        principal = end.access.record.principal
        drawn.add_row(principal.id, str(principal.source), end.done, Text(end.detail, "" if end.ended else "red"))
    return drawn
