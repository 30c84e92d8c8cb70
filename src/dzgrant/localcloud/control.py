"""The control API's server side: `/_local/...`, JSON in and out, see `commands`.

POST   /_local/<command>   carries a command out
GET    /_local/            what there is: accounts, names, and every command with its fields
POST   /_local/events      puts the body onto the worker's queue as it is
GET    /_local/calls       the AWS calls that arrived;  DELETE forgets them
GET    /_local/rights      what policies allowed and refused to roles
GET    /_local/task/<arn>  what ECS gives a task that runs as this role: its AWS_CONTAINER_CREDENTIALS_FULL_URI; below
                           it is the ECS_AGENT_URI with the endpoint of the scale-in protection
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from pydantic import ValidationError

from dzgrant.localcloud import commands as c
from dzgrant.localcloud import places
from dzgrant.localcloud.aws import Aws, credentials
from dzgrant.localcloud.calls import Answer
from dzgrant.localcloud.faults import Faults
from dzgrant.localcloud.journal import Journal
from dzgrant.localcloud.publishing import publish
from dzgrant.localcloud.state import State, UnknownId
from dzgrant.localcloud.transitions import Conflict, Transitions

_PROTECTION = "/task-protection/v1/state"
_JSON = (("Content-Type", "application/json"),)


class Control:
    """Carries out the control API's requests."""

    def __init__(self, aws: Aws, state: State, transitions: Transitions, faults: Faults, journal: Journal) -> None:
        self._aws = aws
        self._journal = journal
        self._handlers = {**_of_datazone(aws, state, transitions), **_of_faults(faults)}
        self._commands = {command.path(): command for command in self._handlers}
        self._plain: dict[tuple[str, str], Callable[[bytes], Answer]] = {
            ("POST", "events"): self._send,
            ("GET", "calls"): lambda _: _told(c.Calls(calls=journal.calls())),
            ("DELETE", "calls"): self._forget,
            ("GET", "rights"): lambda _: _told(aws.guard.rights()),
            ("GET", ""): lambda _: Answer(headers=_JSON, body=json.dumps(self._overview(), indent=2).encode()),
        }

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        if path.startswith("task/"):
            return self._task(method, path.removeprefix("task/"), body)
        if (known := self._plain.get((method, path))) is not None:
            return known(body)
        if (command := self._commands.get(path)) is None or method != "POST":
            return _refusal(404, f"no {method} {path}; GET /_local/ lists what there is")
        return self._do(command, body)

    def _do(self, command: type[c.Command[Any]], body: bytes) -> Answer:
        try:
            return _told(self._handlers[command](command.model_validate_json(body or b"{}")))
        except ValidationError as invalid:
            problems = invalid.errors(include_input=False, include_url=False)
            return _refusal(400, "; ".join(f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in problems))
        except UnknownId as unknown:
            return _refusal(404, str(unknown))
        except Conflict as conflict:
            return _refusal(409, str(conflict))

    def _send(self, body: bytes) -> Answer:
        self._aws.sqs.fill(places.GOVERNANCE, places.REGION, places.QUEUE, body.decode())
        return _told(c.Done())

    def _forget(self, _: bytes) -> Answer:
        self._journal.forget()
        return _told(c.Done())

    def _task(self, method: str, path: str, body: bytes) -> Answer:
        guard, role = self._aws.guard, path.removesuffix(_PROTECTION)
        if why := guard.runs_as(role) if method == "GET" else guard.protects(role):
            return _refusal(403, f"{role} may not do this {why}")
        told = credentials(role) if method == "GET" else {"protection": json.loads(body)}
        return Answer(headers=_JSON, body=json.dumps(told).encode())

    def _overview(self) -> dict[str, Any]:
        return {
            "accounts": {"governance": places.GOVERNANCE, "producer": places.PRODUCER, "consumer": places.CONSUMER},
            "region": places.REGION,
            "domain": places.DOMAIN,
            "commands": {
                path: {
                    "about": " ".join((command.__doc__ or "").split()),
                    "fields": command.model_json_schema()["properties"],
                }
                for path, command in self._commands.items()
            },
        }


Handler = Callable[[Any], c.Message]


def _of_datazone(aws: Aws, state: State, transitions: Transitions) -> dict[type[c.Command[Any]], Handler]:
    def locked(handler: Handler) -> Handler:
        def under_lock(command: c.Command[Any]) -> c.Message:
            with state.lock:
                return handler(command)

        return under_lock

    handlers: dict[type[c.Command[Any]], Handler] = {
        c.AddDomain: transitions.add_domain,
        c.AddProject: transitions.add_project,
        c.AddBlueprint: transitions.add_blueprint,
        c.AddEnvironment: transitions.add_environment,
        c.SetEnvironmentStatus: transitions.set_environment_status,
        c.DeleteEnvironment: transitions.delete_environment,
        c.Publish: partial(publish, aws, state),
        c.PublishProduct: transitions.publish_product,
        c.Unpublish: transitions.unpublish,
        c.Subscribe: transitions.subscribe,
        c.Approve: transitions.approve,
        c.InvalidateFilter: transitions.invalidate_filter,
        c.Revoke: transitions.revoke,
        c.Cancel: transitions.cancel,
        c.AddTarget: transitions.add_target,
        c.AddGrant: transitions.add_grant,
        c.DeleteGrant: transitions.delete_grant,
        c.Repeat: transitions.repeat,
    }
    return {command: locked(handler) for command, handler in handlers.items()}


def _of_faults(faults: Faults) -> dict[type[c.Command[Any]], Handler]:
    def done(effect: Callable[[Any], None]) -> Handler:
        def then_done(command: c.Command[Any]) -> c.Message:
            effect(command)
            return c.Done()

        return then_done

    return {
        c.Latency: done(faults.latency),
        c.Kill: done(faults.kill),
        c.Fail: done(faults.fail),
        c.Disturb: done(faults.disturb),
        c.Disturbances: lambda _: faults.disturbed(),
        c.Heal: done(lambda _: faults.heal()),
    }


def _told(message: c.Message) -> Answer:
    return Answer(headers=_JSON, body=message.model_dump_json().encode())


def _refusal(status: int, why: str) -> Answer:
    return Answer(status=status, headers=(("Content-Type", "text/plain"),), body=f"{why}\n".encode())
