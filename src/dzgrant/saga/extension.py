"""What has to change for an environment to be extended, or to be as it was. Pure.

For each trait dzgrant knows what it wants, what is there now, and by the ledger what was there before and which values
are its own. What it wants it sets. What it does not want (any more) it puts back, and only where its own value is still
there: what somebody else has set meanwhile stays. To restore is to want nothing.

`before` is the last value seen that was not dzgrant's own, so no crash and no second deployment makes dzgrant take its
own value for what was there before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dzgrant.model import Change, Touched, Trait, TraitKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`touched` goes into the ledger before the first of `changes` is made."""

    touched: tuple[Touched, ...]
    changes: tuple[Change, ...]
    """In order: what widens a role comes after what bounds it, and goes before."""
    left: tuple[Change, ...]
    """What is left as it is, since somebody else has changed it: from that to what was there before dzgrant."""
    result: tuple[Change, ...]
    """All that dzgrant ever gave a value of its own: from what was there before to what is there in the end."""


def plan(known: Collection[Touched], wanted: Mapping[Trait, str], seen: Mapping[Trait, str | None]) -> Plan:
    """`known` is the ledger's; `seen` lacks a trait whose role or database is gone, for which there is nothing to do."""
    before = {one.trait: one for one in known}
    touched: list[Touched] = []
    changes: list[Change] = []
    left: list[Change] = []
    result: list[Change] = []
    for trait in sorted({*before, *wanted}):
        was = before.get(trait) or Touched(trait=trait, before=None, ours=frozenset())
        if trait not in seen:
            touched.append(was)
            continue
        now = seen[trait]
        is_, then = _one(was, wanted.get(trait), now)
        touched.append(is_)
        if is_.ours:
            result.append(Change(trait=trait, now=is_.before, then=then))
        if not _same(now, then):
            changes.append(Change(trait=trait, now=now, then=then))
        elif trait not in wanted and was.ours and not _among(now, was.ours) and not _same(now, was.before):
            left.append(Change(trait=trait, now=now, then=was.before))
    ordered = tuple(sorted(changes, key=_rank))
    return Plan(touched=tuple(touched), changes=ordered, left=tuple(left), result=tuple(result))


def _one(was: Touched, want: str | None, now: str | None) -> tuple[Touched, str | None]:
    """What is to be known of the trait, and what is to be there."""
    ours = _among(now, was.ours)
    if want is None:
        return was, was.before if ours else now
    before = was.before if ours else now
    mine = was.ours if _same(now, want) else was.ours | {want}
    return Touched(trait=was.trait, before=before, ours=mine), want


def _among(value: str | None, values: Collection[str]) -> bool:
    return any(_same(value, one) for one in values)


def _same(one: str | None, other: str | None) -> bool:
    """Names in IAM, keys and values in Lake Formation are the same whatever their case."""
    return one == other or (one is not None and other is not None and one.casefold() == other.casefold())


def _rank(change: Change) -> int:
    if change.trait.kind is TraitKind.POLICY:
        return 2 if change.then is not None else 0
    return 1 if change.trait.kind is TraitKind.BOUNDARY else 3
