"""The local cloud's WSGI application: `/_local/` is the control API, all else an AWS call that is journalled, may meet a
fault, and is answered by `aws`."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from dzgrant.localcloud import places, stacks
from dzgrant.localcloud.aws import Aws
from dzgrant.localcloud.calls import Answer, Call, read
from dzgrant.localcloud.commands import AddDomain
from dzgrant.localcloud.control import Control
from dzgrant.localcloud.datazone import DataZone
from dzgrant.localcloud.events import Events
from dzgrant.localcloud.faults import Faults, Killed
from dzgrant.localcloud.journal import Journal
from dzgrant.localcloud.provision import provision
from dzgrant.localcloud.sqs import Sqs
from dzgrant.localcloud.state import State
from dzgrant.localcloud.transitions import Transitions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_CONTROL = "/_local/"


class Application:
    """A local cloud; an `empty` one lacks what a deployment makes.

    One for each process, since moto's state is the process's.
    """

    def __init__(self, *, empty: bool = False) -> None:
        sqs, state = Sqs(), State()
        events = Events(lambda body: stacks.deliver(sqs, self._admits_rule, body))
        self._aws = Aws(sqs, DataZone(state, events))
        transitions = Transitions(self._aws, state, events)
        self._faults = Faults()
        self._journal = Journal()
        self._control = Control(self._aws, state, transitions, self._faults, self._journal)
        if not empty:
            provision(self._aws)
        transitions.add_domain(AddDomain(id=places.DOMAIN))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO", "/"))
        if path.startswith(_CONTROL):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            answer = self._control.answer(environ["REQUEST_METHOD"], path.removeprefix(_CONTROL), body)
        else:
            answer = self._serve(environ)
        headers = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]
        status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
        start_response(status, [*headers, ("Content-Length", str(len(answer.body)))])
        return [answer.body]

    def _admits_rule(self, account: str, region: str, queue: str, rule: str) -> bool:
        return self._aws.guard.serves("events.amazonaws.com", account, region, queue, rule)

    def _serve(self, environ: WSGIEnvironment) -> Answer:
        call = self._aws.named(read(environ))
        entry = self._journal.arrived(call)
        try:
            answer = self._meet_faults(call)
        except Killed:
            _hang_up(environ)
            raise ConnectionAbortedError from None
        entry.answered(answer.status)
        return answer

    def _meet_faults(self, call: Call) -> Answer:
        fault = self._faults.before(call)
        if isinstance(fault, Answer):
            return fault
        answer = self._aws.answer(call)
        if fault is not None:
            fault()
        return answer


def _hang_up(environ: WSGIEnvironment) -> None:
    """Closes the caller's connection; the server takes the error that follows for a client that went away."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
