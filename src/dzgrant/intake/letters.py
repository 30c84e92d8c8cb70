"""The dead letters, as a person looks at them: what each is about and why it lies there; back into the queue, or away.

Looking hides them from others, since SQS knows no other way; what is still there afterwards is visible again at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from dzgrant.errors import DzgrantError, Malformed, Misconfigured, Transient
from dzgrant.intake.events import EnvironmentHint, Hint, Ignored, Place, SubscriptionGrantHint, parse
from dzgrant.intake.queue import MESSAGE, REASON, Delivery, Lost, Queue
from dzgrant.together import together

MOST = 1000
"""Messages that are looked at in one go; those beyond come next time."""

# Long enough to receive them all; after a crash they are visible again when it is over.
_HIDDEN_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """`kind`, `domain` and `subject` are None where it is no event. `sent_at`: when it became a dead letter."""

    id: str
    sent_at: datetime
    kind: str | None
    domain: str | None
    subject: str | None
    reason: str


class Letters:
    """`queue`: the one that the letters come from; `letters`: where they lie."""

    def __init__(self, queue: Queue, letters: Queue) -> None:
        self.place = queue.place
        self._queue = queue
        self._letters = letters

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[dict[str, Delivery]]:
        """All that are there, by id. What is taken out of the dictionary is not given back."""
        held: dict[str, Delivery] = {}
        try:
            while len(held) < MOST and (found := await self._letters.receive(10, visibility=_HIDDEN_SECONDS)):
                held |= {one.id: one for one in found}
            yield held
        finally:
            await together(self._give_back(one) for one in held.values())

    async def redrive(self, letter: Delivery) -> None:
        """A crash between the two makes a duplicate, which changes nothing."""
        attributes = {name: value for name, value in letter.attributes.items() if name not in (REASON, MESSAGE)}
        await self._queue.send_again(replace(letter, attributes=attributes), 0)
        await self.drop(letter)

    async def drop(self, letter: Delivery) -> None:
        try:
            await self._letters.delete(letter)
        except Lost:
            raise Transient(f"the dead letter {letter.id} is in other hands", do="try it again") from None

    async def _give_back(self, letter: Delivery) -> None:
        with suppress(Lost, DzgrantError):
            await self._letters.hide(letter, 0)


def of(queue: Queue) -> Letters:
    """Raises `Misconfigured` where the queue has none."""
    if (letters := queue.letters()) is None:
        raise Misconfigured("the queue has no dead-letter queue", do="give it one by a RedrivePolicy (docs/run.md)")
    return Letters(queue, letters)


def described(letter: Delivery, domains: Collection[str], place: Place) -> Letter:
    """What the worker said of it; where SQS moved it by itself, what the worker would say when it reads it."""
    said = letter.attributes[REASON].get("StringValue") if REASON in letter.attributes else None
    hint: Hint | Ignored | None = None
    try:
        hint = parse(letter.body, domains, place)
        read = _seen(hint)
    except Malformed as malformed:
        read = str(malformed)
    known = hint if hint is not None and not isinstance(hint, Ignored) else None
    return Letter(
        id=letter.id,
        sent_at=letter.sent_at,
        kind=hint.kind if hint else None,
        domain=known.domain if known else None,
        subject=_subject(known) if known else None,
        reason=said or f"SQS moved it here, dzgrant did not. {read}",
    )


def _seen(hint: Hint | Ignored) -> str:
    if isinstance(hint, Ignored):
        return f"It would be acknowledged without a look: {hint.reason}"
    return "Nothing is wrong with the message itself; redrive it"


def _subject(hint: Hint) -> str:
    match hint:
        case EnvironmentHint():
            return f"environment {hint.environment}"
        case SubscriptionGrantHint():
            return f"subscription grant {hint.grant}"
        case _:
            named = (("subscription", hint.subscription), ("request", hint.request), ("listing", hint.listing))
            return next(f"{what} {identifier}" for what, identifier in named if identifier)
