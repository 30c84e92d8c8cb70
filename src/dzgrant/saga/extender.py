"""An environment is extended when it was deployed, and is as it was when it goes: each in four steps.

Look, record what is about to be done and what was there before, do it, record that it is done. A crash between any two
leaves a record by which the next worker looks again and does what is left. Both records are written on the condition
that nobody else has written meanwhile, and no extension is begun once the environment's deletion is known: a worker that
comes too late is told so, and its event comes again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from dzgrant.accounts import Accounts
from dzgrant.environments import Environments
from dzgrant.errors import DzgrantError, Misconfigured
from dzgrant.ledger import Ledger
from dzgrant.model import Environment, ExtensionRecord, ExtensionState, Provisioned, Trait, TraitKind
from dzgrant.reporting import EnvironmentOutcome, EnvironmentOutcomeKind, Reporter
from dzgrant.saga.extension import Plan, plan
from dzgrant.settings import Settings

_GOING = (ExtensionState.RESTORING, ExtensionState.RESTORED)


class Extender:
    """Tasks share it."""

    def __init__(
        self, settings: Settings, *, accounts: Accounts, environments: Environments, ledger: Ledger, reporter: Reporter
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._environments = environments
        self._ledger = ledger
        self._reporter = reporter

    async def extend(self, environment: Environment, provisioned: Provisioned) -> None:
        """Brings a live environment to what the settings say, unless they say that none is extended.

        Raises `Misconfigured` for a role, database, policy or tag that is not there, and `Transient`.
        """
        if not self._settings.extend_environments:
            return
        began, wanted = time.monotonic(), self._wanted(environment, provisioned)
        try:
            record = await self._ledger.extension(environment.id) or _unknown(environment)
            traits = {*wanted, *(one.trait for one in record.touched)}
            seen = await self._environments.look(environment, traits)
            _require(wanted, seen)
            await self._move(record, plan(record.touched, wanted, seen), ExtensionState.EXTENDED, began)
        except DzgrantError as error:
            await self._tell_stuck(environment, error, began)
            raise

    async def restore(self, environment: str) -> None:
        """Puts back what the ledger says was there before; whatever the settings say now. Raises as `extend`."""
        record = await self._ledger.extension(environment)
        if record is not None:
            await self._restore(record)

    async def resume(self, environment: str) -> None:
        """As `restore`, for an environment that another worker has begun to restore: what came late is put back, too."""
        record = await self._ledger.extension(environment)
        if record is not None and record.state in _GOING:
            await self._restore(record)

    async def _restore(self, record: ExtensionRecord) -> None:
        began = time.monotonic()
        try:
            seen = await self._environments.look(record.environment, {one.trait for one in record.touched})
            await self._move(record, plan(record.touched, {}, seen), ExtensionState.RESTORED, began)
        except DzgrantError as error:
            await self._tell_stuck(record.environment, error, began)
            raise

    async def _move(self, record: ExtensionRecord, do: Plan, end: ExtensionState, began: float) -> None:
        settled = record.state is end or not do.touched
        if settled and not do.changes and do.touched == record.touched:
            return
        begin = ExtensionState.EXTENDING if end is ExtensionState.EXTENDED else ExtensionState.RESTORING
        intent = await self._ledger.keep_extension(replace(record, state=begin, touched=do.touched))
        for change in do.changes:
            await self._environments.carry_out(record.environment, change)
        extended = end is ExtensionState.EXTENDED
        await self._reporter.environment(
            EnvironmentOutcome(
                kind=EnvironmentOutcomeKind.EXTENDED if extended else EnvironmentOutcomeKind.RESTORED,
                environment=record.environment,
                traits=do.result,
                reason=_left(do),
                seconds=time.monotonic() - began,
            )
        )
        await self._ledger.keep_extension(replace(intent, state=end))

    async def _tell_stuck(self, environment: Environment, error: DzgrantError, began: float) -> None:
        """Only of what a person has to mend."""
        error.about(environment=environment.id)
        if isinstance(error, Misconfigured):
            await self._reporter.environment(
                EnvironmentOutcome(
                    kind=EnvironmentOutcomeKind.STUCK,
                    environment=environment,
                    reason=str(error),
                    seconds=time.monotonic() - began,
                )
            )

    def _wanted(self, environment: Environment, provisioned: Provisioned) -> dict[Trait, str]:
        def arn(name: str) -> str:
            return self._accounts.policy_arn(name, environment.account, environment.region)

        wanted: dict[Trait, str] = {}
        if (role := provisioned.role) is not None:
            if self._settings.environment_boundary is not None:
                wanted[Trait(kind=TraitKind.BOUNDARY, of=role)] = arn(self._settings.environment_boundary)
            policies = map(arn, self._settings.environment_policies)
            wanted |= {Trait(kind=TraitKind.POLICY, of=role, name=policy): policy for policy in policies}
        if self._settings.lake_formation_tag is not None:
            key, _, value = self._settings.lake_formation_tag.partition("=")
            wanted |= {Trait(kind=TraitKind.TAG, of=database, name=key): value for database in provisioned.databases}
        return wanted


def _require(wanted: Mapping[Trait, str], seen: Mapping[Trait, str | None]) -> None:
    for trait in sorted(wanted.keys() - seen.keys()):
        what = "Glue database" if trait.kind is TraitKind.TAG else "role"
        raise Misconfigured(
            f"the {what} {trait.of}, which DataZone says it made, is not there",
            do="deploy the environment again, or see who removed it",
        )


def _left(do: Plan) -> str | None:
    """What to tell of values that somebody else has set."""
    lines = (f"the {one.trait.kind} of {one.trait.of} is {one.now}, by somebody else, and stays so" for one in do.left)
    return "; ".join(lines) or None


def _unknown(environment: Environment) -> ExtensionRecord:
    return ExtensionRecord(environment=environment, state=ExtensionState.RESTORED, touched=())
