"""Taking access away, so that a consumer can't stand in the way.

What goes is what the catalogue says the login was given, whatever it is called now. On Babelfish, whose catalogue says
nothing, SELECT is revoked on every table and view that is not to keep.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace

import structlog

from dzgrant.engines.contract import Dropped, Permit, views_in
from dzgrant.engines.filters import view_name
from dzgrant.engines.sqlserver import babelfish, catalogue, statements
from dzgrant.engines.sqlserver.connections import Desk
from dzgrant.engines.sqlserver.failures import Blocked
from dzgrant.engines.sqlserver.grants import NAME_BYTES, drop_unread, own
from dzgrant.engines.sqlserver.held import Holdings, holdings
from dzgrant.engines.sqlserver.session import Transaction
from dzgrant.engines.sqlserver.sessions import end_sessions, unblocked
from dzgrant.errors import AdminRejected, Misconfigured
from dzgrant.model import LoginOutcome, Table

log = structlog.get_logger(__name__)


def revoke(desk: Desk, login: str, keep: Collection[Table], permit: Permit) -> None:
    def strip() -> Holdings | None:
        with desk.transaction(login, permit) as transaction:
            found = catalogue.account(transaction, login, babelfish=transaction.babelfish)
            if not found.present:
                return None
            marker = own(login, found, permit)
            held = holdings(transaction, login, babelfish=transaction.babelfish)
            changes = list(_revocations(transaction, login, held, keep)) if found.user is not None else []
            transaction.commit(*changes, statements.mark(login, marker, anew=False))
            return held

    if held := unblocked(strip, lambda: _clear(desk, login, permit), by=Blocked):
        barred = _strip_on_server(desk, login, held, permit)
        ended = end_sessions(desk, login, permit, newcomers=False)
        if barred:
            raise Misconfigured(
                f"{login} was given what is the server's, and the admin login may not take it away",
                do=f"let an administrator of the server run, in master: {'; '.join(barred)}",
            ).about(source=desk.source)
        log.info("select_revoked", login=login, source=desk.source.key, kept=len(keep), sessions_ended=ended)


def _strip_on_server(desk: Desk, login: str, held: Holdings, permit: Permit) -> list[str]:
    """Takes what the login was given on the server; returns the statements that the admin may not run.

    They are for master alone: the transaction with the login's lock, which is in the source's database, can't have them.
    """
    barred: list[str] = []
    changes = list(held.revocations_on_server(login))
    if not changes:
        return barred
    with desk.elsewhere("master") as master:
        for change in changes:
            permit.check(desk.limits.statement_timeout)
            try:
                master.fetch(change)
            except AdminRejected:
                raise
            except Misconfigured:
                barred.append(change)
    return barred


def _clear(desk: Desk, login: str, permit: Permit) -> None:
    """Ends the sessions that may hold what is waited for, if they are dzgrant's to end."""
    with desk.session() as session:
        found = catalogue.account(session, login, babelfish=session.babelfish)
    if found.present:
        own(login, found, permit)
        end_sessions(desk, login, permit, newcomers=False)


def _revocations(transaction: Transaction, login: str, held: Holdings, keep: Collection[Table]) -> Iterator[str]:
    views = catalogue.views(transaction, views_in(login), babelfish=transaction.babelfish)
    kept = {view_name(table, NAME_BYTES) for table in keep}
    stays = {view.table for view in views.views if view.table.name in kept} | set(keep)
    # On Babelfish `held` has no permission but what dzgrant has a record of.
    given = replace(held, here=()) if transaction.babelfish else held
    yield from given.revocations(login, stays)
    if transaction.babelfish:
        yield from _revocations_of_babelfish(transaction, login, held, stays)
    yield from drop_unread(views, gone={view.table for view in views.views} - stays, without=login)


