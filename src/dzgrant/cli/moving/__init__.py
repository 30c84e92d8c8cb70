"""`dzgrant import`: from AWS's sample to dzgrant, by a list that a person has read. docs/moving.md says how, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.table import Table
from rich.text import Text

from dzgrant.cli.console import console, moment
from dzgrant.cli.console import table as rows_of
from dzgrant.cli.moving import applying, sample
from dzgrant.cli.moving.applying import Done
from dzgrant.cli.moving.found import found
from dzgrant.cli.moving.plan import Plan, drawn, drawn_left, load
from dzgrant.cli.moving.sample import Tables
from dzgrant.cli.parts import with_parts
from dzgrant.worker import Parts


def tables(names: Mapping[str, str | None]) -> Tables:
    """The sample's own names for what is not named."""
    return Tables.model_validate({which: name for which, name in names.items() if name is not None})


def propose(domain: str, names: Tables, *, open_days: int, into: Path | None) -> None:
    """Prints what could be adopted and writes it into a file, if one is named. Changes nothing else."""

    async def made(parts: Parts) -> Plan:
        read = await sample.read(await parts.accounts.dynamodb(), names)
        logins, left = await found(parts, domain, read)
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=open_days)
        return Plan.of(domain, names, until, logins, left)

    proposed = with_parts(made)
    out = console()
    out.print(drawn(proposed) if proposed.logins else "the sample's tables know no login that dzgrant could adopt")
    if proposed.left:
        out.print(drawn_left(proposed))
    if into is not None:
        into.write_text(proposed.model_dump_json(indent=2) + "\n")
        out.print(f"written to {into}: read it, cut it, then: dzgrant import --apply {into}")
    out.print(f"nothing was changed; adopted logins would open until {moment(proposed.open_until)}")


def apply(path: Path) -> bool:
    """Applies the plan and prints what was done; whether all of it could be."""
    agreed = load(path)
    done = with_parts(lambda parts: applying.apply(parts, agreed))
    out = console()
    out.print(_told(done) if done else "the plan names no login")
    if dead := [arn for one in done for arn in one.dead]:
        out.print("These secrets open nothing any more. Delete each as an administrator of its account:")
        for arn in dead:
            out.print(f"  aws secretsmanager delete-secret --region {arn.split(':')[3]} --secret-id {arn}", soft_wrap=True)
    return not any(one.error for one in done)


def _told(done: Sequence[Done]) -> Table:
    rows = rows_of("login", "source", "environment", "done", "error")
    for one in done:
        it = one.planned
        rows.add_row(it.login, it.source, it.environment, one.done, Text(one.error, "red"))
    return rows
