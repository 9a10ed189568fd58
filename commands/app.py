"""`python -m ingest …`: the commands put together, and what every one of them does with an error."""

from __future__ import annotations

import logging
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from commands import (
    answers,
    audit,
    console,
    doctor,
    messages,
    migrate,
    quarantine,
    retention,
    status,
    subscriptions,
    sweep,
    tenants,
    withheld,
)
from commands.output import say
from ingest import log
from ingest.errors import IngestError

app = typer.Typer(
    name="python -m ingest",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the examples in help texts keep their lines
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("migrate")(migrate.migrate)
app.add_typer(tenants.app, name="tenants")
app.command("sweep")(sweep.sweep)
app.add_typer(messages.app, name="messages")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(answers.app, name="answers")
app.add_typer(withheld.app, name="withheld")
app.add_typer(subscriptions.app, name="subscriptions")
app.add_typer(audit.app, name="audit")
app.command("doctor")(doctor.doctor)
app.command("retention")(retention.retention)
app.command("status")(status.status)
app.command("console")(console.console)


def _version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
        say(project["project"]["version"])
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[  # noqa: ARG001 - its callback has done it
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the app's log on stderr.")] = False,
) -> None:
    """Operate the mail entrance: set the database up, look after tenants, and see what came in.

    Settings come from the environment, as the app's do (docs/settings.md). Commands that see all tenants use
    INGEST_OPERATOR_DATABASE_URL, and migrate uses INGEST_OWNER_DATABASE_URL, where they are set.

    Exit codes: 0 done; 1 not done, or something is wrong: the last line says what; 2 not a command of this program.
    """
    if verbose:
        logging.basicConfig(format="%(message)s", level=logging.WARNING)
        logging.getLogger("ingest").setLevel(logging.INFO)
    else:
        logging.getLogger("ingest").addHandler(logging.NullHandler())


def run() -> int:
    """Run the command of `sys.argv`; its exit code. Errors are one line on stderr, never a stack trace."""
    try:
        app(prog_name="python -m ingest")
    except IngestError as error:
        say(f"Error: {error}", err=True)
    except Exception as error:  # noqa: BLE001 - a person reads this
        say(f"Error: a defect of this program: {log.frames(error)}", err=True)
    return 1


def exit_with_code() -> None:
    """Run the command of `sys.argv` and exit with its code."""
    sys.exit(run())
