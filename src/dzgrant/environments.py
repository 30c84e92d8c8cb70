"""An environment's user role and Glue databases, in its account: what they have now, and one change at a time.

Everything goes through the consumer role of that account. IAM is global, Lake Formation belongs to a Region. A database
has one value at most of each Lake Formation tag; another value takes its place (Lake Formation, "LF-Tag limitations").
Each call is safe to repeat.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from dzgrant.accounts import Accounts, AwsError, AwsFailure, classify, code
from dzgrant.errors import DzgrantError
from dzgrant.model import Change, Environment, Trait, TraitKind

if TYPE_CHECKING:
    from types_aiobotocore_lakeformation.type_defs import LFTagErrorTypeDef, LFTagPairTypeDef, ResourceTypeDef

_RIGHTS = "let the consumer role of deploy/member-account do this, and deploy the policy that the setting names"
_TAGS = "create the tag in Lake Formation, and give the consumer role ASSOCIATE on it and DESCRIBE on the database"


class Environments:
    """One for the process; tasks share it. What AWS answers is raised as `accounts.classify` makes it."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def look(self, environment: Environment, traits: Collection[Trait]) -> dict[Trait, str | None]:
        """What each of them is now. Those of a role or a database that is not there (any more) are left out."""
        seen: dict[Trait, str | None] = {}
        for role in sorted({trait.of for trait in traits if trait.kind is not TraitKind.TAG}):
            seen |= await self._role(environment, role, {trait for trait in traits if trait.of == role})
        for database in sorted({trait.of for trait in traits if trait.kind is TraitKind.TAG}):
            tags = {trait for trait in traits if trait.kind is TraitKind.TAG and trait.of == database}
            seen |= await self._tags(environment, database, tags)
        return seen

    async def carry_out(self, environment: Environment, change: Change) -> None:
        """Raises `Misconfigured` where the new boundary, policy or tag is not there."""
        try:
            match change.trait.kind:
                case TraitKind.BOUNDARY:
                    await self._bound(environment, change)
                case TraitKind.POLICY:
                    await self._attach(environment, change)
                case TraitKind.TAG:
                    await self._tag(environment, change)
        except AwsError as error:
            raise _explained(error, change) from error

    async def _role(self, environment: Environment, role: str, traits: Collection[Trait]) -> dict[Trait, str | None]:
        iam = await self._accounts.iam(environment.account, environment.region)
        name = _name(role)
        attached: set[str] = set()
        try:
            answer = await iam.get_role(RoleName=name)
            if any(trait.kind is TraitKind.POLICY for trait in traits):
                async for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=name):
                    attached |= {policy["PolicyArn"] for policy in page["AttachedPolicies"]}
        except AwsError as error:
            if code(error) == "NoSuchEntity":
                return {}
            raise classify(error, f"the role {role} can't be read", do=_RIGHTS) from error
        boundary = answer["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return {
            trait: boundary if trait.kind is TraitKind.BOUNDARY else trait.name if trait.name in attached else None
            for trait in traits
        }

    async def _tags(self, environment: Environment, database: str, traits: Collection[Trait]) -> dict[Trait, str | None]:
        lake = await self._accounts.lake_formation(environment.account, environment.region)
        try:
            answer = await lake.get_resource_lf_tags(Resource=_resource(database), ShowAssignedLFTags=True)
        except AwsError as error:
            if code(error) == "EntityNotFoundException":
                return {}
            raise classify(error, f"the tags of the Glue database {database} can't be read", do=_TAGS) from error
        tags = {tag["TagKey"].casefold(): tag["TagValues"][0] for tag in answer.get("LFTagOnDatabase", [])}
        return {trait: tags.get(trait.name.casefold()) for trait in traits}

    async def _bound(self, environment: Environment, change: Change) -> None:
        iam = await self._accounts.iam(environment.account, environment.region)
        name = _name(change.trait.of)
        if change.then is None:
            await iam.delete_role_permissions_boundary(RoleName=name)
        else:
            await iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=change.then)

    async def _attach(self, environment: Environment, change: Change) -> None:
        iam = await self._accounts.iam(environment.account, environment.region)
        name, policy = _name(change.trait.of), change.trait.name
        if change.then is not None:
            await iam.attach_role_policy(RoleName=name, PolicyArn=policy)
            return
        try:
            await iam.detach_role_policy(RoleName=name, PolicyArn=policy)
        except ClientError as error:
            # It was detached meanwhile, or the role is gone.
            if code(error) != "NoSuchEntity":
                raise

    async def _tag(self, environment: Environment, change: Change) -> None:
        lake = await self._accounts.lake_formation(environment.account, environment.region)
        resource, key = _resource(change.trait.of), change.trait.name
        failures: list[LFTagErrorTypeDef] = []
        if change.then is not None:
            added = await lake.add_lf_tags_to_resource(Resource=resource, LFTags=[_pair(key, change.then)])
            failures = added.get("Failures", [])
        elif change.now is not None:
            removed = await lake.remove_lf_tags_from_resource(Resource=resource, LFTags=[_pair(key, change.now)])
            failures = removed.get("Failures", [])
        for failure in failures:
            # An answer that all is well may hold failures.
            told = failure.get("Error", {})
            raise ClientError(
                {"Error": {"Code": told.get("ErrorCode", ""), "Message": told.get("ErrorMessage", "")}}, "AddLFTagsToResource"
            )


def _explained(error: AwsFailure, change: Change) -> DzgrantError:
    trait = change.trait
    if trait.kind is TraitKind.TAG:
        value = change.then if change.then is not None else change.now
        return classify(error, f"the Lake Formation tag {trait.name}={value} of {trait.of} can't be set", do=_TAGS)
    policy = change.then if change.then is not None else change.now
    return classify(error, f"the {trait.kind} {policy} of the role {trait.of} can't be set", do=_RIGHTS)


def _name(role: str) -> str:
    """A role's name is what follows its path."""
    return role.rpartition("/")[2]


def _resource(database: str) -> ResourceTypeDef:
    return {"Database": {"Name": database}}


def _pair(key: str, value: str) -> LFTagPairTypeDef:
    return {"TagKey": key, "TagValues": [value]}
