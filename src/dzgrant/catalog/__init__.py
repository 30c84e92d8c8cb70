"""From DataZone and Glue to what should be: subscriptions, environments, desired grants, admin credentials."""

from dzgrant.catalog.catalog import Catalog
from dzgrant.catalog.datazone import unhurried
from dzgrant.catalog.environments import EnvironmentState
from dzgrant.catalog.grants import GrantedAsset, SubscriptionGrant
from dzgrant.catalog.subscriptions import Listed

__all__ = ["Catalog", "EnvironmentState", "GrantedAsset", "Listed", "SubscriptionGrant", "unhurried"]
