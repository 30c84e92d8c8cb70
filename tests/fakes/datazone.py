"""DataZone's API upon `entities`: the reads that dzgrant makes, each through an index, and the one answer that it gives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from random import Random
from typing import Any, Protocol, TypeVar

from tests.fakes.answers import Caller, Members, Refusal
from tests.fakes.entities import Blueprint, Domain, Environment, Filter, Grant, Listing, Request, Subscription, Target

_PAGE = 50
_ID = "abcdefghijklmnopqrstuvwxyz0123456789"


class _InDomain(Protocol):
    @property
    def domain(self) -> str: ...


T = TypeVar("T", bound=_InDomain)
U = TypeVar("U")


class DataZone:
    """`lag`: seconds for which reads are behind; `page`: the most on one page, where it is not AWS's own 50."""

    def __init__(self, clock: Callable[[], float], rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self.lag = 0.0
        self.page = _PAGE
        self.domains: dict[str, Domain] = {}
        self.environments: dict[str, Environment] = {}
        self.listings: dict[str, Listing] = {}
        self.requests: dict[str, Request] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.filters: dict[str, Filter] = {}
        self.targets: dict[str, Target] = {}
        self.grants: dict[str, Grant] = {}
        self.environments_of: defaultdict[tuple[str, str], list[Environment]] = defaultdict(list)
        self.subscriptions_of: defaultdict[tuple[str, str], list[Subscription]] = defaultdict(list)
        self.targets_of: defaultdict[str, list[Target]] = defaultdict(list)
        self.grants_of: defaultdict[str, list[Grant]] = defaultdict(list)

    def new_id(self) -> str:
        return "".join(self._rng.choices(_ID, k=14))

    def add_domain(self, key: str, version: str, blueprints: Iterable[Blueprint]) -> Domain:
        domain = Domain(id=key, version=version, blueprints={one.name: one for one in blueprints})
        self.domains[key] = domain
        return domain

    def get_domain(self, given: Members, caller: Caller) -> Members:
        domain = self._domain(given["identifier"])
        return {"id": domain.id, "name": domain.id, "domainVersion": domain.version, "status": "AVAILABLE"}

    def list_environment_blueprints(self, given: Members, caller: Caller) -> Members:
        wanted = given.get("name")
        every = self._domain(given["domainIdentifier"]).blueprints.values()
        return self._paged(given, (one for one in every if wanted in (None, one.name)), lambda one: one.answer())

    def get_environment(self, given: Members, caller: Caller) -> Members:
        found = self._get(self.environments, "Environment", given)
        status = found.seen(self._clock(), self.lag)
        if status is None:
            raise _unknown("Environment", found.id)
        return {**found.summary(status), "environmentBlueprintId": found.blueprint.id, "provisionedResources": []}

    def list_environments(self, given: Members, caller: Caller) -> Members:
        domain = self._domain(given["domainIdentifier"])
        blueprint, wanted, now = given.get("environmentBlueprintIdentifier"), given.get("status"), self._clock()
        account, region = given.get("awsAccountId"), given.get("awsAccountRegion")

        def found() -> Iterator[tuple[Environment, str]]:
            for one in self.environments_of[domain.id, given["projectIdentifier"]]:
                status = one.seen(now, self.lag)
                there = account in (None, one.account) and region in (None, one.region)
                if status is not None and there and blueprint in (None, one.blueprint.id) and wanted in (None, status):
                    yield one, status

        return self._paged(given, found(), lambda one: one[0].summary(one[1]))

    def get_listing(self, given: Members, caller: Caller) -> Members:
        return self._get(self.listings, "Listing", given).answer()

    def get_subscription(self, given: Members, caller: Caller) -> Members:
        found = self._get(self.subscriptions, "Subscription", given)
        if (status := found.seen(self._clock(), self.lag)) is None:
            raise _unknown("Subscription", found.id)
        return found.answer(status)

    def list_subscriptions(self, given: Members, caller: Caller) -> Members:
        """Those of one status: APPROVED, unless another is named (ListSubscriptions). The token is a place in the order of
        creation, so that a page costs what it holds and what it passes over."""
        domain, now = self._domain(given["domainIdentifier"]), self._clock()
        project, status = given.get("owningProjectId"), given.get("status", "APPROVED")
        among = domain.subscriptions if project is None else self.subscriptions_of[domain.id, project]
        start, most = _start(given), self._most(given)
        found: list[Members] = []
        for at in range(start, len(among)):
            one = among[at]
            if one.seen(now, self.lag) == status and _fits(given, one):
                if len(found) == most:
                    return {"items": found, "nextToken": str(at)}
                found.append(one.answer(status))
        return {"items": found}

    def create_asset_filter(self, given: Members, caller: Caller) -> Members:
        made = Filter(
            id=self.new_id(),
            domain=given["domainIdentifier"],
            asset=given["assetIdentifier"],
            name=given["name"],
            configuration=given["configuration"],
        )
        self.filters[made.id] = made
        return made.answer()

    def update_asset_filter(self, given: Members, caller: Caller) -> Members:
        found = self._get(self.filters, "AssetFilter", given)
        found.configuration, found.error = given["configuration"], None
        return found.answer()

    def get_asset_filter(self, given: Members, caller: Caller) -> Members:
        found = self._get(self.filters, "AssetFilter", given)
        if found.asset != given["assetIdentifier"]:
            raise _unknown("AssetFilter", found.id)
        return found.answer()

    def get_subscription_target(self, given: Members, caller: Caller) -> Members:
        target = self._get(self.targets, "Target", given)
        if target.environment.id != given["environmentIdentifier"]:
            raise _unknown("Target", target.id)
        return target.answer()

    def get_subscription_grant(self, given: Members, caller: Caller) -> Members:
        return self._get(self.grants, "Grant", given).answer()

    def list_subscription_grants(self, given: Members, caller: Caller) -> Members:
        self._domain(given["domainIdentifier"])
        return self._paged(given, self.grants_of[given["subscriptionId"]], lambda one: one.answer())

    def update_subscription_grant_status(self, given: Members, caller: Caller) -> Members:
        grant = self._get(self.grants, "Grant", given)
        if given["assetIdentifier"] not in grant.assets:
            raise _unknown("Asset", given["assetIdentifier"])
        failure = given.get("failureCause", {}).get("message")
        grant.assets[given["assetIdentifier"]] = (given["status"], failure)
        return grant.answer()

    def _domain(self, key: str) -> Domain:
        if (found := self.domains.get(key)) is None:
            raise _unknown("Domain", key)
        return found

    def _get(self, among: dict[str, T], kind: str, given: Members) -> T:
        domain, found = self._domain(given["domainIdentifier"]), among.get(given["identifier"])
        if found is None or found.domain != domain.id:
            raise _unknown(kind, given["identifier"])
        return found

    def _most(self, given: Members) -> int:
        return min(int(given.get("maxResults", _PAGE)), self.page)

    def _paged(self, given: Members, found: Iterable[U], shape: Callable[[U], Members]) -> Members:
        start, most = _start(given), self._most(given)
        page = list(islice(found, start, start + most + 1))
        more = {"nextToken": str(start + most)} if len(page) > most else {}
        return {"items": [shape(one) for one in page[:most]], **more}


def _start(given: Members) -> int:
    token: Any = given.get("nextToken", "0")
    if not token.isdigit():
        raise Refusal("ValidationException", "nextToken is not one that was given")
    return int(token)


def _fits(given: Members, one: Subscription) -> bool:
    facts = {"subscriptionRequestIdentifier": one.request.id, "subscribedListingId": one.request.listing.id}
    return all(given[name] == fact for name, fact in facts.items() if name in given)


def _unknown(kind: str, key: str) -> Refusal:
    return Refusal("ResourceNotFoundException", f"{kind} {key} does not exist", status=404)
