"""Every state that a model can reach, breadth first, so that the first trace to a broken promise is a shortest one.

A model says what may happen next in a state; states are hashable. Two states with the same key are the same for all
that follows, such as two that differ only in which of two equal workers is which.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Step(Generic[S]):
    """One thing that happened. `who`: whose step it was, where it was somebody's."""

    before: S
    what: str
    after: S
    who: int | None = None


@dataclass(frozen=True, slots=True)
class Exploration(Generic[S]):
    """`broken`: the name of the first promise that did not hold, and `trace`: how it came to that; None: all held."""

    states: int
    broken: str | None = None
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.broken is None:
            return f"{self.states} states, every promise held"
        steps = f"({self.states} states)\n" + "\n".join(f"  {number:2}. {what}" for number, what in enumerate(self.trace, 1))
        return f"{self.broken} does not hold, after:\n{steps}"


def explore(
    start: S,
    *,
    steps: Callable[[S], Iterable[Step[S]]],
    key: Callable[[S], Hashable],
    promises: Iterable[Callable[[Step[S]], bool]],
    ends_well: Callable[[S], bool],
    most: int,
) -> Exploration[S]:
    """Stops at the first step that breaks a promise, or leads to where it can't end well.

    Raises `AssertionError` beyond so many states: the scope is too wide.
    """
    promises = tuple(promises)
    came: dict[Hashable, tuple[Hashable, str] | None] = {key(start): None}
    waiting = deque([(start, key(start))])
    while waiting:
        here, known = waiting.popleft()
        for step in steps(here):
            after = key(step.after)
            broken = next((promise.__name__ for promise in promises if not promise(step)), None)
            if broken is None and after not in came and not ends_well(step.after):
                broken = ends_well.__name__
            if broken is not None:
                return Exploration(len(came), broken, (*_trace(came, known), step.what))
            if after not in came:
                came[after] = (known, step.what)
                waiting.append((step.after, after))
        assert len(came) <= most, f"more than {most} states"
    return Exploration(len(came))


def _trace(came: dict[Hashable, tuple[Hashable, str] | None], to: Hashable) -> tuple[str, ...]:
    taken: list[str] = []
    while (origin := came[to]) is not None:
        to, what = origin
        taken.append(what)
    return tuple(reversed(taken))
