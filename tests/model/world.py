"""The world of the model: DataZone's truth for two subscriptions, the queue, and all that one principal has and is.

A password is a number, drawn once. A fence is a number, too; only its order counts.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import StrEnum
from typing import NamedTuple

from dzgrant.model import PrincipalState
from dzgrant.saga.road import Progress
from tests.model.recorded import Survey


class Truth(StrEnum):
    """A subscription in DataZone. It never comes back from its end."""

    ASKED = "asked for"
    APPROVED = "approved"
    ENDED = "ended"


class Hint(NamedTuple):
    """A message; `subscription` is its position. It names a place to look, and `told` is what was so when it was sent."""

    subscription: int
    told: Truth


class Ledger(NamedTuple):
    """The principal's item, and in `content` those of its grants and subscriptions."""

    state: PrincipalState | None = None
    fence: int = 0
    held: bool = False
    """There is a lease on it. It may be over at any moment when its holder is between two effects: no clock is needed."""
    content: str = ""


class Database(NamedTuple):
    """`login`: its password; None: it is not there. `fence`: the highest that its marker has seen."""

    login: int | None = None
    tables: frozenset[str] = frozenset()
    fence: int = 0


class Secrets(NamedTuple):
    """The passwords in the producer's secret and in the consumer's copy; `shared`: the consumer may read the first."""

    producer: int | None = None
    shared: bool = False
    consumer: int | None = None


class Phase(StrEnum):
    IDLE = "waits for a message"
    END = "marks the end"
    BID = "bids for the lease"
    WALK = "walks the road"
    SUSPEND = "suspends"
    ACKNOWLEDGE = "acknowledges"
    ASTRAY = "knows no way on"


AT_WORK = (Phase.WALK, Phase.SUSPEND)


class Seen(NamedTuple):
    """What a bid knows of the lease; None in its place: the ledger did not know the principal."""

    state: PrincipalState | None
    fence: int
    held: bool


class Worker(NamedTuple):
    """One process with one message. What follows `seen` it knows since it won the lease."""

    phase: Phase = Phase.IDLE
    hint: Hint | None = None
    ended: bool = False
    """What it read of the subscription."""
    seen: Seen | None = None
    fence: int = 0
    prior: PrincipalState | None = None
    state: PrincipalState | None = None
    progress: Progress | None = None
    survey: Survey | None = None
    knows: int | None = None
    """The password that it has read or made."""


class World(NamedTuple):
    truth: tuple[Truth, Truth]
    workers: tuple[Worker, Worker]
    queue: frozenset[Hint] = frozenset()
    ledger: Ledger = Ledger()
    database: Database = Database()
    secrets: Secrets = Secrets()
    told: frozenset[int] = frozenset()
    """The subscriptions of which it was reported that their table is revoked."""
    lost: bool = False
    """A message was lost, so that only a sweep can find what it named."""


def key(world: World) -> Hashable:
    """Equal for worlds that differ only in what nothing depends on: numbers of fences and passwords, which worker is which."""
    ledger, database, secrets = world.ledger, world.database, world.secrets
    alive = [worker for worker in world.workers if worker.phase is not Phase.IDLE]
    fences = sorted({ledger.fence, *[worker.fence for worker in alive if worker.phase in AT_WORK]})
    name: dict[int | None, int | None] = {None: None}
    for password in (secrets.producer, secrets.consumer, database.login, *(worker.knows for worker in alive)):
        name.setdefault(password, len(name))
    workers = tuple([_plain(worker, ledger, fences, name) for worker in alive])
    return (
        world.truth,
        workers if len(workers) < 2 or hash(workers[0]) <= hash(workers[1]) else (workers[1], workers[0]),
        world.queue,
        (ledger.state, ledger.held, ledger.content),
        (name[database.login], database.tables, len([1 for fence in fences if fence < database.fence])),
        (name[secrets.producer], secrets.shared, name[secrets.consumer]),
        world.told,
        world.lost,
    )


def _plain(worker: Worker, ledger: Ledger, fences: list[int], name: dict[int | None, int | None]) -> Hashable:
    if worker.phase in AT_WORK:
        known = (name[worker.knows], worker.prior, worker.state, worker.progress, worker.survey)
        return worker.phase, worker.hint, worker.ended, fences.index(worker.fence), known
    # What is seen of an older fence is of no use, whatever it was.
    seen = worker.seen
    current = (seen.state, seen.held) if seen is not None and seen.fence == ledger.fence else seen is None
    return worker.phase, worker.hint, worker.ended, current
