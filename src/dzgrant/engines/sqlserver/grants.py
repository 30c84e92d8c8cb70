"""Making a login, and giving it what scopes let it read: one transaction each, so that nobody sees a half of it.

In the transaction what is more is taken before what is given: a column that is revoked while the whole table is granted
would leave an exception behind, which the next grant of the table keeps (state R in sys.database_permissions).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
import structlog
from pydantic import SecretStr
from sqlalchemy.dialects.mssql import base as mssql

from dzgrant.engines import filters
from dzgrant.engines.contract import Owner, Permit, Reach, Readable, views_in
from dzgrant.engines.postgresql.marker import Marker, admitted
from dzgrant.engines.sqlserver import catalogue, statements
from dzgrant.engines.sqlserver.catalogue import Access, Account, Views
from dzgrant.engines.sqlserver.connections import Desk
from dzgrant.engines.sqlserver.failures import Gone
from dzgrant.engines.sqlserver.session import Transaction
from dzgrant.engines.sqlserver.sessions import end_sessions, unblocked
from dzgrant.errors import ConsumerRejected, Misconfigured, Refused
from dzgrant.model import Scope, Table

log = structlog.get_logger(__name__)

NAME_BYTES = 128
# What T-SQL can't compare with a literal of text.
_NOT_COMPARED = frozenset({"xml", "text", "ntext"})


def own(login: str, found: Account, permit: Permit) -> Marker:
    """The marker as this permit's holder leaves it. Raises as `admitted` does."""
    return admitted(login, found.marker if found.own else None, permit)


def make_login(desk: Desk, login: str, password: SecretStr, owner: Owner, permit: Permit) -> None:
    with desk.transaction(login, permit) as transaction:
        babelfish = transaction.babelfish
        found = catalogue.account(transaction, login, babelfish=babelfish)
        if found.present:
            own(login, found, permit)
        marker = Marker(owner=owner, fence=permit.fence)
        if found.sid is None:
            changes = [statements.create_login(login, password, desk.source.database, babelfish=babelfish)]
        else:
            changes = [statements.set_password(login, password, babelfish=babelfish), statements.enable(login)]
        changes += _user(login, found, babelfish=babelfish)
        changes.append(statements.mark(login, marker, anew=found.marker is None))
        transaction.commit(*changes, cure=statements.let_change_logins(desk.admin.username))
    log.info("login_password_set" if found.sid else "login_created", login=login, source=desk.source.key)


def _user(login: str, found: Account, *, babelfish: bool) -> Iterator[str]:
    if found.user is None:
        yield statements.create_user(login)
    elif not babelfish and found.user != (found.sid or statements.sid(login)):
        yield statements.adopt_user(login)


def grant(desk: Desk, login: str, table: Table, scopes: Collection[Scope], permit: Permit) -> Reach:
    """Raises `ConsumerRejected`, too: for a login that somebody dropped, and that must be made again."""

    def give() -> tuple[Readable, str | None, bool]:
        with desk.transaction(login, permit) as transaction:
            return _Grant(desk, transaction, login, table, permit).give(scopes)

    # A reader holds the view that is to change, for as long as it reads.
    readable, through, narrower = unblocked(give, lambda: _end(desk, login, permit))
    if narrower:
        _end(desk, login, permit)
    log.info("select_granted", login=login, table=str(readable.table), source=desk.source.key, through=through)
    return Reach(readable=readable, public=through is not None, through=through)


def _end(desk: Desk, login: str, permit: Permit) -> None:
    end_sessions(desk, login, permit, newcomers=False)


