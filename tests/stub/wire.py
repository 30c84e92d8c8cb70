"""AWS's protocols, both ways: what a request asks for, and the answer's bytes. JSON, DataZone's REST, and STS's query."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from botocore.session import get_session

from tests.fakes.answers import Members, Refusal

_SERVICES = {
    "DynamoDB_20120810": "dynamodb",
    "secretsmanager": "secretsmanager",
    "AWSGlue": "glue",
    "AmazonSQS": "sqs",
    "AWSEvents": "events",
}
_JSON = {"Content-Type": "application/x-amz-json-1.1"}


class Rest:
    """DataZone's routes, from botocore's model."""

    def __init__(self) -> None:
        self._model = get_session().get_service_model("datazone")
        self._routes: dict[tuple[str, int], list[tuple[re.Pattern[str], str]]] = {}
        for name in self._model.operation_names:
            http = self._model.operation_model(name).http
            path = http["requestUri"].partition("?")[0]
            pattern = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))
            self._routes.setdefault((http["method"], path.count("/")), []).append((pattern, name))
        self._queries: dict[str, Mapping[str, tuple[str, str]]] = {}

    def read(self, method: str, target: str, body: bytes) -> tuple[str, Members]:
        path, _, query = target.partition("?")
        for pattern, name in self._routes.get((method, path.count("/")), ()):
            if found := pattern.fullmatch(path):
                given: Members = {key: unquote(value) for key, value in found.groupdict().items()}
                if query:
                    given |= self._query(name, query)
                return name, given | json.loads(body) if body else given
        raise Refusal("UnknownOperationException", f"{method} {path}", status=404)

    def _query(self, name: str, query: str) -> Members:
        if name not in self._queries:
            shape: Any = self._model.operation_model(name).input_shape
            self._queries[name] = {it.serialization.get("name", key): (key, it.type_name) for key, it in shape.members.items()}
        known = self._queries[name]
        given = {}
        for asked, values in parse_qs(query).items():
            key, kind = known[asked]
            given[key] = int(values[0]) if kind == "integer" else values[0]
        return given


def of_json(target: str, body: bytes) -> tuple[str, str, Members]:
    """Service, operation and parameters."""
    prefix, _, operation = target.rpartition(".")
    return _SERVICES[prefix], operation, json.loads(body or b"{}")


def of_query(body: bytes) -> tuple[str, Members]:
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    given: Members = {**form}
    if "DurationSeconds" in given:
        given["DurationSeconds"] = int(given["DurationSeconds"])
    return given.pop("Action"), given


def answered(service: str, operation: str, members: Members) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    if service == "sts":
        body = f"<{operation}Response><{operation}Result>{_xml(members)}</{operation}Result></{operation}Response>"
        return 200, {"Content-Type": "text/xml"}, body.encode()
    return 200, _JSON, json.dumps(members, default=_moment).encode()


def refused(service: str, no: Refusal) -> tuple[int, dict[str, str], bytes]:
    if service == "sts":
        error = _xml({"Type": "Sender", "Code": no.code, "Message": no.message})
        return no.status, {"Content-Type": "text/xml"}, f"<ErrorResponse><Error>{error}</Error></ErrorResponse>".encode()
    headers = {**_JSON, "x-amzn-ErrorType": no.code}
    if service == "sqs":
        headers["x-amzn-query-error"] = f"{no.code};Sender"
    return no.status, headers, json.dumps({"__type": no.code, "message": no.message, **no.more}, default=_moment).encode()


def _moment(value: object) -> float:
    assert isinstance(value, datetime), f"{value!r} has no JSON"
    return value.timestamp()


def _xml(members: Mapping[str, Any]) -> str:
    return "".join(f"<{name}>{_inner(value)}</{name}>" for name, value in members.items())


def _inner(value: Any) -> str:
    if isinstance(value, Mapping):
        return _xml(value)
    return value.isoformat() if isinstance(value, datetime) else escape(str(value))
