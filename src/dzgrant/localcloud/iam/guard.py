"""Who is let through, and the record of the rights that were used.

A session of a role may do what policies say. An administrator's key stands for the account's root: inside the account it
may do everything, and elsewhere what the resources' policies say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Lock
from typing import Any

from moto.iam.models import iam_backends

from dzgrant.localcloud.calls import Answer, Call, error, query_error
from dzgrant.localcloud.commands import Rights, Used
from dzgrant.localcloud.iam.asking import request
from dzgrant.localcloud.iam.documents import Caller, Policy, parsed
from dzgrant.localcloud.iam.evaluation import Decision, Request, Right, decide
from dzgrant.localcloud.iam.patterns import NotUnderstood
from dzgrant.localcloud.iam.requests import QueuePolicy, assuming, requests, role_of
from dzgrant.localcloud.places import NAME, REGION

_ANYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


class Guard:
    """Threads share it."""

    def __init__(self, queue_policy: QueuePolicy) -> None:
        self._queue_policy = queue_policy
        self._lock = Lock()
        self._used: dict[tuple[str, str, str], Right] = {}
        self._refused: dict[str, None] = {}

    def admit(self, call: Call) -> Answer | None:
        """None, or AWS's refusal."""
        try:
            for wanted in requests(call, self._queue_policy) if call.caller.role or _may_leave(call) else ():
                if not (call.caller.role or _leaves(call.caller, wanted)):
                    continue
                if why := self._why_not(call.caller, wanted):
                    return _refusal(call, f"{wanted.action} on resource: {wanted.resource} {why}")
        except NotUnderstood as unknown:
            return self._told(call.caller, f"{call.service}:{call.operation}: {unknown}", call)
        return None

    def serves(self, service: str, account: str, region: str, queue: str, source: str) -> bool:
        """Whether AWS's own service may put a message into the queue because of `source`, a rule's ARN."""
        caller = Caller(account=account, role=None, arn=service, service=service)
        arn = f"arn:aws:sqs:{region}:{account}:{queue}"
        text = self._queue_policy(account, region, queue)
        policy = parsed(queue, text) if text else None
        given = {"aws:SourceArn": source, "aws:SourceAccount": account}
        return not self._why_not(caller, request(caller, "sqs:SendMessage", arn, account, given, policy=policy, must=True))

    def runs_as(self, role: str) -> str:
        """Why ECS may not run a task as this role; '' where it may."""
        account, service = role.split(":")[4], "ecs-tasks.amazonaws.com"
        caller = Caller(account=account, role=None, arn=service, service=service)
        given = {"aws:SourceArn": _task(account), "aws:SourceAccount": account}
        return self._why_not(caller, assuming(caller, role, account, given))

    def protects(self, role: str) -> str:
        """Why ECS's agent may not protect the task from scale-in, in its role's name; '' where it may."""
        account = role.split(":")[4]
        caller = Caller(account=account, role=role, arn=role)
        return self._why_not(caller, request(caller, "ecs:UpdateTaskProtection", _task(account), account))

    def rights(self) -> Rights:
        with self._lock:
            used, refused = tuple(self._used.values()), tuple(self._refused)
        told = (Used(policy=it.policy, statement=it.sid, action=it.action, resource=it.resource) for it in used)
        return Rights(used=tuple(told), refused=refused)

    def _why_not(self, caller: Caller, wanted: Request) -> str:
        """'' when it is allowed."""
        decision = _decision(caller, wanted)
        with self._lock:
            if decision.why:
                line = f"{caller.role or caller.arn}: {wanted.action} on {wanted.resource} {decision.why}"
                self._refused.setdefault(line)
            for it in decision.by:
                self._used.setdefault((it.policy, it.sid, it.action), it)
        return decision.why

    def _told(self, caller: Caller, line: str, call: Call) -> Answer:
        with self._lock:
            self._refused.setdefault(f"{caller.role or caller.arn}: {line}")
        return _refusal(call, line)


def _task(account: str) -> str:
    return f"arn:aws:ecs:{REGION}:{account}:task/{NAME}/local"


def _may_leave(call: Call) -> bool:
    """Whether an administrator's call may be one upon another account."""
    return call.operation == "AssumeRole" or (call.service == "secretsmanager" and b"arn:aws:" in call.body)


def _leaves(caller: Caller, wanted: Request) -> bool:
    return wanted.account != caller.account or wanted.action == "sts:AssumeRole"


def _decision(caller: Caller, wanted: Request) -> Decision:
    if caller.role is None:
        return decide(caller, wanted, () if caller.service else (parsed("administrator", _ANYTHING),))
    role = role_of(caller.role)
    return decide(caller, wanted, tuple(_identity(role)), _boundary(role)) if role is not None else Decision(why="of no role")


def _identity(role: Any) -> Iterator[Policy]:
    for name, text in list(role.policies.items()):
        yield parsed(f"{role.name}/{name}", text)
    for policy in list(role.managed_policies.values()):
        yield _managed(policy)


def _boundary(role: Any) -> Policy | None:
    arn = role.permissions_boundary_arn
    if not arn:
        return None
    policy = iam_backends[role.account_id]["aws"].managed_policies.get(arn)
    if policy is None:
        raise NotUnderstood(f"the permissions boundary {arn} is not there")
    return _managed(policy)


def _managed(policy: Any) -> Policy:
    return parsed(policy.name, next(version.document for version in policy.versions if version.is_default))


def _refusal(call: Call, what: str) -> Answer:
    message = f"User: {call.caller.arn} is not authorized to perform: {what}"
    if call.service in ("sts", "iam", "cloudformation"):
        return query_error("AccessDenied", message)
    if call.service == "sqs":
        return error("com.amazonaws.sqs#AccessDenied", message, more=[("x-amzn-query-error", "AccessDenied;Sender")])
    return error("AccessDeniedException", message, status=403 if call.service == "datazone" else 400)
