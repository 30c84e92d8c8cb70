"""The real coroutines, killed before and after every effect, or left without its answer; then started anew, to the same end.

A worker that dies at a read is one that died at the effect before it, so that effects are all that there is to try.
"""

from __future__ import annotations

from functools import partial

import pytest

from tests.simulation import control
from tests.simulation.scenarios import SCENARIOS, Point, Scenario, played
from tests.simulation.wire import Fault


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_worker_that_dies_at_any_effect_changes_nothing_of_the_end(scenario: Scenario) -> None:
    whole = Point()
    assert control.run(partial(played, scenario, whole)) == []
    effects = whole.seen or []
    print(f"{scenario}: {len(effects)} effects: {', '.join(effects)}")
    assert len(effects) >= 3
    ends = {
        f"{fault.name} at effect {at}, {name}": control.run(partial(played, scenario, Point(fault, at)))
        for at, name in enumerate(effects, 1)
        for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST)
    }
    assert {point: left for point, left in ends.items() if left} == {}
