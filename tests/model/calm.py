"""No more faults, and nothing new in DataZone: the workers go on until nothing is left to do, and then all agrees."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from tests.model.promises import agrees
from tests.model.protocol import Rules, go_on, receive
from tests.model.world import Hint, Phase, Truth, Worker, World, key


def ending_well(rules: Rules) -> Callable[[World], bool]:
    """The promise that from a world on the end is right. One sweep may be needed where a message was lost."""
    known: dict[Hashable, bool] = {}

    def ends_well(world: World) -> bool:
        way = list[Hashable]()
        while (here := key(world)) not in known:
            # Who comes by here again would go on for ever.
            known[here] = False
            way.append(here)
            if (following := _next(world, rules)) is None:
                known[here] = agrees(world, rules)
                break
            world = following
        end = known[here]
        known.update(dict.fromkeys(way, end))
        return end

    return ends_well


def calmed(truth: tuple[Truth, Truth], rules: Rules) -> World:
    """The world where this is so in DataZone, and all has been done."""
    approved = frozenset(Hint(at, now) for at, now in enumerate(truth) if now is not Truth.ASKED)
    world = World(truth=truth, workers=(Worker(), Worker()), queue=approved)
    while (following := _next(world, rules)) is not None:
        world = following
    return world


def _next(world: World, rules: Rules) -> World | None:
    # Who holds the lease goes first: nobody takes it from one that lives.
    order = sorted((0, 1), key=lambda at: world.workers[at].fence != world.ledger.fence)
    for at in order:
        if world.workers[at].phase not in (Phase.IDLE, Phase.ASTRAY):
            return go_on(world, at, rules)
    if world.queue:
        return receive(world, 0, min(world.queue), rules)
    if world.lost:
        named = {Hint(at, now) for at, now in enumerate(world.truth) if now is not Truth.ASKED}
        return world._replace(queue=frozenset(named), lost=False)
    return None
