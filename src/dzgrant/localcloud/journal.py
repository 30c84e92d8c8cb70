"""The AWS calls that arrived, counted from outside the worker. Their bodies, which may hold secrets, are not kept."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from threading import Lock

from dzgrant.localcloud import commands
from dzgrant.localcloud.calls import Call


@dataclass(slots=True, kw_only=True)
class Entry:
    """As `commands.Call`; the last two are set when the call is answered."""

    time: float
    service: str
    operation: str
    account: str
    caller: str
    agent: str
    status: int | None = None
    seconds: float | None = None

    def answered(self, status: int) -> None:
        self.seconds = time.time() - self.time
        self.status = status


@dataclass(slots=True)
class Journal:
    """Every call in order of arrival; threads share it."""

    _entries: list[Entry] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def arrived(self, call: Call) -> Entry:
        entry = Entry(
            time=time.time(),
            service=call.service,
            operation=call.operation,
            account=call.caller.account,
            caller=call.caller.role or call.caller.arn,
            agent=call.agent,
        )
        with self._lock:
            self._entries.append(entry)
        return entry

    def calls(self) -> tuple[commands.Call, ...]:
        with self._lock:
            entries = tuple(self._entries)
        return tuple(commands.Call(**asdict(entry)) for entry in entries)

    def forget(self) -> None:
        with self._lock:
            self._entries.clear()
