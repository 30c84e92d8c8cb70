"""What should be, what was recorded, what is: side by side for one principal, and where they differ. Pure.

A principal lives while anybody wants one of its tables; the subscription that is explained need not be the one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from dzgrant.engines.contract import LoginState
from dzgrant.model import GrantRecord, GrantState, Principal, PrincipalRecord, PrincipalState, Scope, Table, TablePath


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is: in the database, and in both accounts."""

    login: LoginState | None
    tables: Mapping[TablePath, Table | None]
    """What each path of the subscription leads to in the engine's catalogue; None: to no one table."""
    producer_secret: bool
    consumer_secret: bool
    opens: bool | None
    """Whether the consumer secret logs in and reads a table; None: there is no secret, or no table, to try."""
    second: LoginState | None = None
    """The principal's other login, which a rotation makes or leaves behind for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """One table. `recorded` is None where the ledger has no claim of this subscription; `readable` is None when unseen."""

    path: TablePath
    desired: bool
    recorded: GrantState | None
    object: Table | None
    """The view that is read for it; None: the table itself."""
    columns: tuple[str, ...] | None
    """Those that can be read; None: all."""
    readable: bool | None
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalView:
    """One login. `seen` is None when it could not be looked at; `differences` then says why."""

    principal: Principal
    recorded: PrincipalState | None
    seen: Seen | None
    tables: tuple[TableView, ...]
    differences: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        return not self.differences and not any(table.differences for table in self.tables)


def compare(
    principal: Principal,
    *,
    subscription: str,
    desired: Mapping[TablePath, Scope],
    record: PrincipalRecord | None,
    grants: Collection[GrantRecord],
    seen: Seen | str,
) -> PrincipalView:
    """`grants` are all that the principal has in the ledger; `seen`, if it is a text, says why nothing could be seen."""
    known = {grant.path.key: grant for grant in grants}
    mine = {grant.path.key: grant.path for grant in grants if subscription in grant.subscriptions}
    paths = {**mine, **{path.key: path for path in desired}}
    scopes = {path.key: scope for path, scope in desired.items()}
    what = None if isinstance(seen, str) else seen
    tables = tuple(
        _table(path, subscription, desired=scopes.get(key), grant=known.get(key), seen=what)
        for key, path in sorted(paths.items())
    )
    living = bool(desired) or any(grant.subscriptions - {subscription} for grant in grants)
    differences = (seen,) if isinstance(seen, str) else tuple(_differences(seen, living=living, record=record, grants=grants))
    return PrincipalView(
        principal=principal,
        recorded=record.state if record else None,
        seen=what,
        tables=tables,
        differences=differences,
    )


def _table(
    path: TablePath, subscription: str, *, desired: Scope | None, grant: GrantRecord | None, seen: Seen | None
) -> TableView:
    claimed = grant if grant and subscription in grant.subscriptions else None
    others = bool(grant and grant.subscriptions - {subscription})
    table = seen.tables.get(path) if seen else None
    view = grant.readable if grant else None
    given = seen.login.tables if seen and seen.login and seen.login.enabled else ()
    readable = None if seen is None else (view or table) in given
    differences = [*_recorded(desired, claimed, subscription)]
    if view and table in given:
        differences.append(f"the login can read the table itself, not only {view}")
    if desired and seen and table is None:
        differences.append("the database has no one table of this name")
    elif desired and readable is False:
        differences.append("the login can't read it")
    elif not desired and not others and readable:
        differences.append("the login can still read it")
    return TableView(
        path=path,
        desired=desired is not None,
        object=view,
        columns=grant.columns if grant else None,
        recorded=claimed.state if claimed else None,
        readable=readable,
        differences=tuple(differences),
    )


def _recorded(desired: Scope | None, claimed: GrantRecord | None, subscription: str) -> Iterator[str]:
    if claimed is None:
        if desired:
            yield "not recorded"
    elif desired is None:
        yield "recorded, but not wanted any more"
    elif claimed.state is not GrantState.GRANTED:
        yield f"recorded as {claimed.state}" + (f": {claimed.reason}" if claimed.reason else "")
    elif claimed.scopes.get(subscription, Scope()) != desired:
        yield "recorded with other filters than those of the approval now"


def _differences(seen: Seen, *, living: bool, record: PrincipalRecord | None, grants: Collection[GrantRecord]) -> Iterator[str]:
    secrets = {"producer": seen.producer_secret, "consumer": seen.consumer_secret}
    if not living:
        if seen.login and (seen.login.enabled or record is None or record.state is not PrincipalState.DISABLED):
            yield "the login is still there"
        if seen.second and (seen.second.enabled or record is None or record.state is not PrincipalState.DISABLED):
            yield "the second login is still there"
        yield from (f"the {whose} secret is still there" for whose, there in secrets.items() if there)
        return
    if seen.login is None:
        yield "the login is not there"
    elif not seen.login.marked:
        yield "the login is not dzgrant's"
    elif not seen.login.enabled:
        yield "the login is disabled"
    yield from (f"the {whose} secret is not there" for whose, there in secrets.items() if not there)
    if seen.opens is False:
        yield "the consumer secret does not open the login"
    known = {table for grant in grants for table in (grant.table, grant.readable)} | set(seen.tables.values())
    yield from (f"the login can read {table}, which nobody wants" for table in _tables(seen.login) if table not in known)
    yield from (
        f"the second login can read {table}, which nobody wants" for table in _tables(seen.second) if table not in known
    )
    if seen.second and (record is None or record.spare is None):
        yield "a second login is there, and no rotation goes on"


def _tables(login: LoginState | None) -> tuple[Table, ...]:
    return login.tables if login else ()
