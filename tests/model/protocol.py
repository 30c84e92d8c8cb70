"""What may happen next in the world: the steps of two workers, of DataZone, of the clock, and the faults.

The workers are those of `saga.converge`, `saga.runner` and `ledger.Ledger`, with the real transition core, the real bid
for the lease, the real writes and findings. `Rules` names what they keep to beside; a test breaks one rule at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cache

from dzgrant.ledger.bid import Purpose, bid
from dzgrant.ledger.items import Holding, number, text
from dzgrant.model import PrincipalRecord, PrincipalState
from dzgrant.saga.road import REMOVE, Aim, Effect, Progress, next_effect
from tests.model import items, recorded
from tests.model.effects import PERFORM, READINGS, STATEMENTS, Lost, Rejected, Unknown, Work
from tests.model.explorer import Step
from tests.model.recorded import ADMIN, NOW, PRINCIPAL, Wish
from tests.model.world import AT_WORK, Hint, Phase, Seen, Truth, Worker, World


class Fault(Enum):
    """What may go wrong, at any moment and any number of times.

    Redelivery, delay, and a lease that ends too early are none: they always may happen.
    """

    CRASH = auto()
    FAILURE = auto()
    """A call fails."""
    LOST_ANSWER = auto()
    """A call happens, and looks as if it had failed."""
    LOSS = auto()
    """A message is lost."""
    DUPLICATE = auto()
    """A message comes once more after it was deleted."""
    STALL = auto()
    """A statement is longer on its way to the database than every bound allows, and arrives when the lease is another's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The workers' rules, as dzgrant has them."""

    until: tuple[Truth, Truth] = (Truth.ENDED, Truth.ENDED)
    """How far DataZone goes with each of the subscriptions."""
    faults: frozenset[Fault] = frozenset({Fault.CRASH})
    wishes: tuple[Wish, Wish] = (Wish("one", "orders"), Wish("two", "customers"))
    completion_carries_the_fence: bool = True
    effects_are_bounded_by_the_lease: bool = True
    bids_name_the_lease: bool = True
    grants_heed_the_end: bool = True
    passwords_are_stored_first: bool = True
    suspending_asks_for_the_lease: bool = True
    """Whether what is written of a journey that has to wait asks that its lease was not given back, beside the fence."""
    acknowledgement_comes_last: bool = True
    database_checks_the_fence: bool = True
    """So in PostgreSQL and SQL Server; MySQL and Oracle can't."""

    def on(self, wishes: tuple[Wish, Wish], until: tuple[Truth, Truth]) -> Rules:
        return replace(self, wishes=wishes, until=until)


def steps(world: World, rules: Rules) -> Iterator[Step[World]]:
    """All that may happen next."""
    for what, after in (*_truth(world, rules), *_messages(world, rules)):
        yield Step(world, what, after)
    for at, worker in enumerate(world.workers):
        for what, after in _working(world, at, worker, rules):
            yield Step(world, f"worker {at + 1} {what}", after, at)


Happening = tuple[str, World]


def _truth(world: World, rules: Rules) -> Iterator[Happening]:
    for at, now in enumerate(world.truth):
        if now is not rules.until[at]:
            then = _FOLLOWING[now]
            truth = (then, world.truth[1]) if at == 0 else (world.truth[0], then)
            hints = world.queue | {Hint(at, then)}
            yield f"DataZone: subscription {at + 1} is {then}", world._replace(truth=truth, queue=hints)


_FOLLOWING = {Truth.ASKED: Truth.APPROVED, Truth.APPROVED: Truth.ENDED}


def _messages(world: World, rules: Rules) -> Iterator[Happening]:
    if Fault.LOSS in rules.faults:
        for hint in world.queue:
            yield f"the message {_named(hint)} is lost", world._replace(queue=world.queue - {hint}, lost=True)
    if Fault.DUPLICATE in rules.faults:
        for hint in sent(world) - world.queue:
            yield f"the message {_named(hint)} comes once more", world._replace(queue=world.queue | {hint})


