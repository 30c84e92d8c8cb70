"""The effects of the roads, carried out for one principal under its lease.

A journey holds what its effects have found so far; `road.next_effect` says which is next. Every effect looks before
it writes, so that any of them may have happened before, wholly or in part.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import structlog

from dzgrant.engines.contract import Database, Dropped, LoginState, Owner, Reach
from dzgrant.engines.filters import is_whole
from dzgrant.errors import AdminRejected, ConsumerRejected, DzgrantError, Misconfigured, PasswordRejected, Refused
from dzgrant.ledger import GrantOutcome, Lease, Settlement
from dzgrant.model import (
    Arn,
    Credentials,
    GrantState,
    IamLogin,
    LoginOutcome,
    PrincipalRecord,
    PrincipalState,
    Spare,
    Table,
    TablePath,
)
from dzgrant.saga.findings import Findings
from dzgrant.saga.proof import prove
from dzgrant.saga.road import REMOVE, Aim, Effect, Progress
from dzgrant.saga.step import Means, bounded
from dzgrant.secrets import Opening

T = TypeVar("T")

log = structlog.stdlib.get_logger(__name__)


class Journey:
    """One principal, moved by one holder of its lease. `tell` reports what it came to; `bound` is the seconds of one step.

    A step starts only while the lease outlasts the bound, and is cut off there; so nothing that this process began goes
    on after another may hold the lease (daemon.md B3, 6a).
    """

    def __init__(
        self,
        *,
        means: Means,
        tell: Tell,
        bound: float,
        lease: Lease,
        progress: Progress,
        found: Findings,
    ) -> None:
        self.principal = lease.principal
        self.began = time.monotonic()
        self.progress = progress
        self.found = found
        self.dropped: Dropped | None = None
        self.suspended = False
        self._disabled: dict[str, Dropped] = {}
        self._fresh = False
        self._means = means
        self._told = tell
        self._bound = bound
        self._lease = lease
        self._admin = lease.record.admin
        self._consumer: Opening | None = None
        self._objects: Mapping[str, str] = {}
        self._producer_secret: Arn | None = lease.prior.producer_secret if lease.prior else None
        self._consumer_secret: Arn | None = lease.prior.consumer_secret if lease.prior else None
        self._perform: Mapping[Effect, Callable[[], Awaitable[None]]] = {
            Effect.RESOLVE: self._resolve,
            Effect.KEEP_PRODUCER_SECRET: self._keep_producer_secret,
            Effect.READ_CONSUMER_SECRET: self._read_consumer_secret,
            Effect.SET_LOGIN: self._set_login,
            Effect.GRANT_SELECT: self._grant_select,
            Effect.PROVE: self._prove,
            Effect.SHARE: self._share,
            Effect.READ_SHARED: self._read_shared,
            Effect.REPLICATE: self._replicate,
            Effect.POINT: self._point,
            Effect.NARROW: self._narrow,
            Effect.REVOKE_SELECT: self._revoke_select,
            Effect.UNSHARE: self._unshare,
            Effect.DROP_LOGIN: self._drop_login,
            Effect.DELETE_CONSUMER_SECRET: self._delete_consumer_secret,
            Effect.DELETE_PRODUCER_SECRET: self._delete_producer_secret,
            Effect.TELL: self._tell,
            Effect.SETTLE: self._settle,
        }

    @property
    def login(self) -> str:
        """The one that the consumer has."""
        return self._consumer.username if self._consumer else self._lease.record.login

    async def perform(self, effect: Effect) -> None:
        """Carries one effect out and notes in `progress` what it showed."""
        try:
            work = self._perform[effect]
            await (work() if effect in _TABLE_BY_TABLE else self._bounded(effect, work))
        except ConsumerRejected:
            if not self.progress.trusted:
                raise
            await self._distrust()
        else:
            self.progress = replace(self.progress, done=self.progress.done | {effect})

    async def _distrust(self) -> None:
        """The ledger said that secret and login work, and they do not: all that the principal has is made good."""
        await self._read_records()
        for record in self.found.records.values():
            if record.state is GrantState.GRANTED and record.table:
                self.found.tables.setdefault(record.path, record.table)
        again = {Effect.GRANT_SELECT, Effect.PROVE}
        self.progress = replace(self.progress, trusted=False, done=self.progress.done - again)

    async def _read_records(self) -> None:
        self.found.records = {record.path.key: record for record in await self._means.ledger.grants(self.principal)}

    async def _on_source(self, work: Callable[[Database], Awaitable[T]]) -> T:
        return await self._means.sources.run(self.principal.source, self._admin, work)

    async def _bounded(self, name: object, work: Callable[[], Awaitable[None]]) -> None:
        await bounded(self._lease, self._bound, name, work)

    async def _each(self, paths: Collection[TablePath], work: Callable[[TablePath], Awaitable[None]]) -> None:
        """Does the work for each table; one that can't be done does not stop the others."""
        for path in paths:
            try:
                await self._bounded(path, partial(work, path))
            except AdminRejected:
                raise
            except Refused as refused:
                self.found.refused[path] = refused.about(table=path)
            except Misconfigured as waiting:
                self.found.waiting[path] = waiting.about(table=path)
            else:
                continue
            self.found.tables.pop(path, None)
        if self.found.waiting and not self.found.tables:
            raise next(iter(self.found.waiting.values()))
        await self._note_refused()

    async def _note_refused(self) -> None:
        if set(self.found.paths) <= set(self.found.refused):
            await self._read_records()
            self.progress = replace(self.progress, open=False, others=bool(self.found.living))
            if self._unmade and Effect.KEEP_PRODUCER_SECRET not in self.progress.done:
                self._leave_all()

    @property
    def _unmade(self) -> bool:
        """By the ledger there was nothing of the principal when the lease was taken: no intent that was not undone."""
        return self._lease.prior is None or self._lease.prior.state is PrincipalState.REMOVED

    def _leave_all(self) -> None:
        """There is nothing to remove; what has our names there is somebody else's."""
        self.progress = replace(self.progress, done=self.progress.done | set(REMOVE) - {Effect.TELL, Effect.SETTLE})

    async def _resolve(self) -> None:
        async def one(path: TablePath) -> None:
            self.found.tables[path] = await self._on_source(lambda database: database.resolve(path))

        await self._each(self.found.paths, one)

    async def _keep_producer_secret(self) -> None:
        # What is older than its removal is of a life that has ended.
        since = self._lease.record.removed_at if self._producer_secret is None else None
        kept = await self._means.secrets.keep_producer(self.principal, self._admin, self._lease.record.openable, since=since)
        self._producer_secret, self._consumer = kept.arn, kept.credentials
        self._fresh |= kept.fresh

    async def _read_consumer_secret(self) -> None:
        found = await self._means.secrets.find_consumer(self.principal)
        if found is None or found.credentials.username not in self._lease.record.openable:
            raise ConsumerRejected("the consumer secret is gone, or holds a login that is going")
        self._consumer, self._objects = found.credentials, found.objects

    async def _set_login(self) -> None:
        environment = self.principal.environment
        owner = Owner(domain=environment.domain, project=environment.project, environment=environment.id)
        try:
            await self._ensure_login(owner)
        except PasswordRejected:
            kept = await self._means.secrets.renew_producer(self.principal, self._admin, self._known_consumer().username)
            self._consumer, self._fresh = kept.credentials, True
            await self._ensure_login(owner)
        except Refused as foreign:
            for path in self.found.paths:
                self.found.refused.setdefault(path, foreign)
            self.progress = replace(self.progress, foreign=True)
            await self._note_refused()

    async def _ensure_login(self, owner: Owner) -> None:
        consumer = self._known_consumer()
        password = consumer.password if isinstance(consumer, Credentials) else None
        await self._on_source(lambda database: database.ensure_login(consumer.username, password, owner, self._lease))

    def _known_consumer(self) -> Opening:
        if self._consumer is None:
            raise AssertionError("the road reads or makes the secret first")
        return self._consumer

    async def _grant_select(self) -> None:
        async def one(path: TablePath) -> None:
            await self._grant(path, self.found.tables[path])

        # Only a filter makes it matter what else is approved: what is wanted whole costs no look at the ledger.
        if (filtered := self.found.filtered) or self.progress.excess:
            await self._read_records()
        await self._each(tuple(self.found.tables), one)
        if self.progress.excess or filtered & self.found.refused.keys():
            # A filter that is refused must not leave what was given before it, nor a mend what nobody wants.
            excess = [self.found.look_for_excess(await self._describe(login)) for login in self._lease.record.logins]
            self.progress = replace(self.progress, excess=any(excess))
        moved = any(self._objects.get(table) != view for table, view in self.found.objects().items())
        self.progress = replace(self.progress, moved=moved)

    async def _grant(self, path: TablePath, table: Table) -> None:
        scopes, settled = self.found.allowed(path), self.found.settled(path)

        async def to(login: str) -> Reach:
            return await self._on_source(lambda database: database.grant(login, table, self._lease, scopes, settled=settled))

        try:
            for spare in set(self._lease.record.logins) - {self.login}:
                # A rotation that has not made it yet gives it what the ledger says then.
                with suppress(ConsumerRejected):
                    await to(spare)
            self.found.reach[path] = await to(self.login)
        except AdminRejected:
            raise
        except Misconfigured:
            if not is_whole(scopes):
                await self._close(path, table)
            raise

    async def _close(self, path: TablePath, table: Table) -> None:
        """What was given before may be more than is approved now: better nothing, until a person has made way."""
        for login in self._lease.record.logins:
            if self.found.look_for_excess(await self._describe(login), closed=table):
                await self._revoke(login)
        self.found.closed.add(path)

    async def _prove(self) -> None:
        consumer = self._known_consumer()

        async def one(path: TablePath) -> None:
            readable = self.found.reach[path].readable
            await self._on_source(lambda database: prove(database, consumer, readable))

        await self._each(tuple(self.found.tables), one)

    async def _share(self) -> None:
        await self._means.secrets.share(self.principal, self._admin, self._known_producer_secret())

    async def _read_shared(self) -> None:
        """The proof of the share: what the consumer account can read is what will be copied."""
        self._consumer = await self._means.secrets.read_shared(self.principal, self._known_producer_secret())

    def _known_producer_secret(self) -> Arn:
        if self._producer_secret is None:
            raise AssertionError("the road keeps the producer secret first")
        return self._producer_secret

    async def _replicate(self) -> None:
        secrets = self._means.secrets
        self._consumer_secret = await secrets.keep_consumer(self.principal, self._known_consumer(), self.found.objects())

    async def _point(self) -> None:
        await self._means.secrets.point_consumer(self.principal, self.found.objects())

    async def _narrow(self) -> None:
        """Gives what is still approved of the tables that stay."""
        for path, table in self.found.narrowing.items():
            try:
                await self._bounded(path, partial(self._grant, path, table))
            except ConsumerRejected:
                # The login is gone, and what it could read with it.
                continue
            except Refused as refused:
                self.found.give_up(path, refused)
        if self.found.refused:
            others = any(record.path.key in self.found.kept for record in self.found.living)
            self.progress = replace(self.progress, others=others, done=self.progress.done - {Effect.REVOKE_SELECT})

    async def _revoke_select(self) -> None:
        for login in self._lease.record.logins:
            await self._revoke(login)

    async def _revoke(self, login: str) -> None:
        await self._on_source(lambda database: database.revoke(login, self.found.keep, self._lease))

    async def _describe(self, login: str) -> LoginState | None:
        return await self._on_source(lambda database: database.describe(login))

    async def _drop(self, login: str) -> Dropped:
        return await self._on_source(lambda database: database.drop(login, self._lease))

    async def _unshare(self) -> None:
        await self._means.secrets.unshare(self.principal, self._admin, self._producer_secret)

    async def _drop_login(self) -> None:
        try:
            self._disabled.clear()
            for login in reversed(self._lease.record.logins):
                self.dropped = await self._drop(login)
                if self.dropped.outcome is LoginOutcome.DISABLED:
                    self._disabled[login] = self.dropped
            # Of two logins, the one that could not go is the one to tell of.
            self.dropped = next(iter(self._disabled.values()), self.dropped)
        except Refused:
            prior = self._lease.prior
            if self._producer_secret or (prior and prior.state in (PrincipalState.ACTIVE, PrincipalState.DISABLED)):
                raise
            # No password was ever kept, so no login was made: one of this name, or of an engine without adapter, is not ours.
            self.progress = replace(self.progress, foreign=True)

    async def _delete_consumer_secret(self) -> None:
        await self._means.secrets.delete_consumer(self.principal, self._consumer_secret)

    async def _delete_producer_secret(self) -> None:
        await self._means.secrets.delete_producer(self.principal, self._admin, self._producer_secret)

    async def survey(self) -> None:
        """REVOKE: which of the claimed tables nobody wants any more, and what stays. Read under the lease, so it holds."""
        if self._unmade:
            self._leave_all()
        await self._read_records()
        self.found.survey()
        self.progress = replace(
            self.progress,
            others=any(record.path.key in self.found.kept for record in self.found.living),
            narrowing=bool(self.found.narrowing),
            moved=bool(self.found.narrowing or self.found.objects()),
        )
        if self.progress.others and not self.found.leaving:
            # Other subscriptions want the same tables: nothing changes but the claims.
            self.progress = replace(self.progress, done=self.progress.done | {Effect.REVOKE_SELECT})

    async def _tell(self) -> None:
        await self._wait(self.found.waiting)
        await self._told(self)

    async def _settle(self) -> None:
        outcomes = self.found.revoked if self.progress.aim is Aim.REVOKE else self.found.granted
        await self._means.ledger.settle(self._lease, self._settlement(tuple(outcomes())))

    async def suspend(self, error: DzgrantError) -> None:
        """Gives the lease back with the work undone, and says why in the ledger, and to people where they have to act.

        Best effort: the message comes again. What people could not be told is not called stuck: so they are told then.
        """
        staying = self.found.paths if self.progress.aim is Aim.GRANT else tuple(self.found.narrowing)
        await self._wait({path: self.found.waiting.get(path, error) for path in (*staying, *self.found.leaving)})
        self.suspended = True
        try:
            await self._told(self)
        except DzgrantError as untold:
            log.warning("outcome_not_told", principal=self.principal.id, error=str(untold))
            self.found.hush()
        await self._means.ledger.settle(self._lease, self._settlement(tuple(self.found.suspended), finished=False))

    async def _wait(self, why: Mapping[TablePath, DzgrantError]) -> None:
        self.found.suspended.clear()
        self.found.stuck.clear()
        if why:
            await self._read_records()
            self.found.wait(why, datetime.now(UTC))
            # People are told once. The log says it at each try, so that an alarm lasts as long as what it is about.
            for one in self.found.suspended:
                if one.state in (GrantState.STUCK_GRANT, GrantState.STUCK_REVOKE):
                    aim = "revoke" if one.state is GrantState.STUCK_REVOKE else "grant"
                    log.warning("access_stuck", aim=aim, principal=self.principal.id, table=str(one.path), reason=one.reason)

    def _settlement(self, grants: tuple[GrantOutcome, ...], *, finished: bool = True) -> Settlement:
        state = self._lease.record.state
        producer, consumer = self._producer_secret, self._consumer_secret
        if finished and self.progress.aim is Aim.GRANT and self.progress.open:
            state = PrincipalState.ACTIVE
        elif finished and self.progress.others:
            # PENDING stays PENDING: a removal may have begun that what is left does not show, so the next grant looks at all.
            state = self._lease.prior.state if self._lease.prior else state
        elif finished:
            state = PrincipalState.DISABLED if self._disabled else PrincipalState.REMOVED
            producer = consumer = None
        record = self._left() if finished and producer is None else self._lease.record
        return Settlement(
            state=state,
            producer_secret=producer,
            consumer_secret=consumer,
            login=record.login,
            password_at=datetime.now(UTC) if self._fresh and producer else record.password_at,
            spare=self._spare(record),
            grants=grants,
        )

    def _spare(self, record: PrincipalRecord) -> Spare | None:
        """A rotation that the source's turn to IAM overtook is not gone on with: what it made is to go."""
        overtaken = record.spare is not None and record.spare.until is None and isinstance(self._consumer, IamLogin)
        return replace(record.spare, until=datetime.now(UTC)) if record.spare and overtaken else record.spare

    def _left(self) -> PrincipalRecord:
        """After a removal: the logins that could not go, and are disabled. An adopted one never comes into use."""
        disabled = [login for login in self._lease.record.logins if login in self._disabled]
        first = next((login for login in disabled if login in self.principal.logins), self.principal.login)
        second = [login for login in disabled if login != first]
        spare = Spare(login=second[0], until=datetime.now(UTC)) if second else None
        return replace(self._lease.record, login=first, password_at=None, spare=spare)


# Their steps are bounded one by one: a principal may have hundreds of tables.
_TABLE_BY_TABLE = frozenset({Effect.RESOLVE, Effect.GRANT_SELECT, Effect.NARROW, Effect.PROVE})

Tell = Callable[[Journey], Awaitable[None]]
