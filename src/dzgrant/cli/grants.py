"""`dzgrant grants`: what the ledger says, as tables for people or JSON lines for programs. Nothing else is asked."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dzgrant.cli.answers import Event, Grant, Login, Shown
from dzgrant.cli.console import console, moment, table
from dzgrant.cli.parts import with_parts
from dzgrant.errors import Refused
from dzgrant.ledger import Ledger
from dzgrant.model import GrantState, Source

_COLOURS = {GrantState.GRANTED: "green", GrantState.FAILED: "red", GrantState.REVOKED: "dim"}
_SOURCE = re.compile(r"(?P<engine>\w+)://(?P<host>.+):(?P<port>\d+)/(?P<database>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Filters; None fits all. `source` is `engine://host:port/database`, or a source's key."""

    subscription: str | None
    environment: str | None
    project: str | None
    source: str | None
    state: GrantState | None


def list_them(wish: Wish, *, limit: int, as_json: bool) -> None:
    """Prints the grants that fit, `limit` of them at most; says so when there are more."""
    found = with_parts(lambda parts: _found(parts.ledger, wish, limit + 1))
    grants = sorted(found[:limit], key=lambda grant: (grant.place.source, grant.table, grant.place.principal))
    if as_json:
        sys.stdout.writelines(f"{grant.model_dump_json()}\n" for grant in grants)
    else:
        console().print(_grants(grants) if grants else "no grant fits")
    if len(found) > limit:
        sys.stderr.write(f"dzgrant: there are more than {limit}; narrow the filters, or raise --limit\n")


async def _found(ledger: Ledger, wish: Wish, most: int) -> list[Grant]:
    found: list[Grant] = []
    async for record in ledger.find(
        subscription=wish.subscription,
        environment=wish.environment,
        project=wish.project,
        source=_key(wish.source) if wish.source else None,
        state=wish.state,
    ):
        found.append(Grant.of(record))
        if len(found) == most:
            break
    return found


def _key(source: str) -> str:
    """The key of a source that is spelled out; a key is one already."""
    if (parts := _SOURCE.fullmatch(source)) is None:
        return source
    return Source(engine=parts["engine"], host=parts["host"].lower(), port=int(parts["port"]), database=parts["database"]).key


def show_them(names: Sequence[str], *, as_json: bool) -> None:
    """Prints each principal or subscription in turn. Raises `Refused` for the first that the ledger does not know."""

    async def every(ledger: Ledger) -> list[Shown]:
        return [await (_principal(ledger, name) if "/" in name else _subscription(ledger, name)) for name in names]

    for shown in with_parts(lambda parts: every(parts.ledger)):
        if as_json:
            sys.stdout.write(f"{shown.model_dump_json()}\n")
        else:
            console().print(_drawn(shown))


async def _principal(ledger: Ledger, name: str) -> Shown:
    environment = name.partition("/")[0]
    record = next((one for one in await ledger.principals(environment) if one.principal.id == name), None)
    if record is None:
        raise _unknown("principal", name)
    grants = await ledger.grants(record.principal)
    history = [one async for one in ledger.history(environment=environment) if one.principal == record.principal]
    return Shown(
        name=name,
        login=Login.of(record),
        refused=None,
        grants=tuple(map(Grant.of, grants)),
        history=tuple(map(Event.of, sorted(history, key=lambda one: one.first))),
    )


async def _subscription(ledger: Ledger, name: str) -> Shown:
    refusals = [one async for one in ledger.refusals() if one.subscription == name]
    grants = [one async for one in ledger.find(subscription=name)]
    history = [one async for one in ledger.history(subscription=name)]
    if not (refusals or grants or history):
        raise _unknown("subscription", name)
    return Shown(
        name=name,
        login=None,
        refused=refusals[0].reason if refusals else None,
        grants=tuple(map(Grant.of, grants)),
        history=tuple(map(Event.of, sorted(history, key=lambda one: one.first))),
    )


def _unknown(kind: str, name: str) -> Refused:
    return Refused(f"the ledger knows no {kind} {name}", do="see what there is with: dzgrant grants list")


def _grants(grants: Sequence[Grant]) -> Table:
    drawn = table("principal\nlogin", "table", "source", "state", "since", "subscriptions", "reason")
    for grant in grants:
        place = grant.place
        drawn.add_row(
            f"{place.principal}\n{place.login}",
            grant.table,
            place.source,
            Text(grant.state, _COLOURS.get(grant.state, "yellow")),
            moment(grant.since),
            "\n".join(grant.subscriptions),
            grant.reason or "",
        )
    return drawn


def _drawn(shown: Shown) -> Group:
    parts: list[RenderableType] = [Text(shown.name, "bold")]
    if shown.login:
        parts.append(_login(shown.login))
    if shown.refused:
        parts.append(Text(f"refused: {shown.refused}", "red"))
    parts.append(_grants(shown.grants) if shown.grants else Text("no live grant"))
    history = table("table", "principal", "subscription", "state", "first", "last", "reason", title="history")
    for event in shown.history:
        when = moment(event.first), moment(event.last)
        history.add_row(event.table, event.principal, event.subscription, event.state, *when, event.reason or "")
    return Group(*parts, history)


def _login(login: Login) -> Table:
    place = login.place
    drawn = Table.grid(padding=(0, 2))
    for name, value in (
        ("login", f"{place.login} on {place.source}"),
        ("state", f"{login.state} since {moment(login.updated)}"),
        ("environment", f"{place.environment} of project {place.project} in domain {place.domain}"),
        ("account", f"{place.account}, {place.region}"),
        ("producer secret", login.producer_secret or "none"),
        ("consumer secret", login.consumer_secret or "none"),
    ):
        drawn.add_row(Text(name, "dim"), Text(value))
    return drawn
