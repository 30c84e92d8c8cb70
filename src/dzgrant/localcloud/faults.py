"""What tests make go wrong, from outside the worker: slow calls, refused calls, calls that fail by chance, and a process killed
at a call."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import NoReturn

from dzgrant.localcloud.calls import Answer, Call, error, query_error
from dzgrant.localcloud.commands import Disturb, Disturbed, Fail, Kill, Latency, Match

_QUERY_PROTOCOL = frozenset({"sts", "iam", "cloudformation"})


_THROTTLED = {"datazone": ("ThrottlingException", 429), "sqs": ("RequestThrottled", 400), "sts": ("Throttling", 400)}


class Killed(Exception):
    """The call gets no answer: its caller was killed, or the answer is lost."""


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
    _weather: Disturb = field(default_factory=Disturb)
    _dice: random.Random = field(default_factory=random.Random)
    _disturbed: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _lock: Lock = field(default_factory=Lock)

    def latency(self, command: Latency) -> None:
        self._seconds = command.milliseconds / 1000

    def kill(self, command: Kill) -> None:
        with self._lock:
            self._kills.append(_Planned(command))

    def fail(self, command: Fail) -> None:
        with self._lock:
            self._fails.append(command)

    def disturb(self, command: Disturb) -> None:
        with self._lock:
            self._weather, self._dice = command, random.Random(command.seed)  # noqa: S311  # no secret is made of it

    def disturbed(self) -> Disturbed:
        with self._lock:
            return Disturbed(calls={service: dict(kinds) for service, kinds in self._disturbed.items()})

    def heal(self) -> None:
        with self._lock:
            self._weather = Disturb()
            self._seconds = 0.0
            self._kills.clear()
            self._fails.clear()

    def before(self, call: Call) -> Answer | Callable[[], None] | None:
        """Waits, then says what becomes of the call: an error, the end of its caller or its answer after it, or nothing.
        Raises `Killed`."""
        time.sleep(self._seconds)
        with self._lock:
            due = self._due(call)
            failing = self._failing(call)
            chance = self._chance(call)
        if due is not None:
            if due.when == "after":
                return partial(_carry_out, due)
            _carry_out(due)
        return failing or self._disturbance(chance, call)

    def _chance(self, call: Call) -> str | None:
        """What befalls the call by chance."""
        weather = self._weather
        if not _matches(weather.match, call):
            return None
        left = self._dice.random()
        for kind in ("throttled", "failed", "lost", "late"):
            left -= getattr(weather, kind)
            if left < 0:
                self._disturbed[call.service][kind] += 1
                return kind
        return None

    def _disturbance(self, chance: str | None, call: Call) -> Answer | Callable[[], None] | None:
        match chance:
            case "throttled":
                code, status = _THROTTLED.get(call.service, ("ThrottlingException", 400))
                return _error(call, code, status)
            case "failed":
                return _error(call, "InternalFailure", 500)
            case "lost":
                return _lose
            case "late":
                time.sleep(self._weather.seconds)
        return None

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
                return _error(call, fail.code, fail.status)
        return None


def _error(call: Call, code: str, status: int) -> Answer:
    message = "The local cloud was asked to fail this call."
    if call.service in _QUERY_PROTOCOL:
        return query_error(code, message, status=status)
    return error(code, message, status=status)


def _carry_out(kill: Kill) -> None:
    """Raises `Killed` after SIGKILL."""
    with suppress(ProcessLookupError):
        os.kill(kill.pid, signal.Signals[kill.signal])
    if kill.signal == "SIGKILL":
        raise Killed


def _lose() -> NoReturn:
    """Raises `Killed`."""
    raise Killed


def _matches(match: Match, call: Call) -> bool:
    return (
        (match.services is None or call.service in match.services)
        and (match.operations is None or call.operation in match.operations)
        and (match.agent is None or match.agent in call.agent)
    )
