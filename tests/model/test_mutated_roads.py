"""The model walks dzgrant's real roads: two effects of one change places in `saga.road`, and a promise breaks.

That a login is proved before its secret is shared can't be seen from outside; `tests/unit/test_road.py` keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dzgrant.saga import road
from dzgrant.saga.road import Effect
from tests.model.protocol import Rules, following
from tests.model.scenes import CROSSING, FIRST, STAYING, Scene, explored


@pytest.fixture(autouse=True)
def forgetting() -> Iterator[None]:
    """What is remembered of a road, before and after it was changed."""
    following.cache_clear()
    yield
    following.cache_clear()


@pytest.mark.parametrize(
    ("scene", "way", "one", "two"),
    [
        (FIRST, "FIRST_GRANT", Effect.KEEP_PRODUCER_SECRET, Effect.SET_LOGIN),
        (FIRST, "FIRST_GRANT", Effect.SET_LOGIN, Effect.GRANT_SELECT),
        (FIRST, "FIRST_GRANT", Effect.SHARE, Effect.READ_SHARED),
        (FIRST, "FIRST_GRANT", Effect.REPLICATE, Effect.TELL),
        (FIRST, "FIRST_GRANT", Effect.TELL, Effect.SETTLE),
        (STAYING, "FURTHER_GRANT", Effect.GRANT_SELECT, Effect.TELL),
        (STAYING, "REVOKE", Effect.REVOKE_SELECT, Effect.TELL),
        (FIRST, "REMOVE", Effect.UNSHARE, Effect.DROP_LOGIN),
        (CROSSING, "REMOVE", Effect.DELETE_CONSUMER_SECRET, Effect.DELETE_PRODUCER_SECRET),
        (FIRST, "REMOVE", Effect.DELETE_PRODUCER_SECRET, Effect.TELL),
        (FIRST, "REMOVE", Effect.TELL, Effect.SETTLE),
    ],
)
def test_two_effects_that_change_places_break_a_promise(
    monkeypatch: pytest.MonkeyPatch, scene: Scene, way: str, one: Effect, two: Effect
) -> None:
    changed = {one: two, two: one}
    monkeypatch.setattr(road, way, tuple(changed.get(effect, effect) for effect in getattr(road, way)))
    found = explored(scene, Rules())
    print(found)
    assert found.broken is not None, str(found)


def test_a_share_that_ends_last_breaks_a_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *rest, tell, settle = road.REMOVE
    monkeypatch.setattr(road, "REMOVE", (*rest, first, tell, settle))
    found = explored(FIRST, Rules())
    print(found)
    assert first is Effect.UNSHARE
    assert found.broken == "a_secret_that_exists_works", str(found)
