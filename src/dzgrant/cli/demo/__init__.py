"""`dzgrant demo`: real parts only. The local cloud, the databases and dzgrant run as processes of their own, and what is
checked is seen from outside: by a consumer, a producer, and a database's superuser.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from tempfile import mkdtemp

from rich.console import Console
from rich.text import Text
from trustme import CA

from dzgrant.cli.console import console
from dzgrant.cli.demo import compose, daemon, story
from dzgrant.cli.demo.account import account, consumer_role
from dzgrant.cli.demo.checks import Unmet
from dzgrant.cli.demo.telling import WIDTH, Telling
from dzgrant.cli.guide import guide
from dzgrant.localcloud import databases, places, process
from dzgrant.localcloud.databases import NotAvailable, Server
from dzgrant.localcloud.process import LocalCloud

_SECOND = "the same story on a second engine"


def play(*, fast: bool, keep: bool) -> bool:
    """Tells the whole story on the terminal; whether all that was checked is so. `keep` waits for Ctrl-C at the end."""
    tell = _opening("all on this machine; nothing reaches AWS")
    log = Path(mkdtemp(prefix="dzgrant-demo-")) / "dzgrant.log"
    try:
        with ExitStack() as stage:
            authority = CA()
            authority.cert_pem.write_to_path(log.with_name("ca.pem"))
            cloud = _cloud(tell, stage)
            servers = _servers(tell, stage, authority, fast=fast)
            asyncio.run(_perform(tell, cloud, servers, log, keep=keep))
    except Unmet:
        # It is among the checks.
        pass
    _sum_up(tell, log)
    return not any(check.unmet for check in tell.checks)


def play_across_containers() -> bool:
    """The same, on the parts that docker-compose.yml has started."""
    tell = _opening("containers on this machine; nothing reaches AWS")
    # What is unmet is among the checks.
    with suppress(Unmet):
        asyncio.run(compose.perform(tell))
    _sum_up(tell, None)
    return not any(check.unmet for check in tell.checks)


def _opening(stage: str) -> Telling:
    # A SIGTERM takes everything down as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tell = Telling(console(WIDTH))
    tell.console.print(Text.assemble(("dzgrant demo", "bold"), "  an approved subscription becomes a working login, and back"))
    tell.act("The stage", stage)
    return tell


def _cloud(tell: Telling, stage: ExitStack) -> LocalCloud:
    with tell.step("AWS", "three accounts and their services, DataZone among them") as note:
        cloud = stage.enter_context(process.running())
        note.text = f"at {cloud.endpoint}"
    return cloud


def _servers(tell: Telling, stage: ExitStack, authority: CA, *, fast: bool) -> list[Server]:
    """PostgreSQL, which can always be had, and MariaDB or MySQL where one can."""
    with tell.step("database", "PostgreSQL, with TLS by a throw-away CA") as note:
        servers = [stage.enter_context(databases.postgresql(authority))]
        note.text = _place(servers[0])
    if fast:
        tell.leave_out(_SECOND, "MariaDB, MySQL", "asked for with --fast")
        return servers
    reasons = []
    with tell.step("database", "MariaDB or MySQL, with TLS by the same") as note:
        for start in (databases.mariadb, databases.mysql):
            try:
                servers.append(stage.enter_context(start(authority)))
            except NotAvailable as missing:
                reasons.append(str(missing))
                continue
            note.text = _place(servers[1])
            return servers
        note.text = "left out"
    tell.leave_out(_SECOND, "MariaDB, MySQL", "; ".join(reasons))
    return servers


def _place(server: Server) -> str:
    return f"{server.flavour} ({server.provider}), at {server.host}:{server.port}"


async def _perform(tell: Telling, cloud: LocalCloud, servers: Sequence[Server], log: Path, *, keep: bool) -> None:
    environment = _environment(cloud, log)
    async with AsyncExitStack() as exits:
        with tell.step("dzgrant", f"the daemon; its log: {log}") as note:
            running = await exits.enter_async_context(daemon.running(environment, log))
            note.text = f"process {running.process.pid}"
        scene = story.Scene(
            tell=tell,
            control=cloud.control,
            check=running.check,
            environment=environment,
            producer=await exits.enter_async_context(account(cloud.endpoint, places.PRODUCER)),
            consumer=await exits.enter_async_context(account(cloud.endpoint, places.CONSUMER)),
            role=await exits.enter_async_context(consumer_role(cloud.endpoint)),
        )
        seen = [await story.play(scene, server) for server in servers]
        tell.act("The end", "")
        _no_password(tell, log, servers, seen)
        if keep:
            await _keep(tell.console, environment)
        with tell.step("dzgrant", "is sent SIGTERM", check="the daemon drains and ends") as note:
            await running.stop(cloud.control)
            note.text = "exit code 0"


def _environment(cloud: LocalCloud, log: Path) -> dict[str, str]:
    """The daemon's variables. What is set already wins, so that a setting can be tried out."""
    tried = {name: value for name, value in os.environ.items() if name.startswith("DZGRANT_")}
    return {
        **cloud.environment,
        "DZGRANT_DATABASE_CA_BUNDLE": str(log.with_name("ca.pem")),
        "DZGRANT_HTTP_HOST": "127.0.0.1",
        "DZGRANT_HTTP_PORT": "0",
        "DZGRANT_DRAIN_SECONDS": "10",
        **tried,
    }


def _no_password(tell: Telling, log: Path, servers: Sequence[Server], seen: Sequence[story.Passwords]) -> None:
    """The servers log every statement. That of the set-up which made the admin login is not dzgrant's."""
    with tell.step("governance", "looks through the logs of dzgrant and the databases", check="no password in any log") as note:
        written = log.read_text()
        statements = "".join(server.read_log() for server in servers)
        consumers = [password.get_secret_value() for one in seen for password in one.consumers]
        admins = [one.admin.get_secret_value() for one in seen]
        if any(password in written for password in (*consumers, *admins)):
            raise Unmet("a password is in dzgrant's log")
        if any(password in statements for password in consumers):
            raise Unmet("a consumer's password is in a database's log")
        note.text = f"for {len(consumers) + len(admins)} passwords in {len(written) + len(statements):,} characters"


async def _keep(out: Console, environment: dict[str, str]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    out.print(f"\n{guide(environment)}\nEverything runs until Ctrl-C.", soft_wrap=True)
    await stop.wait()


def _sum_up(tell: Telling, log: Path | None) -> None:
    tell.console.print()
    tell.console.print(tell.summary())
    if failed := next((check for check in tell.checks if check.unmet), None):
        where = f"; see {log}" if log and log.exists() else ""
        sys.stderr.write(f"dzgrant: the demo failed at: {failed.what} ({failed.where}): {failed.unmet}{where}\n")
