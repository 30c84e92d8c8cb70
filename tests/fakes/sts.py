"""STS: roles that are assumed, and who the credentials are of."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

from tests.fakes import policies
from tests.fakes.answers import Caller, Members, Refusal


class Sts:
    """`trust`: the trust policy of every role that there is, by its ARN."""

    def __init__(self, clock: Callable[[], float], rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self.trust: dict[str, str] = {}
        self._given: dict[str, tuple[Caller, float]] = {}

    def add_role(self, account: str, name: str, *, trusted: str, external_id: str | None = None) -> str:
        """A role that another account may assume. Its ARN."""
        statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{trusted}:root"}, "Action": "sts:AssumeRole"}
        condition = {"Condition": {"StringEquals": {"sts:ExternalId": external_id}}} if external_id else {}
        arn = f"arn:aws:iam::{account}:role/{name}"
        self.trust[arn] = json.dumps({"Version": "2012-10-17", "Statement": [statement | condition]})
        return arn

    def assume_role(self, given: Members, caller: Caller) -> Members:
        arn, session = given["RoleArn"], given["RoleSessionName"]
        context = {"sts:ExternalId": given["ExternalId"]} if "ExternalId" in given else {}
        if not policies.allows(self.trust.get(arn, '{"Statement": []}'), "sts:AssumeRole", arn, caller, context):
            # AWS does not tell whether there is such a role.
            raise Refusal(
                "AccessDenied",
                f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                status=403,
            )
        account, name = arn.split(":")[4], arn.rpartition("/")[2]
        key = f"ASIA{self._rng.getrandbits(80):016X}"[:20]
        until = self._clock() + given.get("DurationSeconds", 3600)
        self._given[key] = (Caller(account, caller.region, name), until)
        return {
            "Credentials": {
                "AccessKeyId": key,
                "SecretAccessKey": f"{self._rng.getrandbits(160):040x}",
                "SessionToken": f"{self._rng.getrandbits(256):064x}",
                "Expiration": datetime.fromtimestamp(int(until), UTC),
            },
            "AssumedRoleUser": {
                "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
                "AssumedRoleId": f"AROA:{session}",
            },
        }

    def get_caller_identity(self, given: Members, caller: Caller) -> Members:
        return {"Account": caller.account, "Arn": caller.arn, "UserId": caller.account}

    def caller(self, access_key: str, region: str) -> Caller | None:
        """Whose credentials these are; None: of nobody, any more. An account's own key ends with its number, as in the
        local cloud."""
        if (known := self._given.get(access_key)) is not None:
            who, until = known
            return Caller(who.account, region, who.role) if self._clock() < until else None
        account = access_key[-12:]
        return Caller(account, region) if account.isdigit() else None
