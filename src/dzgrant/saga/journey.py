"""The effects of the roads, carried out for one principal under its lease.

A journey holds what its effects have found so far; `road.next_effect` says which is next. Every effect looks before
it writes, so that any of them may have happened before, wholly or in part.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from dzgrant.engines.contract import Database, Dropped, Owner, Reach
from dzgrant.errors import AdminRejected, ConsumerRejected, LeaseLost, Misconfigured, PasswordRejected, Refused, Transient
from dzgrant.ledger import Claim, GrantOutcome, Lease, Ledger, Settlement
from dzgrant.model import (
    WHOLE,
    Arn,
    Credentials,
    GrantRecord,
    GrantState,
    LoginOutcome,
    PrincipalState,
    Table,
    TablePath,
)
from dzgrant.saga.proof import prove
from dzgrant.saga.road import REMOVE, Aim, Effect, Progress
from dzgrant.saga.sources import Sources
from dzgrant.secrets import Opening, Secrets

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the effects act through."""

    ledger: Ledger
    secrets: Secrets
    sources: Sources


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
        claims: Sequence[Claim],
        whole: Collection[str] = (),
    ) -> None:
        """`whole`: the keys of the tables that are wanted without a filter, whatever else wants them."""
        self.principal = lease.principal
        self.began = time.monotonic()
        self.progress = progress
        self.claims = claims
        """What is wanted (GRANT), or no longer is (REVOKE)."""
        self.refused: dict[TablePath, Refused] = {}
        self.waiting: dict[TablePath, Misconfigured] = {}
        """Tables that a person must do something for first."""
        self.tables: dict[TablePath, Table] = {}
        self.reach: dict[TablePath, Reach] = {}
        self.dropped: Dropped | None = None
        self.leaving: list[TablePath] = []
        self.kept: set[str] = set()
        """Keys of the tables that other subscriptions want."""
        self.keep: tuple[Table, ...] = ()
        self._narrowing: dict[TablePath, Table] = {}
        """Tables that stay, and of which less may be approved than before."""
        self._views: dict[Table, Table | None] = {}
        """What the consumer secret must say to be read for a table; None: the table itself, or nothing any more."""
        self._records: Mapping[str, GrantRecord] = {}
        """What the ledger has of the principal, by the tables' keys; read under the lease, once there is need of it."""
        self._whole = whole
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
    def paths(self) -> tuple[TablePath, ...]:
        """The tables of this journey, each once."""
        return tuple(dict.fromkeys(claim.path for claim in self.claims))

    @property
    def failed(self) -> tuple[TablePath, ...]:
        """The claimed tables that were not granted."""
        return tuple(path for path in self.paths if path in self.refused or path in self.waiting)

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
        for record in self._records.values():
            if record.state is GrantState.GRANTED and record.table:
                self.tables.setdefault(record.path, record.table)
        again = {Effect.GRANT_SELECT, Effect.PROVE}
        self.progress = replace(self.progress, trusted=False, done=self.progress.done - again)

    async def _read_records(self) -> None:
        self._records = {record.path.key: record for record in await self._means.ledger.grants(self.principal)}

    async def _on_source(self, work: Callable[[Database], Awaitable[T]]) -> T:
        return await self._means.sources.run(self.principal.source, self._admin, work)

    async def _bounded(self, name: object, work: Callable[[], Awaitable[None]]) -> None:
        try:
            self._lease.check(self._bound)
        except LeaseLost:
            await self._lease.renew()
        try:
            async with asyncio.timeout(self._bound):
                await work()
        except TimeoutError:
            raise Transient(f"{name} took longer than {self._bound:.0f} s") from None

    async def _each(self, paths: Collection[TablePath], work: Callable[[TablePath], Awaitable[None]]) -> None:
        """Does the work for each table; one that can't be done does not stop the others."""
        for path in paths:
            try:
                await self._bounded(path, partial(work, path))
            except AdminRejected:
                raise
            except Refused as refused:
                self.refused[path] = refused.about(table=path)
            except Misconfigured as waiting:
                self.waiting[path] = waiting.about(table=path)
            else:
                continue
            self.tables.pop(path, None)
        if self.waiting and not self.tables:
            raise next(iter(self.waiting.values()))
        await self._note_refused()

    async def _note_refused(self) -> None:
        if set(self.paths) <= set(self.refused):
            await self._read_records()
            live = any(record.path not in self.refused and _lives(record) for record in self._records.values())
            self.progress = replace(self.progress, open=False, others=live)
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
            self.tables[path] = await self._on_source(lambda database: database.resolve(path))

        await self._each(self.paths, one)

    async def _keep_producer_secret(self) -> None:
        kept = await self._means.secrets.keep_producer(self.principal, self._admin)
        self._producer_secret, self._consumer = kept.arn, kept.credentials

    async def _read_consumer_secret(self) -> None:
        found = await self._means.secrets.find_consumer(self.principal)
        if found is None:
            raise ConsumerRejected("the consumer secret is gone")
        self._consumer, self._objects = found.credentials, found.objects

    async def _set_login(self) -> None:
        environment = self.principal.environment
        owner = Owner(domain=environment.domain, project=environment.project, environment=environment.id)
        try:
            await self._ensure_login(owner)
        except PasswordRejected:
            kept = await self._means.secrets.renew_producer(self.principal, self._admin)
            self._consumer = kept.credentials
            await self._ensure_login(owner)
        except Refused as foreign:
            for path in self.paths:
                self.refused.setdefault(path, foreign)
            self.progress = replace(self.progress, foreign=True)
            await self._note_refused()

    async def _ensure_login(self, owner: Owner) -> None:
        consumer = self._known_consumer()
        password = consumer.password if isinstance(consumer, Credentials) else None
        login = self.principal.login
        await self._on_source(lambda database: database.ensure_login(login, password, owner, self._lease))

    def _known_consumer(self) -> Opening:
        if self._consumer is None:
            raise AssertionError("the road reads or makes the secret first")
        return self._consumer

    async def _grant_select(self) -> None:
        async def one(path: TablePath) -> None:
            await self._grant(path, self.tables[path])

        # Only a filter makes it matter what else is approved: what is wanted whole costs no look at the ledger.
        filtered = {path for path in self.tables if path.key not in self._whole}
        if filtered:
            await self._read_records()
        await self._each(tuple(self.tables), one)
        if filtered & self.refused.keys():
            await self._look_for_excess()
        self.progress = replace(
            self.progress, moved=any(self._objects.get(str(table)) != _name(view) for table, view in self._views.items())
        )

    async def _grant(self, path: TablePath, table: Table) -> None:
        scopes = {} if path.key in self._whole else {"scopes": self._records[path.key].allowed}
        login = self.principal.login
        reach = await self._on_source(lambda database: database.grant(login, table, self._lease, **scopes))
        self.reach[path] = reach
        self._views[table] = reach.readable.table if reach.readable.table != table else None

    async def _look_for_excess(self) -> None:
        """A filter that is refused must not leave what was given before it."""
        living = [record for record in self._records.values() if _lives(record) and record.path not in self.refused]
        self.keep = tuple({*self.tables.values(), *(record.table for record in living if record.table)})
        views = {*self._views.values(), *(record.readable for record in living)}
        login = await self._on_source(lambda database: database.describe(self.principal.login))
        excess = login is not None and not {*login.tables} <= {*self.keep} | views
        self.progress = replace(self.progress, excess=excess)

    async def _prove(self) -> None:
        consumer = self._known_consumer()

        async def one(path: TablePath) -> None:
            readable = self.reach[path].readable
            await self._on_source(lambda database: prove(database, consumer, readable))

        await self._each(tuple(self.tables), one)

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
        self._consumer_secret = await secrets.keep_consumer(self.principal, self._known_consumer(), self._objects_now())

    async def _point(self) -> None:
        await self._means.secrets.point_consumer(self.principal, self._objects_now())

    def _objects_now(self) -> dict[str, str | None]:
        return {str(table): _name(view) for table, view in self._views.items()}

    async def _narrow(self) -> None:
        """Gives what is still approved of the tables that stay. What can't be narrowed goes."""
        for path, table in self._narrowing.items():
            try:
                await self._bounded(path, partial(self._grant, path, table))
            except Refused as refused:
                self.refused[path] = refused.about(table=path)
                self.kept.discard(path.key)
                self.keep = tuple(one for one in self.keep if one != table)
        if self.refused:
            others = any(_lives(record) and key in self.kept for key, record in self._records.items())
            self.progress = replace(self.progress, others=others, done=self.progress.done - {Effect.REVOKE_SELECT})

    async def _revoke_select(self) -> None:
        await self._on_source(lambda database: database.revoke(self.principal.login, self.keep, self._lease))

    async def _unshare(self) -> None:
        await self._means.secrets.unshare(self.principal, self._admin, self._producer_secret)

    async def _drop_login(self) -> None:
        try:
            self.dropped = await self._on_source(lambda database: database.drop(self.principal.login, self._lease))
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
        ended = {(claim.path, claim.subscription) for claim in self.claims}
        shrunk = {claim.path.key for claim in self.claims}
        await self._read_records()
        for key, record in self._records.items():
            wanting = frozenset(by for by in record.subscriptions if (record.path, by) not in ended)
            if not wanting:
                self.leaving.append(record.path)
                if record.table:
                    self.tables[record.path] = record.table
                    self._views |= {record.table: None} if record.readable else {}
                continue
            self.kept.add(key)
            if _lives(record):
                self.progress = replace(self.progress, others=True)
                if record.table:
                    self.keep += (record.table,)
                    self._narrowing |= {record.path: record.table} if key in shrunk and record.allowed != WHOLE else {}
        self.progress = replace(self.progress, narrowing=bool(self._narrowing), moved=bool(self._views or self._narrowing))
        if self.progress.others and not self.leaving:
            # Other subscriptions want the same tables: nothing changes but the claims.
            self.progress = replace(self.progress, done=self.progress.done | {Effect.REVOKE_SELECT})

    async def _tell(self) -> None:
        await self._told(self)

    async def _settle(self) -> None:
        await self._means.ledger.settle(self._lease, self._settlement(self._outcomes()))

    async def suspend(self, reason: str) -> None:
        """Gives the lease back with the work undone, and says why in the ledger. Best effort: the message comes again."""
        granting = self.progress.aim is Aim.GRANT
        waiting, state = (self.paths, None) if granting else (self.leaving, GrantState.REVOKING)
        grants = tuple(GrantOutcome(path=path, state=state, reason=reason) for path in waiting)
        await self._means.ledger.settle(self._lease, self._settlement(grants, finished=False))

    def _settlement(self, grants: tuple[GrantOutcome, ...], *, finished: bool = True) -> Settlement:
        state = self._lease.record.state
        producer, consumer = self._producer_secret, self._consumer_secret
        if finished and self.progress.aim is Aim.GRANT and self.progress.open:
            state = PrincipalState.ACTIVE
        elif finished and self.progress.others:
            state = self._lease.prior.state if self._lease.prior else state
        elif finished:
            disabled = self.dropped is not None and self.dropped.outcome is LoginOutcome.DISABLED
            state = PrincipalState.DISABLED if disabled else PrincipalState.REMOVED
            producer = consumer = None
        return Settlement(state=state, producer_secret=producer, consumer_secret=consumer, grants=grants)

    def _outcomes(self) -> tuple[GrantOutcome, ...]:
        if self.progress.aim is Aim.REVOKE:
            # Also what was leaving before and was never settled: it went along.
            return tuple(self._left(path) for path in {path.key: path for path in (*self.leaving, *self.paths)}.values())
        failed = (
            GrantOutcome(path=path, state=GrantState.FAILED, reason=str(refused), subscriptions=self._wanting(path))
            for path, refused in self.refused.items()
        )
        granted = (
            self._readable(path, table, GrantOutcome(path=path, state=GrantState.GRANTED, subscriptions=self._wanting(path)))
            for path, table in self.tables.items()
        )
        waiting = (GrantOutcome(path=path, state=None, reason=str(error)) for path, error in self.waiting.items())
        return (*granted, *failed, *waiting)

    def _left(self, path: TablePath) -> GrantOutcome:
        state = None if path.key in self.kept else GrantState.REVOKED
        outcome = GrantOutcome(path=path, state=state, ended=self._wanting(path))
        if refused := self.refused.get(path):
            staying = self._records[path.key].subscriptions - outcome.ended
            return replace(outcome, state=GrantState.FAILED, reason=str(refused), subscriptions=staying)
        return self._readable(path, self._narrowing[path], outcome) if path in self._narrowing else outcome

    def _readable(self, path: TablePath, table: Table, outcome: GrantOutcome) -> GrantOutcome:
        columns = self.reach[path].readable.columns
        return replace(outcome, table=table, readable=self._views[table], columns=columns)

    def _wanting(self, path: TablePath) -> frozenset[str]:
        return frozenset(claim.subscription for claim in self.claims if claim.path.key == path.key)


def _name(view: Table | None) -> str | None:
    return str(view) if view else None


def _lives(record: GrantRecord) -> bool:
    """Whether the database may have this grant, and it is to stay."""
    return bool(record.subscriptions) and record.state is not GrantState.FAILED


# Their steps are bounded one by one: a principal may have hundreds of tables.
_TABLE_BY_TABLE = frozenset({Effect.RESOLVE, Effect.GRANT_SELECT, Effect.PROVE})

Tell = Callable[[Journey], Awaitable[None]]
