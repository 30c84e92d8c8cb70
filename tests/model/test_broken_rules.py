"""Rules that are broken on purpose, one at a time: each is caught, so it is known that the explorer can fail.

The trace to the broken promise is a shortest one; it is printed. The last two rules are dzgrant's own as they are now: what
they leave open is told in docs/architecture.md.
"""

from __future__ import annotations

import pytest

from tests.model import promises
from tests.model.promises import Ruled
from tests.model.protocol import Fault, Rules
from tests.model.scenes import CROSSING, FIRST, STAYING, Scene, explored

CRASHES = frozenset({Fault.CRASH})


@pytest.mark.parametrize(
    ("scene", "rules", "promise"),
    [
        pytest.param(
            FIRST,
            Rules(completion_carries_the_fence=False),
            promises.a_secret_that_exists_works,
            id="a completion without a condition",
        ),
        pytest.param(
            FIRST,
            Rules(effects_are_bounded_by_the_lease=False, database_checks_the_fence=False),
            promises.revoked_means_unreachable,
            id="effects by the ledger's fence alone",
        ),
        pytest.param(
            CROSSING,
            Rules(passwords_are_stored_first=False),
            promises.a_secret_that_exists_works,
            id="a password that is set before it is stored",
        ),
        pytest.param(
            FIRST,
            Rules(grants_heed_the_end=False),
            promises.acknowledged_means_recorded,
            id="a grant that does not look at the end",
        ),
        pytest.param(
            FIRST,
            Rules(acknowledgement_comes_last=False),
            promises.acknowledged_means_recorded,
            id="an acknowledgement before the end",
        ),
        pytest.param(
            STAYING,
            Rules(faults=CRASHES | {Fault.STALL}, database_checks_the_fence=False),
            promises.revoked_means_unreachable,
            id="a statement held up where the database checks no fence",
        ),
        pytest.param(
            FIRST,
            Rules(faults=CRASHES | {Fault.STALL}),
            promises.revoked_means_unreachable,
            id="a statement held up that makes the login anew",
        ),
        pytest.param(
            FIRST,
            Rules(faults=CRASHES | {Fault.LOST_ANSWER}, suspending_asks_for_the_lease=False),
            promises.no_effect_after_the_fence,
            id="a suspension by the fence alone",
        ),
    ],
)
def test_a_broken_rule_breaks_a_promise(scene: Scene, rules: Rules, promise: Ruled) -> None:
    found = explored(scene, rules, only=promise)
    print(found)
    assert found.broken == promise.__name__, str(found)


def test_a_bid_that_names_the_fence_alone_leaves_the_ledger_wrong() -> None:
    found = explored(FIRST, Rules(bids_name_the_lease=False))
    print(found)
    assert found.broken == "ends_well", str(found)


def test_a_statement_held_up_is_stopped_by_the_fence_in_the_database() -> None:
    rules = Rules(faults=CRASHES | {Fault.STALL}, database_checks_the_fence=True)
    found = explored(STAYING, rules, only=promises.revoked_means_unreachable)
    print(found)
    assert found.broken is None, str(found)
