"""The plan: a file that a person reads, cuts and keeps. It names logins; what each may read is decided when it is applied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from rich.table import Table
from rich.text import Text

from dzgrant.cli.console import table
from dzgrant.cli.moving.found import Left, Login
from dzgrant.cli.moving.sample import Tables
from dzgrant.errors import Misconfigured


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedLogin(_Part):
    """`stays`: tables that are approved, with their subscriptions; `ends`: those of the sample's that are not."""

    login: str
    source: str
    environment: str
    project: str
    listings: tuple[str, ...]
    stays: dict[str, tuple[str, ...]]
    ends: tuple[str, ...]
    secrets: tuple[str, ...]

    @classmethod
    def of(cls, login: Login) -> Self:
        approved: dict[str, set[str]] = defaultdict(set)
        for one in login.wanted:
            approved[str(one.path)].add(one.subscription)
        keys = {one.path.key for one in login.wanted}
        return cls(
            login=login.name,
            source=str(login.principal.source),
            environment=login.principal.environment.id,
            project=login.principal.environment.project,
            listings=tuple(sorted(login.listings)),
            stays={path: tuple(sorted(by)) for path, by in sorted(approved.items())},
            ends=tuple(sorted(str(path) for path in login.tables if path.key not in keys)),
            secrets=login.secrets,
        )


class NotPlanned(_Part):
    what: str
    why: str


class Plan(_Part):
    """`open_until`: when the sample's logins are dropped. `left` is for the reader."""

    domain: str
    tables: Tables
    open_until: AwareDatetime
    logins: tuple[PlannedLogin, ...]
    left: tuple[NotPlanned, ...]

    @classmethod
    def of(cls, domain: str, tables: Tables, until: datetime, logins: Sequence[Login], left: Sequence[Left]) -> Self:
        return cls(
            domain=domain,
            tables=tables,
            open_until=until,
            logins=tuple(map(PlannedLogin.of, logins)),
            left=tuple(NotPlanned(what=one.what, why=one.why) for one in left),
        )


def load(path: Path) -> Plan:
    """Raises `Misconfigured` for a file that is no plan."""
    try:
        return Plan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"{path} can't be read: {error.strerror}", do="name the plan's file") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise Misconfigured(f"{path} is no plan: {where}: {problem['msg']}", do="make it with: dzgrant import") from None


def drawn(plan: Plan) -> Table:
    rows = table("login", "source", "environment", "stays", "ends", "listings", title="to be adopted")
    for one in plan.logins:
        stays = "\n".join(f"{path} ({', '.join(by)})" for path, by in one.stays.items())
        ends = Text("\n".join(one.ends), "red")
        rows.add_row(one.login, one.source, one.environment, stays, ends, "\n".join(one.listings))
    return rows


def drawn_left(plan: Plan) -> Table:
    rows = table("what", "why", title="left as it is")
    for one in plan.left:
        rows.add_row(one.what, one.why)
    return rows
