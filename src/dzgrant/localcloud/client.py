"""The control API's client: `Control(endpoint).do(Approve(request=...))` answers with that command's answer. Synchronous."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.parse import urlsplit

from dzgrant.errors import Refused, Transient
from dzgrant.localcloud.commands import A, Call, Calls, Command, Rights


class Control:
    """Speaks to the local cloud at `endpoint` (`http://127.0.0.1:<port>`); threads may share it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._place = urlsplit(endpoint).netloc

    def do(self, command: Command[A]) -> A:
        """Raises `Refused` for what can't be done (no such id, wrong field), with the local cloud's reason."""
        body = self._request("POST", command.path(), command.model_dump_json())
        return command.answer().model_validate_json(body)

    def send(self, body: str) -> None:
        """Puts any text onto the worker's queue, as it is."""
        self._request("POST", "events", body)

    def calls(self) -> tuple[Call, ...]:
        """The AWS calls that arrived since the start or since `forget_calls`."""
        return Calls.model_validate_json(self._request("GET", "calls")).calls

    def rights(self) -> Rights:
        """What policies allowed and refused since the start."""
        return Rights.model_validate_json(self._request("GET", "rights"))

    def forget_calls(self) -> None:
        self._request("DELETE", "calls")

    def _request(self, method: str, path: str, body: str | None = None) -> bytes:
        connection = HTTPConnection(self._place, timeout=30)
        try:
            connection.request(method, f"/_local/{path}", body.encode() if body is not None else None)
            answer = connection.getresponse()
            content = answer.read()
        except OSError as error:
            raise Transient(
                f"the local cloud at {self.endpoint} does not answer: {error}", do="start it: dzgrant local"
            ) from error
        finally:
            connection.close()
        if answer.status != 200:
            raise Refused(f"the local cloud refused {path}: {content.decode(errors='replace')}", do="see docs/local-cloud.md")
        return content
