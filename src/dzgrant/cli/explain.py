"""`dzgrant explain`: what should be, what was recorded and what is, of one subscription, drawn side by side."""

from __future__ import annotations

import sys

from rich.table import Table
from rich.text import Text

from dzgrant import settings
from dzgrant.cli.answers import Explained, ExplainedPrincipal
from dzgrant.cli.console import console, table
from dzgrant.cli.grants import read_as
from dzgrant.cli.parts import domains, with_parts
from dzgrant.saga.explain import explain as gather
from dzgrant.worker import Parts, sides


def explain(subscription: str, domain: str | None, *, as_json: bool) -> bool:
    """Prints it; whether all agree. Raises what `dzgrant.saga.explain` raises."""
    loaded = settings.load()
    places = domains(domain, loaded)

    async def found(parts: Parts) -> Explained:
        views = [await gather(sides(parts), place, subscription) for place in places]
        return Explained.of(next((view for view in views if view.status or view.refused), views[0]))

    explained = with_parts(found, loaded)
    if as_json:
        sys.stdout.write(f"{explained.model_dump_json()}\n")
    else:
        _print(explained)
    return explained.agrees


def _print(explained: Explained) -> None:
    out = console()
    status = explained.status or ("refused" if explained.refused else "not in DataZone")
    out.print(Text.assemble("subscription ", (explained.subscription, "bold"), f" in domain {explained.domain}: {status}"))
    if explained.refused:
        out.print(Text(f"refused: {explained.refused}", "red"))
    for principal in explained.principals:
        out.print(_principal(principal))
    out.print(Text("all agree", "green") if explained.agrees else Text("they differ", "bold red"))


def _principal(principal: ExplainedPrincipal) -> Table:
    place = principal.place
    title = f"{place.principal}  {place.source}"
    drawn = table("", "should be", "recorded", "is", "difference", title=title)
    drawn.add_row(
        f"login {place.login}",
        "living" if any(one.desired for one in principal.tables) else "",
        principal.recorded or "",
        _is(principal),
        Text("\n".join(principal.differences), "red"),
    )
    for one in principal.tables:
        drawn.add_row(
            "\n".join((one.table, *read_as(one.object, one.columns))),
            "readable" if one.desired else "",
            one.recorded or "",
            _word(one.readable, "readable"),
            Text("\n".join(one.differences), "red"),
        )
    return drawn


def _is(principal: ExplainedPrincipal) -> str:
    if principal.login is None:
        return "?"
    parts = {
        "login": principal.login,
        "producer secret": bool(principal.producer_secret),
        "consumer secret": bool(principal.consumer_secret),
    }
    there = [name for name, is_there in parts.items() if is_there]
    sessions = [f"{principal.sessions} sessions"] if principal.sessions else []
    return ", ".join(there + sessions) or "nothing"


def _word(true: bool | None, word: str) -> str:
    return "?" if true is None else word if true else ""
