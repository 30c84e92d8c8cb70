"""`dzgrant toolkit athena`: what the toolkit's Athena product (`deploy/toolkit/athena.yaml`) asks for, of one subscription."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from dzgrant.cli.console import console, table
from dzgrant.cli.grants import source_key
from dzgrant.cli.parts import with_parts
from dzgrant.errors import Refused, Unsupported
from dzgrant.model import GrantRecord, GrantState, Principal
from dzgrant.secrets import secret_name

if TYPE_CHECKING:
    from dzgrant.ledger import Ledger

_ENGINES = frozenset({"postgresql", "mysql", "sqlserver", "oracle"})
# What a connection string takes as it is: the template puts host and database into one, unquoted.
_PLAIN = re.compile(r"[A-Za-z0-9._$-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """`environment` and `source` choose among the subscription's logins, where it has several; None fits all."""

    subscription: str
    environment: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One login, and the tables it reads; `others` are not granted yet."""

    principal: Principal
    granted: tuple[GrantRecord, ...]
    others: tuple[GrantRecord, ...]

    @property
    def catalog(self) -> str:
        """The database's name, and six digits that tell the environments of an account apart."""
        plain = re.sub(r"[^a-z0-9]+", "_", self.principal.source.database.lower()).strip("_")
        named = plain if plain[:1].isalpha() else f"db_{plain}".rstrip("_")
        return f"{named[:24]}_{self.principal.login[3:9]}"

    @property
    def parameters(self) -> dict[str, str]:
        """The product's own, by name; the others have defaults."""
        return {
            "Engine": self.principal.source.engine,
            "Secret": secret_name("consumer", self.principal),
            "Catalog": self.catalog,
        }


def athena(wish: Wish, *, as_json: bool) -> None:
    """Prints the parameters. Raises `Refused` in one line where there is nothing to connect with, or no one thing to print."""

    async def found(ledger: Ledger, by_iam: Callable[[Principal], bool]) -> list[Connector]:
        grants = [grant async for grant in ledger.find(subscription=wish.subscription)]
        if not grants:
            raise await why_nothing(ledger, wish.subscription)
        return connectors(wish, grants, by_iam)

    every = with_parts(lambda parts: found(parts.ledger, parts.secrets.by_iam))
    if as_json:
        sys.stdout.write(f"{json.dumps(as_parameters(_only(every)), indent=2)}\n")
    else:
        for connector in every:
            _print(connector)


def connectors(wish: Wish, grants: Iterable[GrantRecord], by_iam: Callable[[Principal], bool]) -> list[Connector]:
    """One for each login that has what to read. Raises `Refused` where there is none."""
    key = source_key(wish.source) if wish.source else None
    logins: dict[Principal, list[GrantRecord]] = {}
    for grant in grants:
        place = grant.principal
        if wish.environment in (None, place.environment.id) and key in (None, place.source.key):
            logins.setdefault(place, []).append(grant)
    if not logins:
        raise Refused(
            f"subscription {wish.subscription} has no login in that environment or on that source",
            do=f"see which it has with: dzgrant grants list --subscription {wish.subscription}",
        )
    found = [_connector(principal, of) for principal, of in logins.items()]
    ready = [connector for connector in found if connector.granted]
    if not ready:
        waiting = ", ".join(f"{grant.path} is {grant.state}" for connector in found for grant in connector.others)
        raise Refused(
            f"subscription {wish.subscription} is not granted yet: {waiting}",
            do=f"see why with: dzgrant explain {wish.subscription}",
        )
    for connector in ready:
        _check(connector.principal, by_iam)
    return sorted(ready, key=lambda connector: connector.principal.id)


def as_parameters(connector: Connector) -> list[dict[str, str]]:
    """As `aws servicecatalog provision-product --provisioning-parameters` takes them."""
    return [{"Key": name, "Value": value} for name, value in connector.parameters.items()]


def _connector(principal: Principal, grants: Sequence[GrantRecord]) -> Connector:
    ordered = sorted(grants, key=lambda grant: grant.path.key)
    return Connector(
        principal=principal,
        granted=tuple(grant for grant in ordered if grant.state is GrantState.GRANTED),
        others=tuple(grant for grant in ordered if grant.state is not GrantState.GRANTED),
    )


def _check(principal: Principal, by_iam: Callable[[Principal], bool]) -> None:
    source = principal.source
    if source.engine not in _ENGINES:
        raise Unsupported(f"the toolkit has no Athena connector for {source.engine}", do="read it with the secret alone").about(
            environment=principal.environment.id, source=source
        )
    if by_iam(principal):
        raise Unsupported(
            "the login has no password, since its source is one of DZGRANT_IAM_SOURCES, and the Athena connector needs one",
            do="read it with a token of IAM's",
        ).about(environment=principal.environment.id, source=source)
    if not (_PLAIN.fullmatch(source.host) and _PLAIN.fullmatch(source.database)):
        raise Unsupported(
            "the Athena connector can't be told of a host or database with this name",
            do="let the Glue connection have a host's name and a plain database; for Oracle a service, not a SID",
        ).about(environment=principal.environment.id, source=source)


def _only(every: Sequence[Connector]) -> Connector:
    if len(every) > 1:
        names = ", ".join(connector.principal.id for connector in every)
        raise Refused(
            f"the subscription has {len(every)} logins, each for a product of its own: {names}",
            do="choose with --environment or --source (the part after the slash)",
        )
    return every[0]


async def why_nothing(ledger: Ledger, subscription: str) -> Refused:
    """What to say of a subscription without a live grant."""
    refusals = [one async for one in ledger.refusals() if one.subscription == subscription]
    if refusals:
        return Refused(
            f"subscription {subscription} is refused: {refusals[0].reason}",
            do=f"see what it asks for with: dzgrant explain {subscription}",
        )
    if [one async for one in ledger.history(subscription=subscription)]:
        return Refused(f"subscription {subscription} gives access to nothing any longer", do="subscribe again")
    return Refused(f"the ledger knows no subscription {subscription}", do="see what there is with: dzgrant grants list")


def _print(connector: Connector) -> None:
    out, principal = console(), connector.principal
    environment = principal.environment
    asked = table("parameter", "value")
    for name, value in connector.parameters.items():
        asked.add_row(name, value)
    reads = table("read in Athena", "table", "columns")
    for grant in connector.granted:
        columns = ", ".join(grant.columns) if grant.columns is not None else "all"
        reads.add_row(_in_athena(connector.catalog, grant), str(grant.table or grant.path), columns)
    for grant in connector.others:
        reads.add_row(Text(f"not yet: {grant.state}", "yellow"), str(grant.table or grant.path), grant.reason or "")
    place = f"{principal.source}, environment {environment.id} in account {environment.account}, {environment.region}"
    out.print(Text(place, "bold"), asked, reads, sep="\n")


def _in_athena(catalog: str, grant: GrantRecord) -> str:
    """What stands after FROM. Athena has every name in lower case; docs/toolkit.md says which others its connectors find."""
    place = grant.readable or grant.table
    names = (catalog, place.schema, place.name) if place else (catalog,)
    return ".".join('"' + name.lower().replace('"', '""') + '"' for name in names)
