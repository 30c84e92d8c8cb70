"""What went wrong, and what to do about it.

Four answers exist, and each error class is one of them: try again (`Transient`), fix the configuration
(`Misconfigured`), no (`Refused`, with `Unsupported` and `Malformed`). The worker decides by class alone what becomes
of a message: the first two are retried with backoff for ever, the last goes to a named state and the dead-letter queue.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self


def one_line(text: str, longest: int) -> str:
    """Text from anywhere (a driver's message, a name) for a terminal or a log: no line breaks, no control characters, no more
    than so many characters."""
    words = " ".join(text[: longest * 4].split())
    plain = "".join(char if char.isprintable() else "?" for char in words)
    return plain if len(plain) <= longest and len(text) <= longest * 4 else f"{plain[: longest - 1]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an error is about; each part is filled in where it is known."""

    subscription: str | None = None
    environment: str | None = None
    source: str | None = None
    table: str | None = None

    def __str__(self) -> str:
        known = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ", ".join(f"{name} {value}" for name, value in known if value)


class DzgrantError(Exception):
    """The root. `what` failed, on which `subject`, and what to `do`: together one line for a person."""

    def __init__(self, what: str, *, do: str, subject: Subject | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.do = do
        self.subject = subject or Subject()

    def about(
        self,
        *,
        subscription: str | None = None,
        environment: str | None = None,
        source: object | None = None,
        table: object | None = None,
    ) -> Self:
        """Fills in the parts of the subject that were not known where the error was raised; returns itself."""
        self.subject = replace(
            self.subject,
            subscription=self.subject.subscription or subscription,
            environment=self.subject.environment or environment,
            source=self.subject.source or (str(source) if source else None),
            table=self.subject.table or (str(table) if table else None),
        )
        return self

    def __str__(self) -> str:
        subject = one_line(str(self.subject), 500)
        return f"{one_line(self.what, 1000)}{f' ({subject})' if subject else ''}; {one_line(self.do, 450)}"


class Transient(DzgrantError):
    """Try again: nothing is wrong that time does not heal. `retry_after` is in seconds, where it is known."""

    def __init__(
        self, what: str, *, do: str = "retried with backoff", subject: Subject | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(what, do=do, subject=subject)
        self.retry_after = retry_after


class LeaseHeld(Transient):
    """Another worker works on this principal now."""


class EnvironmentEnded(Transient):
    """The ledger says that the environment is being deleted; DataZone may have thought better of it since."""


class LeaseLost(Transient):
    """The lease on a principal ended, or went to another worker: stop before the next effect."""


class Misconfigured(DzgrantError):
    """A person must fix a role, a right, a setting; it is tried again slowly until then."""


class AdminRejected(Misconfigured):
    """The source refused its admin credentials: they may just have been rotated, so they are read again once."""


class ConsumerRejected(Transient):
    """The source refused the consumer's credentials: the secret and the login differ and must be brought together."""


class PasswordRejected(Transient):
    """The source's password policy refused the password: a new one is made, never the same again."""


class Refused(DzgrantError):
    """It will never work as it is asked: named state, dead-letter queue."""


class Unsupported(Refused):
    """dzgrant does not do this (yet), and does not guess."""


class Unenforceable(Unsupported):
    """An approval is bounded by a filter that dzgrant can't enforce: what was given of it before goes, too."""


class Malformed(Refused):
    """A message that is no event: it goes to the dead-letter queue as it came."""
