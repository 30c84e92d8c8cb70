"""The short form of `make chaos`: some dozen events in the same storm."""

from __future__ import annotations

import random
from pathlib import Path

from dzgrant.localcloud.databases import Server
from tests.chaos.plan import Plan
from tests.chaos.run import survived
from tests.system.cloud import Cloud
from tests.system.conftest import Start


async def test_a_short_storm_leaves_everything_as_it_should_be(
    cloud_of_workers: Cloud, postgresql: Server, mariadb: Server, start: Start, ca_bundle: Path, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    plan = Plan(seed=seed, events=40, workers=2, projects=2, tables=3, pause=0.8)
    tally = await survived(plan, cloud_of_workers, (postgresql, mariadb), start, ca_bundle, tmp_path)
    assert tally.failures == [], f"python -m tests.chaos --seed {seed}"
    assert sum(tally.events.values()) == 40
    assert tally.blows["kill -9 of a worker"] > 0
