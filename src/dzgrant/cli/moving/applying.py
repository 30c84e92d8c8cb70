"""A plan is applied: each login that it names, and that the sample's tables name too, is adopted, and granted anew.

By the same steps each time, so that a run which was cut off is simply run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dzgrant.cli.console import moment
from dzgrant.cli.moving import sample
from dzgrant.cli.moving.found import Login, found
from dzgrant.cli.moving.plan import Plan, PlannedLogin
from dzgrant.errors import DzgrantError, Refused
from dzgrant.intake.events import EnvironmentHint
from dzgrant.model import LoginOutcome, PrincipalRecord
from dzgrant.saga.adoption import Adoption
from dzgrant.saga.rotation import Turn, due
from dzgrant.together import together
from dzgrant.worker import Parts

_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a login of the plan; `dead`: its secrets, where they open nothing any more."""

    planned: PlannedLogin
    done: str
    error: str = ""
    dead: tuple[str, ...] = ()


async def apply(parts: Parts, plan: Plan) -> list[Done]:
    """One that fails stops no other. Raises as `sample.read` and `found` do."""
    read = await sample.read(await parts.accounts.dynamodb(), plan.tables)
    logins, _ = await found(parts, plan.domain, read)
    known = {login.key: login for login in logins}
    room = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(planned: PlannedLogin) -> Done:
        async with room:
            try:
                return await _apply(parts, planned, known, plan.open_until)
            except DzgrantError as error:
                return Done(planned=planned, done="failed", error=str(error))

    return await together(in_turn(planned) for planned in plan.logins)


async def _apply(parts: Parts, planned: PlannedLogin, known: Mapping[tuple[str, str], Login], until: datetime) -> Done:
    login = known.get((planned.login, planned.source))
    if login is None or login.principal.environment.id != planned.environment:
        raise Refused(
            f"the sample's tables know no login {planned.login} on {planned.source}", do="make the plan anew: dzgrant import"
        )
    principal = login.principal
    keep = tuple(one.path for one in login.wanted)
    wish = Adoption(principal=principal, admin=login.admin, login=login.name, until=until.astimezone(UTC), keep=keep)
    there = await parts.runner.adopt(wish)
    if not login.wanted:
        await parts.runner.remove(await _record(parts, login))
        return Done(planned=planned, done="dropped: nothing is approved", dead=login.secrets)
    await parts.converge.handle(_deployed(login))
    if not there:
        return Done(planned=planned, done="its reader has the new secret; the old login is gone", dead=login.secrets)
    record = await _record(parts, login)
    if due(record, datetime.now(UTC), None) is not Turn.RETIRE:
        return Done(planned=planned, done=f"its reader has the new secret; the old login opens until {moment(until)}")
    retired = await parts.runner.turn(record, lambda now: due(now, datetime.now(UTC), None))
    if retired is not None and retired.retired is LoginOutcome.DISABLED:
        return Done(planned=planned, done="disabled: it owns objects, and is dropped when it owns none", dead=login.secrets)
    return Done(planned=planned, done="its reader has the new secret; the old login is dropped", dead=login.secrets)


def _deployed(login: Login) -> EnvironmentHint:
    """The hint that brings an environment all that is approved for it: the road of every event."""
    place = login.principal.environment
    return EnvironmentHint(
        event="import",
        kind="Environment Deployment Completed",
        time=datetime.now(UTC),
        domain=place.domain,
        environment=place.id,
        project=place.project,
        deleted=False,
    )


async def _record(parts: Parts, login: Login) -> PrincipalRecord:
    known = await parts.ledger.principals(login.principal.environment.id)
    return next(record for record in known if record.principal == login.principal)
