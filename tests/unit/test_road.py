"""The roads keep the promises that their order makes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from dzgrant.saga.road import FIRST_GRANT, REMOVE, Aim, Effect, Progress, next_effect, road


def walk(progress: Progress) -> list[Effect]:
    taken: list[Effect] = []
    while (effect := next_effect(progress)) is not None:
        taken.append(effect)
        progress = replace(progress, done=progress.done | {effect})
        assert len(taken) < 20, "the road has no end"
    return taken


def before(first: Effect, second: Effect, taken: list[Effect]) -> bool:
    return taken.index(first) < taken.index(second)


@pytest.mark.parametrize(("aim", "trusted", "open_", "others", "foreign"), list(product(Aim, *[(False, True)] * 4)))
def test_every_road_ends_in_the_ledger_and_nowhere_before(
    aim: Aim, trusted: bool, open_: bool, others: bool, foreign: bool
) -> None:
    taken = walk(Progress(aim=aim, trusted=trusted, open=open_, others=others, foreign=foreign))
    assert taken[-2:] == [Effect.TELL, Effect.SETTLE]
    assert taken.count(Effect.SETTLE) == 1


def test_a_password_is_stored_before_it_is_set_and_proved_before_it_is_shared() -> None:
    taken = walk(Progress(aim=Aim.GRANT))
    assert taken == list(FIRST_GRANT)
    assert before(Effect.KEEP_PRODUCER_SECRET, Effect.SET_LOGIN, taken)
    assert before(Effect.PROVE, Effect.SHARE, taken)
    assert before(Effect.READ_SHARED, Effect.REPLICATE, taken)


def test_the_share_ends_first_when_nothing_remains() -> None:
    assert walk(Progress(aim=Aim.REVOKE))[0] is Effect.UNSHARE


def test_a_revoke_with_tables_left_touches_neither_login_nor_secrets() -> None:
    assert walk(Progress(aim=Aim.REVOKE, others=True)) == [Effect.REVOKE_SELECT, Effect.TELL, Effect.SETTLE]


def test_lost_trust_leads_back_to_the_first_road_without_repeating_what_is_done() -> None:
    resolved = Progress(aim=Aim.GRANT, trusted=True, done=frozenset({Effect.RESOLVE, Effect.READ_CONSUMER_SECRET}))
    assert next_effect(resolved) is Effect.GRANT_SELECT
    assert next_effect(replace(resolved, trusted=False)) is Effect.KEEP_PRODUCER_SECRET


def test_a_first_grant_that_failed_for_good_is_undone_and_a_further_one_leaves_the_rest_alone() -> None:
    assert walk(Progress(aim=Aim.GRANT, open=False)) == list(REMOVE)
    assert walk(Progress(aim=Aim.GRANT, open=False, others=True)) == [Effect.TELL, Effect.SETTLE]


def test_a_login_that_is_not_ours_is_never_dropped() -> None:
    assert Effect.DROP_LOGIN not in road(Progress(aim=Aim.GRANT, open=False, foreign=True))
