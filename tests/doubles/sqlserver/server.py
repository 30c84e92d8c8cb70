"""What stands between the wire and the model: logging in, the log, the messages' language."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.doubles.sqlserver.engine import catalogue, scalars  # noqa: F401 - they register their views and functions
from tests.doubles.sqlserver.engine.interpreter import run
from tests.doubles.sqlserver.engine.replies import Failed, Reply
from tests.doubles.sqlserver.engine.session import Session
from tests.doubles.sqlserver.model import rights
from tests.doubles.sqlserver.model.failures import SqlError, german
from tests.doubles.sqlserver.model.instance import Client, Instance, now
from tests.doubles.sqlserver.wire.calls import Parameters
from tests.doubles.sqlserver.wire.login import Login
from tests.doubles.sqlserver.wire.stream import Stream

# What SQL Trace writes instead of a text that holds one of these.
_SECRET = re.compile(r"\b(CREATE|ALTER)\s+LOGIN\b|\bsp_(addlogin|password)\b|\bPWD(ENCRYPT|COMPARE)\b", re.IGNORECASE)
_REPLACED = "The text has been replaced with this comment for security reasons."


@dataclass(slots=True)
class Double:
    """The wire's host."""

    instance: Instance
    log: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        self.log.append(line)

    def log_in(self, login: Login, end: Stream) -> ClientSession:
        """Raises 18456, 18470, or 4060 before 18456."""
        try:
            return self._enter(login, end)
        except SqlError as error:
            self.note("; ".join(str(part) for part in error.chain()))
            raise

    def _enter(self, login: Login, end: Stream) -> ClientSession:
        instance = self.instance
        found = instance.authenticate(login.user, login.password)
        name = login.database or found.database
        database = instance.database(name)
        if database is None or database.state != "ONLINE" or rights.user_in(instance, found, database) is None:
            raise SqlError(18456, found.name, before=SqlError(4060, name))
        german.set(found.language.casefold() in ("german", "deutsch"))
        client = Client(
            number=instance.free_number(),
            login=found,
            database=database,
            host=login.host,
            program=login.program,
            end=end.abort,
            since=now(),
        )
        instance.clients[client.number] = client
        return ClientSession(self, Session(instance, client))


@dataclass(slots=True)
class ClientSession:
    """One session, for the wire."""

    double: Double
    inner: Session

    @property
    def number(self) -> int:
        return self.inner.client.number

    @property
    def database(self) -> str:
        return self.inner.database.name

    @property
    def transaction(self) -> int | None:
        transaction = self.inner.client.transaction
        return transaction.number if transaction else None

    async def run(self, batch: str, parameters: Parameters) -> AsyncIterator[Reply]:
        self.double.note(f"{self.number} {self.inner.client.login.name}: {_traced(batch, parameters)}")
        async for reply in run(self.inner, batch, parameters):
            if isinstance(reply, Failed):
                self.double.note(f"{self.number} {reply.error}")
            yield reply

    def reset(self) -> None:
        self.inner.reset()

    def close(self) -> None:
        self.inner.close()


def _traced(batch: str, parameters: Parameters) -> str:
    """As SQL Trace shows it."""
    if secret := _SECRET.search(batch):
        return f"-- '{secret[0]}' was found in the text of this event.  {_REPLACED}"
    values = "".join(f", {name}={value!r}" for name, (_, value) in parameters.items())
    return f"exec sp_executesql N'{batch}'{values}" if values else batch
