"""From where to where DataZone goes in one exploration. Each is explored whole."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from tests.model import promises
from tests.model.calm import calmed, ending_well
from tests.model.explorer import Exploration, explore
from tests.model.promises import Promise
from tests.model.protocol import Rules, steps
from tests.model.recorded import Wish
from tests.model.world import Truth, World, key

ASKED, APPROVED, ENDED = Truth


class Scene(NamedTuple):
    """`begin`: what was so in DataZone, and is settled; `until`: how far it goes."""

    name: str
    begin: tuple[Truth, Truth]
    until: tuple[Truth, Truth]
    tables: tuple[str, str] = ("orders", "customers")

    def __str__(self) -> str:
        return self.name


FIRST = Scene("a first grant and its end", (ASKED, ASKED), (ENDED, ASKED))
TOGETHER = Scene("two grants at once", (ASKED, ASKED), (APPROVED, APPROVED))
CROSSING = Scene("one ends as another comes", (APPROVED, ASKED), (ENDED, APPROVED))
BOTH_END = Scene("both end", (APPROVED, APPROVED), (ENDED, ENDED))
STAYING = Scene("one comes and ends while another stays", (ASKED, APPROVED), (ENDED, APPROVED))
ONE_TABLE = Scene("one table for two, and one of them ends", (APPROVED, ASKED), (ENDED, APPROVED), ("orders", "orders"))
ONE_TABLE_ENDS = Scene("one table for two, and both end", (APPROVED, APPROVED), (ENDED, ENDED), ("orders", "orders"))
EVERY = (FIRST, TOGETHER, STAYING, CROSSING, BOTH_END, ONE_TABLE, ONE_TABLE_ENDS)

_MOST = 120_000


def explored(scene: Scene, rules: Rules, *, only: promises.Ruled | None = None) -> Exploration[World]:
    """The scene by these rules, whole, or to the first promise that breaks. `only`: the one that is asked for."""
    one, two = (Wish(name, table) for name, table in zip(("one", "two"), scene.tables, strict=True))
    rules = rules.on((one, two), scene.until)
    return explore(
        calmed(scene.begin, rules),
        steps=partial(steps, rules=rules),
        key=key,
        promises=[_by(promise, rules) for promise in ((only,) if only else promises.EVERY)],
        ends_well=(lambda _: True) if only else ending_well(rules),
        most=_MOST,
    )


def _by(promise: promises.Ruled, rules: Rules) -> Promise:
    def ruled(step: promises.Moved) -> bool:
        return promise(step, rules)

    ruled.__name__ = promise.__name__
    return ruled
