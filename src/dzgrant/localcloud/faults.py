"""What tests make go wrong, from outside the worker: slow calls, refused calls, and a process killed at a call."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock

from dzgrant.localcloud.calls import Answer, Call, error, query_error
from dzgrant.localcloud.commands import Fail, Kill, Latency, Match

_QUERY_PROTOCOL = frozenset({"sts", "iam", "cloudformation"})


class Killed(Exception):
    """The caller was killed: its call gets no answer."""


@dataclass(slots=True)
class _Planned:
    kill: Kill
    seen: int = 0


@dataclass(slots=True)
class Faults:
    """The faults that wait for their calls; threads share it."""

    _seconds: float = 0.0
    _kills: list[_Planned] = field(default_factory=list)
    _fails: list[Fail] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def latency(self, command: Latency) -> None:
        self._seconds = command.milliseconds / 1000

    def kill(self, command: Kill) -> None:
        with self._lock:
            self._kills.append(_Planned(command))

    def fail(self, command: Fail) -> None:
        with self._lock:
            self._fails.append(command)

    def heal(self) -> None:
        with self._lock:
            self._seconds = 0.0
            self._kills.clear()
            self._fails.clear()

    def before(self, call: Call) -> Answer | Kill | None:
        """Waits, then says what becomes of the call: an error, a kill that is due after it, or nothing. Raises `Killed`."""
        time.sleep(self._seconds)
        with self._lock:
            due = self._due(call)
            failing = self._failing(call)
        if due is not None and due.when == "before":
            self.carry_out(due)
        return due or failing

    def carry_out(self, kill: Kill) -> None:
        """Raises `Killed`."""
        with suppress(ProcessLookupError):
            os.kill(kill.pid, signal.SIGKILL)
        raise Killed

    def _due(self, call: Call) -> Kill | None:
        for planned in self._kills:
            if _matches(planned.kill.match, call):
                planned.seen += 1
                if planned.seen == planned.kill.call:
                    self._kills.remove(planned)
                    return planned.kill
        return None

    def _failing(self, call: Call) -> Answer | None:
        for number, fail in enumerate(self._fails):
            if _matches(fail.match, call):
                left = fail.model_copy(update={"times": fail.times - 1})
                self._fails[number : number + 1] = [left] if left.times else []
                message = "The local cloud was asked to fail this call."
                if call.service in _QUERY_PROTOCOL:
                    return query_error(fail.code, message, status=fail.status)
                return error(fail.code, message, status=fail.status)
        return None


def _matches(match: Match, call: Call) -> bool:
    return (
        (match.services is None or call.service in match.services)
        and (match.operations is None or call.operation in match.operations)
        and (match.agent is None or match.agent in call.agent)
    )
