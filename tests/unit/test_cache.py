"""Many who want one answer at the same time make one call; a failure is nobody's answer but its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import cast

import pytest

from dzgrant.catalog.cache import Cache
from dzgrant.catalog.datazone import DataZone
from dzgrant.catalog.owners import Owners
from dzgrant.errors import Transient
from dzgrant.model import AccountId, Asset, Region

ASSET = Asset(
    id="a", listing="l", account=AccountId("222222222222"), region=Region("eu-west-1"), database="d", table="t", scope=None
)


class Counting:
    """A DataZone that has the owner's environment, and counts; it answers once it may."""

    def __init__(self) -> None:
        self.calls = 0
        self.may = asyncio.Event()

    async def environments(self, *_: str, **__: str) -> AsyncIterator[dict[str, str]]:
        self.calls += 1
        await self.may.wait()
        yield {"awsAccountId": ASSET.account, "awsAccountRegion": ASSET.region, "status": "ACTIVE"}


async def test_events_that_come_at_once_ask_once_whose_the_catalogue_is() -> None:
    datazone = Counting()
    owners = Owners(cast("DataZone", datazone), ())
    async with asyncio.TaskGroup() as events:
        for _ in range(16):
            events.create_task(owners.check("d", "p", ASSET))
        await asyncio.sleep(0)
        datazone.may.set()
    assert datazone.calls == 1


async def test_who_waits_for_one_that_fails_or_is_cancelled_asks_anew() -> None:
    cache: Cache[str, str] = Cache(9, 9.0)
    asked: list[str] = []
    may = asyncio.Event()

    async def load(name: str) -> str:
        asked.append(name)
        await may.wait()
        if name == "fails":
            raise Transient("the weather")
        return name

    asking = [asyncio.create_task(cache.get("key", partial(load, name))) for name in ("cancelled", "fails", "well")]
    await asyncio.sleep(0)
    asking[0].cancel()
    may.set()
    with pytest.raises(Transient):
        await asking[1]
    assert await asking[2] == "well"
    assert await cache.get("key", partial(load, "never")) == "well"
    assert asked == ["cancelled", "fails", "well"]
