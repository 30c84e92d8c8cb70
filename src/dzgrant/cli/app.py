"""The commands as a person sees them: options, help, exit codes.

A command imports what it needs when it runs, so that `--help` and `version` answer at once. Exit codes: 0 it is so, 1 it
failed, 2 a setting or the usage is wrong, 3 what is differs from what should be (`explain`), 130 Ctrl-C.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from dzgrant.cli import waiting
from dzgrant.cli.waiting import AsJson
from dzgrant.errors import DzgrantError, Misconfigured
from dzgrant.model import GrantState

app = typer.Typer(
    name="dzgrant",
    help="Access to tables in relational databases, because an Amazon DataZone subscription says so.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_grants = typer.Typer(help="Who can read what, since when, by which approval.", no_args_is_help=True)
app.add_typer(_grants, name="grants")
_toolkit = typer.Typer(help="What the products of Service Catalog ask for.", no_args_is_help=True)
app.add_typer(_toolkit, name="toolkit")
app.add_typer(waiting.stuck, name="stuck")
app.add_typer(waiting.dlq, name="dlq")

Domain = Annotated[str | None, typer.Option(help="DataZone domain id. Needed unless DZGRANT_DOMAIN_IDS names just one.")]


def main() -> None:
    """The console script. What a person can cause is one line on standard error, never a traceback."""
    try:
        app()
    except DzgrantError as error:
        sys.stderr.write(f"dzgrant: {error}\n")
        sys.exit(2 if isinstance(error, Misconfigured) else 1)


@app.command()
def run() -> None:
    """The daemon: work on events until SIGTERM, then drain. Its settings are the DZGRANT_* variables."""
    from dzgrant.cli import daemon

    daemon.run()


@app.command()
def version() -> None:
    """Print the version."""
    from dzgrant import __version__

    typer.echo(__version__)


@_grants.command("list")
def list_grants(
    subscription: Annotated[str | None, typer.Option(help="Subscription id.")] = None,
    environment: Annotated[str | None, typer.Option(help="Environment id.")] = None,
    project: Annotated[str | None, typer.Option(help="The consumer's project id.")] = None,
    source: Annotated[str | None, typer.Option(help="A database: engine://host:port/database, or its key.")] = None,
    state: Annotated[GrantState | None, typer.Option(help="REVOKED lists what was; else what is.")] = None,
    *,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=1, help="List so many at most.")] = 1000,
) -> None:
    """The grants that fit every filter, as the ledger has them."""
    from dzgrant.cli import grants

    wish = grants.Wish(subscription=subscription, environment=environment, project=project, source=source, state=state)
    grants.list_them(wish, limit=limit, as_json=as_json)


@_grants.command()
def show(
    names: Annotated[list[str], typer.Argument(metavar="PRINCIPAL|SUBSCRIPTION...", help="As `grants list` prints them.")],
    *,
    as_json: AsJson = False,
) -> None:
    """All that the ledger knows of principals (environment/source) and subscriptions, with their history."""
    from dzgrant.cli import show as showing

    showing.show(names, as_json=as_json)


@_toolkit.command()
def athena(
    subscription: Annotated[str, typer.Option(help="Subscription id.")],
    environment: Annotated[str | None, typer.Option(help="Environment id, where it has logins in several.")] = None,
    source: Annotated[str | None, typer.Option(help="A database: engine://host:port/database, or its key.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, as Service Catalog takes it.")] = False,
) -> None:
    """The parameters of the Athena connector that reads what a subscription gives access to."""
    from dzgrant.cli import toolkit

    toolkit.athena(toolkit.Wish(subscription=subscription, environment=environment, source=source), as_json=as_json)


@app.command()
def explain(subscription: str, domain: Domain = None, *, as_json: AsJson = False) -> None:
    """What should be, what was recorded, what is, and the difference. Changes nothing; exit code 3 where they differ."""
    from dzgrant.cli import explain as explaining

    if not explaining.explain(subscription, domain, as_json=as_json):
        raise typer.Exit(3)


@app.command()
def reconcile(
    subscription: Annotated[str | None, typer.Argument(help="One alone; else every one of the domain.")] = None,
    domain: Domain = None,
    *,
    logged: Annotated[bool, typer.Option("--log", help="Log as the daemon does, instead of a table: for a schedule.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Only say what is not as it should be; change nothing.")] = False,
) -> None:
    """Sweep once, as the daemon does: say what is not as it should be, and mend it. Exit code 1 where something is left."""
    from dzgrant.cli import reconcile as reconciling

    if not reconciling.reconcile(subscription, domain, logged=logged, report=report):
        raise typer.Exit(1)


@app.command()
def rotate(
    principals: Annotated[
        list[str] | None, typer.Argument(metavar="PRINCIPAL...", help="As `grants list` prints them.")
    ] = None,
    older_than: Annotated[str | None, typer.Option(help="Instead: all whose password is older, as 30d, 12h or 90m.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """New passwords; the ones before open until the grace ends. With --older-than also what was cut off, or is due to end."""
    from dzgrant.cli import rotate as rotating

    if not rotating.rotate(principals or [], older_than, dry_run=dry_run):
        raise typer.Exit(1)


@app.command("revoke-all")
def revoke_all(
    domain: Annotated[str, typer.Option(help="DataZone domain id.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would end.")] = False,
    yes: Annotated[str | None, typer.Option(metavar="DOMAIN", help="The domain's id once more, instead of typing it.")] = None,
) -> None:
    """Before an uninstall, with the service stopped: end every access of a domain that the ledger knows."""
    from dzgrant.cli import revoke_all as revoking

    if not revoking.revoke_all(domain, yes, dry_run=dry_run):
        raise typer.Exit(1)


@app.command("import")
def import_(
    domain: Annotated[str | None, typer.Option(help="DataZone domain id, for a plan.")] = None,
    plan: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the plan into this file.")] = None,
    apply: Annotated[Path | None, typer.Option(metavar="FILE", help="Apply a plan that you have read.")] = None,
    *,
    open_days: Annotated[int, typer.Option(min=0, max=365, help="How long the adopted logins open still.")] = 30,
    sources_table: Annotated[str | None, typer.Option(help="The sample's table of source subscriptions.")] = None,
    secrets_table: Annotated[str | None, typer.Option(help="The sample's table of secrets.")] = None,
    assets_table: Annotated[str | None, typer.Option(help="The sample's table of asset subscriptions.")] = None,
) -> None:
    """Move from AWS's sample: plan which of its logins dzgrant adopts, then --apply the plan. Else nothing changes."""
    from dzgrant.cli import moving

    if (domain is None) == (apply is None):
        raise Misconfigured("plan or apply?", do="say --domain for a plan, or --apply with its file")
    if apply is not None:
        if not moving.apply(apply):
            raise typer.Exit(1)
    elif domain is not None:
        names = {"sources": sources_table, "secrets": secrets_table, "assets": assets_table}
        moving.propose(domain, moving.tables(names), open_days=open_days, into=plan)


