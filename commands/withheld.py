"""`withheld …`: documents that the DMS does not see, and their release."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer

from commands.context import ByOption, WhyOption, account
from commands.output import CsvOption, JsonOption, LimitOption, Row, form_of, print_rows, say
from ingest.codes import Verdict
from operations.mails.withheld import WithheldDocuments
from operations.settings import operator_database_url

app = typer.Typer(
    no_args_is_help=True,
    help="Documents that the DMS does not see. Malicious, or waiting for a verdict or for an approval of their sender.",
)


@app.command("list")
def list_withheld(
    *,
    verdict: Annotated[Verdict | None, typer.Option("--verdict", help="Only those with this verdict.")] = None,
    number: Annotated[int | None, typer.Option("--message", help="Only those of the message with this number.")] = None,
    limit: LimitOption = 200,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List withheld documents, those that wait longest first.

    \b
    Examples:
      python -m ingest withheld list
      python -m ingest withheld list --verdict failed --json | jq -r '.[].document_id'
    """
    found = WithheldDocuments(operator_database_url(os.environ)).all(number=number, verdict=verdict, limit=limit)
    rows: list[Row] = [asdict(one) for one in found]
    print_rows(rows, form_of(as_json=as_json, as_csv=as_csv), empty="The DMS sees every document.", limit=limit)


@app.command()
def release(
    document: Annotated[UUID, typer.Argument(metavar="DOCUMENT", help="The document's id (withheld list).")],
    *,
    why: WhyOption,
    by: ByOption = "",
) -> None:
    """Release a document that the scan withholds, with any verdict. The release is on the record.

    A mail in the waiting room stays there: tenants senders approve lets the mail in.

    \b
    Example:
      python -m ingest withheld release 0193c1d2-… --why "encrypted, opened with the sender's password"
    """
    if WithheldDocuments(operator_database_url(os.environ)).release(document, account(by, why)):
        say(f"The DMS sees {document} from now on.")
    else:
        say(f"No scan hides {document} any more. Its mail still waits for an approval: see tenants senders waiting.")
