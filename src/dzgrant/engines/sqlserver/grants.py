"""Making a login, and giving it what scopes let it read: one transaction each, so that nobody sees a half of it.

In the transaction what is more is taken before what is given: a column that is revoked while the whole table is granted
would leave an exception behind, which the next grant of the table keeps (state R in sys.database_permissions).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
import structlog
from pydantic import SecretStr
from sqlalchemy.dialects.mssql import base as mssql

from dzgrant.engines import filters
from dzgrant.engines.contract import Owner, Permit, Reach, Readable, views_in
from dzgrant.engines.marker import Marker, admitted
from dzgrant.engines.sqlserver import babelfish, catalogue, statements
from dzgrant.engines.sqlserver.catalogue import Access, Account, Views
from dzgrant.engines.sqlserver.connections import Desk
from dzgrant.engines.sqlserver.failures import Blocked, Gone, ViewHeld
from dzgrant.engines.sqlserver.session import Transaction
from dzgrant.engines.sqlserver.sessions import end_sessions, unblocked
from dzgrant.errors import ConsumerRejected, Misconfigured, Refused
from dzgrant.model import ALTERNATE, Scope, Table

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


def grant(desk: Desk, login: str, table: Table, scopes: Collection[Scope], permit: Permit, *, settled: bool) -> Reach:
    """Raises `ConsumerRejected`, too: for a login that somebody dropped, and that must be made again."""

    def give() -> tuple[Reach, frozenset[str]]:
        with desk.transaction(login, permit) as transaction:
            return _Grant(desk, transaction, login, table, settled).give(scopes, permit)

    def clear() -> None:
        end_all(_both(login))

    def end_all(logins: Collection[str]) -> None:
        for one in sorted(logins):
            end_sessions(desk, one, permit, newcomers=False)

    reach, narrowed = unblocked(give, clear, by=ViewHeld)
    end_all(narrowed)
    log.info("select_granted", login=login, table=str(reach.readable.table), source=desk.source.key, through=reach.through)
    return reach


@dataclass(frozen=True, slots=True)
class _Grant:
    """The work within the transaction."""

    desk: Desk
    transaction: Transaction
    login: str
    table: Table
    settled: bool

    def give(self, scopes: Collection[Scope], permit: Permit) -> tuple[Reach, frozenset[str]]:
        """What it led to, and in whose sessions something may still be open that was taken: only what could be read before
        can be. After a crash nothing may be left to take, and sessions be open still."""
        if self.transaction.babelfish:
            statements.check_names(self.table.schema, self.table.name)
        found = catalogue.account(self.transaction, self.login, babelfish=self.transaction.babelfish)
        if found.sid is None and (found.own or not found.present):
            raise ConsumerRejected(f"the login {self.login} is gone").about(source=self.desk.source)
        marker = own(self.login, found, permit)
        self._run(_user(self.login, found, babelfish=self.transaction.babelfish))
        access = self._access()
        if not access.connects and not self.transaction.babelfish:
            self._run([statements.grant_connect(self.login)])
        reading = None if filters.is_whole(scopes) else self._reading(scopes)
        if reading is not None and reading.by_rows:
            readable, narrowed = self._give_view(access, reading)
        else:
            readable, narrowed = self._give_table(access, None if reading is None else reading.columns)
        changes = [statements.mark(self.login, marker, anew=False)] if marker != found.marker else []
        self.transaction.commit(*changes)
        through = access.through()
        return Reach(readable=readable, public=through is not None, through=through), narrowed

    def _access(self) -> Access:
        access = catalogue.access(self.transaction, self.login, self.table, babelfish=self.transaction.babelfish)
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

    def _give_table(self, access: Access, columns: Sequence[str] | None) -> tuple[Readable, frozenset[str]]:
        readable = Readable(table=self.table, columns=None if columns is None else tuple(columns))
        wanted = frozenset(columns or ())
        whole = columns is None
        if access.selects is whole and access.columns == wanted and not access.excepted and not self.transaction.babelfish:
            return readable, frozenset() if whole or self.settled else frozenset({self.login})
        self._take(access, keep=wanted)
        self._run([statements.grant_select(self.table, self.login, columns), *self._records(self.table, columns)])
        left_view = self._leave_view()
        had = access.selects or bool(access.columns)
        same = self.settled and not access.selects and access.columns == wanted
        narrower = not whole and (left_view or (had and not same))
        self._verify(selects=whole, columns=wanted)
        return readable, frozenset({self.login}) if narrower else frozenset()

    def _give_view(self, access: Access, reading: filters.Reading) -> tuple[Readable, frozenset[str]]:
        views = catalogue.views(self.transaction, views_in(self.login), babelfish=self.transaction.babelfish)
        view = view_of(self.login, self.table, access.owner)
        known = views.named(view)
        self._make_schema(view.schema, views, access.owner)
        changed = known is None or not known.definition.endswith(statements.whole(reading.select))
        if changed:
            self._change_view([statements.set_view(view, reading.select)])
        if known is None or self.login not in known.readers or self.transaction.babelfish:
            self._run([statements.grant_select(view, self.login), *self._records(view, None)])
        unsettled = known is not None and self.login in known.readers and not self.settled
        narrowed = known.readers & _both(self.login) if known and (changed or unsettled) else frozenset[str]()
        if access.selects or access.columns or self.transaction.babelfish:
            self._take(access, keep=frozenset())
            self._run([babelfish.forget(self.login, self.table)] if self.transaction.babelfish else [])
            self._verify(selects=False, columns=frozenset())
        if access.selects or access.columns:
            narrowed |= {self.login}
        return Readable(table=view, columns=reading.columns), narrowed

    def _records(self, table: Table, columns: Sequence[str] | None) -> Iterator[str]:
        if self.transaction.babelfish:
            yield babelfish.record(self.login, table, columns)

    def _take(self, access: Access, *, keep: frozenset[str]) -> None:
        """Everything on the table but these columns; the table's own grant first."""
        table = [None] if access.selects or self.transaction.babelfish else []
        self._run(
            statements.revoke("SELECT", self.table, column, self.login, grantor=None, ever=False)
            for column in (*table, *sorted(access.columns - keep))
        )

    def _verify(self, *, selects: bool, columns: frozenset[str]) -> None:
        """On Babelfish the proof alone tells."""
        if self.transaction.babelfish:
            return
        access = self._access()
        as_wanted = access.selects is selects and access.columns == columns and not access.excepted
        if not as_wanted:
            raise Misconfigured(
                f"{self.login} holds what others granted on {self.table}, beside what it is to have",
                do=f"look at sys.database_permissions for {self.login}, and revoke it as its grantor",
            ).about(source=self.desk.source)

    def _make_schema(self, schema: str, views: Views, owner: str) -> None:
        if schema in views.schemas:
            return
        if catalogue.has_schema(self.transaction, schema):
            raise Refused(f"a schema {schema} exists that dzgrant did not make", do="rename or drop it")
        self._run([statements.create_schema(schema, owner)])
        self._run([statements.mark_schema(schema, views_in(self.login))])

    def _leave_view(self) -> bool:
        """Where the table was read through a view before: the login reads it no more. False: there was none."""
        views = catalogue.views(self.transaction, views_in(self.login), babelfish=self.transaction.babelfish)
        name = filters.view_name(self.table, NAME_BYTES)
        left = [view for view in views.views if view.table.name == name and self.login in view.readers]
        for view in left:
            self._run([statements.revoke("SELECT", view.table, None, self.login, grantor=None, ever=False)])
            self._run([babelfish.forget(self.login, view.table)] if self.transaction.babelfish else [])
        self._change_view(drop_unread(views, gone={view.table for view in left}, without=self.login))
        return bool(left)

    def _change_view(self, changes: Iterable[str]) -> None:
        try:
            self._run(changes)
        except Blocked as error:
            raise ViewHeld(error.what) from error

    def _run(self, changes: Iterable[str]) -> None:
        if batch := list(changes):
            cure = statements.grantable(self.table, self.desk.admin.username)
            try:
                self.transaction.run(*batch, cure=cure)
            except Gone as error:
                raise Misconfigured(error.what, do=f"let its owner run: {cure}").about(source=self.desk.source) from error


def _both(login: str) -> frozenset[str]:
    """The logins of its principal, which read the same views."""
    first = login.removesuffix(ALTERNATE)
    return frozenset({first, first + ALTERNATE})


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
    full = views.shared | {view.table.schema for view in views.views if view not in dropped}
    for schema in sorted({view.table.schema for view in dropped} - full):
        yield statements.drop_schema(schema)


def _type(name: str) -> sa.types.TypeEngine[Any]:
    if name == "datetimeoffset":
        return mssql.DATETIMEOFFSET(timezone=True)  # type: ignore[no-untyped-call]
    if name in _NOT_COMPARED or name not in mssql.ischema_names:
        return sa.types.NullType()
    made: sa.types.TypeEngine[Any] = mssql.ischema_names[name]()
    return made
