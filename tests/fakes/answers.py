"""What every service has in common: who calls, and how AWS says no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

Members = dict[str, Any]
"""A request's parameters or an answer's members, by AWS's names."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed the request, and to which Region it went."""

    account: str
    region: str
    role: str | None = None
    """The name of the role that was assumed; None: the account itself."""

    @property
    def arn(self) -> str:
        if self.role is None:
            return f"arn:aws:iam::{self.account}:root"
        return f"arn:aws:sts::{self.account}:assumed-role/{self.role}/session"


class Refusal(Exception):
    """AWS's own no; `Cloud.call` makes botocore's error of it."""

    def __init__(self, code: str, message: str = "", *, status: int = 400, **more: object) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.more = more

    def error(self, operation: str) -> ClientError:
        response: Any = {
            "Error": {"Code": self.code, "Message": self.message},
            "ResponseMetadata": {"HTTPStatusCode": self.status, "RetryAttempts": 0},
            **self.more,
        }
        return ClientError(response, operation)
