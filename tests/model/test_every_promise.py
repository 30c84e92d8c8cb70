"""The protocol by dzgrant's own rules, explored whole: every promise holds in every state.

Scope: one principal; two subscriptions, each for a table of its own or both for the same; two workers. Crashes, redelivery
and leases that end too early come at any moment and any number of times, and so do the other faults where they are named.
Each exploration prints how many states it has.

A crash of a worker and a worker that sleeps past its lease are one to the others: what it began is there, half of it.
The world is wider than this: filters, rotation, tables that are refused and environments that end are not in it, nor is
what people do by hand, nor a read of DataZone that is behind.
"""

from __future__ import annotations

import pytest

from tests.model.protocol import Fault, Rules
from tests.model.scenes import EVERY, FIRST, TOGETHER, Scene, explored

CRASHES = frozenset({Fault.CRASH})


@pytest.mark.parametrize("scene", EVERY, ids=str)
def test_crashes_zombies_and_redelivery_break_nothing(scene: Scene) -> None:
    found = explored(scene, Rules(faults=CRASHES))
    print(found)
    assert found.broken is None, str(found)


@pytest.mark.parametrize(
    ("scene", "fault"),
    [(FIRST, Fault.FAILURE), (FIRST, Fault.DUPLICATE), (TOGETHER, Fault.LOSS)],
    ids=lambda one: getattr(one, "name", None),
)
def test_nor_does_a_call_that_fails_or_a_message_that_is_lost_or_comes_again(scene: Scene, fault: Fault) -> None:
    found = explored(scene, Rules(faults=CRASHES | {fault}))
    print(found)
    assert found.broken is None, str(found)


def test_nor_does_a_lost_answer_where_a_suspension_asks_for_the_lease() -> None:
    found = explored(FIRST, Rules(faults=CRASHES | {Fault.LOST_ANSWER}))
    print(found)
    assert found.broken is None, str(found)


def test_nor_does_it_where_the_database_checks_no_fence() -> None:
    found = explored(FIRST, Rules(faults=CRASHES, database_checks_the_fence=False))
    print(found)
    assert found.broken is None, str(found)
