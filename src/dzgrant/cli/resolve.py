"""`dzgrant stuck resolve`: a person says that it is settled, mostly since the database is gone for good."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence

from dzgrant.cli.console import console
from dzgrant.cli.parts import with_parts
from dzgrant.errors import DzgrantError, Misconfigured, Refused
from dzgrant.saga.journey import Journey
from dzgrant.saga.stuck import Stuck, claims, principal_of, stuck
from dzgrant.worker import Parts


def resolve(principal: str, why: str, yes: str | None) -> None:
    """Ends what is stuck of the principal, without its database; prints what was done.

    Raises `Refused`, with nothing changed, where nothing of it is stuck, or the principal is not named once more.
    """
    if not why.strip():
        raise Misconfigured("why?", do="say with --why what was done by hand")
    waiting = with_parts(lambda parts: _of(parts, principal))
    _confirm(principal, waiting, yes)
    line = " ".join(f"resolved by hand by {getpass.getuser()}: {why}".split())
    journey = with_parts(lambda parts: _resolved(parts, waiting, line))
    out = console()
    for path in journey.found.leaving:
        out.print(f"{path}: closed; whether the login can read it was not looked at")
    for path in journey.found.refused:
        out.print(f"{path}: FAILED, given up")
    if journey.progress.others:
        out.print("the principal has other tables: its login and its secrets stay")
    else:
        out.print("unshared, and both secrets deleted")
        out.print(f"the login {journey.login} was not dropped: if the database is there, drop it by hand")


async def _of(parts: Parts, principal: str) -> list[Stuck]:
    if found := [one for one in await stuck(parts.ledger) if one.record.principal.id == principal]:
        return found
    raise Refused(f"nothing of the principal {principal} is stuck", do="see what is with: dzgrant stuck list")


def _confirm(principal: str, waiting: Sequence[Stuck], yes: str | None) -> None:
    if yes is None:
        for one in waiting:
            record = one.record
            sys.stdout.write(f"{record.state} {record.table or record.path}: {record.reason or 'no reason'}\n")
        sys.stdout.write(
            "The database will not be asked: a login that is there stays. End the subscription in DataZone first, else it\n"
            f"is tried again by the next reconcile. Type the principal, {principal}, to end all of this: "
        )
        sys.stdout.flush()
        yes = sys.stdin.readline().strip()
    if yes != principal:
        raise Refused(f"{yes or 'nothing'} is not {principal}: nothing was changed", do="give the very principal")


async def _resolved(parts: Parts, waiting: Sequence[Stuck], why: str) -> Journey:
    known = await principal_of(parts.ledger, waiting[0].record)
    given_up = [one.record.path for one in waiting if not one.revoke]
    ended = claims(known, [one for one in waiting if one.revoke])
    try:
        return await parts.runner.resolve(known, ended, given_up=given_up, why=why)
    except DzgrantError as error:
        raise error.about(environment=known.principal.environment.id, source=known.principal.source) from None
