"""What people do to DataZone and Glue: the local cloud's own commands, carried out upon the fakes, with DataZone's events."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import singledispatchmethod
from random import Random
from typing import Any
from uuid import UUID

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.places import PRODUCER, PRODUCER_PROJECT, REGION
from tests.envelopes import envelope
from tests.fakes.answers import Caller
from tests.fakes.datazone import DataZone
from tests.fakes.entities import ASSET_TYPE, Blueprint, Environment, Grant, Listing, Request, Subscription, Target
from tests.fakes.glue import Glue
from tests.fakes.secretsmanager import SecretsManager

_GLUE_DATABASE = "sales"
_URLS = {"postgresql": "jdbc:postgresql://{0}:{1}/{2}", "mysql": "jdbc:mysql://{0}:{1}/{2}"}
_BLUEPRINTS = {
    "V1": (("DefaultDataLake", False), ("DefaultDataWarehouse", False), ("CustomAwsService", False)),
    "V2": (("Tooling", True), ("ToolingLite", True), ("DataLake", False), ("LakehouseCatalog", False)),
}


class People:
    """`send` puts an event's body on the worker's queue, as EventBridge does; a test may put another way in its place."""

    def __init__(
        self,
        datazone: DataZone,
        glue: Glue,
        secrets: SecretsManager,
        *,
        send: Callable[[str], None],
        clock: Callable[[], float],
        rng: Random,
    ) -> None:
        self._datazone = datazone
        self._glue = glue
        self._secrets = secrets
        self.send = send
        self._clock = clock
        self._rng = rng
        self._latest: dict[str, str] = {}

    def do(self, command: c.Command[c.A]) -> c.A:
        done: c.A = self._do(command)
        return done

    @singledispatchmethod
    def _do(self, command: Any) -> Any:
        raise NotImplementedError(f"the fakes do not know {type(command).__name__}")

    @_do.register
    def _add_domain(self, command: c.AddDomain) -> c.Made:
        key = command.id or f"dzd_{self._datazone.new_id()}"
        blueprints = [
            Blueprint(id=self._datazone.new_id(), name=name, provider="Amazon DataZone", tooling=tooling)
            for name, tooling in _BLUEPRINTS[command.version]
        ]
        self._datazone.add_domain(key, command.version, blueprints)
        # A producer has an environment of its own: by it the domain knows the producer's account.
        own = _BLUEPRINTS[command.version][0][0]
        self._do(c.AddEnvironment(domain=key, project=PRODUCER_PROJECT, blueprint=own, account=PRODUCER, events=False))
        return c.Made(id=key)

    @_do.register
    def _add_environment(self, command: c.AddEnvironment) -> c.Made:
        environment = Environment(
            id=command.id or self._datazone.new_id(),
            domain=command.domain,
            status=command.status,
            # Its deployment took a while: who is behind sees that.
            before="CREATING",
            changed=self._clock(),
            project=command.project,
            blueprint=self._datazone.domains[command.domain].blueprints[command.blueprint],
            account=command.account,
            region=command.region,
        )
        self._datazone.environments[environment.id] = environment
        self._datazone.environments_of[command.domain, command.project].append(environment)
        self._deployed(environment, events=command.events)
        return c.Made(id=environment.id)

    @_do.register
    def _set_status(self, command: c.SetEnvironmentStatus) -> c.Done:
        environment = self._datazone.environments[command.environment]
        environment.change(command.status, self._clock())
        self._deployed(environment, events=command.events)
        return c.Done()

    def _deployed(self, environment: Environment, *, events: bool) -> None:
        if events and environment.status == "ACTIVE":
            self._tell_environment("Environment Deployment Completed", environment)

    @_do.register
    def _delete_environment(self, command: c.DeleteEnvironment) -> c.Done:
        environment = self._datazone.environments[command.environment]
        environment.change("DELETING", self._clock())
        if command.gone:
            del self._datazone.environments[environment.id]
            self._datazone.environments_of[environment.domain, environment.project].remove(environment)
            for target in self._datazone.targets_of.pop(environment.id, []):
                del self._datazone.targets[target.id]
        if command.events:
            self._tell_environment(f"Environment Deletion {'Completed' if command.gone else 'Started'}", environment)
        return c.Done()

    @_do.register
    def _publish(self, command: c.Publish) -> c.Published:
        name = command.connection or f"{command.engine}-{command.host}-{command.port}-{command.database}"
        connections = self._glue.connections[PRODUCER]
        if name not in connections:
            secret = command.secret or self._admin_secret(command, name)
            url = command.url or _URLS[command.engine].format(command.host, command.port, command.database)
            connections[name] = {
                "Name": name,
                "ConnectionType": "JDBC",
                "ConnectionProperties": {"JDBC_CONNECTION_URL": url, "JDBC_ENFORCE_SSL": "true", "SECRET_ID": secret},
                "ConnectionSchemaVersion": 1,
            }
        table = f"{command.database}_{command.table}_{self._datazone.new_id()}".lower().replace(".", "_")
        parameters = {"classification": command.engine, "connectionName": name, "UPDATED_BY_CRAWLER": "jdbc"}
        self._glue.tables[PRODUCER, _GLUE_DATABASE, table] = {
            "Name": table,
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": {
                "Columns": [{"Name": "id", "Type": "int"}],
                "Location": command.location or f"{command.database}.{command.table}",
                "Parameters": parameters,
            },
            "Parameters": parameters,
        }
        arn = f"arn:aws:glue:{REGION}:{PRODUCER}:table/{_GLUE_DATABASE}/{table}"
        form = {"catalogId": PRODUCER, "region": REGION, "databaseName": _GLUE_DATABASE, "tableName": table, "tableArn": arn}
        listing = Listing(
            id=self._datazone.new_id(),
            domain=command.domain,
            project=command.project,
            name=table,
            asset=self._datazone.new_id(),
            forms=json.dumps({"GlueTableForm": form, "AssetCommonDetailsForm": {}}),
        )
        self._datazone.listings[listing.id] = listing
        secret_arn = connections[name]["ConnectionProperties"]["SECRET_ID"]
        return c.Published(listing=listing.id, asset=listing.asset or "", table_arn=arn, connection=name, secret_arn=secret_arn)

    def _admin_secret(self, command: c.Publish, connection: str) -> str:
        password = command.password.get_secret_value() if command.password else ""
        value = json.dumps({"username": command.username, "password": password})
        made = self._secrets.create_secret({"Name": f"admin/{connection}", "SecretString": value}, Caller(PRODUCER, REGION))
        return str(made["ARN"])

    @_do.register
    def _subscribe(self, command: c.Subscribe) -> c.Made:
        listing = self._datazone.listings[command.listing]
        kind = "iam" if command.iam_principal else "user" if command.user else "project"
        by = command.iam_principal or command.user or command.project
        request = Request(id=self._datazone.new_id(), domain=command.domain, listing=listing, kind=kind, by=by)
        self._datazone.requests[request.id] = request
        if command.events:
            self._tell_request("Subscription Request Created", request)
        return c.Made(id=request.id)

    @_do.register
    def _approve(self, command: c.Approve) -> c.Subscribed:
        datazone, request = self._datazone, self._datazone.requests[command.request]
        subscription = Subscription(
            id=datazone.new_id(),
            domain=request.domain,
            status="APPROVED",
            changed=self._clock(),
            request=request,
            filters=command.filters,
            created=self._clock(),
        )
        request.subscription = subscription.id
        datazone.subscriptions[subscription.id] = subscription
        datazone.domains[request.domain].subscriptions.append(subscription)
        if request.kind == "project":
            datazone.subscriptions_of[request.domain, request.by].append(subscription)
        if command.events:
            self._tell_request("Subscription Request Accepted", request)
            self._tell_subscription("Subscription Created", subscription)
        grants = [
            self._grant(subscription, target, events=command.events)
            for environment in datazone.environments_of[request.domain, request.by]
            for target in datazone.targets_of.get(environment.id, ())
            if target.automatic
        ]
        return c.Subscribed(subscription=subscription.id, request=request.id, grants=tuple(grant.id for grant in grants))

    @_do.register
    def _invalidate(self, command: c.InvalidateFilter) -> c.Done:
        self._datazone.filters[command.filter].error = command.reason
        return c.Done()

    @_do.register
    def _revoke(self, command: c.Revoke) -> c.Done:
        subscription = self._datazone.subscriptions[command.subscription]
        subscription.retain = command.retain_permissions
        return self._end(subscription, "REVOKED", "Subscription Revoked", events=command.events)

    @_do.register
    def _cancel(self, command: c.Cancel) -> c.Done:
        subscription = self._datazone.subscriptions[command.subscription]
        return self._end(subscription, "CANCELLED", "Subscription Cancelled", events=command.events)

    def _end(self, subscription: Subscription, status: str, kind: str, *, events: bool) -> c.Done:
        subscription.change(status, self._clock())
        if events:
            self._tell_subscription(kind, subscription)
        if not subscription.retain:
            for grant in self._datazone.grants_of.get(subscription.id, ()):
                self._withdraw(grant, events=events)
        return c.Done()

    @_do.register
    def _add_target(self, command: c.AddTarget) -> c.Made:
        environment = self._datazone.environments[command.environment]
        target = Target(
            id=self._datazone.new_id(),
            domain=environment.domain,
            environment=environment,
            provider=command.provider,
            automatic=command.automatic,
        )
        self._datazone.targets[target.id] = target
        self._datazone.targets_of[environment.id].append(target)
        return c.Made(id=target.id)

    @_do.register
    def _add_grant(self, command: c.AddGrant) -> c.Made:
        subscription, target = self._datazone.subscriptions[command.subscription], self._datazone.targets[command.target]
        return c.Made(id=self._grant(subscription, target, events=command.events).id)

    @_do.register
    def _delete_grant(self, command: c.DeleteGrant) -> c.Done:
        self._withdraw(self._datazone.grants[command.grant], events=command.events)
        return c.Done()

    @_do.register
    def _repeat(self, command: c.Repeat) -> c.Done:
        self.send(self._latest[command.id])
        return c.Done()

    def _grant(self, subscription: Subscription, target: Target, *, events: bool) -> Grant:
        assets: dict[str, tuple[str, str | None]] = dict.fromkeys(subscription.request.listing.assets, ("GRANT_PENDING", None))
        grant = Grant(
            id=self._datazone.new_id(), domain=subscription.domain, subscription=subscription, target=target, assets=assets
        )
        self._datazone.grants[grant.id] = grant
        self._datazone.grants_of[subscription.id].append(grant)
        for asset in assets if events else ():
            self._tell_grant("Subscription Grant Requested", grant, asset)
        return grant

    def _withdraw(self, grant: Grant, *, events: bool) -> None:
        for asset in grant.assets:
            grant.assets[asset] = ("REVOKE_PENDING", None)
            if events:
                self._tell_grant("Subscription Grant Revoke Requested", grant, asset)

    def _tell_request(self, kind: str, it: Request) -> None:
        data = {"status": "ACCEPTED" if it.subscription else "PENDING", "subscribedListings": [_listing(it)]}
        self._tell(kind, it.id, it.domain, it.by, data)

    def _tell_subscription(self, kind: str, it: Subscription) -> None:
        request = it.request
        data = {
            "status": it.status,
            "subscribedListing": _listing(request),
            "subscribedPrincipal": {"id": request.by, "type": request.kind.upper()},
            "subscriptionRequestId": request.id,
        }
        self._tell(kind, it.id, it.domain, request.by, data)

    def _tell_grant(self, kind: str, it: Grant, asset: str) -> None:
        environment = it.target.environment
        data = {
            "status": it.assets[asset][0],
            "asset": {"id": asset, "listingId": it.subscription.request.listing.id, "typeName": ASSET_TYPE},
            "projectId": environment.project,
            "subscriptionTarget": {"id": it.target.id, "environmentId": environment.id},
        }
        self._tell(kind, it.id, it.domain, environment.project, data)

    def _tell_environment(self, kind: str, it: Environment) -> None:
        self._tell(kind, it.id, it.domain, it.project, {"environmentId": it.id, "projectId": it.project})

    def _tell(self, kind: str, entity: str, domain: str, project: str, data: dict[str, Any]) -> None:
        event = envelope(kind, entity, data, domain=domain, owningProjectId=project)
        event["id"] = str(UUID(int=self._rng.getrandbits(128), version=4))
        event["time"] = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._latest[entity] = json.dumps(event)
        self.send(self._latest[entity])


def _listing(it: Request) -> dict[str, Any]:
    asset = it.listing.asset
    item = {"item": {"assetListing": {"entityId": asset, "entityType": ASSET_TYPE}}} if asset else {}
    return {"id": it.listing.id, "ownerProjectId": it.listing.project, "version": "1", **item}
