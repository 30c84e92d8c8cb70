"""The sample's logins beside what DataZone approves now: what a plan is made of, and what is looked at again to apply it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from dzgrant.catalog import glue
from dzgrant.cli.moving.sample import Sample, SourceItem
from dzgrant.errors import DzgrantError, Refused
from dzgrant.model import AccountId, Admin, Environment, Principal, Region, Source, TablePath, Wanted
from dzgrant.worker import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One login of the sample's on one source, and what is approved for its environment there now."""

    name: str
    principal: Principal
    admin: Admin
    tables: frozenset[TablePath]
    """Those that the sample gave it."""
    wanted: tuple[Wanted, ...]
    listings: frozenset[str]
    """Names of the listings, as the sample knew them."""
    secrets: tuple[str, ...]
    """ARNs of the sample's, in the producer's and the consumer's account."""

    @property
    def key(self) -> tuple[str, str]:
        return self.name, str(self.principal.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What dzgrant does not take over, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Located:
    item: SourceItem
    source: Source
    admin: Admin
    tables: frozenset[TablePath]

    @property
    def name(self) -> str:
        """The sample writes it without quotes, so PostgreSQL has it in lower case; MySQL and SQL Server as it is."""
        name = f"dz_{self.item.environment}"
        return name.lower() if self.source.engine == "postgresql" else name


async def found(parts: Parts, domain: str, sample: Sample) -> tuple[list[Login], list[Left]]:
    """Only reads. Raises `Transient` and `Misconfigured`: what can't be read now must not pass for what is not approved."""
    left: list[Left] = []
    by_login: dict[tuple[str, str, int, str], list[_Located]] = defaultdict(list)
    for item in sample.sources:
        if item.domain != domain:
            continue
        try:
            located = await _located(parts, item)
        except Refused as refused:
            left.append(Left(what=f"dz_{item.environment} through {item.connection}", why=str(refused)))
        else:
            by_login[located.source.engine, located.source.host, located.source.port, located.name].append(located)
    logins: list[Login] = []
    for (_, host, port, name), parts_of_it in sorted(by_login.items()):
        try:
            logins.append(await _login(parts, sample, parts_of_it))
        except Refused as refused:
            left.append(Left(what=f"{name} on {host}:{port}", why=str(refused)))
    return logins, left


async def _located(parts: Parts, item: SourceItem) -> _Located:
    _, _, _, region, account, path = item.connection.split(":", 5)
    name = path.removeprefix("connection/")
    place = AccountId(account), Region(region)
    connection = await parts.catalog.connection(*place, name)
    if connection is None or not item.locations:
        raise Refused("its Glue connection leads to no relational database, or no table is recorded", do="end it by hand")
    tables = [glue.place(location, connection.source) for location in item.locations]
    admin = Admin(account=place[0], region=place[1], connection=name, secret=connection.secret)
    source = _one_source(source for source, _ in tables)
    return _Located(item=item, source=source, admin=admin, tables=frozenset(path for _, path in tables))


def _one_source(sources: Iterable[Source]) -> Source:
    """Raises `Refused`: dzgrant has a login for each database, and could not end this one in all of them at once."""
    every = sorted({*sources}, key=str)
    if len(every) > 1:
        raise Refused(
            f"one login for several databases: {', '.join(map(str, every))}",
            do="drop it by hand once its reader has the new secrets",
        )
    return every[0]


async def _login(parts: Parts, sample: Sample, located: list[_Located]) -> Login:
    source, first = _one_source(one.source for one in located), located[0]
    shared = {one.item.secret for one in located}
    copies = [one for one in sample.secrets if one.shared in shared]
    environment, wanted = await _environment(parts, first.item, {(copy.account, copy.region) for copy in copies})
    arns = {one.copy_of_it for one in copies}
    return Login(
        name=first.name,
        principal=Principal(environment=environment, source=source),
        admin=first.admin,
        tables=frozenset[TablePath]().union(*(one.tables for one in located)),
        wanted=tuple(one for one in wanted if one.principal.source == source),
        listings=frozenset(asset.listing for asset in sample.assets if asset.secret in arns),
        secrets=(*sorted(shared), *sorted(arns)),
    )


async def _environment(parts: Parts, item: SourceItem, places: set[tuple[str, str]]) -> tuple[Environment, tuple[Wanted, ...]]:
    """The environment, and what is approved for it; where DataZone knows it no more, as the sample knew it, and nothing."""
    state = await parts.catalog.environment(item.domain, item.environment)
    if state is not None and state.eligible:
        return state.environment, await _wanted(parts, state.environment)
    if state is not None:
        return state.environment, ()
    if len(places) != 1:
        raise Refused("the environment is gone, and with it the account of its secret", do="drop the login by hand")
    [(account, region)] = places
    place = Environment(
        domain=item.domain, project=item.project, id=item.environment, account=AccountId(account), region=Region(region)
    )
    return place, ()


async def _wanted(parts: Parts, environment: Environment) -> tuple[Wanted, ...]:
    wanted: list[Wanted] = []
    async for subscription in parts.catalog.approved(environment.domain, environment.project):
        try:
            wanted += await parts.catalog.wanted(subscription, (environment,))
        except Refused:
            # dzgrant serves none of it: the sample's grant of it goes, and `dzgrant explain` says why.
            continue
        except DzgrantError as error:
            raise error.about(subscription=subscription.id) from error
    return tuple(wanted)
