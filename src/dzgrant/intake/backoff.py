"""How long a message that could not succeed yet stays away."""

from __future__ import annotations

import random

from dzgrant.errors import Misconfigured, Transient

# What a person must fix is not fixed within seconds.
_SLOWER = 12


def backoff(error: Exception, receives: int, *, first: float, cap: float) -> float:
    """Seconds until the next try, at least 1, after a message was received so often (1 at first).

    Exponential with full jitter, so that many messages that failed together do not come back together. An error that
    knows when to come back is believed: from then to twice that.
    """
    if isinstance(error, Transient) and error.retry_after is not None:
        low, high = error.retry_after, error.retry_after * 2
    else:
        slowed = first * _SLOWER if isinstance(error, Misconfigured) else first
        low, high = 0.0, min(cap, slowed * 2.0 ** min(receives - 1, 32))
    return max(1.0, random.uniform(low, high))  # noqa: S311  # jitter is no secret
