"""What stands where an aiobotocore client would: its methods by their names in Python, and its paginators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tests.fakes.answers import Members

Call = Callable[[str, Members], Awaitable[Members]]
"""An operation of one service and its parameters."""

# What a call without it is given by the client, one for all tries of the call (botocore's models, `idempotencyToken`).
_TOKENS = {
    "TransactWriteItems": "ClientRequestToken",
    "CreateSecret": "ClientRequestToken",
    "PutSecretValue": "ClientRequestToken",
}
# Operations that come in pages, by what goes on from one to the next.
_PAGES = {"Query": ("ExclusiveStartKey", "LastEvaluatedKey"), "ListSecrets": ("NextToken", "NextToken")}


class Client:
    """`token` makes a new idempotency token."""

    def __init__(self, call: Call, token: Callable[[], str]) -> None:
        self._call = call
        self._token = token

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Members]]:
        if name.startswith("_"):
            raise AttributeError(name)
        operation = "".join(word.capitalize() for word in name.split("_"))

        async def method(**params: Any) -> Members:
            if (member := _TOKENS.get(operation)) is not None:
                params.setdefault(member, self._token())
            return await self._call(operation, params)

        self.__dict__[name] = method
        return method

    def get_paginator(self, name: str) -> _Paginator:
        return _Paginator(getattr(self, name), *_PAGES["".join(word.capitalize() for word in name.split("_"))])


class _Paginator:
    def __init__(self, method: Callable[..., Awaitable[Members]], asked: str, told: str) -> None:
        self._method = method
        self._asked = asked
        self._told = told

    async def paginate(self, **params: Any) -> AsyncIterator[Members]:
        while True:
            page = await self._method(**params)
            yield page
            if (token := page.get(self._told)) is None:
                return
            params[self._asked] = token
