"""REST routes and checks of a service, read from botocore's model of it: the operation and its arguments in a request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from botocore.session import get_session
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from dzgrant.localcloud.calls import Call


class Invalid(Exception):
    """AWS would answer ValidationException with this message."""


class Routes:
    """The routes of these operations of a service."""

    def __init__(self, service: str, operations: Iterable[str]) -> None:
        self._model = get_session().get_service_model(service)
        self._map = Map([self._rule(name) for name in operations])

    def _rule(self, name: str) -> Rule:
        http = self._model.operation_model(name).http
        return Rule(re.sub(r"\{(\w+)\}", r"<\1>", http["requestUri"]), endpoint=name, methods=[http["method"]])

    def match(self, method: str, path: str) -> tuple[str, Mapping[str, str]] | None:
        """The operation's name and the arguments in the path, or None for another path."""
        try:
            name, arguments = self._map.bind("localhost").match(path, method=method)
        except HTTPException:
            return None
        return name, arguments

    def arguments(self, call: Call, name: str, path: Mapping[str, str]) -> dict[str, Any]:
        """All arguments of the operation, by their names in the model, checked. Raises `Invalid`."""
        shape: Any = self._model.operation_model(name).input_shape
        given = {**path, **_query(shape, str(call.environ.get("QUERY_STRING", "")))}
        if call.body:
            given |= json.loads(call.body)
        for required in shape.required_members:
            if given.get(required) is None:
                raise Invalid(f"{required} is required")
        return {key: _checked(key, value, shape.members[key]) for key, value in given.items() if key in shape.members}


def _query(shape: Any, query: str) -> dict[str, str]:
    names = {member.serialization.get("name", key): key for key, member in shape.members.items()}
    return {names[key]: value for key, value in parse_qsl(query) if key in names}


def _checked(name: str, value: Any, shape: Any) -> Any:
    if shape.type_name == "integer":
        if not str(value).isdigit() or not shape.metadata.get("min", 0) <= int(value) <= shape.metadata.get("max", int(value)):
            raise Invalid(f"{name}: {value} is not between {shape.metadata.get('min')} and {shape.metadata.get('max')}")
        return int(value)
    if shape.type_name == "boolean":
        return str(value).lower() == "true"
    if getattr(shape, "enum", None) and value not in shape.enum:
        raise Invalid(f"{name}: {value!r} is not one of {', '.join(shape.enum)}")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, str(value), re.ASCII):
        raise Invalid(f"{name}: {value!r} does not match {pattern}")
    return value
