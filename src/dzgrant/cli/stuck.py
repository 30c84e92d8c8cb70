"""`dzgrant stuck list` and `retry`: what can't go on, and one more try at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.table import Table
from rich.text import Text

from dzgrant import settings
from dzgrant.cli.answers import StuckGrant, StuckSubscription
from dzgrant.cli.console import console, moment, table
from dzgrant.cli.grants import coloured
from dzgrant.cli.parts import with_parts
from dzgrant.errors import Refused
from dzgrant.ledger import Ledger, Refusal
from dzgrant.model import GrantState
from dzgrant.saga.stuck import Stuck, never_begun, retried, stuck
from dzgrant.worker import Parts


def list_them(*, as_json: bool) -> None:
    """Prints all that is stuck."""
    loaded = settings.load()
    longest_pause = timedelta(seconds=loaded.backoff_cap_seconds)

    async def every(parts: Parts) -> list[StuckGrant | StuckSubscription]:
        grants = [StuckGrant.of(one, longest_pause) for one in await stuck(parts.ledger)]
        return [*grants, *(StuckSubscription.of(one, longest_pause) for one in await never_begun(parts.ledger))]

    found = with_parts(every, loaded)
    if as_json:
        sys.stdout.writelines(f"{one.model_dump_json()}\n" for one in found)
    else:
        console().print(_drawn(found) if found else "nothing is stuck")


def _drawn(found: Sequence[StuckGrant | StuckSubscription]) -> Table:
    drawn = table("principal\nsource", "table", "subscriptions", "state", "since", "next try", "reason")
    for one in found:
        if isinstance(one, StuckGrant):
            whose = f"{one.place.principal}\n{one.place.source}", one.table, "\n".join(one.subscriptions)
        else:
            whose = "none came to be", "", one.subscription
        by = moment(one.next_try)
        drawn.add_row(
            *whose,
            coloured(one.state),
            moment(one.since),
            f"by {by}" if one.next_try > datetime.now(UTC) else f"was due by {by}:\nwith the next reconcile",
            one.reason or "none was given: a worker ended in the middle of it",
        )
    return drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """`states`: what it is now; none when the grant is gone, or there is none yet."""

    before: Stuck | Refusal
    states: frozenset[GrantState]
    reason: str | None

    @property
    def moved(self) -> bool:
        return self.states == {GrantState.GRANTED} or (not self.states and isinstance(self.before, Stuck))


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
    unbegun = await never_begun(parts.ledger)
    known = {name for one in waiting for name in _names(one)} | {one.subscription for one in unbegun}
    for name in names:
        if name not in known:
            raise Refused(f"nothing of {name} is stuck", do="see what is with: dzgrant stuck list")
    if names:
        waiting = [one for one in waiting if _names(one) & {*names}]
        unbegun = [one for one in unbegun if one.subscription in names]
    failures = retried(
        waiting, unbegun, ledger=parts.ledger, catalog=parts.catalog, converge=parts.converge, runner=parts.runner
    )
    errors = [str(error) async for error in failures]
    tried: list[Stuck | Refusal] = [*waiting, *unbegun]
    return [await _now(parts.ledger, one) for one in tried], errors


def _names(one: Stuck) -> frozenset[str]:
    return one.subscriptions | {one.record.principal.id}


async def _now(ledger: Ledger, before: Stuck | Refusal) -> _Tried:
    if isinstance(before, Refusal):
        found = [one async for one in ledger.find(subscription=before.subscription)]
    else:
        record = before.record
        found = [one for one in await ledger.grants(record.principal) if one.path.key == record.path.key]
    reason = next((one.reason for one in found if one.reason), None)
    return _Tried(before=before, states=frozenset(one.state for one in found), reason=reason)


def _told(tried: Sequence[_Tried]) -> Table:
    drawn = table("principal", "table", "was", "is", "reason")
    for one in tried:
        if isinstance(one.before, Stuck):
            record = one.before.record
            whose, state = (record.principal.id, str(record.table or record.path)), record.state
        else:
            whose, state = (f"none of {one.before.subscription}", ""), one.before.state
        now = ", ".join(sorted(one.states)) or ("REVOKED" if one.moved else "as it was")
        drawn.add_row(*whose, state, Text(now, "green" if one.moved else "red"), one.reason or "")
    return drawn
