"""Amazon DataZone, which moto has not: the operations that dzgrant calls, in the shapes and with the errors of AWS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dzgrant.localcloud import shapes
from dzgrant.localcloud.calls import Answer, Call, answer, error
from dzgrant.localcloud.events import Events
from dzgrant.localcloud.places import GOVERNANCE
from dzgrant.localcloud.rest import Invalid, Routes
from dzgrant.localcloud.state import (
    Asset,
    AssetFilter,
    AssetGrant,
    Blueprint,
    Domain,
    E,
    Environment,
    Grant,
    Listing,
    Project,
    State,
    Subscription,
    Target,
    UnknownId,
    new_id,
)

_PAGE = 50
# What DataZone tells the world when a fulfiller has answered.
_OUTCOMES = {
    "GRANTED": "Subscription Grant Completed",
    "GRANT_FAILED": "Subscription Grant Failed",
    "REVOKED": "Subscription Grant Revoke Completed",
    "REVOKE_FAILED": "Subscription Grant Revoke Failed",
}

Arguments = dict[str, Any]


class DataZone:
    """Answers DataZone calls from the state that the control API changes; threads share it."""

    def __init__(self, state: State, events: Events) -> None:
        self._state = state
        self._events = events
        self._routes = Routes("datazone", [*_ON_STATE, "UpdateSubscriptionGrantStatus"])

    def named(self, call: Call) -> Call:
        """The call with its operation's name instead of its path."""
        found = self._routes.match(call.environ["REQUEST_METHOD"], call.path)
        return replace(call, operation=found[0]) if found else call

    def answer(self, call: Call) -> Answer:
        found = self._routes.match(call.environ["REQUEST_METHOD"], call.path)
        if found is None:
            return error("UnknownOperationException", f"the local DataZone has no {call.operation}", status=404)
        if call.account != GOVERNANCE:
            return error("AccessDeniedException", f"{call.caller.arn} is not in the domain's account", status=403)
        name, path = found
        try:
            arguments = self._routes.arguments(call, name, path)
            with self._state.lock:
                domain = arguments.get("domainIdentifier") or arguments["identifier"]
                self._state.get(Domain, domain, domain)
                known = _ON_STATE.get(name)
                members = known(self._state, arguments) if known else self._update_status(arguments)
                return answer(members)
        except Invalid as invalid:
            return error("ValidationException", str(invalid))
        except UnknownId as unknown:
            return error("ResourceNotFoundException", str(unknown), status=404)

    def _update_status(self, given: Arguments) -> dict[str, Any]:
        grant = self._state.get(Grant, given["domainIdentifier"], given["identifier"])
        asset, status = given["assetIdentifier"], given["status"]
        if asset not in grant.assets:
            raise UnknownId("Asset", asset)
        before = grant.assets[asset]
        grant.assets[asset] = AssetGrant(status=status, failure=given.get("failureCause", {}).get("message"))
        if status in _OUTCOMES and status != before.status:
            self._events.grant(_OUTCOMES[status], grant, asset)
        return shapes.grant(grant)


def _get_domain(state: State, given: Arguments) -> dict[str, Any]:
    return shapes.domain(state.get(Domain, given["identifier"], given["identifier"]))


def _get_project(state: State, given: Arguments) -> dict[str, Any]:
    return shapes.project(state.get(Project, given["domainIdentifier"], given["identifier"]))


def _get_blueprint(state: State, given: Arguments) -> dict[str, Any]:
    return shapes.blueprint(state.get(Blueprint, given["domainIdentifier"], given["identifier"]))


def _list_blueprints(state: State, given: Arguments) -> dict[str, Any]:
    found = [it for it in state.all(Blueprint, given["domainIdentifier"]) if _fits(given, {"name": it.name})]
    return _page(given, found, shapes.blueprint)


def _get_environment(state: State, given: Arguments) -> dict[str, Any]:
    return shapes.environment(state.get(Environment, given["domainIdentifier"], given["identifier"]))


def _list_environments(state: State, given: Arguments) -> dict[str, Any]:
    found = [
        it
        for it in state.all(Environment, given["domainIdentifier"])
        if _fits(
            given,
            {
                "projectIdentifier": it.project,
                "environmentBlueprintIdentifier": it.blueprint.id,
                "status": it.status,
                "provider": it.blueprint.provider,
                "awsAccountId": it.account,
                "awsAccountRegion": it.region,
                "name": shapes.environment_summary(it)["name"],
            },
        )
    ]
    return _page(given, found, shapes.environment_summary)


def _get_listing(state: State, given: Arguments) -> dict[str, Any]:
    return shapes.listing(state.get(Listing, given["domainIdentifier"], given["identifier"]))


def _create_filter(state: State, given: Arguments) -> dict[str, Any]:
    asset = _asset(state, given)
    made = AssetFilter(
        id=new_id(),
        domain=given["domainIdentifier"],
        asset=asset.id,
        name=given["name"],
        configuration=_configuration(given),
        description=given.get("description", ""),
    )
    return shapes.asset_filter(state.add(made))


def _update_filter(state: State, given: Arguments) -> dict[str, Any]:
    found = _filter(state, given)
    if "configuration" in given:
        found.configuration, found.error = _configuration(given), None
    found.name, found.description = given.get("name", found.name), given.get("description", found.description)
    return shapes.asset_filter(found)


