"""One story: a producer's tables on a real server, a DataZone domain of its own with a consumer, and what becomes of them.

Everything is observed from outside dzgrant: AWS with each account's own credentials, the server as its superuser, the
tables as the consumer with the secret that it finds in its account.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from dzgrant.localcloud import commands as c
from dzgrant.localcloud.databases import Server
from dzgrant.localcloud.places import CONSUMER, CONSUMER_PROJECT, REGION
from dzgrant.model import AccountId, Credentials, Environment, Principal, Region, Table
from tests.engines.playground import Playground
from tests.system.cloud import Cloud, Secret, until

_LOGINS = {
    "postgresql": "SELECT rolname FROM pg_roles",
    "mysql": "SELECT user FROM mysql.user",
    "sqlserver": "SELECT name FROM sys.server_principals",
    "oracle": "SELECT username FROM dba_users",
}
_SESSIONS = {
    "postgresql": "SELECT pid, usename FROM pg_stat_activity",
    # MariaDB reads the first comment, MySQL the second, since it calls its old list deprecated.
    "mysql": "SELECT id, user FROM /*M! information_schema */ /*!80022 performance_schema */ .processlist",
    "sqlserver": "SELECT session_id, login_name FROM sys.dm_exec_sessions",
    "oracle": "SELECT sid, username FROM gv$session",
}


async def logins(server: Server) -> frozenset[str]:
    """The logins on the server whose names are like dzgrant's, in lower case."""
    names = (str(name).lower() for (name,) in await server.execute(_LOGINS[server.engine]))
    return frozenset(name for name in names if name.startswith("dz_") and not name.endswith("_views"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """`environment` is the consumer project's first."""

    cloud: Cloud
    play: Playground
    domain: str
    environment: str
    strangers: frozenset[str]
    """Logins that were on the server before."""

    @property
    def server(self) -> Server:
        return self.play.server

    def add_environment(self, *, events: bool = False, **changes: object) -> str:
        """One more environment of the consumer's project; its event is lost unless `events`."""
        command = c.AddEnvironment.model_validate({"domain": self.domain, "events": events, **changes})
        return self.cloud.control.do(command).id

    def publish(self, table: Table, /, **changes: object) -> str:
        """The table's listing."""
        return self.publication(table, **changes).listing

    def publication(self, table: Table, /, **changes: object) -> c.Published:
        play = self.play
        wish = {
            "domain": self.domain,
            "engine": play.server.engine,
            "host": play.server.host,
            "port": play.server.port,
            "database": play.database,
            "table": play.path(table).name,
            "username": play.admin.username,
            "password": play.admin.password,
            # One connection for each admin, whatever other tests publish from this server.
            "connection": f"{play.database}-{play.admin.username}-{play.server.port}",
        }
        return self.cloud.control.do(c.Publish.model_validate({**wish, **changes}))

    def approve(
        self, listing: str, *, project: str = CONSUMER_PROJECT, events: bool = True, filters: tuple[str, ...] = ()
    ) -> str:
        """The subscription, requested and approved."""
        request = self.cloud.control.do(c.Subscribe(domain=self.domain, listing=listing, project=project, events=events))
        return self.cloud.control.do(c.Approve(request=request.id, events=events, filters=filters)).subscription

    def revoke(self, subscription: str, *, events: bool = True, retain_permissions: bool = False) -> None:
        command = c.Revoke(subscription=subscription, events=events, retain_permissions=retain_permissions)
        self.cloud.control.do(command)

    async def granted(self, table: Table, /, **changes: object) -> str:
        """Publishes the table, subscribes to it and waits; gives the subscription."""
        subscription = self.approve(self.publish(table, **changes))
        await self.cloud.settled()
        return subscription

    def secret(self, environment: str | None = None) -> Secret:
        """The one secret that the environment has in its account."""
        found = self.cloud.consumer_secrets(environment or self.environment)
        assert len(found) == 1, f"{len(found)} secrets: {[one.name for one in found]}"
        return found[0]

    def principal(self, environment: str | None = None) -> Principal:
        place = Environment(
            domain=self.domain,
            project=CONSUMER_PROJECT,
            id=environment or self.environment,
            account=AccountId(CONSUMER),
            region=Region(REGION),
        )
        return Principal(environment=place, source=self.play.source)

    async def logins(self) -> frozenset[str]:
        """The logins that came to the server since the story began."""
        return await logins(self.server) - self.strangers

    async def sessions(self, login: str) -> list[int]:
        """The server's numbers of the login's sessions."""
        every = await self.server.execute(_SESSIONS[self.server.engine])
        return [int(number) for number, name, *_ in every if str(name).lower() == login]

    async def reads(self, *tables: Table, environment: str | None = None, of: Collection[Table]) -> None:
        """Asserts that the environment's secret opens exactly these of the tables `of`, and may write to none."""
        secret = self.secret(environment)
        login = secret.credentials
        assert (secret.host, secret.port, secret.database) == (self.server.host, self.server.port, self.play.database)
        assert await self.play.can_log_in(login), "the secret's password is not the login's"
        readable = {table for table in of if await self.play.can_read(login, table)}
        assert readable == set(tables)
        assert not [table for table in of if await self.play.can_write(login, table)]
        assert self.tables(environment) == {str(table): "GRANTED" for table in tables}

    async def nothing_left(self, login: Credentials | None = None, environment: str | None = None) -> None:
        """Asserts that the environment has no login, session, secret, share or live grant; `login`: as it knew it."""
        environment = environment or self.environment
        name = self.principal(environment).login
        assert name not in await self.logins()
        assert await self.sessions(name) == []
        assert login is None or not await self.play.can_log_in(login)
        assert self.cloud.readable_secrets(environment) == []
        assert self.cloud.shares(environment) == []
        assert not {table: state for table, state in self.tables(environment).items() if state != "FAILED"}

    def tables(self, environment: str | None = None) -> dict[str, str]:
        """The ledger's live grants of the environment, with their states."""
        found = {}
        for item in self.items(environment):
            if item["sk"]["S"].startswith("GRANT#"):
                names = item.get("table", {}).get("M")
                table = f"{names['schema']['S']}.{names['name']['S']}" if names else item["path"]["S"]
                found[table] = item["state"]["S"]
        return found

    def reasons(self, environment: str | None = None) -> list[str]:
        """Why its live grants are not as they should be."""
        grants = (item for item in self.items(environment) if item["sk"]["S"].startswith("GRANT#"))
        return [item["reason"]["S"] for item in grants if "reason" in item]

    def principal_state(self, environment: str | None = None) -> str:
        (item,) = [item for item in self.items(environment) if item["sk"]["S"].startswith("PRINCIPAL#")]
        assert "nonce" not in item, "a lease was left"
        return str(item["state"]["S"])

    def items(self, environment: str | None = None) -> list[dict[str, Any]]:
        place = f"ENVIRONMENT#{environment or self.environment}"
        return [item for item in self.cloud.ledger() if item["pk"]["S"] == place]

    def refused(self, identifier: str) -> list[str]:
        """The reasons of the dead letters that name this id."""
        return [letter.reason for letter in self.cloud.dead_letters() if identifier in letter.body]

    def outcomes(self, subscription: str) -> list[dict[str, object]]:
        """The details of the outcome events of a subscription, each with its `detail-type` as `kind`."""
        every = self.cloud.outcomes()
        return [{**it["detail"], "kind": it["detail-type"]} for it in every if it["detail"].get("subscription") == subscription]

    async def waits(self, seconds: float = 90.0) -> str:
        """Waits until the ledger says why a grant can't be yet, and gives that reason."""

        async def reason() -> str | None:
            return next(iter(self.reasons()), None)

        return await until(reason, self.items, seconds)
