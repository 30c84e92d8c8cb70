"""The commands for what can't go on, as a person sees them: what is stuck, and the dead letters."""

from __future__ import annotations

from typing import Annotated

import typer

from dzgrant.errors import Misconfigured

AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]

stuck = typer.Typer(help="What can't go on, why, and how to move it.", no_args_is_help=True)
dlq = typer.Typer(help="The dead-letter queue: messages that can't succeed as they are.", no_args_is_help=True)

_All = Annotated[bool, typer.Option("--all", help="Every one.")]


@stuck.command("list")
def list_stuck(*, as_json: AsJson = False) -> None:
    """Grants and revokes that can't go on: why, since when, and when they are tried again."""
    from dzgrant.cli import stuck as showing

    showing.list_them(as_json=as_json)


@stuck.command()
def retry(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="PRINCIPAL|SUBSCRIPTION...", help="As `stuck list` prints them.")
    ] = None,
    *,
    every: _All = False,
) -> None:
    """Try them now, by the same steps as after an event, and say what came of it. Exit code 1 where one is stuck still."""
    from dzgrant.cli import stuck as trying

    _one_or_all(names, every=every, noun="principals or subscriptions")
    if not trying.retry(names or []):
        raise typer.Exit(1)


@stuck.command()
def resolve(
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="As `stuck list` prints it.")],
    why: Annotated[str, typer.Option(help="What was done by hand; it stays in the history.")],
    *,
    yes: Annotated[str | None, typer.Option(metavar="PRINCIPAL", help="The principal once more, instead of typing it.")] = None,
) -> None:
    """For a database that is gone for good: end what is stuck there without asking it. The login is not dropped."""
    from dzgrant.cli import resolve as resolving

    resolving.resolve(principal, why, yes)


@dlq.command("list")
def list_letters(*, as_json: AsJson = False) -> None:
    """Every dead letter with its age, what it is about, and the reason."""
    from dzgrant.cli import dlq as reading

    reading.list_them(as_json=as_json)


@dlq.command()
def show(identifier: Annotated[str, typer.Argument(metavar="ID")], *, as_json: AsJson = False) -> None:
    """One dead letter, with its body."""
    from dzgrant.cli import dlq as reading

    reading.show(identifier, as_json=as_json)


@dlq.command()
def redrive(names: Annotated[list[str] | None, typer.Argument(metavar="ID...")] = None, *, every: _All = False) -> None:
    """Back into the queue, to be tried again."""
    from dzgrant.cli import dlq as moving

    _one_or_all(names, every=every, noun="messages")
    moving.redrive(names or [])


@dlq.command()
def drop(
    names: Annotated[list[str], typer.Argument(metavar="ID...")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete dead letters. Nothing is lost but the message: reconcile looks at every subscription anyway."""
    from dzgrant.cli import dlq as dropping

    dropping.drop(names, yes=yes)


def _one_or_all(names: list[str] | None, *, every: bool, noun: str) -> None:
    if bool(names) == every:
        raise Misconfigured(f"which {noun}?", do="name them, or say --all")
