"""The story on one database: from a table to a reader, and back.

The consumer acts with credentials of its own account and with what it finds there; the producer with its own. What
became of logins and sessions is asked of the database as its superuser.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from pydantic import SecretStr

from dzgrant.cli.demo.account import Account, Login
from dzgrant.cli.demo.checks import Unmet, until
from dzgrant.cli.demo.daemon import ask
from dzgrant.cli.demo.shop import DRIVER_ERRORS, READ, READ_ANOTHER, ROWS, STILL_THERE, WRITE, Shop, denied, shop
from dzgrant.cli.demo.telling import Telling
from dzgrant.localcloud import commands as c
from dzgrant.localcloud.client import Control
from dzgrant.localcloud.databases import Run, Server
from dzgrant.localcloud.places import DOMAIN
from dzgrant.model import Arn

T = TypeVar("T")

_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Who takes part. `role` is the consumer role, for which the producer secret is shared."""

    tell: Telling
    control: Control
    check: Callable[[], Awaitable[None]]
    """Raises `Unmet` when dzgrant can't go on."""
    environment: Mapping[str, str] = field(repr=False)
    """What dzgrant's commands need to know."""
    producer: Account
    consumer: Account
    role: Account

    async def until(self, look: Callable[[], Awaitable[T | None]], otherwise: str) -> T:
        """Waits until there is something to see. Raises `Unmet` when there isn't in time, or dzgrant can't go on."""

        async def look_at_both() -> T | None:
            await self.check()
            return await look()

        return await until(look_at_both, seconds=_SECONDS, otherwise=otherwise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What an environment of the consumer has: its secret, what the secret says, and the producer's secret behind it."""

    environment: str
    secret: Arn
    login: Login
    shared: Arn


@dataclass(frozen=True, slots=True, kw_only=True)
class Passwords:
    """Those that the story came across."""

    admin: SecretStr
    consumers: tuple[SecretStr, ...]


async def play(scene: Scene, server: Server) -> Passwords:
    """The whole story on this server. Raises `Unmet` at the first failed check."""
    scene.tell.act(server.flavour, f"{server.provider}, at {server.host}:{server.port}")
    with scene.tell.step("producer", "makes a database with the tables sales.orders, sales.customers, sales.salaries"):
        where = await shop(server)
    project, subscription, first = await _subscribe(scene, where)
    await _try(scene, where, first)
    second = await _another_environment(scene, where, project)
    with scene.tell.step("governance", f"asks: dzgrant explain {subscription}", check="explain finds no difference") as note:
        await ask(scene.environment, "explain", subscription, "--domain", DOMAIN)
        note.text = "what should be, what is recorded and what is agree"
    await _revoke(scene, where, subscription, [first, second])
    consumers = tuple(access.login.credentials.password for access in (first, second))
    return Passwords(admin=where.admin.password, consumers=consumers)


async def _subscribe(scene: Scene, where: Shop) -> tuple[str, str, Access]:
    tell, control = scene.tell, scene.control
    with tell.step("producer", "publishes sales.orders: Glue connection and table, listing") as note:
        listing = control.do(
            c.Publish(
                engine=where.dialect.engine,
                host=where.server.host,
                port=where.server.port,
                database=where.dialect.database,
                table=where.dialect.table,
                username=where.admin.username,
                password=where.admin.password,
            )
        ).listing
        note.text = listing
    with tell.step("consumer", "has a project with an environment, and subscribes to the listing") as note:
        project = control.do(c.AddProject(name="analysts")).id
        environment = control.do(c.AddEnvironment(project=project)).id
        request = control.do(c.Subscribe(listing=listing, project=project)).id
        note.text = f"request {request}"
    with tell.step("producer", "approves; EventBridge → SQS → dzgrant", check="from the event to a working secret") as note:
        subscription = control.do(c.Approve(request=request)).subscription
        access = await _access(scene, where, environment)
        note.text = f"→ secret and login {access.login.credentials.username}"
    return project, subscription, access


async def _access(scene: Scene, where: Shop, environment: str) -> Access:
    """Waits for the environment's secret, and reads the table with nothing but its content."""
    secret = await scene.until(
        lambda: scene.consumer.tagged(environment), f"no secret in the consumer account is tagged with {environment}"
    )
    login = await scene.consumer.read(secret)
    said, true = (login.host, login.port, login.database), (where.server.host, where.server.port, where.dialect.database)
    if said != true:
        raise Unmet(f"the secret leads to {said}, not to {true}")
    await _read(where, login)
    shared = await scene.producer.tagged(environment)
    if shared is None:
        raise Unmet(f"no secret in the producer account is tagged with {environment}")
    return Access(environment=environment, secret=secret, login=login, shared=shared)


async def _read(where: Shop, login: Login) -> None:
    rows = await where.server.execute(READ, database=login.database, login=login.credentials)
    if len(rows) != ROWS:
        raise Unmet(f"{len(rows)} rows, not {ROWS}")


async def _try(scene: Scene, where: Shop, access: Access) -> None:
    tell = scene.tell
    with tell.step("consumer", "reads sales.orders, over verified TLS", check="the consumer reads the table") as note:
        await _read(where, access.login)
        note.text = f"{ROWS} rows"
    for statement, what in ((READ_ANOTHER, "another table"), (WRITE, "writing")):
        with tell.step("consumer", f"tries: {statement}", check=f"{what} is refused") as note:
            note.text = await _refused(where, access.login, statement)


async def _refused(where: Shop, login: Login, statement: str) -> str:
    try:
        await where.server.execute(statement, database=login.database, login=login.credentials)
    except DRIVER_ERRORS as error:
        if not denied(error):
            raise
        return "denied"
    raise Unmet(f"{statement} was not refused")


async def _another_environment(scene: Scene, where: Shop, project: str) -> Access:
    with scene.tell.step(
        "consumer", "adds a second environment to its project", check="an environment added later gets access"
    ) as note:
        environment = scene.control.do(c.AddEnvironment(project=project)).id
        access = await _access(scene, where, environment)
        note.text = f"→ secret and login {access.login.credentials.username}"
    return access


async def _revoke(scene: Scene, where: Shop, subscription: str, given: list[Access]) -> None:
    tell, first = scene.tell, given[0]
    with tell.step("dzgrant", "shares the producer secret with one role", check="the share works while it should") as note:
        if refusal := await scene.role.refusal(first.shared):
            raise Unmet(f"the consumer role can't read the producer secret: {refusal}")
        note.text = "the consumer role reads it"
    async with where.server.session(database=first.login.database, login=first.login.credentials) as run:
        with tell.step("consumer", "opens a session, and a cursor on sales.orders") as note:
            for statement in where.dialect.cursor:
                await run(statement)
            if not await run(where.dialect.fetch):
                raise Unmet("the cursor has no row")
            note.text = "one row fetched, 499 to come"
        with tell.step("producer", "revokes the subscription; the consumer reads on", check="an open session dies") as note:
            scene.control.do(c.Revoke(subscription=subscription))
            fetched = await scene.until(_death(run, where.dialect.fetch), "the session lives")
            note.text = f"→ dead after {fetched} more rows"
    await _nothing_left(scene, where, given)


def _death(run: Run, fetch: str) -> Callable[[], Awaitable[int | None]]:
    """Reads on at each look; once the session is dead, how many rows that gave."""
    fetched = 0

    async def look() -> int | None:
        nonlocal fetched
        try:
            fetched += len(await run(fetch))
        except DRIVER_ERRORS:
            return fetched if await _dead(run) else None
        return None

    return look


async def _dead(run: Run) -> bool:
    try:
        await run(STILL_THERE)
    except DRIVER_ERRORS as error:
        return not denied(error)
    return False


async def _nothing_left(scene: Scene, where: Shop, given: list[Access]) -> None:
    tell = scene.tell
    logins = {access.login.credentials.username for access in given}

    async def left(names: Callable[[], Awaitable[frozenset[str]]]) -> bool | None:
        return None if logins & await names() else True

    with tell.step("dzgrant", "drops both logins", check="the logins are gone") as note:
        await scene.until(lambda: left(where.logins), "a login is left")
        await scene.until(lambda: left(where.sessions), "a session is left")
        note.text = "the superuser sees neither login nor session"
    with tell.step("dzgrant", "deletes both consumer secrets", check="the consumer secrets are gone") as note:
        note.text = await _deleted(scene, scene.consumer, [access.secret for access in given])
    with tell.step("dzgrant", "deletes both producer secrets", check="the producer secrets are gone") as note:
        note.text = await _deleted(scene, scene.producer, [access.shared for access in given])
    with tell.step("consumer", "asks for the producer secret as the consumer role", check="the share is gone") as note:
        note.text = await scene.role.refusal(given[0].shared) or "read"
        if note.text != "AccessDeniedException":
            raise Unmet(f"the consumer role is answered {note.text}, not AccessDeniedException")


async def _deleted(scene: Scene, account: Account, secrets: list[Arn]) -> str:
    for secret in secrets:
        await scene.until(partial(account.deleted, secret), f"{secret} is not deleted")
    return "deleted, with a recovery window"
