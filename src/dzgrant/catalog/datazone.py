"""DataZone's reads, paced, each page of them.

DataZone allows 8 reads a second of each kind for an account and Region, and throttles what is above; waiting here costs
less (DataZone user guide, "Quotas").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from aiolimiter import AsyncLimiter

from dzgrant.accounts import Accounts, AwsError, classify, code
from dzgrant.errors import Refused
from dzgrant.model import SubscriptionStatus

if TYPE_CHECKING:
    from types_aiobotocore_datazone import DataZoneClient
    from types_aiobotocore_datazone.type_defs import (
        EnvironmentBlueprintSummaryTypeDef,
        EnvironmentSummaryTypeDef,
        GetAssetFilterOutputTypeDef,
        GetDomainOutputTypeDef,
        GetEnvironmentOutputTypeDef,
        GetListingOutputTypeDef,
        GetSubscriptionGrantOutputTypeDef,
        GetSubscriptionOutputTypeDef,
        GetSubscriptionTargetOutputTypeDef,
        SubscriptionGrantSummaryTypeDef,
        SubscriptionSummaryTypeDef,
    )

T = TypeVar("T")
_PAGE = 50  # the most that DataZone gives at once
Page = TypeVar("Page", bound=Mapping[str, object])

unhurried: ContextVar[bool] = ContextVar("unhurried", default=False)
"""Whether this work leaves room for other: it has half of the rate at most, whatever is left of it."""


class _Missing(Refused):
    """There is no such thing in DataZone."""


class DataZone:
    """Each `get` answers None for what is not there; the lists yield every item of every page.

    All raise what `accounts.classify` makes of an AWS error.
    """

    def __init__(self, accounts: Accounts, rate: float) -> None:
        """`rate`: calls a second of each operation."""
        self._accounts = accounts
        self._paces: defaultdict[str, AsyncLimiter] = defaultdict(lambda: AsyncLimiter(rate, 1))
        self._slow_paces: defaultdict[str, AsyncLimiter] = defaultdict(lambda: AsyncLimiter(max(1.0, rate / 2), 1))

    async def domain(self, domain: str) -> GetDomainOutputTypeDef | None:
        return await self._get("GetDomain", f"domain {domain}", lambda client: client.get_domain(identifier=domain))

    async def subscription(self, domain: str, subscription: str) -> GetSubscriptionOutputTypeDef | None:
        return await self._get(
            "GetSubscription",
            f"subscription {subscription}",
            lambda client: client.get_subscription(domainIdentifier=domain, identifier=subscription),
        )

    async def listing(self, domain: str, listing: str, revision: str | None) -> GetListingOutputTypeDef | None:
        """The listing in this revision; None: in its latest."""
        extra: dict[str, str] = {"listingRevision": revision} if revision else {}
        return await self._get(
            "GetListing",
            f"listing {listing}",
            lambda client: client.get_listing(domainIdentifier=domain, identifier=listing, **extra),
        )

    async def environment(self, domain: str, environment: str) -> GetEnvironmentOutputTypeDef | None:
        return await self._get(
            "GetEnvironment",
            f"environment {environment}",
            lambda client: client.get_environment(domainIdentifier=domain, identifier=environment),
        )

    async def asset_filter(self, domain: str, asset: str, identifier: str) -> GetAssetFilterOutputTypeDef | None:
        return await self._get(
            "GetAssetFilter",
            f"filter {identifier} of asset {asset}",
            lambda client: client.get_asset_filter(domainIdentifier=domain, assetIdentifier=asset, identifier=identifier),
        )

    async def subscription_grant(self, domain: str, grant: str) -> GetSubscriptionGrantOutputTypeDef | None:
        return await self._get(
            "GetSubscriptionGrant",
            f"subscription grant {grant}",
            lambda client: client.get_subscription_grant(domainIdentifier=domain, identifier=grant),
        )

    async def subscription_target(
        self, domain: str, environment: str, target: str
    ) -> GetSubscriptionTargetOutputTypeDef | None:
        return await self._get(
            "GetSubscriptionTarget",
            f"subscription target {target}",
            lambda client: client.get_subscription_target(
                domainIdentifier=domain, environmentIdentifier=environment, identifier=target
            ),
        )

    async def subscriptions(
        self, domain: str, status: SubscriptionStatus, **filters: str
    ) -> AsyncIterator[SubscriptionSummaryTypeDef]:
        """Those of one status: DataZone lists no other than APPROVED unless it is named."""
        query = {"domainIdentifier": domain, "status": status.value, **filters}
        async for page in self._pages(
            "ListSubscriptions", f"subscriptions of {domain}", lambda client: client.list_subscriptions, query
        ):
            for item in page["items"]:
                yield item

    async def subscription_grants(self, domain: str, subscription: str) -> AsyncIterator[SubscriptionGrantSummaryTypeDef]:
        query = {"domainIdentifier": domain, "subscriptionId": subscription}
        async for page in self._pages(
            "ListSubscriptionGrants", f"grants of {subscription}", lambda client: client.list_subscription_grants, query
        ):
            for item in page["items"]:
                yield item

    async def environments(self, domain: str, project: str, **filters: str) -> AsyncIterator[EnvironmentSummaryTypeDef]:
        """Those that pass ListEnvironments' own filters, in any status. A summary does not name its blueprint."""
        query = {"domainIdentifier": domain, "projectIdentifier": project, **filters}
        async for page in self._pages(
            "ListEnvironments", f"environments of {project}", lambda client: client.list_environments, query
        ):
            for item in page["items"]:
                yield item

    async def blueprints(self, domain: str, *, managed: bool) -> AsyncIterator[EnvironmentBlueprintSummaryTypeDef]:
        query = {"domainIdentifier": domain, "managed": managed}
        async for page in self._pages(
            "ListEnvironmentBlueprints", f"blueprints of {domain}", lambda client: client.list_environment_blueprints, query
        ):
            for item in page["items"]:
                yield item

    async def _pages(
        self,
        operation: str,
        what: str,
        method: Callable[[DataZoneClient], Callable[..., Awaitable[Page]]],
        query: Mapping[str, object],
    ) -> AsyncIterator[Page]:
        asked: dict[str, object] = {**query, "maxResults": _PAGE}
        while True:
            page = await self._ask(operation, what, lambda client: method(client)(**asked))
            yield page
            if not page.get("nextToken"):
                return
            asked["nextToken"] = page["nextToken"]

    async def _get(self, operation: str, what: str, call: Callable[[DataZoneClient], Awaitable[T]]) -> T | None:
        try:
            return await self._ask(operation, what, call)
        except _Missing:
            return None

    async def _ask(self, operation: str, what: str, call: Callable[[DataZoneClient], Awaitable[T]]) -> T:
        client = await self._accounts.datazone()
        if unhurried.get():
            await self._slow_paces[operation].acquire()
        await self._paces[operation].acquire()
        try:
            return await call(client)
        except AwsError as error:
            if code(error) == "ResourceNotFoundException":
                raise _Missing(f"DataZone has no {what}", do="check the ids") from error
            raise classify(error, f"DataZone's {what} can't be read") from error
