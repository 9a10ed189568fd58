"""`audit …`: the record of operator actions."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from commands.output import CsvOption, JsonOption, LimitOption, Row, form_of, print_record, print_rows
from operations.audit import Audit
from operations.settings import operator_database_url

app = typer.Typer(
    no_args_is_help=True, help="The record of operator actions. Each has login, place, time, action and reason."
)


@app.command("list")
def list_entries(*, limit: LimitOption = 100, as_json: JsonOption = False, as_csv: CsvOption = False) -> None:
    """List the newest operator actions. `remark` is the operator's own word; `login` is the database's.

    `from` is the name of the machine, or the address of the browser that had the page.

    \b
    Examples:
      python -m ingest audit list
      python -m ingest audit list --json | jq '.[] | select(.action == "tenant.forget")'
    """
    rows: list[Row] = [
        {
            "number": entry.number,
            "at": entry.at,
            "login": entry.login,
            "from": entry.origin,
            "action": entry.action,
            "subject": entry.subject,
            "details": entry.details,
            "why": entry.why,
            "remark": entry.remark,
        }
        for entry in Audit(operator_database_url(os.environ)).newest(limit=limit)
    ]
    print_rows(rows, form_of(as_json=as_json, as_csv=as_csv), empty="No operator has done anything yet.", limit=limit)


@app.command()
def verify(
    *,
    head: Annotated[
        str | None, typer.Option(help="A hash that was noted earlier: proves that nothing was cut off since.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that no entry was changed, removed or slipped in. Exit code 1 where one was.

    Note the printed hash outside of the database, for --head of the next time.

    \b
    Example:
      python -m ingest audit verify --head 9f2c…
    """
    verified = Audit(operator_database_url(os.environ)).verify(head=head)
    print_record({"entries": verified.entries, "head": verified.head}, as_json=as_json)
