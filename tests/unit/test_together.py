"""Several reads at once: in order, and one failure is that failure."""

from __future__ import annotations

import asyncio

import pytest

from dzgrant.errors import Transient
from dzgrant.together import together


async def test_results_come_in_the_order_of_the_calls() -> None:
    second_done = asyncio.Event()

    async def first() -> str:
        await second_done.wait()
        return "first"

    async def second() -> str:
        second_done.set()
        return "second"

    assert await together([first(), second()]) == ["first", "second"]
    assert await together([]) == []


async def test_the_first_failure_is_raised_as_itself_and_ends_the_others() -> None:
    ended: list[str] = []

    async def failing() -> None:
        await asyncio.sleep(0)
        raise Transient("throttled")

    async def waiting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waiting")

    with pytest.raises(Transient):
        await together([waiting(), failing()])
    assert ended == ["waiting"]
