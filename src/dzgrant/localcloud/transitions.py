"""What the commands do to DataZone: each changes the state and sends the events that DataZone would send, in its order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from dzgrant.localcloud import commands as c
from dzgrant.localcloud import environments
from dzgrant.localcloud.aws import Aws
from dzgrant.localcloud.events import Events
from dzgrant.localcloud.places import CONSUMER_PROJECT, PRODUCER, PRODUCER_PROJECT
from dzgrant.localcloud.state import (
    AssetFilter,
    AssetGrant,
    Blueprint,
    Domain,
    Environment,
    Grant,
    Listing,
    Principal,
    Project,
    Request,
    State,
    Subscription,
    Target,
    UnknownId,
    new_id,
)

# The managed blueprints that matter to a fulfiller, by the domain's version.
_BLUEPRINTS = {
    "V1": (("DefaultDataLake", False), ("DefaultDataWarehouse", False), ("CustomAwsService", False)),
    "V2": (("Tooling", True), ("ToolingLite", True), ("DataLake", False), ("LakehouseCatalog", False)),
}
_PROVIDERS = {"V1": "Amazon DataZone", "V2": "Amazon SageMaker"}


class Conflict(Exception):
    """The entity is not in a state that allows this."""


class Transitions:
    """DataZone's state machine; the caller holds the state's lock."""

    def __init__(self, aws: Aws, state: State, events: Events) -> None:
        self._aws = aws
        self._state = state
        self._events = events

    def add_domain(self, command: c.AddDomain) -> c.Made:
        key = command.id or f"dzd_{new_id()}"
        self._state.add(Domain(id=key, domain=key, version=command.version))
        for project in (PRODUCER_PROJECT, CONSUMER_PROJECT):
            self.add_project(c.AddProject(domain=key, id=project, name=project))
        for name, tooling in _BLUEPRINTS[command.version]:
            provider = _PROVIDERS[command.version]
            self.add_blueprint(c.AddBlueprint(domain=key, name=name, provider=provider, tooling=tooling))
        # A producer's data sources are of an environment in its own account.
        made = _BLUEPRINTS[command.version][0][0]
        self.add_environment(
            c.AddEnvironment(domain=key, project=PRODUCER_PROJECT, blueprint=made, account=PRODUCER, events=False)
        )
        return c.Made(id=key)

    def add_project(self, command: c.AddProject) -> c.Made:
        self._state.get(Domain, command.domain, command.domain)
        project = Project(id=command.id or new_id(), domain=command.domain, name=command.name)
        return c.Made(id=self._state.add(project).id)

    def add_blueprint(self, command: c.AddBlueprint) -> c.Made:
        blueprint = Blueprint(
            id=new_id(), domain=command.domain, name=command.name, provider=command.provider, tooling=command.tooling
        )
        return c.Made(id=self._state.add(blueprint).id)

    def add_environment(self, command: c.AddEnvironment) -> c.Made:
        self._state.get(Project, command.domain, command.project)
        known = self._state.all(Blueprint, command.domain)
        blueprint = next((it for it in known if it.name == command.blueprint), None)
        if blueprint is None:
            raise UnknownId("Blueprint", command.blueprint)
        environment = Environment(
            id=command.id or new_id(),
            domain=command.domain,
            project=command.project,
            blueprint=blueprint,
            account=command.account,
            region=command.region,
            status=command.status,
        )
        self._state.add(environment)
        environments.make(self._aws, environment)
        self._deployed(environment, events=command.events)
        return c.Made(id=environment.id)

    def set_environment_status(self, command: c.SetEnvironmentStatus) -> c.Done:
        environment = self._state.find(Environment, command.environment)
        environment.status = command.status
        self._deployed(environment, events=command.events)
        return c.Done()

    def _deployed(self, environment: Environment, *, events: bool) -> None:
        if events and environment.status == "ACTIVE":
            self._events.environment("Environment Deployment Completed", environment)

    def delete_environment(self, command: c.DeleteEnvironment) -> c.Done:
        environment = self._state.find(Environment, command.environment)
        environment.status = "DELETING"
        if command.gone:
            environments.unmake(self._aws, environment)
            for entity in (environment, *(it for it in self._state.all(Target) if it.environment is environment)):
                self._state.remove(entity)
        if command.events:
            kind = "Environment Deletion Completed" if command.gone else "Environment Deletion Started"
            self._events.environment(kind, environment)
        return c.Done()

    def publish_product(self, command: c.PublishProduct) -> c.Made:
        items = tuple(self._state.get(Listing, command.domain, key) for key in command.listings)
        listing = Listing(id=new_id(), domain=command.domain, project=command.project, name=command.name, items=items)
        return c.Made(id=self._state.add(listing).id)

    def unpublish(self, command: c.Unpublish) -> c.Done:
        self._state.find(Listing, command.listing).active = False
        return c.Done()

    def subscribe(self, command: c.Subscribe) -> c.Made:
        listing = self._state.get(Listing, command.domain, command.listing)
        if command.iam_principal or command.user:
            kind = Principal(kind="iam" if command.iam_principal else "user", id=command.iam_principal or command.user or "")
        else:
            kind = Principal(kind="project", id=self._state.get(Project, command.domain, command.project).id)
        request = self._state.add(Request(id=new_id(), domain=command.domain, listing=listing, principal=kind))
        if command.events:
            self._events.request("Subscription Request Created", request)
        return c.Made(id=request.id)

    def approve(self, command: c.Approve) -> c.Subscribed:
        request = self._state.find(Request, command.request)
        if request.subscription:
            raise Conflict(f"request {request.id} was approved before: subscription {request.subscription}")
        subscription = Subscription(id=new_id(), domain=request.domain, request=request, filters=command.filters)
        request.subscription = self._state.add(subscription).id
        if command.events:
            self._events.request("Subscription Request Accepted", request)
            self._events.subscription("Subscription Created", subscription)
        grants = [
            self._grant(subscription, target, events=command.events)
            for target in self._state.all(Target, request.domain)
            if target.automatic and target.environment.project == request.principal.id
        ]
        return c.Subscribed(subscription=subscription.id, request=request.id, grants=tuple(grant.id for grant in grants))

    def invalidate_filter(self, command: c.InvalidateFilter) -> c.Done:
        self._state.find(AssetFilter, command.filter).error = command.reason
        return c.Done()

    def revoke(self, command: c.Revoke) -> c.Done:
        subscription = self._approved(command.subscription)
        subscription.retain = command.retain_permissions
        return self._end(subscription, "REVOKED", events=command.events)

    def cancel(self, command: c.Cancel) -> c.Done:
        return self._end(self._approved(command.subscription), "CANCELLED", events=command.events)

    def add_target(self, command: c.AddTarget) -> c.Made:
        environment = self._state.find(Environment, command.environment)
        target = Target(
            id=new_id(),
            domain=environment.domain,
            environment=environment,
            provider=command.provider,
            automatic=command.automatic,
        )
        return c.Made(id=self._state.add(target).id)

    def add_grant(self, command: c.AddGrant) -> c.Made:
        subscription, target = self._approved(command.subscription), self._state.find(Target, command.target)
        if any(it.target is target for it in self._grants(subscription)):
            raise Conflict(f"subscription {subscription.id} has a grant on target {target.id} already")
        return c.Made(id=self._grant(subscription, target, events=command.events).id)

    def delete_grant(self, command: c.DeleteGrant) -> c.Done:
        self._withdraw([self._state.find(Grant, command.grant)], events=command.events)
        return c.Done()

    def repeat(self, command: c.Repeat) -> c.Done:
        if not self._events.repeat(command.id):
            raise UnknownId("Event of", command.id)
        return c.Done()

    def _approved(self, key: str) -> Subscription:
        subscription = self._state.find(Subscription, key)
        if subscription.status != "APPROVED":
            raise Conflict(f"subscription {key} is {subscription.status}")
        return subscription

    def _end(self, subscription: Subscription, status: c.Ended, *, events: bool) -> c.Done:
        subscription.status = status
        subscription.updated = datetime.now(UTC)
        if events:
            kind = "Subscription Revoked" if status == "REVOKED" else "Subscription Cancelled"
            self._events.subscription(kind, subscription)
        if not subscription.retain:
            self._withdraw(self._grants(subscription), events=events)
        return c.Done()

    def _grants(self, subscription: Subscription) -> list[Grant]:
        return [it for it in self._state.all(Grant) if it.subscription is subscription]

    def _grant(self, subscription: Subscription, target: Target, *, events: bool) -> Grant:
        assets = {asset.id: AssetGrant(status="GRANT_PENDING") for asset in subscription.request.listing.assets}
        grant = Grant(id=new_id(), domain=subscription.domain, subscription=subscription, target=target, assets=assets)
        self._state.add(grant)
        for asset in assets if events else ():
            self._events.grant("Subscription Grant Requested", grant, asset)
        return grant

    def _withdraw(self, grants: Iterable[Grant], *, events: bool) -> None:
        for grant in grants:
            for asset in grant.assets:
                grant.assets[asset] = AssetGrant(status="REVOKE_PENDING")
                if events:
                    self._events.grant("Subscription Grant Revoke Requested", grant, asset)
