"""Where moto's IAM and Lake Formation differ from AWS's upon an environment's role and databases.

moto takes a permission boundary that is no policy, gives a database all of a call's tags instead of one value for each
key, and knows no database that was never tagged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.glue.models import glue_backends
from moto.iam.models import iam_backends
from moto.lakeformation.models import LakeFormationBackend, lakeformation_backends

from dzgrant.localcloud.calls import Answer, Call, answer, error, query_error

Tags = dict[str, str]


def admit_iam(call: Call) -> Call | Answer:
    """The call, or AWS's refusal of a boundary that is not there."""
    if call.operation != "PutRolePermissionsBoundary":
        return call
    policy = call.form().get("PermissionsBoundary", "")
    # moto does not load AWS's own policies.
    if ":iam::aws:policy/" in policy or policy in iam_backends[call.account]["aws"].managed_policies:
        return call
    return query_error("NoSuchEntity", f"Scope ARN: {policy} does not exist or is not attachable.", status=404)


def admit_lake_formation(call: Call) -> Call | Answer:
    """The answer for a database's tags; moto does the rest."""
    known = _ON_DATABASES.get(call.path)
    given = call.json()
    database = given.get("Resource", {}).get("Database")
    if known is None or database is None:
        return call
    if database["Name"] not in glue_backends[call.account][call.region].databases:
        return error("EntityNotFoundException", f"Database {database['Name']} not found.")
    lake = lakeformation_backends[call.account][call.region]
    tags: list[Tags] = lake.lf_database_tags.get((call.account, database["Name"]), [])
    held = {tag["TagKey"]: tag["TagValues"] for tag in tags}
    answered = known(lake, call.account, held, given)
    lake.lf_database_tags[call.account, database["Name"]] = [
        {"CatalogId": call.account, "TagKey": key, "TagValues": values} for key, values in held.items()
    ]
    return answer(answered)


def _get(_: LakeFormationBackend, account: str, held: dict[str, Any], __: dict[str, Any]) -> dict[str, Any]:
    tags = [{"CatalogId": account, "TagKey": key, "TagValues": values} for key, values in held.items()]
    return {"LFTagOnDatabase": tags} if tags else {}


def _add(lake: LakeFormationBackend, account: str, held: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    wrong = [tag for tag in given["LFTags"] if not set(tag["TagValues"]) <= set(lake.get_lf_tag(account, tag["TagKey"]))]
    if not wrong:
        held |= {tag["TagKey"]: tag["TagValues"] for tag in given["LFTags"]}
    return _failures(wrong)


def _remove(_: LakeFormationBackend, __: str, held: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    wrong = [tag for tag in given["LFTags"] if held.get(tag["TagKey"]) != tag["TagValues"]]
    for tag in given["LFTags"]:
        if tag not in wrong:
            del held[tag["TagKey"]]
    return _failures(wrong)


def _failures(wrong: list[dict[str, Any]]) -> dict[str, Any]:
    why = {"ErrorCode": "EntityNotFoundException", "ErrorMessage": "Tag or tag value does not exist."}
    return {"Failures": [{"LFTag": tag, "Error": why} for tag in wrong]}


_ON_DATABASES: dict[str, Callable[[LakeFormationBackend, str, dict[str, Any], dict[str, Any]], dict[str, Any]]] = {
    "/GetResourceLFTags": _get,
    "/AddLFTagsToResource": _add,
    "/RemoveLFTagsFromResource": _remove,
}
