"""Every metric, in one registry of its own.

Labels hold only small closed sets (kinds, outcomes, steps, engines), never ids: a label's every value is a time series.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_STEP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_AGE_SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)


class Metrics:
    """One process's metrics; whoever does a thing counts it here. Times are in seconds."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.events = Counter(
            "dzgrant_events", "Messages by event kind and what became of them.", ["kind", "outcome"], registry=registry
        )
        self.event_age = Histogram(
            "dzgrant_event_age_seconds", "Age of messages when they were received.", buckets=_AGE_SECONDS, registry=registry
        )
        self.in_flight = Gauge("dzgrant_events_in_flight", "Messages in work.", registry=registry)
        self.slots = Gauge("dzgrant_event_slots", "Messages that may be in work at once.", registry=registry)
        self.lag = Gauge("dzgrant_lag_seconds", "Age of the oldest message in work; 0 when there is none.", registry=registry)
        self.lost = Counter("dzgrant_messages_lost", "Messages that became visible while still in work.", registry=registry)
        self.released = Counter("dzgrant_messages_released", "Messages given back at a stop.", registry=registry)
        self.last_poll = Gauge("dzgrant_last_poll_timestamp_seconds", "When the queue last answered.", registry=registry)
        self.grants = Counter("dzgrant_grants", "Grants by outcome and engine.", ["outcome", "engine"], registry=registry)
        self.stuck = Gauge(
            "dzgrant_stuck", "Grants and revokes of the whole ledger that can't go on, by aim.", ["aim"], registry=registry
        )
        self.environments = Counter(
            "dzgrant_environments", "Environments that were extended, restored or stuck.", ["outcome"], registry=registry
        )
        self.unserved = Counter(
            "dzgrant_unserved",
            "Approvals that give nobody a login, by why: not_relational, no_environment.",
            ["why"],
            registry=registry,
        )
        self.findings = Counter(
            "dzgrant_findings",
            "What a sweep found that was not as it should be, by what it is and whether it was repaired.",
            ["kind", "repaired"],
            registry=registry,
        )
        self.last_sweep = Gauge(
            "dzgrant_last_sweep_timestamp_seconds",
            "When a whole sweep last came to its end, by whichever worker; of several domains the longest ago.",
            registry=registry,
        )
        self.steps = Histogram(
            "dzgrant_step_seconds", "Duration of a saga's steps.", ["step", "engine"], buckets=_STEP_SECONDS, registry=registry
        )
        self.retries = Counter("dzgrant_retries", "Messages that are to be tried again, by why.", ["why"], registry=registry)
        self.loop_lag = Gauge("dzgrant_loop_lag_seconds", "How late the event loop ran its last tick.", registry=registry)