def _revocations_of_babelfish(transaction: Transaction, login: str, held: Holdings, stays: Collection[Table]) -> Iterator[str]:
    """From every table there is, since dzgrant's records don't hold what others granted."""
    for table in catalogue.everything(transaction):
        # One that can't be parsed was never granted.
        if table not in stays and "]" not in f"{table.schema}{table.name}":
            columns = sorted(one.column for one in held.here if one.on == table and one.column is not None)
            for column in (None, *columns):
                yield statements.revoke("SELECT", table, column, login, grantor=None, ever=False)
    for table in held.tables:
        if table not in stays:
            yield babelfish.forget(login, table)


def drop(desk: Desk, login: str, permit: Permit) -> Dropped:
    def disable() -> bool | None:
        with desk.transaction(login, permit) as transaction:
            found = catalogue.account(transaction, login, babelfish=transaction.babelfish)
            if not found.present:
                return None
            marker = own(login, found, permit)
            changes = [statements.disable(login)] if found.sid else []
            transaction.commit(
                *changes,
                statements.mark(login, marker, anew=False),
                cure=statements.let_change_logins(desk.admin.username),
            )
            return found.sid is not None

    # Committed before its sessions end: it could log in again otherwise.
    existed = unblocked(disable, lambda: _clear(desk, login, permit), by=Blocked)
    if existed is None:
        return Dropped(outcome=LoginOutcome.ABSENT)
    end_sessions(desk, login, permit, newcomers=True)
    try:
        obstacles = unblocked(lambda: _remove(desk, login, permit), lambda: _clear(desk, login, permit), by=Blocked)
    except AdminRejected:
        raise
    except Misconfigured as error:
        obstacles = [error.what]
    if obstacles:
        # Somebody must clear the way first. The login is disabled; take away what can be.
        with suppress(Misconfigured):
            revoke(desk, login, (), permit)
        log.warning("login_disabled", login=login, source=desk.source.key, obstacles=obstacles)
        return Dropped(outcome=LoginOutcome.DISABLED, detail="; ".join(obstacles))
    log.info("login_dropped", login=login, source=desk.source.key)
    return Dropped(outcome=LoginOutcome.DROPPED if existed else LoginOutcome.ABSENT)


def _remove(desk: Desk, login: str, permit: Permit) -> list[str]:
    """Drops the login, or says what stands in the way."""
    if obstacles := _clear_elsewhere(desk, login, permit):
        return obstacles
    with desk.transaction(login, permit) as transaction:
        found = catalogue.account(transaction, login, babelfish=transaction.babelfish)
        if not found.present:
            return []
        own(login, found, permit)
        if owned := catalogue.owned(transaction, login):
            return [f"owns {one}" for one in owned]
        # On SQL Server all that the user was given goes with it.
        views = catalogue.views(transaction, views_in(login), babelfish=transaction.babelfish)
        unread = drop_unread(views, gone={view.table for view in views.views}, without=login)
        changes = list(unread)
        if transaction.babelfish:
            held = holdings(transaction, login, babelfish=True)
            changes = list(_revocations(transaction, login, held, ()))
        if found.user is not None:
            changes.append(statements.drop_user(login))
        if found.sid is not None:
            changes.append(statements.drop_login(login))
        transaction.commit(*changes, statements.unmark(login), cure=statements.let_change_logins(desk.admin.username))
        return []


def _clear_elsewhere(desk: Desk, login: str, permit: Permit) -> list[str]:
    """Drops the login's users in the other databases that the admin can open; says what stands in the way there."""
    with desk.session() as session:
        if session.babelfish:
            # A user is a role of its own there: without its login nobody can be it.
            return []
        [rows] = session.fetch(catalogue.DATABASES)
        names = [name for (name,) in rows]
        [users] = session.fetch(statements.users_in(names, statements.sid(login))) if names else [[]]
    obstacles: list[str] = []
    for database, user in users:
        with desk.elsewhere(database) as there:
            owned = catalogue.owned(there, user)
            if not owned:
                permit.check(desk.limits.statement_timeout)
                there.fetch(statements.drop_user(user))
        obstacles += [f"owns {one} in database {database}" for one in owned]
    return obstacles
