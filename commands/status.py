"""`status`: the state of the entrance, in a few lines."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from commands.output import JsonOption, console, say
from operations.settings import operator_database_url

if TYPE_CHECKING:
    from operations.status import Status

_BARS = "▁▂▃▄▅▆▇█"


def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every few seconds, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option("--every", min=1, help="Seconds between two looks of --watch.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Show what waits, what came in, and what is in Quarantine.

    Asks Postgres alone. Tenants and the waiting room are shown for an operator's login (INGEST_OPERATOR_DATABASE_URL).

    \b
    Examples:
      python -m ingest status
      python -m ingest status --watch
    """
    from operations.status import read_status

    url = operator_database_url(os.environ)
    if as_json:
        say(json.dumps(asdict(read_status(url)), default=str, indent=2))
        return
    if not watch:
        say("\n".join(lines(read_status(url))))
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=console(), screen=True, auto_refresh=False) as live:
        try:
            while True:
                live.update(Text("\n".join(lines(read_status(url)))), refresh=True)
                time.sleep(every)
        except KeyboardInterrupt:
            return


def lines(found: Status) -> list[str]:
    """Return the figures as lines for a terminal."""
    oldest = "none" if found.oldest_seconds is None else f"{_span(found.oldest_seconds)} old"
    share = "" if found.within_a_minute is None else f", {found.within_a_minute:.1%} within a minute"
    said = [
        f"Waiting      {found.waiting} mails, oldest {oldest}; {found.tried_again} were tried before",
        f"Last day     {found.mails} mails done, {found.unannounced} of them announced by no notification",
        f"To stored    median {_span(found.p50)}, 99 % {_span(found.p99)}{share}",
        f"Stored       {sparkline([hour.stored for hour in found.hours])}  an hour",
        f"Quarantined  {sparkline([hour.quarantined for hour in found.hours])}  likewise",
        "",
        f"Quarantine   {sum(kept.mails for kept in found.quarantine)} mails",
    ]
    if found.failing:
        said.insert(1, f"Failing      {found.failing} of them were tried in vain for more than a day")
    said += [f"  {kept.reason:<20} {kept.mails:>6}  {kept.new} new" for kept in found.quarantine]
    if found.held is not None:
        said += ["", f"Waiting room {found.held} mails wait for an approval of their sender"]
    if found.tenants:
        said += ["", "Tenants      of the last 30 days, by mails"]
        said += [
            f"  {one.tenant or one.tenant_id!s:<36} {one.mails:>6}  {one.bytes / 1e6:.1f} MB" for one in found.tenants
        ]
    return said


def sparkline(values: Sequence[int]) -> str:
    """Return a bar for each value, the highest one full; a dot for zero."""
    highest = max([*values, 1])
    return "".join(_BARS[(value * len(_BARS) - 1) // highest] if value else "·" for value in values)


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))  # noqa: PLR2004 - a minute
