"""Whose Glue catalogue a listing may name: one of an account and Region where its owner, a project, has a live environment.

A listing's form is its producer's own text, and chooses the role and the catalogue that dzgrant reads. Without this a producer
could publish another's table, and approve itself. The owner is DataZone's own word, and so are its environments: an account
must have admitted the project before it could make one there.
"""

from __future__ import annotations

from functools import partial

from dzgrant.catalog.cache import Cache
from dzgrant.catalog.datazone import DataZone
from dzgrant.catalog.environments import LIVE
from dzgrant.errors import Refused
from dzgrant.model import Asset

_CACHED = 4096
_CACHE_SECONDS = 300.0


class Owners:
    def __init__(self, datazone: DataZone, shared: tuple[str, ...]) -> None:
        """`shared`: `<project>=<account>`, for catalogues of accounts in which the project has no environment."""
        self._datazone = datazone
        self._shared = frozenset(shared)
        # Only what was found: a project that has just come to an account need not wait.
        self._known: Cache[tuple[str, str, str, str], bool] = Cache(_CACHED, _CACHE_SECONDS)

    async def check(self, domain: str, project: str, asset: Asset) -> None:
        """Raises `Refused` unless the project may publish from the catalogue that the asset names. One call, if any."""
        if {f"{project}={asset.account}", f"*={asset.account}"} & self._shared:
            return
        key = (domain, project, asset.account, asset.region)
        await self._known.get(key, partial(self._lives, domain, project, asset))

    async def _lives(self, domain: str, project: str, asset: Asset) -> bool:
        found = self._datazone.environments(domain, project, awsAccountId=asset.account, awsAccountRegion=asset.region)
        async for item in found:
            place = (item.get("awsAccountId"), item.get("awsAccountRegion"))
            if place == (asset.account, asset.region) and item.get("status") in LIVE:
                return True
        raise Refused(
            f"listing {asset.listing} names a Glue table of account {asset.account} in {asset.region}, where its owner, "
            f"project {project}, has no live environment",
            do="let the project that owns the table publish it; where accounts share a catalogue, "
            f"add {project}={asset.account} to DZGRANT_SHARED_CATALOGUES",
        )
