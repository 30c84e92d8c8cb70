"""Which environments of a project get access: the consumer's places.

In a V1 domain, every live environment of a configured blueprint. In a V2 domain a project has several environments
for one role, so that one of them stands for the project in its account and Region: the tooling environment, as AWS's
own `sagemaker-studio` library finds it. A new environment counts at once: only what a domain is gets cached.

What of an environment may be extended follows from that. The user role: that of an environment which gets access. The
Glue databases: in a V1 domain those of the same environment; in a V2 domain those of any live one, since there they
belong to others (blueprint DataLake) than the role (Tooling).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dzgrant.catalog.cache import Cache
from dzgrant.catalog.datazone import DataZone
from dzgrant.errors import Misconfigured
from dzgrant.model import AccountId, Arn, Environment, Provisioned, Region

if TYPE_CHECKING:
    from types_aiobotocore_datazone.type_defs import (
        EnvironmentBlueprintSummaryTypeDef,
        EnvironmentSummaryTypeDef,
        GetEnvironmentOutputTypeDef,
    )

# An update, even a failed one, leaves an environment and its users in place: it must not cost them their access.
LIVE = frozenset({"ACTIVE", "UPDATING", "UPDATE_FAILED"})
# V2's tooling blueprints in order; a variant has a suffix (`Tooling.GA`), a custom one the category TOOLING.
_TOOLING = ("Tooling", "ToolingLite")
# Names of `provisionedResources`: the last is V2's.
_ROLE = "userRoleArn"
_DATABASES = ("glueProducerDBName", "glueConsumerDBName", "glueDBName")
_CACHED_DOMAINS = 256
_CACHE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentState:
    """One environment as DataZone states it now. `status` is EnvironmentStatus (ACTIVE, DELETING, ...)."""

    environment: Environment
    status: str
    live: bool
    """It is there to be used: ACTIVE, or under an update."""
    eligible: bool
    """It is live, and it is one that subscriptions of its project give access to."""
    provisioned: Provisioned
    """What DataZone made for it and may be extended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Domain:
    v2: bool
    blueprints: tuple[str, ...]
    """Ids of the blueprints whose environments get access; in V2 the first that has any decides."""


class Environments:
    def __init__(self, datazone: DataZone, blueprints: tuple[str, ...]) -> None:
        self._datazone = datazone
        self._names = blueprints
        self._domains: Cache[str, _Domain] = Cache(_CACHED_DOMAINS, _CACHE_SECONDS)

    async def check(self, domain: str) -> None:
        """Raises `Misconfigured` when the domain can't be read, or lacks a configured blueprint."""
        await self._domain(domain)

    async def is_v2(self, domain: str) -> bool:
        return (await self._domain(domain)).v2

    async def of_project(self, domain: str, project: str) -> tuple[Environment, ...]:
        """In order of their ids. One call in the usual case, of one blueprint and less than fifty environments."""
        kind = await self._domain(domain)
        found: dict[str, Environment] = {}
        for blueprint in kind.blueprints:
            async for item in self._datazone.environments(domain, project, environmentBlueprintIdentifier=blueprint):
                if item.get("status") in LIVE and (environment := item.get("id")):
                    found[environment] = _environment(domain, environment, item)
            if kind.v2 and found:
                break
        ordered = sorted(found.values(), key=lambda environment: environment.id)
        if not kind.v2:
            return tuple(ordered)
        # One anchor for an account and Region, the same one each time.
        anchors = {(environment.account, environment.region): environment for environment in reversed(ordered)}
        return tuple(sorted(anchors.values(), key=lambda environment: environment.id))

    async def get(self, domain: str, environment: str) -> EnvironmentState | None:
        """None when there is no such environment, or nothing left of it but its name."""
        answer = await self._datazone.environment(domain, environment)
        if answer is None:
            return None
        status = answer.get("status", "")
        live = status in LIVE
        if not live and not answer.get("awsAccountId"):
            return None
        found = _environment(domain, environment, answer)
        eligible = live and await self._eligible(found, answer.get("environmentBlueprintId"))
        made = {resource["name"]: resource["value"] for resource in answer.get("provisionedResources", [])}
        databases = live and (eligible or await self.is_v2(domain))
        return EnvironmentState(
            environment=found,
            status=status,
            live=live,
            eligible=eligible,
            provisioned=Provisioned(
                role=Arn(made[_ROLE]) if eligible and made.get(_ROLE) else None,
                databases=tuple(sorted({made[name] for name in _DATABASES if made.get(name)})) if databases else (),
            ),
        )

    async def _eligible(self, environment: Environment, blueprint: str | None) -> bool:
        kind = await self._domain(environment.domain)
        if blueprint and not kind.v2:
            return blueprint in kind.blueprints
        return environment in await self.of_project(environment.domain, environment.project)

    async def _domain(self, domain: str) -> _Domain:
        return await self._domains.get(domain, partial(self._load, domain))

    async def _load(self, domain: str) -> _Domain:
        answer = await self._datazone.domain(domain)
        if answer is None:
            raise Misconfigured(f"there is no DataZone domain {domain} here", do="correct DZGRANT_DOMAIN_IDS or AWS_REGION")
        # No page says whether both kinds are listed where `managed` is left out.
        listed = [item for managed in (True, False) async for item in self._datazone.blueprints(domain, managed=managed)]
        known = {item["id"]: item for item in listed}.values()
        if answer.get("domainVersion") == "V2":
            tooling = sorted((rank, item["id"]) for item in known if (rank := _tooling_rank(item)) is not None)
            if not tooling:
                raise Misconfigured(f"domain {domain} has no tooling blueprint", do="enable the Tooling blueprint in it")
            return _Domain(v2=True, blueprints=tuple(blueprint for _, blueprint in tooling))
        missing = [name for name in self._names if all(item["name"] != name for item in known)]
        if missing:
            raise Misconfigured(
                f"domain {domain} has no blueprint {', '.join(missing)}, but {', '.join(sorted(i['name'] for i in known))}",
                do="correct DZGRANT_ENVIRONMENT_BLUEPRINTS",
            )
        return _Domain(v2=False, blueprints=tuple(item["id"] for item in known if item["name"] in self._names))


def _tooling_rank(blueprint: EnvironmentBlueprintSummaryTypeDef) -> int | None:
    """The blueprint's place among the tooling blueprints, or None when it is none."""
    name = blueprint["name"].partition(".")[0]
    if name in _TOOLING:
        return _TOOLING.index(name)
    return len(_TOOLING) if blueprint.get("blueprintCategory") == "TOOLING" else None


def _environment(domain: str, environment: str, item: EnvironmentSummaryTypeDef | GetEnvironmentOutputTypeDef) -> Environment:
    """Raises `Misconfigured` for one without an account or a Region: DataZone promises neither."""
    account, region = item.get("awsAccountId"), item.get("awsAccountRegion")
    if not (account and region):
        raise Misconfigured(
            f"environment {environment} has no account or no Region",
            do="bind it to an account and a Region, or take its blueprint out of DZGRANT_ENVIRONMENT_BLUEPRINTS",
        )
    return Environment(
        domain=domain,
        project=item["projectId"],
        id=environment,
        account=AccountId(account),
        region=Region(region),
    )
