"""`messages …`: what is on record of them."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer

from commands.context import MessageArgument, claim_of, inspection
from commands.output import JsonOption, LimitOption, Row, print_record, print_rows, progress
from ingest.errors import OperatorError
from ingest.model import ClaimState
from ingest.settings import Settings, operator_database_url
from operations.blobs import containers_by_name
from operations.verification import Verdict, Verification

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


@app.command()
def verify(
    message: Annotated[
        str | None, typer.Argument(metavar="MESSAGE", help="A message's number (messages list) or its Graph id.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All messages of all tenants.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read back what was stored, and compare it with the hashes on record. Changes nothing.

    Needs a login that sees every tenant's mails: a member of ingest_operator (INGEST_OPERATOR_DATABASE_URL). Exit
    code 1 where a blob is missing or not what was stored; those are printed.

    \b
    Examples:
      python -m ingest messages verify 4711
      python -m ingest messages verify --all --json | jq -r '.[].name'
    """
    if (message is None) is not every:
        raise OperatorError("Name one message, or say --all.")
    number = None if message is None else claim_of(message).number
    damaged, count = _damaged(number)
    print_rows(
        [{**asdict(verdict.blob), "damage": verdict.damage} for verdict in damaged],
        as_json=as_json,
        empty=f"All of {count} blobs are what was stored." if count else "Nothing is stored of it.",
    )
    if damaged:
        typer.echo(f"{len(damaged)} of {count} blobs are not what was stored.", err=True)
        raise typer.Exit(1)


def _damaged(number: int | None) -> tuple[list[Verdict], int]:
    """Return the verdicts on damaged blobs, and the number of blobs that were read."""
    damaged, count = [], 0
    with containers_by_name(Settings.from_env(os.environ)) as container, progress() as bar:
        verification = Verification(operator_database_url(os.environ), reader=container, number=number)
        task = bar.add_task("Verifying", total=verification.count())
        for verdict in verification.verdicts():
            count += 1
            bar.advance(task)
            if verdict.damage is not None:
                damaged.append(verdict)
    return damaged, count
