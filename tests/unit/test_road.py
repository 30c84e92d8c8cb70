"""The roads keep the promises that their order makes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from dzgrant.saga.road import FIRST_GRANT, REMOVE, REVOKE, Aim, Effect, Progress, next_effect, road

FACTS = ("trusted", "open", "others", "narrowing", "excess", "moved", "foreign")


def walk(progress: Progress) -> list[Effect]:
    taken: list[Effect] = []
    while (effect := next_effect(progress)) is not None:
        taken.append(effect)
        progress = replace(progress, done=progress.done | {effect})
        assert len(taken) < 20, "the road has no end"
    return taken


def before(first: Effect, second: Effect, taken: list[Effect]) -> bool:
    return taken.index(first) < taken.index(second)


EVERY = [
    Progress(aim=aim, **dict[str, Any](zip(FACTS, truths, strict=True)))
    for aim in Aim
    for truths in product((False, True), repeat=len(FACTS))
]


@pytest.mark.parametrize("progress", EVERY, ids=str)
def test_every_road_ends_in_the_ledger_and_nowhere_before(progress: Progress) -> None:
    taken = walk(progress)
    assert taken[-2:] == [Effect.TELL, Effect.SETTLE]
    assert len(set(taken)) == len(taken)


def test_no_road_shows_a_view_before_it_is_there_or_keeps_what_is_too_much_when_it_tells() -> None:
    for progress in EVERY:
        taken = walk(progress)
        for given in (Effect.GRANT_SELECT, Effect.NARROW):
            if given in taken and Effect.POINT in taken:
                assert before(given, Effect.POINT, taken)
        if progress.excess and progress.aim is Aim.GRANT and (progress.open or progress.others):
            assert before(Effect.REVOKE_SELECT, Effect.TELL, taken)
        if progress.narrowing and progress.aim is Aim.REVOKE and progress.others:
            assert before(Effect.NARROW, Effect.TELL, taken)


def test_a_password_is_stored_before_it_is_set_and_proved_before_it_is_shared() -> None:
    taken = walk(Progress(aim=Aim.GRANT))
    assert taken == [effect for effect in FIRST_GRANT if effect is not Effect.REVOKE_SELECT]
    assert before(Effect.KEEP_PRODUCER_SECRET, Effect.SET_LOGIN, taken)
    assert before(Effect.PROVE, Effect.SHARE, taken)
    assert before(Effect.READ_SHARED, Effect.REPLICATE, taken)


def test_the_share_ends_first_when_nothing_remains() -> None:
    assert walk(Progress(aim=Aim.REVOKE))[0] is Effect.UNSHARE


def test_a_revoke_with_tables_left_touches_neither_login_nor_secrets() -> None:
    assert walk(Progress(aim=Aim.REVOKE, others=True)) == [Effect.REVOKE_SELECT, Effect.TELL, Effect.SETTLE]


def test_what_filters_ask_for_costs_nobody_else_a_step() -> None:
    assert walk(Progress(aim=Aim.GRANT, trusted=True)) == [
        Effect.RESOLVE,
        Effect.READ_CONSUMER_SECRET,
        Effect.GRANT_SELECT,
        Effect.PROVE,
        Effect.TELL,
        Effect.SETTLE,
    ]
    assert walk(Progress(aim=Aim.REVOKE, others=True, narrowing=True, moved=True)) == list(REVOKE)


def test_lost_trust_leads_back_to_the_first_road_without_repeating_what_is_done() -> None:
    resolved = Progress(aim=Aim.GRANT, trusted=True, done=frozenset({Effect.RESOLVE, Effect.READ_CONSUMER_SECRET}))
    assert next_effect(resolved) is Effect.GRANT_SELECT
    assert next_effect(replace(resolved, trusted=False)) is Effect.KEEP_PRODUCER_SECRET


def test_a_first_grant_that_failed_for_good_is_undone_and_a_further_one_leaves_the_rest_alone() -> None:
    assert walk(Progress(aim=Aim.GRANT, open=False)) == list(REMOVE)
    assert walk(Progress(aim=Aim.GRANT, open=False, others=True)) == [Effect.TELL, Effect.SETTLE]


def test_a_login_that_is_not_ours_is_never_dropped() -> None:
    assert Effect.DROP_LOGIN not in road(Progress(aim=Aim.GRANT, open=False, foreign=True))


@pytest.mark.parametrize("others", [True, False])
def test_what_a_person_settled_is_ended_without_the_database(others: bool) -> None:
    progress = Progress(aim=Aim.REVOKE, by_hand=True, others=others, narrowing=True, moved=True)
    in_accounts = [Effect.POINT] if others else [effect for effect in REMOVE if effect is not Effect.DROP_LOGIN][:-2]
    assert walk(progress) == [*in_accounts, Effect.TELL, Effect.SETTLE]
