"""From the body of a message to a hint: which subscription, grant or environment to look at.

A hint is never the truth: whoever acts on it reads DataZone first. So nothing here keeps an event's status. Only the
members that name things are read; any other may come, go or change. DataZone publishes one payload in full; the shapes
of the others are those that deployed code reads (DataZone user guide, "working with events and notifications").
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from dzgrant import strict_json
from dzgrant.errors import Malformed
from dzgrant.model import AccountId, Region

# The largest SQS message, in bytes.
_MAX_BODY = 1_048_576

# The patterns of botocore's service model, datazone/2018-05-10.
_Id = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,36}$")]
_DomainId = Annotated[str, StringConstraints(pattern=r"^dzd[-_][a-zA-Z0-9_-]{1,36}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    event: str
    """EventBridge's id of the event; the same when EventBridge delivers it again."""
    kind: str
    """The detail-type."""
    time: datetime
    domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionHint(_Event):
    """Look at a subscription. It is named by its own id, or else by its request, or else by listing and project."""

    subscription: str | None
    request: str | None
    listing: str | None
    project: str | None
    """The consumer's."""
    ended: bool
    """It was revoked or cancelled, says the event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionGrantHint(_Event):
    """Look at a grant on a subscription target; only GetSubscriptionGrant knows its subscription."""

    grant: str
    environment: str | None
    revoke: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentHint(_Event):
    """Look at an environment: it was deployed, perhaps again, or it is being deleted."""

    environment: str
    project: str | None
    deleted: bool


Hint = SubscriptionHint | SubscriptionGrantHint | EnvironmentHint


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """An event that is none of dzgrant's business: it is acknowledged."""

    reason: Literal["other source", "other kind", "other domain", "other place"]
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where DataZone's events come from: the account and the Region of the queue's rule, and so of the queue."""

    account: AccountId
    region: Region


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class _Named(_Shape):
    id: _Id | None = None


class _Metadata(_Named):
    domain: _DomainId = Field(validation_alias=AliasChoices("domain", "domainId"))
    owning_project_id: _Id | None = None


class _Project(_Shape):
    type: Literal["PROJECT"] = "PROJECT"
    id: _Id


class _OtherPrincipal(_Shape):
    """A user, a group or an IAM role; the catalog refuses it when it reads the subscription."""

    type: str


class _SubscriptionData(_Shape):
    subscription_request_id: _Id | None = None
    subscribed_listing: _Named | None = None
    subscribed_principal: Annotated[_Project | _OtherPrincipal, Field(union_mode="left_to_right")] | None = None


class _Target(_Shape):
    environment_id: _Id | None = None


class _GrantData(_Shape):
    subscription_target: _Target | None = None


class _EnvironmentData(_Shape):
    environment_id: _Id | None = None
    project_id: _Id | None = None


_Data = TypeVar("_Data", bound=_Shape)


class _Detail(_Shape, Generic[_Data]):
    metadata: _Metadata
    data: _Data


class _Head(BaseModel):
    """What every EventBridge event has."""

    source: str
    kind: str = Field(alias="detail-type", max_length=256)


class _Origin(BaseModel):
    account: str = Field(pattern=r"^[0-9]{12}$")
    region: str = Field(pattern=r"^[a-z0-9-]{1,32}$")


class _Envelope(_Head, Generic[_Data]):
    id: str = Field(pattern=r"^[!-~]{1,128}$")
    time: AwareDatetime
    detail: _Detail[_Data]


# Held here: pydantic forgets a parametrised model that nobody holds, and makes it anew for each event.
_SubscriptionEvent = _Envelope[_SubscriptionData]
_GrantEvent = _Envelope[_GrantData]
_EnvironmentEvent = _Envelope[_EnvironmentData]


def parse(body: str, domains: Collection[str] = (), place: Place | None = None) -> Hint | Ignored:
    """The hint in a message's body, which is EventBridge's whole envelope as JSON.

    Events of domains other than `domains`, or of another place, are ignored; every domain and place is served without these.

    Raises `Malformed` when the body is no EventBridge event, or when an event of a known kind names nothing to look at.
    """
    envelope = _read(body)
    try:
        head = _Head.model_validate(envelope)
        if head.source != "aws.datazone":
            return Ignored(reason="other source", kind=head.kind)
        if (known := _KINDS.get(head.kind)) is None:
            return Ignored(reason="other kind", kind=head.kind)
        origin = _Origin.model_validate(envelope)
        if place and (origin.account, origin.region) != (place.account, place.region):
            return Ignored(reason="other place", kind=head.kind)
        hint = known(envelope)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise _malformed(f"{'.'.join(map(str, first['loc'])) or 'the event'}: {first['type']}") from None
    if domains and hint.domain not in domains:
        return Ignored(reason="other domain", kind=hint.kind)
    return hint


def _malformed(why: str) -> Malformed:
    return Malformed(f"the message is no event that dzgrant can read: {why}", do="look at its body in the dead-letter queue")


def _read(body: str) -> object:
    if len(body) > _MAX_BODY:
        raise _malformed("it is larger than SQS allows")
    try:
        return strict_json.read(body)
    except strict_json.UnreadableError as error:
        raise _malformed(str(error)) from None


def _subscription(envelope: object) -> SubscriptionHint:
    event = _SubscriptionEvent.model_validate(envelope)
    metadata, data = event.detail.metadata, event.detail.data
    listing = data.subscribed_listing.id if data.subscribed_listing else None
    principal = data.subscribed_principal
    project = principal.id if isinstance(principal, _Project) else metadata.owning_project_id
    if not (metadata.id or data.subscription_request_id or (listing and project)):
        raise _malformed("it names no subscription")
    return SubscriptionHint(
        event=event.id,
        kind=event.kind,
        time=event.time,
        domain=metadata.domain,
        subscription=metadata.id,
        request=data.subscription_request_id,
        listing=listing,
        project=project,
        ended=event.kind != "Subscription Created",
    )


def _subscription_grant(envelope: object) -> SubscriptionGrantHint:
    event = _GrantEvent.model_validate(envelope)
    metadata, target = event.detail.metadata, event.detail.data.subscription_target
    if not metadata.id:
        raise _malformed("it names no subscription grant")
    return SubscriptionGrantHint(
        event=event.id,
        kind=event.kind,
        time=event.time,
        domain=metadata.domain,
        grant=metadata.id,
        environment=target.environment_id if target else None,
        revoke=event.kind == "Subscription Grant Revoke Requested",
    )


def _environment(envelope: object) -> EnvironmentHint:
    event = _EnvironmentEvent.model_validate(envelope)
    metadata, data = event.detail.metadata, event.detail.data
    environment = data.environment_id or metadata.id
    if not environment:
        raise _malformed("it names no environment")
    return EnvironmentHint(
        event=event.id,
        kind=event.kind,
        time=event.time,
        domain=metadata.domain,
        environment=environment,
        project=data.project_id or metadata.owning_project_id,
        deleted=event.kind == "Environment Deletion Started",
    )


_KINDS: dict[str, Callable[[object], Hint]] = {
    "Subscription Created": _subscription,
    "Subscription Revoked": _subscription,
    "Subscription Cancelled": _subscription,
    "Subscription Grant Requested": _subscription_grant,
    "Subscription Grant Revoke Requested": _subscription_grant,
    "Environment Deployment Completed": _environment,
    "Environment Deletion Started": _environment,
}
