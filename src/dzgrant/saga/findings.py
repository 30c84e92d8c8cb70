"""What a journey has found so far, table by table, and what that comes to: for the consumer secret, and for the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from dzgrant.engines.contract import LoginState, Reach
from dzgrant.errors import DzgrantError, Misconfigured, Refused
from dzgrant.ledger import Claim, GrantOutcome
from dzgrant.model import PATIENCE, WHOLE, GrantRecord, GrantState, Scope, Table, TablePath
from dzgrant.saga.road import Aim

_GRANT = (GrantState.GRANTING, GrantState.STUCK_GRANT)
_REVOKE = (GrantState.REVOKING, GrantState.STUCK_REVOKE)


@dataclass(slots=True, kw_only=True)
class Findings:
    claims: Sequence[Claim]
    """What is wanted (GRANT), or no longer is (REVOKE)."""
    whole: Collection[str] = ()
    """Keys of the tables that are wanted without a filter, whatever else wants them."""
    records: Mapping[str, GrantRecord] = field(default_factory=dict)
    """What the ledger has of the principal, by the tables' keys; read under the lease, once there is need of it."""
    tables: dict[TablePath, Table] = field(default_factory=dict)
    reach: dict[TablePath, Reach] = field(default_factory=dict)
    refused: dict[TablePath, Refused] = field(default_factory=dict)
    waiting: dict[TablePath, Misconfigured] = field(default_factory=dict)
    """Tables that a person must do something for first."""
    closed: set[TablePath] = field(default_factory=set)
    """Those that nothing is read of until then, since what was given before may be too much."""
    leaving: list[TablePath] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    """Keys of the tables that other subscriptions want."""
    keep: frozenset[Table] = frozenset()
    """What the login may go on reading."""
    narrowing: dict[TablePath, Table] = field(default_factory=dict)
    """Tables that stay, and of which less may be approved than before."""
    by_hand: str | None = None
    """REVOKE: a person has settled it in the database; who, and why."""
    given_up: Collection[TablePath] = ()
    """Tables that then are not wanted from dzgrant any longer, should they not be granted by now."""
    suspended: list[GrantOutcome] = field(default_factory=list)
    """What becomes of the tables that wait."""
    stuck: dict[str, str] = field(default_factory=dict)
    """Keys of those that people have to hear of, and why: they can't go on, or for another reason than before."""

    @property
    def paths(self) -> tuple[TablePath, ...]:
        """The tables of this journey, each once."""
        return tuple(dict.fromkeys(claim.path for claim in self.claims))

    @property
    def failed(self) -> tuple[TablePath, ...]:
        """The claimed tables that were not granted."""
        return tuple(path for path in self.paths if path in self.refused or path in self.waiting)

    @property
    def given(self) -> dict[TablePath, Table]:
        """The tables that were granted, or granted anew."""
        tables = self.tables | self.narrowing
        return {path: tables[path] for path in tables if path in self.reach and path not in self.refused}

    @property
    def filtered(self) -> frozenset[TablePath]:
        """The tables of which the ledger alone knows how much is approved."""
        return frozenset(path for path in self.tables if path.key not in self.whole)

    def allowed(self, path: TablePath) -> frozenset[Scope]:
        """What all the subscriptions together let be read of the table."""
        return WHOLE if path.key in self.whole else self.records[path.key].allowed

    def settled(self, path: TablePath) -> bool:
        """The login reads what is allowed already, and nothing more is open in its sessions, unless somebody meddled."""
        return path.key not in self.whole and self.records[path.key].settled

    @property
    def living(self) -> tuple[GrantRecord, ...]:
        """What the ledger has of tables that the database may have granted, and that are to stay; none that was refused."""
        refused = {path.key for path in self.refused}
        return tuple(record for key, record in self.records.items() if _lives(record) and key not in refused)

    def survey(self) -> None:
        """REVOKE: which of the claimed tables nobody wants any more, what stays, and of what less."""
        ended = {(claim.path, claim.subscription) for claim in self.claims}
        claimed = {path.key: path for path in self.paths}
        for key, record in self.records.items():
            if all((record.path, by) in ended for by in record.subscriptions):
                self.leaving.append(record.path)
                if record.table:
                    self.tables[record.path] = record.table
                continue
            self.kept.add(key)
            if record.table and _lives(record):
                self.keep |= {record.table}
                if key in claimed and record.allowed != WHOLE:
                    self.narrowing[claimed[key]] = record.table
        for path in self.given_up:
            if path.key in self.kept and self.records[path.key].state is not GrantState.GRANTED:
                self.refused[path] = Refused(self.by_hand or "", do="dzgrant reconcile tries it again")
                self.kept.discard(path.key)

    def give_up(self, path: TablePath, refused: Refused) -> None:
        """REVOKE: the table stays wanted, but what is left of the approvals can't be enforced, so that it goes."""
        self.refused[path] = refused.about(table=path)
        self.kept.discard(path.key)
        self.keep -= {self.narrowing[path]}

    def look_for_excess(self, login: LoginState | None, *, closed: Table | None = None) -> bool:
        """After a filter was refused, or a table closed: whether the login reads what it is not to.

        Notes what it may go on reading.
        """
        staying = {table for path, table in self.tables.items() if path not in self.leaving}
        living = [record for record in self.living if record.table and record.table != closed]
        self.keep = frozenset({*staying, *(record.table for record in living if record.table)} - {closed})
        views = {*map(self.view, self.given), *(record.readable for record in living)}
        return login is not None and (bool(login.beyond) or not {*login.tables} <= self.keep | views)

    def wait(self, why: Mapping[TablePath, DzgrantError], now: datetime) -> None:
        """Notes what becomes of the tables that these errors stop, and what of it people have to hear."""
        for path, error in why.items():
            record, reason, for_person = self.records[path.key], str(error), isinstance(error, Misconfigured)
            leaving = path in self.leaving
            if record.given_up and not leaving:
                continue
            works = record.state is GrantState.GRANTED and path not in self.closed and not leaving
            overdue = record.state in (GrantState.GRANTING, GrantState.REVOKING) and now - record.since >= PATIENCE
            stuck = not works and (for_person or record.stuck or overdue)
            calm, worried = _REVOKE if leaving else _GRANT
            state = None if works else worried if stuck else calm
            if (stuck and state is not record.state) or (for_person and reason != record.reason):
                self.stuck[path.key] = reason
            self.suspended.append(GrantOutcome(path=path, state=state, reason=reason))

    def abandoned(self, aim: Aim) -> str | None:
        """Why a person gave up every one of the tables, if so; a revoke is never given up."""
        if aim is Aim.REVOKE:
            return None
        records = [self.records[path.key] for path in self.paths if path.key in self.records]
        return records[0].reason if records and all(record.given_up for record in records) else None

    def hush(self) -> None:
        """People could not be told: what they should hear of is left as one that they were not told of."""
        calm = {worried: calm for calm, worried in (_GRANT, _REVOKE)}
        for at, one in enumerate(self.suspended):
            if one.path.key in self.stuck:
                untold = replace(one, state=calm[one.state]) if one.state in calm else replace(one, reason=None)
                self.suspended[at] = untold

    def view(self, path: TablePath) -> Table | None:
        """What is read for a table that was granted, where that is not the table itself."""
        readable = self.reach[path].readable.table
        return readable if readable != self.given[path] else None

    def objects(self) -> dict[str, str | None]:
        """For tables of this journey, the views that the consumer reads for them; None: the table itself, or nothing more."""
        gone = (self.records[path.key] for path in (*self.leaving, *self.refused) if path.key in self.records)
        none = {str(record.table): None for record in gone if record.readable}
        return none | {str(table): str(view) if (view := self.view(path)) else None for path, table in self.given.items()}

    def granted(self) -> Iterator[GrantOutcome]:
        """GRANT: what became of the tables."""
        for path in self.given:
            yield self._granted(GrantOutcome(path=path, state=None, subscriptions=self._wanting(path)))
        for path, refused in self.refused.items():
            yield GrantOutcome(path=path, state=GrantState.FAILED, reason=str(refused), subscriptions=self._wanting(path))
        yield from self.suspended

    def revoked(self) -> Iterator[GrantOutcome]:
        """REVOKE: as `granted`; also what was leaving before and was never settled, for it went along."""
        for path in {path.key: path for path in (*self.leaving, *self.paths, *self.refused)}.values():
            outcome = GrantOutcome(path=path, state=None, ended=self._wanting(path))
            if path in self.refused:
                staying = self.records[path.key].subscriptions - outcome.ended
                failed = replace(outcome, state=GrantState.FAILED, reason=self.by_hand or str(self.refused[path]))
                yield replace(failed, subscriptions=staying, given_up=path in self.given_up)
            elif path.key not in self.kept:
                yield replace(outcome, state=GrantState.REVOKED, reason=self.by_hand)
            else:
                yield self._granted(outcome) if path in self.given else outcome

    def _granted(self, outcome: GrantOutcome) -> GrantOutcome:
        path, readable = outcome.path, self.reach[outcome.path].readable
        return replace(
            outcome,
            state=GrantState.GRANTED,
            table=self.given[path],
            readable=self.view(path),
            columns=readable.columns,
            settled=None if (allowed := self.allowed(path)) == WHOLE else (self.records[path.key].intents, allowed),
        )

    def _wanting(self, path: TablePath) -> frozenset[str]:
        return frozenset(claim.subscription for claim in self.claims if claim.path.key == path.key)


def _lives(record: GrantRecord) -> bool:
    """Whether the database may have this grant, and it is to stay."""
    return bool(record.subscriptions) and record.state is not GrantState.FAILED
