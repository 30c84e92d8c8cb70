"""EventBridge: buses that keep what was put on them."""

from __future__ import annotations

from collections import defaultdict
from random import Random

from tests.fakes.answers import Caller, Members, Refusal

_MOST = 10


class EventBridge:
    """`buses`: the entries that each took, in order, by the bus's name."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.names: set[str] = {"default"}
        self.buses: defaultdict[str, list[Members]] = defaultdict(list)

    def put_events(self, given: Members, caller: Caller) -> Members:
        entries = given["Entries"]
        if not 1 <= len(entries) <= _MOST:
            raise Refusal("ValidationException", "Member must have length between 1 and 10")
        answers: list[Members] = []
        for entry in entries:
            bus = entry.get("EventBusName", "default").rpartition("/")[2]
            if entry["Source"].startswith("aws."):
                answers.append(
                    {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}
                )
                continue
            # "If the event bus does not exist", the entry is taken nevertheless and goes nowhere (PutEvents).
            if bus in self.names:
                self.buses[bus].append(entry)
            answers.append({"EventId": f"{self._rng.getrandbits(128):032x}"})
        return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}
