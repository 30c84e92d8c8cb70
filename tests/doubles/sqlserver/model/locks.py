"""Locks with an owner, a mode, a queue and a time to wait: application locks and those of statements that write.

A wait that closes a circle of waiting owners is a deadlock, and the one who asks is its victim (1205).
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

Owner = tuple[int, str]
"""The session, and whether the lock ends with it or with its transaction. A session never waits for itself."""
Resource = Hashable


class Deadlock(Exception):
    """The wait would never end."""


@dataclass(slots=True, eq=False)
class _Wait:
    owner: Owner
    shared: bool
    granted: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Lock:
    holders: dict[Owner, tuple[int, bool]] = field(default_factory=dict)
    """How often each holds it, and whether shared."""
    queue: list[_Wait] = field(default_factory=list)


class Locks:
    """All locks of one server; for one event loop."""

    def __init__(self) -> None:
        self._locks: dict[Resource, _Lock] = {}

    async def acquire(
        self,
        owner: Owner,
        resource: Resource,
        *,
        shared: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - as the engine has it
    ) -> bool:
        """Whether it was got in time (seconds; None: for ever). Returns without waiting where it can. Raises `Deadlock`."""
        lock = self._locks.setdefault(resource, _Lock())
        if self._take(lock, owner, shared, jump=_holds(lock, owner) or not lock.queue):
            return True
        if timeout == 0:
            return False
        if self._closes_circle(owner, lock):
            raise Deadlock
        wait = _Wait(owner, shared)
        lock.queue.append(wait)
        try:
            async with asyncio.timeout(timeout):
                await wait.granted.wait()
        except TimeoutError:
            # It may have been granted in the very turn that the time ended.
            return wait.granted.is_set()
        except asyncio.CancelledError:
            if wait.granted.is_set():
                self.release(owner, resource)
            raise
        finally:
            if wait in lock.queue:
                lock.queue.remove(wait)
                self._serve(resource)
        return True

    def holds(self, owner: Owner, resource: Resource) -> bool:
        lock = self._locks.get(resource)
        return lock is not None and owner in lock.holders

    def held_by_other(self, session: int, resource: Resource) -> bool:
        """Whether another session holds it for itself alone."""
        lock = self._locks.get(resource)
        return lock is not None and any(holder[0] != session and not shared for holder, (_, shared) in lock.holders.items())

    def free_for(self, owner: Owner, resource: Resource) -> bool:
        lock = self._locks.get(resource)
        return lock is None or (not lock.queue and all(holder[0] == owner[0] for holder in lock.holders))

    def release(self, owner: Owner, resource: Resource, *, wholly: bool = False) -> bool:
        """Once (an owner may hold it several times), or wholly. Whether it was held."""
        lock = self._locks.get(resource)
        if lock is None or owner not in lock.holders:
            return False
        times, shared = lock.holders[owner]
        if times > 1 and not wholly:
            lock.holders[owner] = times - 1, shared
        else:
            del lock.holders[owner]
            self._serve(resource)
        return True

    def release_all(self, owner: Owner) -> None:
        for resource in [resource for resource, lock in self._locks.items() if owner in lock.holders]:
            self.release(owner, resource, wholly=True)

    def waits_for(self, session: int) -> list[int]:
        """The sessions that this one waits for."""
        waiting = [lock for lock in self._locks.values() if any(wait.owner[0] == session for wait in lock.queue)]
        return [holder[0] for lock in waiting for holder in lock.holders if holder[0] != session]

    def _take(self, lock: _Lock, owner: Owner, shared: bool, *, jump: bool) -> bool:
        others = [held for holder, held in lock.holders.items() if holder[0] != owner[0]]
        if not jump or (others and not (shared and all(held_shared for _, held_shared in others))):
            return False
        times, was_shared = lock.holders.get(owner, (0, True))
        lock.holders[owner] = times + 1, shared and was_shared
        return True

    def _serve(self, resource: Resource) -> None:
        lock = self._locks[resource]
        while lock.queue and self._take(lock, lock.queue[0].owner, lock.queue[0].shared, jump=True):
            lock.queue.pop(0).granted.set()
        if not lock.holders and not lock.queue:
            self._locks.pop(resource, None)

    def _closes_circle(self, owner: Owner, lock: _Lock) -> bool:
        seen: set[int] = set()
        ahead = [holder[0] for holder in lock.holders if holder[0] != owner[0]]
        while ahead:
            session = ahead.pop()
            if session == owner[0]:
                return True
            if session not in seen:
                seen.add(session)
                ahead += self.waits_for(session)
        return False


def _holds(lock: _Lock, owner: Owner) -> bool:
    return any(holder[0] == owner[0] for holder in lock.holders)
