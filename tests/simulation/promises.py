"""What must hold at every instant, looked at as each effect is carried out."""

from __future__ import annotations

import json
import re

from dzgrant.ledger import keys
from dzgrant.localcloud.places import CONSUMER, PRODUCER
from dzgrant.model import Principal, Table
from tests.fakes.answers import Caller, Members
from tests.simulation.agreement import Place, alive, opened, works
from tests.simulation.scenarios import reads
from tests.simulation.wire import Wire
from tests.simulation.world import World

_SECRET = re.compile(r"dzgrant/(?:producer|consumer)/([^/]+)/([0-9a-f]{16})")


class Promises:
    """`broken`: what did not hold, with when. It sees every worker's effects."""

    def __init__(self, world: World) -> None:
        self.broken: list[str] = []
        self.effects: list[str] = []
        self._world = world
        self._owners: dict[Wire, str] = {}
        self._logins: dict[str, Place] = {}

    def watch(self, wire: Wire, name: str, params: Members, caller: Caller | None) -> None:
        if reads(name):
            return
        self.effects.append(f"{self._world.cloud.clock():.3f} {name}")
        if name.startswith("dynamodb."):
            self._owner(wire, params)
        place = self._place(name, params)
        if place is not None:
            self._no_effect_without_the_lease(wire, name, place)
            self._a_secret_that_exists_works(name, place)
        if name == "events.PutEvents":
            for entry in params["Entries"]:
                self._told(entry["DetailType"], json.loads(entry["Detail"]))

    def _say(self, what: str) -> None:
        self.broken.append(f"{self._world.cloud.clock():.3f} {what}")

    def _owner(self, wire: Wire, params: Members) -> None:
        """A worker is known by what it writes where it takes a lease."""
        for item in params.get("TransactItems", ()):
            (write,) = item.values()
            if (owner := write.get("ExpressionAttributeValues", {}).get(":owner")) is not None:
                self._owners[wire] = owner["S"]

    def _place(self, name: str, params: Members) -> Place | None:
        """The principal whose login or secret it is."""
        if name.startswith("engine.") and params["login"]:
            return self._of_login(params["login"])
        found = _SECRET.search(str(params.get("SecretId") or params.get("Name") or ""))
        return (found[1], found[2]) if found else None

    def _of_login(self, login: str) -> Place | None:
        if login not in self._logins:
            sources = {what.source.key: what.source for what in self._world.published.values()}
            for environment in self._world.environments:
                for source in sources.values():
                    for name in Principal(environment=environment, source=source).logins:
                        self._logins[name] = (environment.id, source.key)
        return self._logins.get(login)

    def _no_effect_without_the_lease(self, wire: Wire, name: str, place: Place) -> None:
        key = (keys.partition(place[0]), f"{keys.PRINCIPAL}{place[1]}")
        item = self._world.cloud.ledger.items.get(key, {})
        if (holder := item.get("owner", {}).get("S")) is None or holder != self._owners.get(wire):
            self._say(f"{name} upon {place} by {self._owners.get(wire)}, and the lease has {holder}")

    def _a_secret_that_exists_works(self, name: str, place: Place) -> None:
        """While the ledger calls the principal ACTIVE: until then a new password may be on its way to the login."""
        item = self._world.cloud.ledger.items.get((keys.partition(place[0]), f"{keys.PRINCIPAL}{place[1]}"), {})
        if item.get("state") != {"S": "ACTIVE"}:
            return
        secret = alive(self._world, PRODUCER, f"dzgrant/producer/{place[0]}/{place[1]}")
        if secret is not None and secret.policy and not works(self._world.servers[place[1]].logins, secret):
            self._say(f"after {name} the shared secret of {place} does not open the database")

    def _told(self, kind: str, detail: Members) -> None:
        if not detail.get("table"):
            return
        place = self._of_login(detail["login"])
        assert place is not None
        schema, _, name = detail["table"].partition(".")
        login = self._world.servers[place[1]].logins.get(detail["login"])
        reads = login is not None and login.enabled and Table(schema=schema, name=name) in login.tables
        if kind == "Access Revoked" and reads:
            self._say(f"{detail['table']} is told as revoked, and {detail['login']} reads it")
        if kind == "Access Granted":
            copy = alive(self._world, CONSUMER, f"dzgrant/consumer/{place[0]}/{place[1]}")
            if not reads or copy is None or opened(copy)[0] != detail["login"]:
                self._say(f"{detail['table']} is told as granted, and {detail['login']} does not read it")
            elif not works(self._world.servers[place[1]].logins, copy):
                self._say(f"{detail['table']} is told as granted, and the copy does not open it")
