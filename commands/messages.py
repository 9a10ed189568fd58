"""`messages …`: what is on record of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from commands.connected import MessageArgument, claim_of, inspection
from commands.output import JsonOption, LimitOption, Row, print_record, print_rows
from ingest.model import ClaimState

app = typer.Typer(no_args_is_help=True, help="What became of messages, as on record.")


@app.command("list")
def list_messages(
    *,
    state: Annotated[ClaimState | None, typer.Option("--state", help="Only those in this state.")] = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """The newest messages that the app knows of.

    \b
    Examples:
      python -m ingest messages list
      python -m ingest messages list --state quarantined
      python -m ingest messages list --state waiting --json | jq '.[].last_error'
    """
    found = inspection().claims(state=state, limit=limit)
    rows: list[Row]
    if as_json:
        rows = [asdict(claim) for claim in found]
    else:
        rows = [
            {
                "number": claim.number,
                "mailbox": claim.mailbox,
                "state": claim.state,
                "reason": claim.reason,
                "trigger": claim.trigger,
                "attempts": claim.attempts,
                "received": claim.received_at,
                "next_try": claim.next_try_at,
                "last_error": claim.last_error,
            }
            for claim in found
        ]
    print_rows(rows, as_json=as_json, empty="No messages.", limit=limit)


@app.command()
def show(message: MessageArgument, *, as_json: JsonOption = False) -> None:
    """Everything that is on record of one message.

    \b
    Examples:
      python -m ingest messages show 4711
      python -m ingest messages show AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A… --json
    """
    print_record(asdict(claim_of(message)), as_json=as_json)
