"""`dzgrant grants show`: all that the ledger knows of a principal or a subscription, with its history."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dzgrant.cli.answers import Event, Grant, Login, Shown
from dzgrant.cli.console import console, moment, table
from dzgrant.cli.grants import drawn
from dzgrant.cli.parts import with_parts
from dzgrant.errors import Refused
from dzgrant.ledger import Ledger


def show(names: Sequence[str], *, as_json: bool) -> None:
    """Prints each principal or subscription in turn. Raises `Refused` for the first that the ledger does not know."""

    async def every(ledger: Ledger) -> list[Shown]:
        return [await (_principal(ledger, name) if "/" in name else _subscription(ledger, name)) for name in names]

    for shown in with_parts(lambda parts: every(parts.ledger)):
        if as_json:
            sys.stdout.write(f"{shown.model_dump_json()}\n")
        else:
            console().print(_all(shown))


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


def _all(shown: Shown) -> Group:
    parts: list[RenderableType] = [Text(shown.name, "bold")]
    if shown.login:
        parts.append(_login(shown.login))
    if shown.refused:
        parts.append(Text(f"refused: {shown.refused}", "red"))
    parts.append(drawn(shown.grants) if shown.grants else Text("no live grant"))
    history = table("table", "principal", "subscription", "state", "first", "last", "reason", title="history")
    for event in shown.history:
        when = moment(event.first), moment(event.last)
        history.add_row(event.table, event.principal, event.subscription, event.state, *when, event.reason or "")
    return Group(*parts, history)


def _before(login: Login) -> list[tuple[str, str]]:
    if login.spare is None:
        return []
    until = f"until {moment(login.spare_until)}" if login.spare_until else "is being made by a rotation"
    return [("opens, too", f"{'its password before' if login.spare == login.in_use else login.spare}, {until}")]


def _login(login: Login) -> Table:
    place = login.place
    lines = Table.grid(padding=(0, 2))
    for name, value in (
        ("login", f"{login.in_use} on {place.source}"),
        ("password of", moment(login.password_made) if login.password_made else "unknown"),
        *_before(login),
        ("state", f"{login.state} since {moment(login.updated)}"),
        ("environment", f"{place.environment} of project {place.project} in domain {place.domain}"),
        ("account", f"{place.account}, {place.region}"),
        ("producer secret", login.producer_secret or "none"),
        ("consumer secret", login.consumer_secret or "none"),
    ):
        lines.add_row(Text(name, "dim"), Text(value))
    return lines
