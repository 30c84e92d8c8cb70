"""How much goes wrong, how often; and what did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from dzgrant.localcloud.commands import Disturb, Match


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`seed` decides what happens to whom, but not when: processes run as they run."""

    seed: int
    events: int
    workers: int
    projects: int
    tables: int
    """On each server."""
    pause: float
    """Mean seconds between two blows."""
    skew: float = 2.0
    """Seconds by which workers' clocks are ahead or behind at the most."""

    @property
    def weather(self) -> Disturb:
        """Of the AWS calls: one in twenty goes wrong."""
        return Disturb(
            seed=self.seed, throttled=0.02, failed=0.01, lost=0.01, late=0.01, seconds=1.5, match=Match(agent="dzgrant")
        )


@dataclass(slots=True)
class Tally:
    """`blows`: what went wrong, how often. `failures`: what was not as it should be in the end."""

    blows: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