@dataclass(frozen=True, slots=True)
class _Grant:
    """The work within the transaction."""

    desk: Desk
    transaction: Transaction
    login: str
    table: Table
    permit: Permit

    def give(self, scopes: Collection[Scope]) -> tuple[Readable, str | None, bool]:
        """What to read, by what else it can be read, and whether anything was taken."""
        if self.transaction.babelfish:
            statements.check_names(self.table.schema, self.table.name)
        found = catalogue.account(self.transaction, self.login, babelfish=self.transaction.babelfish)
        if not found.present or (found.own and found.sid is None):
            raise ConsumerRejected(f"the login {self.login} is gone").about(source=self.desk.source)
        marker = own(self.login, found, self.permit)
        access = self._access()
        reading = None if filters.is_whole(scopes) else self._reading(scopes)
        self._run(_user(self.login, found, babelfish=self.transaction.babelfish))
        if reading is not None and reading.by_rows:
            readable, narrower = self._give_view(access, reading)
        else:
            readable, narrower = self._give_table(access, None if reading is None else reading.columns)
        changes = [statements.mark(self.login, marker, anew=False)] if marker != found.marker else []
        self.transaction.commit(*changes)
        return readable, access.through(), narrower

    def _access(self) -> Access:
        access = catalogue.access(self.transaction, self.login, self.table)
        if access is None:
            raise Refused(f"no table {self.table}", do="publish it again under its new name").about(
                source=self.desk.source, table=self.table
            )
        if denied := access.denials():
            raise Misconfigured(
                f"{self.login} can't read {self.table}, whatever it is granted", do=f"take back DENY {', '.join(denied)}"
            ).about(source=self.desk.source)
        return access

    def _reading(self, scopes: Collection[Scope]) -> filters.Reading:
        columns = {name: _type(kind) for name, kind in catalogue.columns(self.transaction, self.table)}
        return filters.reading(self.table, columns, scopes, statements.dialect)

    def _give_table(self, access: Access, columns: Sequence[str] | None) -> tuple[Readable, bool]:
        unknown = self.transaction.babelfish
        narrower = False
        if columns is None:
            if unknown or not access.selects:
                self._run(self._revoke_columns(access.columns))
                self._run([statements.grant_select(self.table, self.login)])
                self._leave_view()
        else:
            narrower = access.selects or bool(access.columns - set(columns))
            taken = [self._revoke_table()] if access.selects or unknown else []
            self._run([*taken, *self._revoke_columns(access.columns - set(columns))])
            # A REVOKE of the table takes those of its columns along.
            missing = list(columns) if access.selects or unknown else [one for one in columns if one not in access.columns]
            if missing:
                self._run([statements.grant_select(self.table, self.login, missing)])
            narrower |= self._leave_view()
        return Readable(table=self.table, columns=None if columns is None else tuple(columns)), narrower

    def _give_view(self, access: Access, reading: filters.Reading) -> tuple[Readable, bool]:
        views = catalogue.views(self.transaction, views_in(self.login))
        view = view_of(self.login, self.table, access.owner)
        known = views.named(view)
        self._make_schema(view.schema, views, access.owner)
        changed = known is None or not known.definition.endswith(reading.select)
        if changed:
            self._run([statements.set_view(view, reading.select)])
        if known is None or self.login not in known.readers:
            self._run([statements.grant_select(view, self.login)])
        taken = [self._revoke_table()] if access.selects or self.transaction.babelfish else []
        self._run([*taken, *self._revoke_columns(access.columns)])
        return Readable(table=view, columns=reading.columns), bool(access.selects or access.columns or (known and changed))

    def _make_schema(self, schema: str, views: Views, owner: str) -> None:
        if schema in views.schemas:
            return
        if catalogue.has_schema(self.transaction, schema):
            raise Refused(f"a schema {schema} exists that dzgrant did not make", do="rename or drop it")
        self._run([statements.create_schema(schema, owner)])
        self._run([statements.mark_schema(schema, views_in(self.login))])

    def _leave_view(self) -> bool:
        """Where the table was read through a view before. True: its last reader is gone, and so is the view."""
        views = catalogue.views(self.transaction, views_in(self.login))
        left = [view for view in views.views if view.table.name == view_of(self.login, self.table, "").name]
        for view in left:
            if self.login in view.readers:
                self._run([statements.revoke("SELECT", view.table, None, self.login, grantor=None, ever=False)])
        self._run(drop_unread(views, gone={view.table for view in left}, without=self.login))
        return bool(left)

    def _revoke_table(self) -> str:
        return statements.revoke("SELECT", self.table, None, self.login, grantor=None, ever=False)

    def _revoke_columns(self, columns: Collection[str]) -> Iterator[str]:
        for column in sorted(columns):
            yield statements.revoke("SELECT", self.table, column, self.login, grantor=None, ever=False)

    def _run(self, changes: Collection[str] | Iterator[str]) -> None:
        if batch := list(changes):
            cure = statements.grantable(self.table, self.desk.admin.username)
            try:
                self.transaction.run(*batch)
            except Gone as error:
                raise Misconfigured(error.what, do=f"run as its owner: {cure}").about(source=self.desk.source) from error


def view_of(login: str, table: Table, owner: str) -> Table:
    """The view over a table. Views over tables of several owners are in several schemas, so that each has its owner."""
    schema = views_in(login)
    if owner != "dbo":
        schema += "_" + sha256(owner.encode()).hexdigest()[:8]
    return Table(schema=schema, name=filters.view_name(table, NAME_BYTES))


def drop_unread(views: Views, *, gone: Collection[Table], without: str) -> Iterator[str]:
    """Drops those of the views that nobody but this login may read, and each schema that is empty then."""
    dropped = [view for view in views.views if view.table in gone and view.readers <= {without}]
    for view in dropped:
        yield statements.drop_view(view.table)
    full = {view.table.schema for view in views.views if view not in dropped}
    for schema in sorted({view.table.schema for view in dropped} - full):
        yield statements.drop_schema(schema)


def _type(name: str) -> sa.types.TypeEngine[Any]:
    if name == "datetimeoffset":
        return mssql.DATETIMEOFFSET(timezone=True)  # type: ignore[no-untyped-call]
    if name in _NOT_COMPARED or name not in mssql.ischema_names:
        return sa.types.NullType()
    made: sa.types.TypeEngine[Any] = mssql.ischema_names[name]()
    return made
