"""Every AWS service of the local cloud: moto's, corrected where it is not true to AWS, our own SQS and our own DataZone.

moto's threads share its state without locks, so the calls of one service run one after the other. SQS and DataZone
have locks of their own: a long poll holds up nobody.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from moto.dynamodb.models import dynamodb_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.secretsmanager.models import secretsmanager_backends
from moto.sqs.models import sqs_backends
from moto.sts.models import sts_backends

from dzgrant.localcloud import connections, dynamodb, extensions, secrets
from dzgrant.localcloud.calls import Answer, Call, make
from dzgrant.localcloud.datazone import DataZone
from dzgrant.localcloud.iam.guard import Guard
from dzgrant.localcloud.places import REGION
from dzgrant.localcloud.sqs import Sqs
from dzgrant.localcloud.stacks import SqsOfStacks

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_ADMIT: dict[str, Callable[[Call], Call | Answer]] = {
    "secretsmanager": secrets.admit,
    "glue": connections.admit,
    "iam": extensions.admit_iam,
    "lakeformation": extensions.admit_lake_formation,
}


class Aws:
    """Answers calls; threads share it. One for each process, since moto's state is the process's."""

    def __init__(self, sqs: Sqs, datazone: DataZone) -> None:
        self.sqs = sqs
        self.datazone = datazone
        self.guard = Guard(sqs.policy)
        self._tokens = dynamodb.Tokens()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._applications: dict[tuple[str, str], WSGIApplication] = {}
        self._locks: dict[str, Lock] = {}
        # Each registry makes its backends when they are first used, of the class that it holds then.
        dynamodb_backends.backend = dynamodb.Backend
        secretsmanager_backends.backend = secrets.Backend
        sqs_backends.backend = partial(SqsOfStacks, sqs)  # type: ignore[assignment]  # all that others of moto use

    def named(self, call: Call) -> Call:
        """The call with its operation's name, where only its path tells it."""
        return self.datazone.named(call) if call.service == "datazone" else call

    def answer(self, call: Call) -> Answer:
        if (refusal := self.guard.admit(call)) is not None:
            return refusal
        if call.service == "sqs":
            return self.sqs.answer(call)
        if call.service == "datazone":
            return self.datazone.answer(call)
        with self.lock(call.service):
            return self._corrected(call)

    def lock(self, service: str) -> Lock:
        """What guards moto's state of the service."""
        return self._locks.setdefault(service, Lock())

    def ask(self, account: str, service: str, target: str, **members: Any) -> dict[str, Any]:
        """A call of the local cloud's own to a service that speaks JSON; it succeeds or is a bug."""
        given = self.answer(make(account, service, target, json.dumps(members).encode()))
        if given.status != 200:
            raise RuntimeError(f"{target}: {given.body.decode()}")
        return given.json()

    def _corrected(self, call: Call) -> Answer:
        admitted = _ADMIT[call.service](call) if call.service in _ADMIT else call
        if isinstance(admitted, Answer):
            return admitted
        if (seen := self._tokens.replay(admitted)) is not None:
            return seen
        given = self._ask_moto(admitted)
        self._tokens.keep(admitted, given)
        return connections.complete(admitted, given) if call.service == "glue" else given

    def _ask_moto(self, call: Call) -> Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
            started.append((status, headers))
            return io.BytesIO().write

        # moto would ask each account for the access key; we know the account already.
        environ = {**call.environ, "wsgi.input": io.BytesIO(call.body), "HTTP_X_MOTO_ACCOUNT_ID": call.account}
        body = b"".join(self._application(call)(environ, start))
        status, headers = started[0]
        return Answer(status=int(status.split()[0]), headers=tuple(headers), body=body)

    def _application(self, call: Call) -> WSGIApplication:
        """moto's application for the service; its dispatcher is slow, so it is asked once for each kind of target."""
        key = (call.service, str(call.environ.get("HTTP_X_AMZ_TARGET", "")).partition(".")[0])
        if key not in self._applications:
            self._applications[key] = self._moto.get_application({**call.environ, "wsgi.input": io.BytesIO(call.body)})
        return self._applications[key]


def credentials(role: str) -> dict[str, str]:
    """A session of the role, as ECS's endpoint gives it to a task."""
    session = sts_backends[role.split(":")[4]]["aws"].assume_role(REGION, "task", role, "", 3600, "")
    return {
        "RoleArn": role,
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret_access_key,
        "Token": session.session_token,
        "Expiration": session.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
