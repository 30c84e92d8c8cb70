"""An AWS call as it arrives and the answer to it, whatever the service: the currency of this room.

Who calls is read from the access key, as AWS does: an assumed role's temporary key, or an administrator's key, which ends
in its account id. Signatures are not checked.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from moto.iam.models import iam_backends

from dzgrant.localcloud.iam.documents import Caller
from dzgrant.localcloud.places import ACCOUNTS, GOVERNANCE, REGION

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`account` is whose resources are meant: the caller's, or that of a secret which is shared with the caller."""

    service: str
    operation: str
    account: str
    region: str
    caller: Caller
    agent: str
    body: bytes = field(repr=False)
    environ: WSGIEnvironment = field(repr=False)

    @property
    def path(self) -> str:
        return str(self.environ.get("PATH_INFO", "/"))

    def json(self) -> dict[str, Any]:
        """The body's members, of a service that speaks JSON."""
        members = json.loads(self.body or b"{}")
        return members if isinstance(members, dict) else {}

    def form(self) -> dict[str, str]:
        """The body's parameters, of a service that speaks the query protocol (STS, IAM, CloudFormation)."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    def of(self, account: str) -> Call:
        """The same call, upon another account's resources."""
        return replace(self, account=account)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/x-amz-json-1.1"),)
    body: bytes = field(default=b"", repr=False)

    def json(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(self.body or b"{}")
        return members


def answer(members: dict[str, Any]) -> Answer:
    return Answer(body=json.dumps(members).encode())


def error(code: str, message: str, *, status: int = 400, more: Iterable[tuple[str, str]] = ()) -> Answer:
    """An error as the JSON protocols say it: the code in the body and, for REST, in a header."""
    headers = (("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", code), *more)
    return Answer(status=status, headers=headers, body=json.dumps({"__type": code, "message": message}).encode())


def query_error(code: str, message: str, *, status: int = 403) -> Answer:
    """An error as the query protocol says it."""
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        "<RequestId>local</RequestId></ErrorResponse>"
    )
    return Answer(status=status, headers=(("Content-Type", "text/xml"),), body=body.encode())


def caller(access_key: str) -> Caller:
    """An unknown key is the governance account's administrator, so that any credentials do for a first try."""
    for account in ACCOUNTS:
        if access_key.endswith(account):
            return _administrator(account)
        key = iam_backends[account]["aws"].access_keys.get(access_key)
        if key is not None and key.role_arn:
            session = key.role_arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/session"
            return Caller(account=account, role=key.role_arn, arn=session)
    return _administrator(GOVERNANCE)


def _administrator(account: str) -> Caller:
    return Caller(account=account, role=None, arn=f"arn:aws:iam::{account}:root")


def read(environ: WSGIEnvironment) -> Call:
    """The call in a WSGI request."""
    signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    who = caller(signed["key"] if signed else "")
    return Call(
        service=signed["service"] if signed else "unknown",
        operation=_operation(environ, body),
        account=who.account,
        region=signed["region"] if signed else REGION,
        caller=who,
        agent=environ.get("HTTP_USER_AGENT", ""),
        body=body,
        environ=environ,
    )


def _operation(environ: WSGIEnvironment, body: bytes) -> str:
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2]
    if body.startswith(b"Action=") or b"&Action=" in body:
        return parse_qs(body.decode())["Action"][0]
    # REST services are named by their routes; DataZone's room puts the operation's own name here.
    return f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '/')}"


def make(account: str, service: str, target: str, body: bytes, content_type: str = "application/x-amz-json-1.1") -> Call:
    """A call of the local cloud's own, which is not counted and meets no fault. `target`: the X-Amz-Target, or ''."""
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "HTTP_HOST": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=AKIA{account}/20000101/{REGION}/{service}/aws4_request",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if target:
        environ["HTTP_X_AMZ_TARGET"] = target
    return read(environ)
