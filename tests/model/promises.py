"""What must hold, whatever happens. Each promise is a function of one step, true where the step keeps it."""

from __future__ import annotations

from collections.abc import Callable

from dzgrant.model import GrantState, PrincipalState
from dzgrant.saga.road import Effect
from tests.model import recorded
from tests.model.effects import READINGS, STATEMENTS
from tests.model.explorer import Step
from tests.model.protocol import Fault, Rules, upcoming
from tests.model.world import AT_WORK, Database, Phase, Secrets, Truth, Worker, World

Moved = Step[World]
Promise = Callable[[Moved], bool]
Ruled = Callable[[Moved, Rules], bool]


def one_writer(step: Moved, rules: Rules) -> bool:
    """No two workers hold one fence."""
    one, two = step.after.workers
    return one.phase not in AT_WORK or two.phase not in AT_WORK or one.fence != two.fence


def no_effect_after_the_fence(step: Moved, rules: Rules) -> bool:
    """What a worker does, it does while the ledger has its lease; so does it say there that it has to wait.

    A statement that was held up beyond every bound is nobody's to stop; what it may do, the other promises say.
    """
    at = step.who
    if at is None or (Fault.STALL in rules.faults and _effect(step) in STATEMENTS):
        return True
    worker, ledger = step.before.workers[at], step.before.ledger
    acted = _effect(step) not in (None, *READINGS) or (worker.phase is Phase.SUSPEND and ledger != step.after.ledger)
    return not acted or (ledger.held and ledger.fence == worker.fence)


def a_secret_that_exists_works(step: Moved, rules: Rules) -> bool:
    """The shared secret opens the login as long as it is shared, and the copy never differs from it.

    While the principal is ACTIVE, the copy opens every table that the ledger says is granted. It may outlive the login for
    the time of a removal, which ends the share first: the principal is PENDING then.
    """
    database, secrets = step.after.database, step.after.secrets
    if secrets.shared and database.login != secrets.producer:
        return False
    if secrets.consumer is not None and secrets.producer not in (None, secrets.consumer):
        return False
    if step.after.ledger.state is not PrincipalState.ACTIVE:
        return True
    records = recorded.grants(step.after.ledger.content).values()
    granted = {record.table.name for record in records if record.state is GrantState.GRANTED and record.table}
    return secrets.consumer is not None and secrets.consumer == database.login and granted <= database.tables


def acknowledged_means_recorded(step: Moved, rules: Rules) -> bool:
    """A subscription without a message, and without a worker that has one, is in the ledger as it is in DataZone."""
    world = step.after
    if world.lost:
        return True
    busy = {hint.subscription for hint in world.queue} | {worker.hint.subscription for worker in world.workers if worker.hint}
    return all(_recorded(world, at, rules) for at in (0, 1) if at not in busy)


def settled_means_told(step: Moved, rules: Rules) -> bool:
    """The ledger's outcome is on the outcome bus already."""
    at = step.who
    if at is None or _effect(step) is not Effect.SETTLE:
        return True
    progress = step.before.workers[at].progress
    return progress is not None and Effect.TELL in progress.done


def finds_its_way(step: Moved, rules: Rules) -> bool:
    """No effect lacks what an earlier one is to find or make."""
    return all(worker.phase is not Phase.ASTRAY for worker in step.after.workers)


def granted_means_readable(step: Moved, rules: Rules) -> bool:
    """When a grant is told, what the consumer finds opens the table."""
    at = step.who
    if at is None or _effect(step) is not Effect.TELL or (worker := step.before.workers[at]).survey is not None:
        return True
    database = step.after.database
    assert worker.hint is not None
    return database.login == step.after.secrets.consumer and rules.wishes[worker.hint.subscription].table in database.tables


def revoked_means_unreachable(step: Moved, rules: Rules) -> bool:
    """From the moment that a revoke is told, the table can't be read; when it was the last, nothing is left at all."""
    world = step.after
    for at in world.told:
        table, other = rules.wishes[at].table, 1 - at
        shared = rules.wishes[other].table == table and world.truth[other] is not Truth.ASKED and other not in world.told
        if table in world.database.tables and not shared:
            return False
    last = _effect(step) is Effect.TELL and world.told != step.before.told and not _others(step)
    return not last or (world.database == Database() and world.secrets == Secrets())


EVERY: tuple[Ruled, ...] = (
    one_writer,
    no_effect_after_the_fence,
    a_secret_that_exists_works,
    granted_means_readable,
    revoked_means_unreachable,
    acknowledged_means_recorded,
    settled_means_told,
    finds_its_way,
)


def agrees(world: World, rules: Rules) -> bool:
    """Desired = ledger = database = secrets.

    Where tables are left, the principal may still be PENDING: a revoke that was cut off leaves the word behind until the next
    grant. What can be read, and what the ledger says of the tables, is right.
    """
    wanted = {rules.wishes[at].table for at in (0, 1) if world.truth[at] is Truth.APPROVED}
    records = recorded.grants(world.ledger.content).values()
    if {record.path for record in records} != {wish.path for wish in rules.wishes if wish.table in wanted}:
        return False
    if not all(_recorded(world, at, rules) for at in (0, 1)):
        return False
    login, secrets = world.database.login, world.secrets
    if not wanted:
        left = world.ledger.state in (None, PrincipalState.REMOVED)
        return left and login is None and secrets == Secrets() and not world.database.tables
    opens = login is not None and secrets == Secrets(producer=login, shared=True, consumer=login)
    return opens and world.database.tables == wanted and world.ledger.state in (PrincipalState.ACTIVE, PrincipalState.PENDING)


def _recorded(world: World, at: int, rules: Rules) -> bool:
    content, wish = world.ledger.content, rules.wishes[at]
    record = recorded.grants(content).get(wish.path.key)
    holds = record is not None and wish.subscription in record.subscriptions
    match world.truth[at]:
        case Truth.ASKED:
            return not holds
        case Truth.APPROVED:
            return record is not None and holds and record.state is GrantState.GRANTED
        case Truth.ENDED:
            return not holds and recorded.over(content, wish) and not recorded.claimed(content, wish)


def _effect(step: Moved) -> Effect | None:
    """The effect that the step was, if it was one and happened."""
    at = step.who
    if at is None or (worker := step.before.workers[at]).phase is not Phase.WALK:
        return None
    after, effect = step.after.workers[at], upcoming(worker)
    happened = after.phase is Phase.ACKNOWLEDGE or (after.progress is not None and effect in after.progress.done)
    return effect if happened else None


def _others(step: Moved) -> bool:
    at = step.who
    worker: Worker | None = None if at is None else step.before.workers[at]
    return worker is not None and worker.survey is not None and worker.survey.others