def sent(world: World) -> frozenset[Hint]:
    """Every message that there ever was."""
    past = {Truth.ASKED: (), Truth.APPROVED: (Truth.APPROVED,), Truth.ENDED: (Truth.APPROVED, Truth.ENDED)}
    return frozenset(Hint(at, then) for at, now in enumerate(world.truth) for then in past[now])


def _working(world: World, at: int, worker: Worker, rules: Rules) -> Iterator[Happening]:
    if worker.phase is Phase.IDLE:
        for hint in sorted(world.queue):
            yield _received(world, at, hint, rules)
        return
    if Fault.CRASH in rules.faults:
        yield "crashes", _with(world, at, Worker())
    yield _GO_ON[worker.phase](world, at, worker, rules)
    if worker.phase is Phase.WALK:
        yield from _failing(world, at, worker, rules)


def go_on(world: World, at: int, rules: Rules) -> World:
    """What is next for a worker that has a message, when nothing fails."""
    worker = world.workers[at]
    return _GO_ON[worker.phase](world, at, worker, rules)[1]


def receive(world: World, at: int, hint: Hint, rules: Rules) -> World:
    """A worker that waits gets this message."""
    return _received(world, at, hint, rules)[1]


def _received(world: World, at: int, hint: Hint, rules: Rules) -> Happening:
    """The message stays in the queue: when it is delivered again, to the other worker, is not this one's to say."""
    ended = world.truth[hint.subscription] is Truth.ENDED
    worker = Worker(phase=Phase.END if ended else Phase.BID, hint=hint, ended=ended, seen=_seen(world))
    if not rules.acknowledgement_comes_last:
        world = world._replace(queue=world.queue - {hint})
    return f"receives {_named(hint)} and reads: {world.truth[hint.subscription]}", _with(world, at, worker)


def _seen(world: World) -> Seen | None:
    ledger = world.ledger
    return None if ledger.state is None else Seen(ledger.state, ledger.fence, ledger.held)


def _end(world: World, at: int, worker: Worker, rules: Rules) -> Happening:
    wish = _wish(worker, rules)
    claimed = recorded.claimed(world.ledger.content, wish)
    after = world._replace(ledger=world.ledger._replace(content=recorded.ended(world.ledger.content, wish)))
    return "marks the end", _with(after, at, worker._replace(phase=Phase.BID if claimed else Phase.ACKNOWLEDGE))


def _bid(world: World, at: int, worker: Worker, rules: Rules) -> Happening:
    aim = Aim.REVOKE if worker.ended else Aim.GRANT
    ledger, wish = world.ledger, _wish(worker, rules)
    state = _offered(worker.seen, _seen(world), aim, rules.bids_name_the_lease)
    if state is None:
        # DynamoDB answers with the item as it is.
        return "bids too late", _with(world, at, worker._replace(seen=_seen(world)))
    content = recorded.intended(ledger.content, aim, wish, heeding=rules.grants_heed_the_end)
    if content is None:
        return "bids, and finds that the subscription has ended", _with(world, at, Worker())
    fence = ledger.fence + 1
    taken = ledger._replace(state=state, fence=fence, held=True, content=content)
    prior = worker.seen.state if worker.seen else None
    holder = worker._replace(phase=Phase.WALK, seen=None, fence=fence, prior=prior, state=state)
    begun = _surveyed(holder, content, wish) if aim is Aim.REVOKE else _granting(holder)
    if rules.effects_are_bounded_by_the_lease and rules.completion_carries_the_fence and Fault.STALL not in rules.faults:
        # Who had the lease will start no effect any more, and only has to find that out: as good as waiting.
        one, two = (Worker() if other.phase in AT_WORK else other for other in world.workers)
        world = world._replace(workers=(one, two))
    return _read_on(f"takes the lease to {aim} (fence {fence})", _with(world._replace(ledger=taken), at, begun), at, rules)


