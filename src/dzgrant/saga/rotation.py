"""A principal's password is made anew, and nobody who reads its secret is ever shut out.

The order is the promise: the ledger says that a second way in is being made; its password is stored beside the one in
use (AWSPENDING); the database gets it, as a second password of the login where the engine has such, else as the
principal's other login with the same grants; it is proved on every table; the producer secret holds it in one step, and
then the consumer's copy. What was in use before opens until the grace ends.

Only a spare in the ledger may have AWSPENDING in the secret. So a rotation that was cut off is told from one that is
new: the secret in use is the pending one, or names another login than the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum, auto
from functools import partial
from typing import TypeVar

import structlog

from dzgrant.engines.contract import Database, Owner, Readable
from dzgrant.errors import Misconfigured, PasswordRejected, Refused, Transient
from dzgrant.ledger import Lease, Settlement
from dzgrant.model import Credentials, GrantRecord, GrantState, LoginOutcome, PrincipalRecord, PrincipalState, Spare
from dzgrant.saga.step import Means, Observe, bounded
from dzgrant.secrets import Version, Versions

T = TypeVar("T")

log = structlog.stdlib.get_logger(__name__)


class Turn(Enum):
    """What a principal is due for."""

    ROTATE = auto()
    """A new password; also to finish what was begun."""
    RETIRE = auto()
    """The end of what was in use before."""


def due(record: PrincipalRecord, now: datetime, older_than: timedelta | None) -> Turn | None:
    """`older_than`: the age at which a password is made anew, None: never. A password of unknown age is older."""
    active = record.state is PrincipalState.ACTIVE
    if record.spare is not None:
        if record.spare.until is None:
            return Turn.ROTATE if active else None
        return Turn.RETIRE if record.spare.until <= now else None
    old = older_than is not None and (record.password_at is None or record.password_at <= now - older_than)
    return Turn.ROTATE if active and old else None


class Step(StrEnum):
    RETIRE = "retire"
    INTEND = "intend"
    KEEP_PENDING = "keep_pending"
    ADD = "add_way_in"
    GRANT_SPARE = "grant_spare"
    PROVE_PENDING = "prove_pending"
    PROMOTE = "promote"
    REPLICATE = "replicate"
    TELL = "tell"
    SETTLE = "settle"


class Rotation:
    """One principal, under its lease. `bound` is the seconds of one step; what was in use before opens for `grace` more."""

    def __init__(self, *, means: Means, lease: Lease, bound: float, grace: timedelta, observe: Observe, tell: Tell) -> None:
        self.principal = lease.principal
        self.began = time.monotonic()
        self.login = lease.record.login
        """The one in use; after `rotate` the one that is in use then."""
        self.retired: LoginOutcome | None = None
        """What became of the login in use before, where it was a login of its own."""
        self._means = means
        self._lease = lease
        self._record = lease.record
        self._admin = lease.record.admin
        self._bound = bound
        self._grace = grace
        self._observe = observe
        self._told = tell
        self._readable: list[Readable] = []
        self._granted: list[GrantRecord] = []

    async def retire(self) -> None:
        """Ends what was in use before. A login that can't be dropped, only disabled, is tried again when it is next due."""
        await self._step(Step.RETIRE, self._retire)
        await self._step(Step.SETTLE, partial(self._settle, self._record))

    async def rotate(self) -> None:
        """Raises what stopped it; `rotate` again goes on from there."""
        spare = self._record.spare
        if spare is not None and spare.until is not None:
            # There are two ways in at most: a second rotation ends the grace of the first.
            await self._step(Step.RETIRE, self._retire)
        if spare is None or spare.until is not None:
            await self._step(Step.INTEND, self._intend)
        versions = await self._versions()
        if not self._promoted(versions):
            versions = await self._made(versions)
            await self._step(Step.PROMOTE, lambda: self._means.secrets.promote(self.principal, self._admin, versions))
            versions = await self._versions()
        await self._step(Step.REPLICATE, partial(self._replicate, versions))
        self.login = versions.current.credentials.username
        await self._step(Step.TELL, lambda: self._told(self))
        now = datetime.now(UTC)
        left = Spare(login=self._record.login, until=now + self._grace)
        settled = replace(self._record, login=self.login, password_at=now, spare=left)
        await self._step(Step.SETTLE, partial(self._settle, settled))

    async def _step(self, step: Step, work: Callable[[], Awaitable[T]]) -> T:
        began = time.monotonic()
        try:
            return await bounded(self._lease, self._bound, step, work)
        finally:
            self._observe(step, self.principal.source.engine, time.monotonic() - began)

    async def _on_source(self, work: Callable[[Database], Awaitable[T]]) -> T:
        return await self._means.sources.run(self.principal.source, self._admin, work)

    async def _retire(self) -> None:
        record = self._record
        if (spare := record.spare) is None:
            return
        if spare.login == record.login:
            await self._on_source(lambda database: database.retire_password(record.login, self._lease))
        else:
            dropped = await self._on_source(lambda database: database.drop(spare.login, self._lease))
            self.retired = dropped.outcome
            log.info(
                "login_retired", principal=self.principal.id, login=spare.login, outcome=dropped.outcome, reason=dropped.detail
            )
        await self._means.secrets.forget_pending(self.principal, self._admin)
        if self.retired is not LoginOutcome.DISABLED:
            self._record = replace(record, spare=None)

    async def _intend(self) -> None:
        spare = Spare(login=self._other(), until=None)
        await self._means.ledger.intend(self._lease, spare)
        self._record = replace(self._record, spare=spare)

    def _other(self) -> str:
        first, second = self.principal.logins
        return second if self._record.login == first else first

    async def _versions(self) -> Versions:
        versions = await self._means.secrets.versions(self.principal, self._admin)
        if versions is None:
            raise Misconfigured(
                "the producer secret is gone, or holds no password of dzgrant's", do="restore it, or approve anew"
            )
        return versions

    def _promoted(self, versions: Versions) -> bool:
        current, pending = versions.current, versions.pending
        return current.credentials.username != self._record.login or (pending is not None and pending.id == current.id)

    async def _made(self, versions: Versions) -> Versions:
        """The pending version, which opens every table by now."""
        self._granted = await self._live_grants()
        pending = versions.pending or await self._put_pending(versions.current.credentials.username)
        try:
            pending = await self._added(pending)
        except PasswordRejected:
            pending = await self._added(await self._put_pending(pending.credentials.username))
        consumer = pending.credentials
        for readable in self._readable:
            await self._step(Step.PROVE_PENDING, partial(self._prove, consumer, readable))
        return replace(versions, pending=pending)

    async def _live_grants(self) -> list[GrantRecord]:
        found = await self._means.ledger.grants(self.principal)
        return [record for record in found if record.state is GrantState.GRANTED and record.table]

    async def _put_pending(self, login: str) -> Version:
        putting = partial(self._means.secrets.put_pending, self.principal, self._admin, login)
        return await self._step(Step.KEEP_PENDING, putting)

    async def _added(self, pending: Version) -> Version:
        """The way in for the pending password: the login's own, else the other login's, for which it is made anew."""
        if not self._granted:
            raise _unproved()
        if pending.credentials.username == self._record.login:
            if await self._step(Step.ADD, partial(self._second_password, pending.credentials)):
                tables = [(record.readable or record.table, record.columns) for record in self._granted]
                self._readable = [Readable(table=table, columns=columns) for table, columns in tables if table]
                return pending
            pending = await self._put_pending(self._other())
        try:
            await self._step(Step.ADD, partial(self._second_login, pending))
        except Refused:
            # A login of that name is somebody else's: nothing of ours is in it, and nobody must take it for ours.
            await self._means.secrets.forget_pending(self.principal, self._admin)
            await self._settle(replace(self._record, spare=None))
            raise
        self._readable = []
        refused: Refused | None = None
        for record in self._granted:
            try:
                await self._step(Step.GRANT_SPARE, partial(self._grant, record, pending.credentials.username))
            except Refused as error:
                # The login in use can't read it either, by now: that is for the next reconciliation to tell.
                refused = error.about(table=record.table)
                log.warning("table_not_rotated", principal=self.principal.id, table=str(record.table), error=str(refused))
        if refused and not self._readable:
            raise Misconfigured(refused.what, do=refused.do, subject=refused.subject)
        return pending

    async def _second_password(self, consumer: Credentials) -> bool:
        login, password = consumer.username, consumer.password
        return await self._on_source(lambda database: database.add_password(login, password, self._lease))

    async def _prove(self, consumer: Credentials, readable: Readable) -> None:
        await self._on_source(lambda database: database.prove(consumer, readable))

    async def _second_login(self, pending: Version) -> None:
        place, consumer = self.principal.environment, pending.credentials
        owner = Owner(domain=place.domain, project=place.project, environment=place.id)
        login, password = consumer.username, consumer.password
        await self._on_source(lambda database: database.ensure_login(login, password, owner, self._lease))

    async def _grant(self, record: GrantRecord, login: str) -> None:
        if (table := record.table) is not None:
            scopes = record.allowed
            reach = await self._on_source(lambda database: database.grant(login, table, self._lease, scopes))
            self._readable.append(reach.readable)

    async def _replicate(self, versions: Versions) -> None:
        granted = await self._live_grants()
        objects = {str(record.table): str(record.readable) if record.readable else None for record in granted}
        arn = await self._means.secrets.keep_consumer(self.principal, versions.current.credentials, objects)
        self._record = replace(self._record, consumer_secret=arn)

    async def _settle(self, record: PrincipalRecord) -> None:
        settlement = Settlement(
            state=record.state,
            producer_secret=record.producer_secret,
            consumer_secret=record.consumer_secret,
            login=record.login,
            password_at=record.password_at,
            spare=record.spare,
        )
        await self._means.ledger.settle(self._lease, settlement)


def _unproved() -> Transient:
    return Transient("no table is granted now that could prove a new password")


Tell = Callable[[Rotation], Awaitable[None]]
