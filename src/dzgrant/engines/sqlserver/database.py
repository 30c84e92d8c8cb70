"""The contract's `Database`, for SQL Server: each method is one piece of work in a thread."""

from __future__ import annotations

from collections.abc import Collection

import pyodbc
from pydantic import SecretStr

from dzgrant.engines.contract import Dropped, Limits, LoginState, Marked, Owner, Permit, Reach, Readable
from dzgrant.engines.sqlserver import catalogue, grants, removal, statements
from dzgrant.engines.sqlserver.connections import Connections, Desk, again
from dzgrant.engines.sqlserver.driver import connect
from dzgrant.engines.sqlserver.failures import while_proving
from dzgrant.engines.sqlserver.held import holdings
from dzgrant.engines.sqlserver.sessions import open_sessions
from dzgrant.errors import ConsumerRejected, Refused, Unsupported
from dzgrant.model import WHOLE, Credentials, Scope, Source, Table, TablePath


class SqlserverDatabase:
    """One source. Made by the adapter; connects when it is first used."""

    def __init__(self, source: Source, admin: Credentials, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._connections = Connections(source, admin, limits)

    @again
    async def resolve(self, path: TablePath) -> Table:
        found = await self._connections.run(f"looking for {path}", lambda desk: catalogue.tables(desk, path))
        match found:
            case [table]:
                return table
            case []:
                what, do = f"no table or view fits {path}, in any case", "correct its location in Glue, or publish it again"
            case several:
                what, do = f"{path} is ambiguous: {', '.join(map(str, several))}", "rename all but one of them"
        raise Refused(what, do=do).about(source=self._source, table=path)

    @again
    async def ensure_login(self, login: str, password: SecretStr | None, owner: Owner, permit: Permit) -> None:
        """TLS can't be required of one login here; the server's Force Encryption, or `rds.force_ssl`, requires it of all."""
        if password is None:
            raise Unsupported("SQL Server on RDS has no IAM database authentication", do="turn it off for this source")
        await self._connections.run(
            f"making the login {login}", lambda desk: grants.make_login(desk, login, password, owner, permit)
        )

    async def adopt(self, login: str, owner: Owner, permit: Permit) -> bool:  # noqa: ARG002
        raise Unsupported(
            f"{login} has another SID than dzgrant gives its logins",
            do="drop it once its reader has the new secret (docs/moving.md)",
        )

    @again
    async def grant(
        self, login: str, table: Table, permit: Permit, scopes: Collection[Scope] = WHOLE, *, settled: bool = False
    ) -> Reach:
        return await self._connections.run(
            f"granting {table} to {login}", lambda desk: grants.grant(desk, login, table, scopes, permit, settled=settled)
        )

    @again
    async def prove(self, consumer: Credentials, readable: Readable) -> None:
        def read(desk: Desk) -> None:
            desk.watch.allow(self._limits.connect_timeout + self._limits.statement_timeout)
            driver = connect(self._source, consumer, self._limits, ConsumerRejected)
            try:
                driver.execute(statements.read_nothing(readable.table, readable.columns)).fetchall()
            except pyodbc.Error as error:
                what = f"{consumer.username} can't read {readable.table}"
                raise while_proving(error, what).about(source=self._source) from error
            finally:
                driver.close()

        await self._connections.run(f"proving {consumer.username}", read)

    async def prove_by_privileges(self, login: str, readable: Readable) -> None:  # noqa: ARG002
        raise Unsupported(
            f"{login} logs in by its password: SQL Server on RDS has no IAM authentication", do="turn it off for this source"
        )

    @again
    async def revoke(self, login: str, keep: Collection[Table], permit: Permit) -> None:
        await self._connections.run(f"revoking tables from {login}", lambda desk: removal.revoke(desk, login, keep, permit))

    @again
    async def drop(self, login: str, permit: Permit) -> Dropped:
        return await self._connections.run(f"dropping the login {login}", lambda desk: removal.drop(desk, login, permit))

    async def add_password(self, login: str, password: SecretStr, permit: Permit) -> bool:  # noqa: ARG002
        return False

    async def retire_password(self, login: str, permit: Permit) -> None:
        """A login has but one."""

    @again
    async def describe(self, login: str) -> LoginState | None:
        return await self._connections.run(f"looking at the login {login}", lambda desk: _described(desk, login))

    @again
    async def marked(self) -> tuple[Marked, ...]:
        return await self._connections.run("looking for dzgrant's logins", _marked)

    async def close(self) -> None:
        await self._connections.close()


def _marked(desk: Desk) -> tuple[Marked, ...]:
    with desk.session() as session:
        return catalogue.marked(session)


def _described(desk: Desk, login: str) -> LoginState | None:
    with desk.session() as session:
        found = catalogue.account(session, login, babelfish=session.babelfish)
        if found.sid is None:
            return None
        held = holdings(session, login, babelfish=session.babelfish)
    return LoginState(
        marked=found.own,
        enabled=found.enabled,
        tables=held.tables,
        sessions=len(open_sessions(desk, login)),
        beyond=held.beyond,
    )
