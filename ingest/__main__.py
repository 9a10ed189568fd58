"""The operator's command line: `python -m ingest …`."""

from __future__ import annotations

import os
import sys

import typer

from ingest.errors import IngestError
from ingest.settings import database_url

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def main() -> None:
    """Operate the mail entrance: bring the database up to date, look after what came in."""


@app.command()
def migrate() -> None:
    """Bring the database in INGEST_DATABASE_URL (its owner's) to this version's schema. Safe to repeat."""
    from ingest.migrations import migrate as apply  # noqa: PLC0415 - only this command needs it

    applied = apply(database_url(os.environ), tell=typer.echo)
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("the database is up to date")


def run() -> int:
    """Exit code 1 with one clear line where the app can't do what was asked."""
    try:
        app(standalone_mode=True)
    except IngestError as error:
        typer.echo(str(error), err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run())
