"""What each effect of a road does to the world, as `dzgrant.saga.journey` carries it out.

Every one is a single step here: a call, or a transaction. What looks before it writes does both in one step; others may
come before or after, never between. That is so for what one worker does under its lease.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dzgrant.model import PrincipalState
from dzgrant.saga.road import Aim, Effect, Progress
from tests.model.recorded import Wish, settled
from tests.model.world import Database, Phase, Secrets, Worker, World


class Rejected(Exception):
    """The database refused the consumer's credentials, or has no such login: `ConsumerRejected`."""


class Lost(Exception):
    """The fence of another worker is there already: `LeaseLost`."""


class Unknown(Exception):
    """The road led to an effect that needs what no effect before it found."""


class Work(NamedTuple):
    """An effect of one worker. `fenced`: the database checks the fence in its marker. `stored`: passwords are, before set."""

    world: World
    worker: Worker
    wish: Wish
    fenced: bool
    stored: bool


Done = tuple[World, Worker]


def _progress(worker: Worker) -> Progress:
    assert worker.progress is not None
    return worker.progress


def _known(worker: Worker) -> int:
    if worker.knows is None:
        raise Unknown
    return worker.knows


def _drawn(world: World) -> int:
    numbers = (*world.secrets, world.database.login, *(worker.knows for worker in world.workers))
    return 1 + max((number for number in numbers if number is not None), default=0)


def _resolve(work: Work) -> Done:
    return work.world, work.worker


def _keep_producer_secret(work: Work) -> Done:
    world, secrets = work.world, work.world.secrets
    if not work.stored:
        # The broken rule: a new password is set, and stored where it should be set.
        return _changed(work, world.database._replace(login=_drawn(world)))
    password = secrets.producer if secrets.producer is not None else _drawn(world)
    return world._replace(secrets=secrets._replace(producer=password)), work.worker._replace(knows=password)


def _read_consumer_secret(work: Work) -> Done:
    if work.world.secrets.consumer is None:
        raise Rejected
    return work.world, work.worker._replace(knows=work.world.secrets.consumer)


def _changed(work: Work, database: Database) -> Done:
    """In one transaction where the database checks the fence."""
    if work.fenced and work.world.database.login is not None and work.world.database.fence > work.worker.fence:
        raise Lost
    fence = work.worker.fence if database.login is not None else 0
    return work.world._replace(database=database._replace(fence=fence)), work.worker


def _set_login(work: Work) -> Done:
    if not work.stored:
        password = work.world.database.login
        return work.world._replace(secrets=work.world.secrets._replace(producer=password)), work.worker._replace(knows=password)
    return _changed(work, work.world.database._replace(login=_known(work.worker)))


def _grant_select(work: Work) -> Done:
    database = work.world.database
    if database.login is None:
        raise Rejected
    return _changed(work, database._replace(tables=database.tables | {work.wish.table}))


def _revoke_select(work: Work) -> Done:
    assert work.worker.survey is not None
    return _changed(work, work.world.database._replace(tables=work.world.database.tables & work.worker.survey.keep))


def _prove(work: Work) -> Done:
    database = work.world.database
    if database.login is None or database.login != _known(work.worker) or work.wish.table not in database.tables:
        raise Rejected
    return work.world, work.worker


def _share(work: Work) -> Done:
    if work.world.secrets.producer is None:
        raise Unknown
    return work.world._replace(secrets=work.world.secrets._replace(shared=True)), work.worker


def _read_shared(work: Work) -> Done:
    secrets = work.world.secrets
    if secrets.producer is None or not secrets.shared:
        raise Rejected
    return work.world, work.worker._replace(knows=secrets.producer)


def _replicate(work: Work) -> Done:
    return work.world._replace(secrets=work.world.secrets._replace(consumer=_known(work.worker))), work.worker


def _unshare(work: Work) -> Done:
    return work.world._replace(secrets=work.world.secrets._replace(shared=False)), work.worker


def _drop_login(work: Work) -> Done:
    return _changed(work, Database())


def _delete_consumer_secret(work: Work) -> Done:
    return work.world._replace(secrets=work.world.secrets._replace(consumer=None)), work.worker


def _delete_producer_secret(work: Work) -> Done:
    # Its policy goes with it.
    return work.world._replace(secrets=Secrets(consumer=work.world.secrets.consumer)), work.worker


def _tell(work: Work) -> Done:
    survey, hint = work.worker.survey, work.worker.hint
    if survey is None or hint is None:
        return work.world, work.worker
    return work.world._replace(told=work.world.told | {hint.subscription}), work.worker


def _settle(work: Work) -> Done:
    """The ledger's outcome, and the lease given back; `Journey._settlement` says what state the principal is in."""
    world, worker = work.world, work.worker
    progress = _progress(worker)
    if progress.aim is Aim.GRANT:
        state: PrincipalState | None = PrincipalState.ACTIVE
    elif progress.others:
        state = worker.prior or worker.state
    else:
        state = PrincipalState.REMOVED
    content = settled(world.ledger.content, work.wish, worker.survey)
    ledger = world.ledger._replace(state=state, content=content, held=False)
    return world._replace(ledger=ledger), worker._replace(phase=Phase.ACKNOWLEDGE)


PERFORM: dict[Effect, Callable[[Work], Done]] = {
    Effect.RESOLVE: _resolve,
    Effect.KEEP_PRODUCER_SECRET: _keep_producer_secret,
    Effect.READ_CONSUMER_SECRET: _read_consumer_secret,
    Effect.SET_LOGIN: _set_login,
    Effect.GRANT_SELECT: _grant_select,
    Effect.PROVE: _prove,
    Effect.SHARE: _share,
    Effect.READ_SHARED: _read_shared,
    Effect.REPLICATE: _replicate,
    Effect.REVOKE_SELECT: _revoke_select,
    Effect.UNSHARE: _unshare,
    Effect.DROP_LOGIN: _drop_login,
    Effect.DELETE_CONSUMER_SECRET: _delete_consumer_secret,
    Effect.DELETE_PRODUCER_SECRET: _delete_producer_secret,
    Effect.TELL: _tell,
    Effect.SETTLE: _settle,
}

STATEMENTS = frozenset({Effect.SET_LOGIN, Effect.GRANT_SELECT, Effect.REVOKE_SELECT, Effect.DROP_LOGIN})
"""What changes the database."""

READINGS = frozenset({Effect.RESOLVE, Effect.READ_CONSUMER_SECRET, Effect.PROVE, Effect.READ_SHARED})
"""What changes nothing."""
