"""`doctor`: the checks of all that the app needs, with advice for each that fails."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from commands.output import JsonOption, print_json, say

if TYPE_CHECKING:
    from checks.examination import Finding

_COLOURS = {
    "ok": typer.colors.GREEN,
    "warning": typer.colors.YELLOW,
    "failed": typer.colors.RED,
    "skipped": typer.colors.BRIGHT_BLACK,
}


def doctor(
    *,
    other_mailbox: Annotated[
        str | None, typer.Option(help="A mailbox that the app must not be able to read; tried once.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check everything that the app needs, in order.

    A check that fails says what to do. Changes nothing. Exit code 1 where a check failed.

    \b
    Examples:
      python -m ingest doctor
      python -m ingest doctor --other-mailbox ceo@example.com --json
    """
    from checks.examination import CheckContext, Status, examine
    from operations.checks import CHECKS

    findings: list[Finding] = []
    with CheckContext(environ=os.environ, other_mailbox=other_mailbox) as context:
        for finding in examine(context, CHECKS):
            findings.append(finding)
            if not as_json:
                _print(finding)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    if any(finding.status is Status.FAILED for finding in findings):
        raise typer.Exit(1)


def _print(finding: Finding) -> None:
    typer.secho(f"{finding.status:<8}", fg=_COLOURS[finding.status], nl=False)
    say(f"{finding.check}: {finding.said}")
    if finding.advice is not None:
        say(f"        {finding.advice}")
