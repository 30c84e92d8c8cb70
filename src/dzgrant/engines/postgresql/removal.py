"""Taking access away, so that a consumer can't stand in the way.

What goes is what the catalogue says the login was given, whatever it is called now. A login can lock its own role or a
temporary table, and any login dzgrant's own keys: whoever waits for such a lock in vain ends those sessions, and goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

import structlog

from dzgrant.engines.contract import Dropped, Permit
from dzgrant.engines.marker import Marker, admitted
from dzgrant.engines.postgresql import catalogue, statements, views
from dzgrant.engines.postgresql.catalogue import Holdings, Privilege, holdings
from dzgrant.engines.postgresql.connections import Connections
from dzgrant.engines.postgresql.sessions import end_sessions, evict, unblocked
from dzgrant.errors import AdminRejected, Misconfigured
from dzgrant.model import LoginOutcome, Table

log = structlog.get_logger(__name__)

T = TypeVar("T")


async def revoke(connections: Connections, login: str, keep: Collection[Table], permit: Permit) -> None:
    kept = views.with_views(login, keep)

    async def strip() -> bool:
        async with connections.transaction(permit, statements.login_key(login)) as transaction:
            if (held := await holdings(transaction.fetch, login)) is None:
                return False
            marker = admitted(login, held.marker, permit)
            if held.beyond_reach:
                raise Misconfigured(
                    f"{login} was made a superuser", do=f"let a superuser run: {statements.take_attribute('SUPERUSER', login)}"
                ).about(source=connections.source)
            await transaction.commit(*revocations(login, _going(held, kept)), statements.mark(login, marker))
            return True

    if not await _unblocked(connections, login, permit, strip):
        return
    left = await holdings(connections.fetch, login)
    if left is None:
        return
    if left.sessions:
        await end_sessions(connections, login, permit, newcomers=False)
    if left.has_place:
        await views.sweep(connections, login, permit)
    # A REVOKE by one who may not revoke only warns.
    if remaining := _going(left, kept):
        words = "; ".join(f"{one.revocation(login)} as {one.by}" for one in remaining)
        raise Misconfigured(
            f"{login} holds what others granted: {', '.join(map(str, remaining))}", do=f"run as them: {words}"
        ).about(source=connections.source)
    log.info("select_revoked", login=login, source=connections.source.key, kept=len(keep), sessions_ended=left.sessions)


async def drop(connections: Connections, login: str, permit: Permit) -> Dropped:
    async def disable() -> bool:
        async with connections.transaction(permit, statements.login_key(login)) as transaction:
            rows = await transaction.fetch(catalogue.LOGIN, login)
            if rows:
                marker = admitted(login, Marker.read(rows[0]["comment"]), permit)
                shut_out = [statements.shut_out_of_iam(login)] if rows[0]["by_iam"] else []
                await transaction.commit(statements.disable(login), *shut_out, statements.mark(login, marker))
            return bool(rows)

    # Committed before its sessions end: it could log in again otherwise.
    if not await _unblocked(connections, login, permit, disable):
        # A crash may have left its views.
        await views.sweep(connections, login, permit)
        return Dropped(outcome=LoginOutcome.ABSENT)
    await end_sessions(connections, login, permit, newcomers=True)
    try:
        obstacles = await _remove(connections, login, permit)
    except AdminRejected:
        raise
    except Misconfigured as error:
        # Somebody else granted, or owns, what stands in the way. The login is disabled; take away what can be.
        with suppress(Misconfigured):
            await revoke(connections, login, (), permit)
        obstacles = (error.what,)
    if obstacles:
        log.warning("login_disabled", login=login, source=connections.source.key, obstacles=obstacles)
        return Dropped(outcome=LoginOutcome.DISABLED, detail="; ".join(obstacles))
    log.info("login_dropped", login=login, source=connections.source.key)
    return Dropped(outcome=LoginOutcome.DROPPED)


async def _remove(connections: Connections, login: str, permit: Permit) -> tuple[str, ...]:
    """Drops the login, or says what stands in the way."""
    held = await _clear(connections, login, permit, drop=True)
    if held and held.has_place:
        await views.sweep(connections, login, permit)
    if held is None or not held.elsewhere:
        return held.obstacles if held else ()
    obstacles = list(held.obstacles)
    for database in held.elsewhere:
        obstacles += await _clear_elsewhere(connections, database, login, permit)
    if obstacles:
        return tuple(obstacles)
    held = await _clear(connections, login, permit, drop=True)
    return () if held is None else (*held.obstacles, *(f"something in database {database}" for database in held.elsewhere))


async def _clear_elsewhere(connections: Connections, database: str, login: str, permit: Permit) -> list[str]:
    other = connections.elsewhere(database)
    try:
        held = await _clear(other, login, permit, drop=False)
    except Misconfigured as error:
        return [f"something in database {database} ({error.what})"]
    finally:
        await other.close()
    return [f"{obstacle} in database {database}" for obstacle in held.obstacles] if held else []


async def _clear(connections: Connections, login: str, permit: Permit, *, drop: bool) -> Holdings | None:
    """Takes all away that the login was given in this database, and drops it when nothing stands in the way.

    Returns what the login held before; None when there was none.
    """

    async def clear() -> Holdings | None:
        async with connections.transaction(permit, statements.login_key(login)) as transaction:
            if (held := await holdings(transaction.fetch, login)) is None:
                return None
            changes = [statements.mark(login, admitted(login, held.marker, permit)), *revocations(login, held.privileges)]
            if not held.obstacles:
                changes += _last_words(login, held, transaction.server_version, drop=drop and not held.elsewhere)
            await transaction.commit(*changes)
            return held

    return await _unblocked(connections, login, permit, clear)


def _last_words(login: str, held: Holdings, server_version: int, *, drop: bool) -> Iterator[str]:
    if not held.joined:
        yield statements.join(login, server_version)
    # It may hold CONNECT on the database.
    yield statements.lock(statements.PARENTS_KEY)
    yield statements.drop_owned(login)
    if drop:
        yield statements.drop_login(login)
    elif not held.joined:
        yield statements.part(login)


def _going(held: Holdings, keep: Collection[Table]) -> list[Privilege]:
    """All that dzgrant does not give, and what it gave of other tables than those to keep."""
    schemas = {one.table.schema for one in held.privileges if one.table and one.table in keep}

    def stays(one: Privilege) -> bool:
        return one.table in keep if one.table else one.schema is None or one.schema in schemas

    return [one for one in held.privileges if not (one.usual and stays(one))]


def _table_keys(privileges: Iterable[Privilege]) -> list[str]:
    return [statements.table_key(table) for table in sorted({one.table for one in privileges if one.table})]


def revocations(login: str, privileges: Iterable[Privilege]) -> Iterator[str]:
    going = [one for one in privileges if one.revocable]
    if keys := _table_keys(going):
        yield statements.lock(*keys)
    if any(one.table is None for one in going):
        yield statements.lock(statements.PARENTS_KEY)
    for one in going:
        if one.act_as:
            yield statements.act_as(one.act_as)
        yield one.revocation(login)
        if one.act_as:
            yield statements.ACT_AS_ONESELF


async def _unblocked(connections: Connections, login: str, permit: Permit, work: Callable[[], Awaitable[T]]) -> T:
    """Does the work, past the login's own sessions, and past those of others that hold what it may wait for."""

    async def clear() -> None:
        keys = [statements.login_key(login), statements.PARENTS_KEY]
        if held := await holdings(connections.fetch, login):
            admitted(login, held.marker, permit)
            keys += _table_keys(held.privileges)
            await end_sessions(connections, login, permit, newcomers=False)
        await evict(connections, permit, *keys)

    return await unblocked(work, clear)
