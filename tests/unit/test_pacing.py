"""How DataZone's quota is shared between events and the sweep."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from dzgrant.accounts import Accounts
from dzgrant.catalog import unhurried
from dzgrant.catalog.datazone import DataZone


class Counting:
    """Accounts and client in one: it counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.four = asyncio.Event()

    async def datazone(self) -> Any:
        return self

    async def get_domain(self, **_: str) -> dict[str, str]:
        self.calls += 1
        if self.calls == 4:
            self.four.set()
        return {}


async def test_a_sweep_leaves_half_of_the_rate_to_events() -> None:
    counting = Counting()
    datazone = DataZone(cast("Accounts", counting), rate=8)

    async def sweep() -> None:
        unhurried.set(True)
        for _ in range(8):
            await datazone.domain("d")

    sweeping = asyncio.create_task(sweep())
    await counting.four.wait()
    for _ in range(4):
        await datazone.domain("d")
    assert not sweeping.done()
    sweeping.cancel()
    assert not unhurried.get()
