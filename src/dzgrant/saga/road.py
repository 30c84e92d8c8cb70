"""The transition core of the saga: what is known in, the next effect out. Pure, and small enough to explore whole.

A principal is moved along a road: a fixed order of effects, each safe to run again. Nothing remembers how far an
earlier worker came; a new one starts at the road's beginning, and every effect looks before it writes. What a crash
leaves behind is thereby repaired by looking, never by memory.

The order is the promise: a password is stored before it is set, a login is proved before its secret is shared, the
share ends before the login does. The ledger hears of it last, after the outcome bus: told twice is better than never.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    RESOLVE = "resolve"
    KEEP_PRODUCER_SECRET = "keep_producer_secret"  # noqa: S105  # an effect's name
    READ_CONSUMER_SECRET = "read_consumer_secret"  # noqa: S105  # an effect's name
    SET_LOGIN = "set_login"
    GRANT_SELECT = "grant_select"
    PROVE = "prove"
    SHARE = "share"
    READ_SHARED = "read_shared"
    REPLICATE = "replicate"
    POINT = "point"
    NARROW = "narrow"
    REVOKE_SELECT = "revoke_select"
    UNSHARE = "unshare"
    DROP_LOGIN = "drop_login"
    DELETE_CONSUMER_SECRET = "delete_consumer_secret"  # noqa: S105  # an effect's name
    DELETE_PRODUCER_SECRET = "delete_producer_secret"  # noqa: S105  # an effect's name
    TELL = "tell"
    SETTLE = "settle"


class Aim(StrEnum):
    GRANT = "grant"
    REVOKE = "revoke"


FIRST_GRANT = (
    Effect.RESOLVE,
    Effect.KEEP_PRODUCER_SECRET,
    Effect.SET_LOGIN,
    Effect.GRANT_SELECT,
    Effect.REVOKE_SELECT,
    Effect.PROVE,
    Effect.SHARE,
    Effect.READ_SHARED,
    Effect.REPLICATE,
    Effect.TELL,
    Effect.SETTLE,
)
"""For a principal that is new, or whose secret or login turned out not to be what the ledger says."""

FURTHER_GRANT = (
    Effect.RESOLVE,
    Effect.READ_CONSUMER_SECRET,
    Effect.GRANT_SELECT,
    Effect.REVOKE_SELECT,
    Effect.PROVE,
    Effect.POINT,
    Effect.TELL,
    Effect.SETTLE,
)
"""For a principal that works: one more table, proved with the very secret that the consumer holds."""

REVOKE = (Effect.NARROW, Effect.REVOKE_SELECT, Effect.POINT, Effect.TELL, Effect.SETTLE)
"""Other tables remain; of some of them, less than before."""

REFUSE = (Effect.REVOKE_SELECT, Effect.POINT, Effect.TELL, Effect.SETTLE)
"""What is asked for can't be, and other tables remain."""

REMOVE = (
    Effect.UNSHARE,
    Effect.DROP_LOGIN,
    Effect.DELETE_CONSUMER_SECRET,
    Effect.DELETE_PRODUCER_SECRET,
    Effect.TELL,
    Effect.SETTLE,
)
"""Nothing remains: the last table went, or the first grant failed for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What one holder of the lease knows of the principal it moves."""

    aim: Aim
    trusted: bool = False
    """The ledger says that the principal is active, and nothing seen since contradicts it."""
    open: bool = True
    """GRANT: at least one wanted table may still be granted."""
    others: bool = False
    """The principal has live grants beside those that are being moved."""
    narrowing: bool = False
    """REVOKE: of a table that stays, less is approved than before."""
    excess: bool = False
    """GRANT: the login can read what nobody wants, since a filter of it was refused."""
    moved: bool = False
    """The consumer secret does not say (any more) which views are to be read."""
    foreign: bool = False
    """A login of this name is not dzgrant's: it is never touched."""
    by_hand: bool = False
    """REVOKE: a person has settled what is in the database, which can't be asked."""
    done: frozenset[Effect] = frozenset()


def road(progress: Progress) -> tuple[Effect, ...]:
    """The road that this principal is on, without the effects that there is no need of."""
    needless = {
        Effect.NARROW: progress.by_hand or not progress.narrowing,
        Effect.REVOKE_SELECT: progress.by_hand or (progress.aim is Aim.GRANT and not progress.excess),
        Effect.POINT: not progress.moved,
        Effect.DROP_LOGIN: progress.by_hand or progress.foreign,
    }
    return tuple(effect for effect in _whole_road(progress) if not needless.get(effect))


def _whole_road(progress: Progress) -> tuple[Effect, ...]:
    if progress.aim is Aim.GRANT and progress.open:
        return FURTHER_GRANT if progress.trusted else FIRST_GRANT
    if progress.others:
        return REVOKE if progress.aim is Aim.REVOKE else REFUSE
    return REMOVE


def next_effect(progress: Progress) -> Effect | None:
    """The first effect of the road that is not done; None when the principal is settled."""
    if Effect.SETTLE in progress.done:
        return None
    return next(effect for effect in road(progress) if effect not in progress.done)
