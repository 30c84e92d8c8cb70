"""What the libraries alone cost: aiobotocore and SQLAlchemy make a grant's own calls and as many statements, and nothing else.

The calls are replayed as a worker made them, with other ids. No password, verifier or policy is made, nothing is parsed,
decided, logged or measured. Run as a process of its own, since CPU is what it tells.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore import xform_name
from pydantic import BaseModel, SecretStr
from sqlalchemy import URL, NullPool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from dzgrant.localcloud.places import CONSUMER, CONSUMER_ROLE, GOVERNANCE, PRODUCER, PRODUCER_ROLE, QUEUE, REGION, queue_url
from tests.stub.server import Recorded

_AT_ONCE = 16
_BATCH = 10
_PASSWORD = "a-consumer-of-the-floor"
_FIND = "SELECT 'orders'::regclass::oid, c.relname FROM pg_class c WHERE c.relname = :table"
_KEY = {"aws_access_key_id": "AccessKeyId", "aws_secret_access_key": "SecretAccessKey", "aws_session_token": "SessionToken"}


class Order(BaseModel):
    """What the process is told, on its standard input. `environment`, `subscription`: what is another one in each replay."""

    endpoint: str
    calls: list[tuple[str, str, dict[str, Any], str]]
    environment: str
    subscription: str
    count: int
    port: int
    database: str
    ca_file: Path
    admin: str
    password: str


def cpu_ms(order: Order) -> float:
    """Of one replay."""
    command = [sys.executable, "-m", "tests.bench.floor"]
    done = subprocess.run(command, input=order.model_dump_json(), capture_output=True, text=True, timeout=300, check=True)
    return float(done.stdout)


def of_grant(recorded: Sequence[Recorded]) -> list[tuple[str, str, dict[str, Any], str]]:
    """The calls of one grant; the queue's are shared, and made by the floor itself."""
    return [(one.service, one.operation, one.given, one.account) for one in recorded if one.service != "sqs"]


class Floor:
    def __init__(self, order: Order, clients: Mapping[tuple[str, str], Any], admin: AsyncEngine) -> None:
        self._order = order
        self._clients = clients
        self._admin = admin

    async def run(self) -> None:
        places = asyncio.Semaphore(_AT_ONCE)
        numbers = iter(range(self._order.count))
        sqs, url = self._clients["sqs", GOVERNANCE], queue_url(self._order.endpoint, QUEUE)

        async def one(number: int) -> None:
            async with places:
                await self._calls(number)
                await self._statements(f"floor_{number}")

        for _ in range(self._order.count // _BATCH):
            got = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=_BATCH, MessageSystemAttributeNames=["All"])
            async with asyncio.TaskGroup() as tasks:
                for _ in got["Messages"]:
                    tasks.create_task(one(next(numbers)))
            entries = [{"Id": str(at), "ReceiptHandle": it["ReceiptHandle"]} for at, it in enumerate(got["Messages"])]
            await sqs.delete_message_batch(QueueUrl=url, Entries=entries)

    async def _calls(self, number: int) -> None:
        arn = ""
        for service, operation, given, account in self._order.calls:
            params = given
            if service in ("dynamodb", "secretsmanager"):
                params = json.loads(
                    json.dumps(given)
                    .replace(self._order.environment, f"floor{number}")
                    .replace(self._order.subscription, f"floors{number}")
                )
                params.pop("ClientRequestToken", None)
            if "SecretId" in params:
                params["SecretId"] = arn
            answer = await getattr(self._clients[service, account], xform_name(operation))(**params)
            if operation == "CreateSecret":
                arn = answer["ARN"]

    async def _statements(self, login: str) -> None:
        async with self._admin.begin() as connection:
            await connection.execute(text(_FIND), {"table": "orders"})
            for statement in (
                # Who gives rights on one object at the same time must stand in line.
                "SELECT pg_advisory_xact_lock(1)",
                f"CREATE ROLE {login} LOGIN PASSWORD '{self.verifier}'",
                f"COMMENT ON ROLE {login} IS 'floor'",
                f"GRANT CONNECT ON DATABASE {self._order.database} TO {login}",
                f"GRANT USAGE ON SCHEMA public TO {login}",
                f"GRANT SELECT ON public.orders TO {login}",
            ):
                await connection.exec_driver_sql(statement)
        consumer = _engine(self._order, login, SecretStr(_PASSWORD), NullPool)
        async with consumer.connect() as connection:
            await connection.execute(text("SELECT 1 FROM public.orders LIMIT 0"))

    verifier = ""


def _engine(order: Order, login: str, password: SecretStr, pool: type[Any] | None = None) -> AsyncEngine:
    url = URL.create(
        "postgresql+asyncpg", login, password.get_secret_value(), host="localhost", port=order.port, database=order.database
    )
    trust = _TRUST.setdefault(order.ca_file, ssl.create_default_context(cafile=order.ca_file))
    return create_async_engine(url, connect_args={"ssl": trust}, poolclass=pool)


_TRUST: dict[Path, ssl.SSLContext] = {}


async def _clients(order: Order, exits: AsyncExitStack) -> dict[tuple[str, str], Any]:
    session: Any = get_session()
    config = AioConfig(max_pool_connections=64, parameter_validation=False, user_agent="floor")

    async def client(service: str, **key: str) -> Any:
        made = session.create_client(service, region_name=REGION, endpoint_url=order.endpoint, config=config, **key)
        return await exits.enter_async_context(made)

    home = {"aws_access_key_id": f"AKIA{GOVERNANCE}", "aws_secret_access_key": "floor"}
    own = ("sqs", "dynamodb", "datazone")
    found: dict[tuple[str, str], Any] = {(service, GOVERNANCE): await client(service, **home) for service in own}
    sts = await client("sts", **home)
    for account, role in ((PRODUCER, PRODUCER_ROLE), (CONSUMER, CONSUMER_ROLE)):
        got = await sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/{role}", RoleSessionName="floor")
        key = {name: got["Credentials"][member] for name, member in _KEY.items()}
        for service in ("glue", "secretsmanager"):
            found[service, account] = await client(service, **key)
    return found


async def _main(order: Order) -> None:
    async with AsyncExitStack() as exits:
        admin = _engine(order, order.admin, SecretStr(order.password))
        exits.push_async_callback(admin.dispose)
        floor = Floor(order, await _clients(order, exits), admin)
        async with admin.connect() as connection:
            await connection.execute(text("SET password_encryption = 'scram-sha-256'"))
            await connection.execute(text(f"CREATE ROLE floor PASSWORD '{_PASSWORD}'"))
            got = await connection.execute(text("SELECT rolpassword FROM pg_authid WHERE rolname = 'floor'"))
            floor.verifier = got.scalar_one()
        began = time.process_time()
        await floor.run()
        sys.stdout.write(str((time.process_time() - began) * 1000 / order.count))


if __name__ == "__main__":
    asyncio.run(_main(Order.model_validate_json(sys.stdin.read())))
