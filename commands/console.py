"""`console`: the web console, on this machine."""

from __future__ import annotations

import os
import webbrowser
from typing import Annotated

import typer

from commands.output import say


def console(
    *,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes any free one.", min=0, max=65535)] = 8321,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the link, and open no browser.")] = False,
) -> None:
    """Open the web console of support staff. Ctrl-C ends it.

    The console finds mails, works on Quarantine and the waiting room, and shows the state of the entrance.

    The link works once and only on this machine. Needs INGEST_OPERATOR_DATABASE_URL of a member of ingest_operator.

    \b
    Examples:
      python -m ingest console
      python -m ingest console --port 0 --no-browser
    """
    from console.serve import serve_here

    def announce(link: str) -> None:
        say(f"The console is open. The link works once:\n\n  {link}\n\nCtrl-C ends the console.")
        if not no_browser:
            webbrowser.open(link)

    try:
        serve_here(os.environ, port=port, announce=announce)
    except ModuleNotFoundError as missing:
        say(f"Install the console first: pip install -r requirements-console.txt ({missing.name})", err=True)
        raise typer.Exit(1) from None
