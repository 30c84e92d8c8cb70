"""What bears dzgrant's mark in databases and accounts that the ledger knows, and is nobody's by the ledger.

A database server, or an account, may serve two dzgrants, each with a domain of its own. So an orphan is taken away only
where it is provably of this ledger: a login whose name is the hash of a principal that the ledger had, and has no more; a
secret with such a principal's name and tag, and the domain's. What is of another domain is passed over; what can't be told is
reported, and left as it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from dzgrant.accounts import Role
from dzgrant.engines.contract import Marked
from dzgrant.errors import DzgrantError
from dzgrant.model import AccountId, Admin, PrincipalRecord, PrincipalState, Region, Source
from dzgrant.reporting import Drift, DriftKind
from dzgrant.saga.explain import Sides
from dzgrant.secrets import MarkedSecret

_Server = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """`record`: of the principal whose it was; None: it is not known whose it is. `login`: None of secrets."""

    drift: Drift
    record: PrincipalRecord | None = None
    login: str | None = None


@dataclass(slots=True)
class Grounds:
    """Where to look: few, however many principals there are."""

    sources: dict[Source, Admin] = field(default_factory=dict)
    places: set[tuple[Role, AccountId, Region]] = field(default_factory=set)

    def add(self, record: PrincipalRecord) -> None:
        admin, environment = record.admin, record.principal.environment
        if record.state is not PrincipalState.REMOVED or record.principal.source not in self.sources:
            self.sources[record.principal.source] = admin
        self.places.add(("producer", admin.account, admin.region))
        self.places.add(("consumer", environment.account, environment.region))


async def grounds(sides: Sides, domain: str) -> Grounds:
    found = Grounds()
    async for record in sides.sweeps.everything():
        if record.principal.environment.domain == domain:
            found.add(record)
    return found


async def logins(sides: Sides, domain: str, sources: dict[Source, Admin]) -> list[Orphan]:
    """The marked logins of these databases that no principal has. Holds their names, and no more."""
    found: list[Orphan] = []
    unknown: dict[tuple[_Server, str], Marked] = {}
    for source, admin in sources.items():
        try:
            listed = await sides.sources.run(source, admin, lambda database: database.marked())
        except DzgrantError as error:
            what = f"the logins of {source} can't be listed: {error}"
            found.append(Orphan(drift=Drift(kind=DriftKind.UNSEEN, domain=domain, what=what)))
            continue
        unknown |= {(_server(source), one.login): one for one in listed if one.owner is None or one.owner.domain == domain}
    async for record in sides.sweeps.everything():
        for login in {*record.principal.logins, *record.logins}:
            if unknown.pop((_server(record.principal.source), login), None) is None:
                continue
            if record.principal.environment.domain != domain or (login in record.logins and _lives(record)):
                continue
            what = "a login that its principal does not have any more"
            drift = Drift(kind=DriftKind.ORPHAN_LOGIN, domain=domain, what=what, principal=record.principal, login=login)
            found.append(Orphan(drift=drift, record=record, login=login))
    for (server, login), one in unknown.items():
        whose = f"it says that it is of environment {one.owner.environment}" if one.owner else "its mark says not whose it is"
        what = f"a login of {server[1]}:{server[2]} with dzgrant's mark that the ledger never had; {whose}"
        found.append(Orphan(drift=Drift(kind=DriftKind.ORPHAN_LOGIN, domain=domain, what=what, login=login)))
    return found


async def secrets(sides: Sides, domain: str, place: tuple[Role, AccountId, Region]) -> AsyncGenerator[Orphan, None]:
    """The marked secrets of one place that no principal has, a page at a time."""
    try:
        async for page in sides.secrets.marked(*place):
            mine = [one for one in page if one.domain == domain]
            known = await sides.sweeps.known({one.principal for one in mine})
            for one in mine:
                record = known.get(one.principal)
                if record is None or not _lives(record):
                    yield _orphan_secret(one, domain, place[1], record)
    except DzgrantError as error:
        yield Orphan(drift=Drift(kind=DriftKind.UNSEEN, domain=domain, what=str(error)))


def _orphan_secret(secret: MarkedSecret, domain: str, account: AccountId, record: PrincipalRecord | None) -> Orphan:
    what = "a secret that its principal does not have any more"
    if record is None:
        what = f"a secret of account {account} with dzgrant's name and tag, of a principal that the ledger never had"
    principal = record.principal if record else None
    drift = Drift(kind=DriftKind.ORPHAN_SECRET, domain=domain, what=what, principal=principal, secret=secret.name)
    return Orphan(drift=drift, record=record)


def _server(source: Source) -> _Server:
    return source.engine, source.host, source.port


def _lives(record: PrincipalRecord) -> bool:
    return record.state is not PrincipalState.REMOVED