@cache
def _offered(seen: Seen | None, now: Seen | None, aim: Aim, whole: bool) -> PrincipalState | None:
    """The state that the real bid gives the principal; None: its real condition does not hold. `whole`: all of it counts."""
    purpose = Purpose.GRANT if aim is Aim.GRANT else Purpose.REVOKE
    known = seen and _holding(seen)
    offer = bid(PRINCIPAL, ADMIN, known, purpose=purpose, owner="o", nonce="new", leased_until=1, now=NOW)
    arguments = dict(offer.write.arguments)
    if not whole and seen:
        arguments["ConditionExpression"] = arguments["ConditionExpression"].partition(" AND ")[0]
    return offer.record.state if items.holds(arguments, _item(now)) else None


def _holding(seen: Seen) -> Holding:
    assert seen.state is not None
    record = PrincipalRecord(
        principal=PRINCIPAL,
        admin=ADMIN,
        state=seen.state,
        producer_secret=None,
        consumer_secret=None,
        fence=seen.fence,
        updated_at=NOW,
        login=PRINCIPAL.login,
    )
    return Holding(record=record, nonce=f"of {seen.fence}" if seen.held else None, leased_until=1)


def _item(now: Seen | None) -> items.Item | None:
    if now is None:
        return None
    found: items.Item = {"pk": text("pk"), "fence": number(now.fence)}
    return found | {"nonce": text(f"of {now.fence}"), "leased_until": number(1)} if now.held else found


def _granting(worker: Worker) -> Worker:
    return worker._replace(progress=Progress(aim=Aim.GRANT, trusted=worker.prior is PrincipalState.ACTIVE))


def _surveyed(worker: Worker, content: str, wish: Wish) -> Worker:
    """As `Journey.survey`: read under the lease, so nothing is lost by reading it at once."""
    survey = recorded.surveyed(content, wish)
    done: frozenset[Effect] = frozenset()
    if worker.prior in (None, PrincipalState.REMOVED):
        done |= set(REMOVE) - {Effect.TELL, Effect.SETTLE}
    if survey.others and not survey.leaving:
        done |= {Effect.REVOKE_SELECT}
    return worker._replace(survey=survey, progress=Progress(aim=Aim.REVOKE, others=survey.others, done=done))


def _walk_on(world: World, at: int, worker: Worker, rules: Rules) -> Happening:
    what, after = _read_on(*_walk(world, at, worker, rules), at, rules)
    if after.workers[at].phase is Phase.ACKNOWLEDGE:
        # It needs no more than that; what else it remembers would only make states differ.
        after = _with(after, at, Worker(phase=Phase.ACKNOWLEDGE, hint=worker.hint))
    return what, after


def _read_on(what: str, world: World, at: int, rules: Rules) -> Happening:
    """What only reads needs no moment of its own as long as nobody else may write meanwhile."""
    while rules.effects_are_bounded_by_the_lease and _reads(world.workers[at]):
        read, world = _walk(world, at, world.workers[at], rules)
        what = f"{what}, {read}"
    return what, world


def _reads(worker: Worker) -> bool:
    return worker.phase is Phase.WALK and upcoming(worker) in READINGS


def _walk(world: World, at: int, worker: Worker, rules: Rules) -> Happening:
    effect = upcoming(worker)
    settling = effect is Effect.SETTLE
    heeds = rules.completion_carries_the_fence if settling else rules.effects_are_bounded_by_the_lease
    if heeds and not _holds(world, worker):
        return f"has lost the lease before {effect}", _with(world, at, Worker())
    return _performed(world, at, worker, effect, rules)


def _holds(world: World, worker: Worker) -> bool:
    """Whether the lease is the worker's still. One that ran out, and that nobody took, is renewed before the effect."""
    return world.ledger.held and world.ledger.fence == worker.fence


