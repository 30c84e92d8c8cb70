"""Histories by fixed seeds and by a fresh one, which is printed; and that a broken rule does not come through."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from dzgrant.intake.consumer import Consumer
from dzgrant.intake.events import Hint
from dzgrant.intake.queue import Delivery
from dzgrant.saga import road
from tests.simulation.story import simulated

_ROOT = Path(__file__).parents[2]
_FIXED = (1, 10, 12, 25)


def test_histories_of_failures_come_to_the_right_end() -> None:
    """In a process of their own, where sets have one order: `make simulate SEED=` gives the same history."""
    fresh = random.SystemRandom().randrange(10**6)
    print(f"fresh seed: {fresh}")
    seeds = [str(seed) for seed in (*_FIXED, fresh)]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *seeds, "--steps", "40"],
        cwd=_ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_one_seed_is_one_history() -> None:
    assert simulated(3, 10).digest == simulated(3, 10).digest


def test_a_message_that_is_deleted_before_its_work_is_done_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Consumer._carry_out

    async def early(self: Consumer, delivery: Delivery, hint: Hint) -> None:
        await self._queue.delete(delivery)
        await whole(self, delivery, hint)

    monkeypatch.setattr(Consumer, "_carry_out", early)
    # Without sweeps, which would make good what is lost.
    told = simulated(1, 40, sweep_minutes=0.0)
    print(told)
    assert any(problem.startswith("in the end: ") for problem in told.problems)


def test_a_revoke_that_is_told_before_it_is_done_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    *effects, tell, settle = road.REMOVE
    monkeypatch.setattr(road, "REMOVE", (tell, *effects, settle))
    told = simulated(1, 40)
    print(told)
    assert any("is told as revoked" in problem for problem in told.problems)
