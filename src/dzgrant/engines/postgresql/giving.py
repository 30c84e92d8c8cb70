"""Giving access to a table as a whole; `filtered` gives a part of it.

Each change looks, changes and looks again within one transaction: a GRANT by one who may not grant only warns.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import structlog

from dzgrant.engines.contract import Permit, Reach, Readable
from dzgrant.engines.marker import Marker, admitted
from dzgrant.engines.postgresql import catalogue, statements, views
from dzgrant.engines.postgresql.catalogue import Step, Way
from dzgrant.engines.postgresql.connections import Connections, Transaction
from dzgrant.engines.postgresql.sessions import evict, unblocked
from dzgrant.errors import ConsumerRejected, DzgrantError, Misconfigured, Refused
from dzgrant.model import Table

log = structlog.get_logger(__name__)


async def give(connections: Connections, login: str, table: Table, permit: Permit) -> Reach:
    keys = statements.login_key(login), statements.table_key(table)

    async def change() -> Way:
        async with connections.transaction(permit, *keys) as transaction:
            way = await look(transaction, login, table)
            marker = admitted(login, way.marker, permit)
            if changes := [*needed(way, way.steps, login), *_unview(way, login, table), *marking(way, login, marker)]:
                await transaction.run(*changes)
                if missing := [step for step in (await look(transaction, login, table)).steps if not step.given]:
                    raise no_right(way, missing)
                await transaction.commit()
            return way

    way = await unblocked(change, partial(evict, connections, permit, *keys, statements.PARENTS_KEY))
    if way.viewed:
        await views.sweep(connections, login, permit)
    log.info("select_granted", login=login, table=str(table), source=connections.source.key, through=way.through)
    return Reach(readable=Readable(table=table), public=way.through is not None, through=way.through)


async def look(transaction: Transaction, login: str, table: Table) -> Way:
    """What stands between the login and the table. Raises `Refused` for no table, `ConsumerRejected` for no login."""
    view = views.view_of(login, table)
    [row] = await transaction.fetch(catalogue.WAY, login, table.schema, table.name, view.schema, view.name)
    way = Way.read(row, table)
    if not way.table_exists:
        raise Refused(f"no table {table}", do="publish it again under its new name").about(table=table)
    if not way.login_exists:
        raise ConsumerRejected(f"the login {login} is gone")
    return way


def needed(way: Way, steps: Iterable[Step], login: str) -> Iterable[str]:
    """The statements for those of the steps that were not given yet."""
    missing = [step for step in steps if not step.given]
    if barred := [step for step in missing if not step.grantable]:
        raise no_right(way, barred)
    if any(step in way.parents for step in missing):
        yield statements.lock(statements.PARENTS_KEY)
    for step in missing:
        yield step.statement(login)


def no_right(way: Way, barred: Iterable[Step]) -> DzgrantError:
    statements_to_run = "; ".join(f"{step.statement(way.admin)} WITH GRANT OPTION" for step in barred)
    return Misconfigured(
        f"the admin login {way.admin} may not grant what is needed", do=f"run as its owner: {statements_to_run}"
    )


def marking(way: Way, login: str, marker: Marker) -> Iterable[str]:
    """The fence, where it is not the one that the marker has."""
    if marker != way.marker:
        yield statements.mark(login, marker)


def _unview(way: Way, login: str, table: Table) -> Iterable[str]:
    if way.viewed:
        yield statements.revoke_table(views.view_of(login, table), login)
