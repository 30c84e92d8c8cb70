"""The marker as a text, where an engine keeps one with a login: whose it is, and the highest fence that changed it.

PostgreSQL has it in the role's comment, SQL Server in an extended property. Only an admin can set it, and it goes last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Self

from dzgrant.engines.contract import Owner, Permit
from dzgrant.errors import LeaseLost, Refused

# The fence is the last word, so that nothing inside an id can pass for it.
_FORM = re.compile(r"managed-by=dzgrant;domain=(.*);project=(.*);environment=(.*);fence=(\d+)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    owner: Owner
    fence: int

    @classmethod
    def read(cls, comment: str | None) -> Self | None:
        """The marker that a role's comment holds; None when it is no marker of dzgrant."""
        if (found := _FORM.fullmatch(comment or "")) is None:
            return None
        domain, project, environment, fence = found.groups()
        return cls(owner=Owner(domain=domain, project=project, environment=environment), fence=int(fence))

    def __str__(self) -> str:
        owner = self.owner
        return (
            f"managed-by=dzgrant;domain={owner.domain};project={owner.project};"
            f"environment={owner.environment};fence={self.fence}"
        )


def admitted(login: str, marker: Marker | None, permit: Permit) -> Marker:
    """The login's marker as this permit's holder leaves it, with its own fence.

    Raises `Refused` for a login that dzgrant did not make, `LeaseLost` when a later holder has changed it already.
    """
    if marker is None:
        raise Refused(f"a login {login} exists that dzgrant did not make", do="rename or drop it; dzgrant leaves it as it is")
    if marker.fence > permit.fence:
        raise LeaseLost(f"the fence of {login} is {marker.fence} already, this worker's is {permit.fence}")
    return replace(marker, fence=permit.fence)
