"""The condition operators of policies, as the IAM user guide defines them ("IAM JSON policy elements: Condition operators").

A key that the request lacks fails an operator, but passes a negated one and one that ends in `IfExists`. Several values in
the policy are alternatives; a negated operator must hold against each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dzgrant.localcloud.iam.patterns import Context, NotUnderstood, filled, matches, matches_arn, values

_Compare = Callable[[str, str, Context], bool]


def _equal(wanted: str, given: str, context: Context) -> bool:
    return filled(wanted, context) == given


def _equal_folded(wanted: str, given: str, context: Context) -> bool:
    text = filled(wanted, context)
    return text is not None and text.lower() == given.lower()


# Each with whether it is negated. Those of numbers, dates and addresses are not here: no policy of the stacks has them.
_OPERATORS: dict[str, tuple[_Compare, bool]] = {
    "StringEquals": (_equal, False),
    "StringNotEquals": (_equal, True),
    "StringEqualsIgnoreCase": (_equal_folded, False),
    "StringNotEqualsIgnoreCase": (_equal_folded, True),
    "StringLike": (matches, False),
    "StringNotLike": (matches, True),
    # AWS gives the two names one behaviour.
    "ArnEquals": (matches_arn, False),
    "ArnLike": (matches_arn, False),
    "ArnNotEquals": (matches_arn, True),
    "ArnNotLike": (matches_arn, True),
    "Bool": (_equal_folded, False),
}
_QUANTIFIERS = ("", "ForAnyValue", "ForAllValues")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One operator upon one key: all of a statement's must hold. `compare` None: the operator Null."""

    key: str
    wanted: tuple[str, ...]
    compare: _Compare | None
    negated: bool
    if_exists: bool
    quantifier: str

    def holds(self, context: Context) -> bool:
        given = values(context, self.key)
        if self.compare is None:
            return any((want.lower() == "true") is not bool(given) for want in self.wanted)
        if not given:
            return self._without()
        compare = self.compare
        fits = (any(compare(want, value, context) for want in self.wanted) is not self.negated for value in given)
        return all(fits) if self.quantifier == "ForAllValues" else any(fits)

    def _without(self) -> bool:
        """What it says of a request that lacks the key."""
        if self.quantifier:
            return self.quantifier == "ForAllValues" or self.if_exists
        return self.negated or self.if_exists


def condition(name: str, key: str, wanted: tuple[str, ...]) -> Condition:
    """Raises `NotUnderstood` for an operator that is not known."""
    quantifier, _, rest = name.rpartition(":")
    base = rest.removesuffix("IfExists")
    if quantifier not in _QUANTIFIERS or (base != "Null" and base not in _OPERATORS):
        raise NotUnderstood(f"the condition operator {name} is not known here")
    compare, negated = (None, False) if base == "Null" else _OPERATORS[base]
    return Condition(key=key, wanted=wanted, compare=compare, negated=negated, if_exists=rest != base, quantifier=quantifier)