def _performed(world: World, at: int, worker: Worker, effect: Effect, rules: Rules) -> Happening:
    work = Work(world, worker, _wish(worker, rules), rules.database_checks_the_fence, rules.passwords_are_stored_first)
    progress = worker.progress
    assert progress is not None
    try:
        after, working = PERFORM[effect](work)
    except Lost:
        return f"finds a newer fence at {effect}", _with(world, at, Worker())
    except Rejected:
        if not progress.trusted:
            return f"is rejected at {effect}", _with(world, at, worker._replace(phase=Phase.SUSPEND))
        again = replace(progress, trusted=False, done=progress.done - {Effect.GRANT_SELECT, Effect.PROVE})
        return f"is rejected at {effect} and trusts nothing", _with(world, at, worker._replace(progress=again))
    except Unknown:
        return f"lacks what it needs for {effect}", _with(world, at, Worker(phase=Phase.ASTRAY))
    done = working._replace(progress=replace(progress, done=progress.done | {effect}))
    return f"does {effect}", _with(after, at, done)


def _failing(world: World, at: int, worker: Worker, rules: Rules) -> Iterator[Happening]:
    effect = upcoming(worker)
    if Fault.FAILURE in rules.faults:
        yield f"fails at {effect}", _with(world, at, worker._replace(phase=Phase.SUSPEND))
    if Fault.LOST_ANSWER in rules.faults:
        what, after = _walk(world, at, worker, rules)
        if after.workers[at].phase is not Phase.IDLE:
            yield f"{what}, and the answer is lost", _with(after, at, after.workers[at]._replace(phase=Phase.SUSPEND))
    if Fault.STALL in rules.faults and effect in STATEMENTS and not _holds(world, worker):
        what, after = _performed(world._replace(lost=True), at, worker, effect, rules)
        yield f"{what}, by a statement that was held up", after


def _suspend(world: World, at: int, worker: Worker, rules: Rules) -> Happening:
    ledger = world.ledger
    late = not _holds(world, worker) if rules.suspending_asks_for_the_lease else ledger.fence != worker.fence
    if late and rules.completion_carries_the_fence:
        return "suspends too late", _with(world, at, Worker())
    content = recorded.suspended(ledger.content, _wish(worker, rules), worker.survey)
    after = ledger._replace(state=worker.state, content=content, held=False)
    return "suspends", _with(world._replace(ledger=after), at, Worker())


def _acknowledge(world: World, at: int, worker: Worker, rules: Rules) -> Happening:
    assert worker.hint is not None
    return f"acknowledges {_named(worker.hint)}", _with(world._replace(queue=world.queue - {worker.hint}), at, Worker())


def _stay(world: World, at: int, worker: Worker, rules: Rules) -> Happening:
    return "stays", world


_GO_ON: dict[Phase, Callable[[World, int, Worker, Rules], Happening]] = {
    Phase.END: _end,
    Phase.BID: _bid,
    Phase.WALK: _walk_on,
    Phase.SUSPEND: _suspend,
    Phase.ACKNOWLEDGE: _acknowledge,
    Phase.ASTRAY: _stay,
}


def upcoming(worker: Worker) -> Effect:
    """The effect that the real road has next for a worker that walks."""
    assert worker.progress is not None
    return following(worker.progress)


@cache
def following(progress: Progress) -> Effect:
    """`road.next_effect`, remembered. Who changes a road in a test has to forget it."""
    effect = next_effect(progress)
    assert effect is not None
    return effect


def _wish(worker: Worker, rules: Rules) -> Wish:
    assert worker.hint is not None
    return rules.wishes[worker.hint.subscription]


def _with(world: World, at: int, worker: Worker) -> World:
    return world._replace(workers=(worker, world.workers[1]) if at == 0 else (world.workers[0], worker))


def _named(hint: Hint) -> str:
    return f"'{hint.subscription + 1} is {hint.told}'"