@app.command()
def local(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 0,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on. Who can reach it can do everything in it.")] = "127.0.0.1",
    databases: Annotated[bool, typer.Option(help="PostgreSQL and MariaDB too.")] = False,
) -> None:
    """The local cloud alone, until Ctrl-C: three AWS accounts and DataZone, and how to point things at them."""
    _need_extra()
    from dzgrant.cli import local as localcloud

    localcloud.serve(host, port, databases=databases)


@app.command()
def demo(
    *,
    fast: Annotated[bool, typer.Option("--fast", help="PostgreSQL alone.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end, until Ctrl-C.")] = False,
    compose: Annotated[
        bool, typer.Option("--compose", help="On what docker-compose.yml has started, across containers.")
    ] = False,
) -> None:
    """The whole story on real parts: publish, subscribe, approve, read, revoke. DZGRANT_* variables reach the daemon."""
    _need_extra()
    from dzgrant.cli import demo as playing

    if not (playing.play_across_containers() if compose else playing.play(fast=fast, keep=keep)):
        raise typer.Exit(1)


def _need_extra() -> None:
    """Raises `Misconfigured` where dzgrant was installed without the local cloud."""
    if missing := [name for name in ("moto", "trustme", "yaml") if find_spec(name) is None]:
        raise Misconfigured(
            f"the local cloud is not installed ({', '.join(missing)} can't be found)", do="pip install 'dzgrant[local]'"
        )