def _delete_filter(state: State, given: Arguments) -> dict[str, Any]:
    state.remove(_filter(state, given))
    return {}


def _get_filter(state: State, given: Arguments) -> dict[str, Any]:
    return shapes.asset_filter(_filter(state, given))


def _list_filters(state: State, given: Arguments) -> dict[str, Any]:
    asset = _asset(state, given).id
    every = [it for it in state.all(AssetFilter, given["domainIdentifier"]) if it.asset == asset]
    found = [it for it in every if _fits(given, {"status": "INVALID" if it.error else "VALID"})]
    return _page(given, found, shapes.asset_filter_summary)


def _asset(state: State, given: Arguments) -> Asset:
    key = given["assetIdentifier"]
    for listing in state.all(Listing, given["domainIdentifier"]):
        if listing.asset and listing.asset.id == key:
            return listing.asset
    raise UnknownId("Asset", key)


def _filter(state: State, given: Arguments) -> AssetFilter:
    found = state.get(AssetFilter, given["domainIdentifier"], given["identifier"])
    if found.asset != given["assetIdentifier"]:
        raise UnknownId("AssetFilter", found.id)
    return found


def _configuration(given: Arguments) -> dict[str, Any]:
    found: dict[str, Any] = given["configuration"]
    if len(found) != 1 or not found.keys() <= {"columnConfiguration", "rowConfiguration"}:
        raise Invalid("configuration: exactly one of columnConfiguration and rowConfiguration")
    return found


def _get_subscription(state: State, given: Arguments) -> dict[str, Any]:
    return shapes.subscription(state.get(Subscription, given["domainIdentifier"], given["identifier"]))


def _list_subscriptions(state: State, given: Arguments) -> dict[str, Any]:
    found = [
        it
        for it in state.all(Subscription, given["domainIdentifier"])
        if _fits(
            given,
            {
                "status": it.status,
                "subscribedListingId": it.request.listing.id,
                "subscriptionRequestIdentifier": it.request.id,
                "approverProjectId": it.request.listing.project,
                **_owner(it),
            },
        )
    ]
    return _page(given, found, shapes.subscription)


def _get_target(state: State, given: Arguments) -> dict[str, Any]:
    target = state.get(Target, given["domainIdentifier"], given["identifier"])
    if target.environment.id != given["environmentIdentifier"]:
        raise UnknownId("Target", target.id)
    return shapes.target(target)


def _list_targets(state: State, given: Arguments) -> dict[str, Any]:
    state.get(Environment, given["domainIdentifier"], given["environmentIdentifier"])
    found = [
        it for it in state.all(Target, given["domainIdentifier"]) if _fits(given, {"environmentIdentifier": it.environment.id})
    ]
    return _page(given, found, shapes.target)


def _get_grant(state: State, given: Arguments) -> dict[str, Any]:
    return shapes.grant(state.get(Grant, given["domainIdentifier"], given["identifier"]))


def _list_grants(state: State, given: Arguments) -> dict[str, Any]:
    found = [
        it
        for it in state.all(Grant, given["domainIdentifier"])
        if _fits(
            given,
            {
                "environmentId": it.target.environment.id,
                "subscriptionTargetId": it.target.id,
                "subscribedListingId": it.subscription.request.listing.id,
                "subscriptionId": it.subscription.id,
                **_owner(it.subscription),
            },
        )
    ]
    return _page(given, found, shapes.grant)


def _owner(it: Subscription) -> dict[str, str | None]:
    kinds = {"project": "owningProjectId", "user": "owningUserId", "iam": "owningIamPrincipalArn"}
    principal = it.request.principal
    return {name: principal.id if kind == principal.kind else None for kind, name in kinds.items()}


def _fits(given: Arguments, facts: dict[str, str | None]) -> bool:
    """Whether an entity with these facts passes the filters that were given."""
    return all(given[name] == fact for name, fact in facts.items() if name in given)


def _page(given: Arguments, found: list[E], shape: Callable[[E], dict[str, Any]]) -> dict[str, Any]:
    if given.get("sortOrder") == "DESCENDING":
        found.reverse()
    token = given.get("nextToken", "0")
    if not token.isdigit():
        raise Invalid("nextToken is not one that was given")
    start = int(token)
    end = start + given.get("maxResults", _PAGE)
    return {"items": [shape(it) for it in found[start:end]], **({"nextToken": str(end)} if end < len(found) else {})}


_ON_STATE: dict[str, Callable[[State, Arguments], dict[str, Any]]] = {
    "GetDomain": _get_domain,
    "GetProject": _get_project,
    "GetEnvironmentBlueprint": _get_blueprint,
    "ListEnvironmentBlueprints": _list_blueprints,
    "GetEnvironment": _get_environment,
    "ListEnvironments": _list_environments,
    "GetListing": _get_listing,
    "CreateAssetFilter": _create_filter,
    "GetAssetFilter": _get_filter,
    "ListAssetFilters": _list_filters,
    "UpdateAssetFilter": _update_filter,
    "DeleteAssetFilter": _delete_filter,
    "GetSubscription": _get_subscription,
    "ListSubscriptions": _list_subscriptions,
    "GetSubscriptionTarget": _get_target,
    "ListSubscriptionTargets": _list_targets,
    "GetSubscriptionGrant": _get_grant,
    "ListSubscriptionGrants": _list_grants,
}
