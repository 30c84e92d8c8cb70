"""Answers that are kept for a while: bounded in number and age, and asked for once, however many want one at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from cachetools import TTLCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Tasks share it. What a load raises is not kept: whoever waited for it asks anew, one after the other."""

    def __init__(self, most: int, seconds: float) -> None:
        self._known: TTLCache[K, V] = TTLCache(most, seconds)
        self._asking: WeakValueDictionary[K, asyncio.Lock] = WeakValueDictionary()

    async def get(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        try:
            return self._known[key]
        except KeyError:
            pass
        async with self._asking.setdefault(key, asyncio.Lock()):
            try:
                return self._known[key]
            except KeyError:
                found = self._known[key] = await load()
                return found
