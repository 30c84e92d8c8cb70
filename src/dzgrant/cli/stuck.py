"""`dzgrant stuck list` and `retry`: what can't go on, and one more try at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.table import Table
from rich.text import Text

from dzgrant import settings
from dzgrant.cli.answers import StuckGrant
from dzgrant.cli.console import console, moment, table
from dzgrant.cli.grants import coloured
from dzgrant.cli.parts import with_parts
from dzgrant.errors import Refused
from dzgrant.ledger import Ledger
from dzgrant.model import GrantState
from dzgrant.saga.stuck import Stuck, retried, stuck
from dzgrant.worker import Parts


def list_them(*, as_json: bool) -> None:
    """Prints all that is stuck."""
    loaded = settings.load()
    longest_pause = timedelta(seconds=loaded.backoff_cap_seconds)
    found = [StuckGrant.of(one, longest_pause) for one in with_parts(lambda parts: stuck(parts.ledger), loaded)]
    if as_json:
        sys.stdout.writelines(f"{one.model_dump_json()}\n" for one in found)
    else:
        console().print(_drawn(found) if found else "nothing is stuck")


def _drawn(found: Sequence[StuckGrant]) -> Table:
    drawn = table("principal\nsource", "table", "subscriptions", "state", "since", "next try", "reason")
    for one in found:
        by = moment(one.next_try)
        drawn.add_row(
            f"{one.place.principal}\n{one.place.source}",
            one.table,
            "\n".join(one.subscriptions),
            coloured(one.state),
            moment(one.since),
            f"by {by}" if one.next_try > datetime.now(UTC) else f"was due by {by}:\nwith the next reconcile",
            one.reason or "none was given: a worker ended in the middle of it",
        )
    return drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """`now` is None when the grant is gone."""

    before: Stuck
    now: GrantState | None
    reason: str | None

    @property
    def moved(self) -> bool:
        return self.now in (None, GrantState.GRANTED)


def retry(names: Sequence[str]) -> bool:
    """Tries those of these principals and subscriptions, or all; prints what came of it, and whether all went on.

    Raises `Refused` for a name of which nothing is stuck.
    """
    tried, errors = with_parts(lambda parts: _retried(parts, names))
    console().print(_told(tried) if tried else "nothing is stuck")
    for error in errors:
        sys.stderr.write(f"dzgrant: {error}\n")
    return not errors and all(one.moved for one in tried)


async def _retried(parts: Parts, names: Sequence[str]) -> tuple[list[_Tried], list[str]]:
    waiting = await stuck(parts.ledger)
    if names:
        waiting = [one for one in waiting if any(_called(one, name) for name in names)]
    for name in names:
        if not any(_called(one, name) for one in waiting):
            raise Refused(f"nothing of {name} is stuck", do="see what is with: dzgrant stuck list")
    failures = retried(waiting, ledger=parts.ledger, catalog=parts.catalog, converge=parts.converge, runner=parts.runner)
    errors = [str(error) async for error in failures]
    return [await _now(parts.ledger, one) for one in waiting], errors


def _called(one: Stuck, name: str) -> bool:
    return name == one.record.principal.id or name in one.subscriptions


async def _now(ledger: Ledger, before: Stuck) -> _Tried:
    record = before.record
    found = next((one for one in await ledger.grants(record.principal) if one.path.key == record.path.key), None)
    return _Tried(before=before, now=found.state if found else None, reason=found.reason if found else None)


def _told(tried: Sequence[_Tried]) -> Table:
    drawn = table("principal", "table", "was", "is", "reason")
    for one in tried:
        record = one.before.record
        now = coloured(one.now) if one.now else Text("REVOKED", "green")
        drawn.add_row(record.principal.id, str(record.table or record.path), record.state, now, one.reason or "")
    return drawn
