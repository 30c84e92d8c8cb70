"""`dzgrant grants`: what the ledger says, as tables for people or JSON lines for programs. Nothing else is asked."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from dzgrant.cli.answers import Filtered, Grant, Refused
from dzgrant.cli.console import console, moment, table
from dzgrant.cli.parts import with_parts
from dzgrant.ledger import Ledger
from dzgrant.model import GrantState, Source

_COLOURS = {
    GrantState.GRANTED: "green",
    GrantState.FAILED: "red",
    GrantState.STUCK_GRANT: "red",
    GrantState.STUCK_REVOKE: "bold red",
    GrantState.REVOKED: "dim",
}
_SOURCE = re.compile(r"(?P<engine>\w+)://(?P<host>.+):(?P<port>\d+)/(?P<database>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Filters; None fits all. `source` is `engine://host:port/database`, or a source's key."""

    subscription: str | None
    environment: str | None
    project: str | None
    source: str | None
    state: GrantState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """`more`: there are others that fit, beyond the limit."""

    grants: tuple[Grant, ...]
    refused: tuple[Refused, ...]
    more: bool


def list_them(wish: Wish, *, limit: int, as_json: bool) -> None:
    """Prints what fits, `limit` grants at most; says so when there are more.

    Subscriptions that never came to a login, because they are refused as they are or a person must act first, follow.
    """
    found = with_parts(lambda parts: _found(parts.ledger, wish, limit))
    if as_json:
        sys.stdout.writelines(f"{one.model_dump_json()}\n" for one in (*found.grants, *found.refused))
    else:
        _print(found)
    if found.more:
        sys.stderr.write(f"dzgrant: there are more than {limit}; narrow the filters, or raise --limit\n")


async def _found(ledger: Ledger, wish: Wish, limit: int) -> _Found:
    found: list[Grant] = []
    async for record in ledger.find(
        subscription=wish.subscription,
        environment=wish.environment,
        project=wish.project,
        source=source_key(wish.source) if wish.source else None,
        state=wish.state,
    ):
        found.append(Grant.of(record))
        if len(found) > limit:
            break
    grants = sorted(found[:limit], key=lambda grant: (grant.place.source, grant.table, grant.place.principal))
    return _Found(grants=tuple(grants), refused=await _refused(ledger, wish), more=len(found) > limit)


async def _refused(ledger: Ledger, wish: Wish) -> tuple[Refused, ...]:
    if wish.environment or wish.source:
        return ()
    every = [Refused.of(refusal) async for refusal in ledger.refusals()]
    return tuple(
        one
        for one in every
        if wish.subscription in (None, one.subscription)
        and wish.project in (None, one.project)
        and wish.state in (None, one.state)
    )


def source_key(source: str) -> str:
    """The key of a source that is spelled out; a key is one already."""
    if (parts := _SOURCE.fullmatch(source)) is None:
        return source
    return Source(engine=parts["engine"], host=parts["host"].lower(), port=int(parts["port"]), database=parts["database"]).key


def _print(found: _Found) -> None:
    out = console()
    if found.grants:
        out.print(drawn(found.grants))
    if found.refused:
        refused = table("subscription", "project", "state", "since", "reason", title="never came to a login")
        for one in found.refused:
            state = Text(one.state, _COLOURS.get(one.state, "yellow"))
            refused.add_row(one.subscription, one.project or "", state, moment(one.since), one.reason)
        out.print(refused)
    if not (found.grants or found.refused):
        out.print("no grant fits")


def drawn(grants: Sequence[Grant]) -> Table:
    """The grants as a table for people."""
    rows = table("principal\nlogin", "table\nread as", "source", "state", "since", "subscriptions", "reason")
    for grant in grants:
        place = grant.place
        rows.add_row(
            f"{place.principal}\n{place.login}",
            "\n".join((grant.table, *read_as(grant.object, grant.columns))),
            place.source,
            coloured(grant.state),
            moment(grant.since),
            "\n".join(_subscription(by, grant.filters) for by in grant.subscriptions),
            grant.reason or "",
        )
    return rows


def coloured(state: GrantState) -> Text:
    return Text(state, _COLOURS.get(state, "yellow"))


def read_as(view: str | None, columns: Sequence[str] | None) -> list[str]:
    """The view that is read instead of a table, and the columns that can be, where they are not all."""
    return [*([view] if view else []), *([f"({', '.join(columns)})"] if columns is not None else [])]


def _subscription(name: str, filters: Sequence[Filtered]) -> str:
    mine = next((one for one in filters if one.subscription == name), None)
    if mine is None:
        return name
    bounds = [*(["columns"] if mine.columns is not None else []), *(["rows"] if mine.rows else [])]
    return f"{name} (some {' and '.join(bounds)})"
