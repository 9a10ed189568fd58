"""`messages …`: messages, as on record."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from commands import stored_messages
from commands.context import ByOption, MessageArgument, WhyOption, account, claim_of, inspection
from commands.output import (
    CsvOption,
    Form,
    JsonOption,
    LimitOption,
    Row,
    form_of,
    print_json_record,
    print_record,
    print_rows,
    say,
)
from ingest.codes import HeldReason, PassedOver
from ingest.errors import OperatorError
from ingest.model.claim import ClaimState
from ingest.settings import Settings
from operations.audit import Audit
from operations.blobs.containers import containers_by_name
from operations.inspection import ClaimRecord
from operations.mails.download import chosen_blob, malicious_parts, write_blob
from operations.mails.export import export_mail
from operations.mails.history import Histories, PartRecord
from operations.mails.search import Search
from operations.settings import operator_database_url

_MALWARE = "Malware was found in it: open it only where malware can do no harm (messages show names the part)."

app = typer.Typer(no_args_is_help=True, help="Messages on record, and what is stored of them.")

# The states of claims, in words for people. JSON keeps the codes.
WORDS = {
    ClaimState.WAITING: "waiting",
    ClaimState.PROCESSING: "being worked on",
    ClaimState.STORED: "stored, still in the mailbox",
    ClaimState.DELETED: "stored",
    ClaimState.QUARANTINED: "in Quarantine",
    ClaimState.GONE: "taken out of the inbox by a person",
}
# The reasons why a tenant's copy is hidden from the DMS.
HELD_WORDS = {
    HeldReason.SENDER_UNKNOWN: "waits for an approval: its sender is not on the list",
    HeldReason.SENDER_UNPROVEN: "waits for an approval: its sender is on the list, and not proven (forged?)",
    HeldReason.SENDER_UNCLEAR: "waits for an approval: From holds no sender, or several",
    HeldReason.DECLINED: "declined by a person",
}
# The reasons why an address brought its tenant no copy.
PASSED_OVER_WORDS = {
    PassedOver.UNKNOWN_TOKEN: "no tenant has this address",
    PassedOver.TENANT_INACTIVE: "the tenant was switched off",
    PassedOver.ANOTHER_TENANT_FIRST: "another tenant was addressed first (INGEST_ROUTE)",
}


@app.command("list")
def list_messages(
    *,
    state: Annotated[ClaimState | None, typer.Option("--state", help="Only those in this state.")] = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List the newest messages that the app knows of.

    \b
    Examples:
      python -m ingest messages list
      python -m ingest messages list --state quarantined
      python -m ingest messages list --state waiting --json | jq '.[].last_error'
    """
    found = inspection().claims(state=state, limit=limit)
    form = form_of(as_json=as_json, as_csv=as_csv)
    rows: list[Row]
    if form is not Form.TABLE:
        rows = [asdict(claim) for claim in found]
    else:
        rows = [
            {
                "number": claim.number,
                "mailbox": claim.mailbox,
                "state": WORDS[ClaimState(claim.state)],
                "reason": claim.reason,
                "trigger": claim.trigger,
                "attempts": claim.attempts,
                "received": claim.received_at,
                "next_try": claim.next_try_at,
                "last_error": claim.last_error,
            }
            for claim in found
        ]
    print_rows(rows, form, empty="No messages.", limit=limit)


@app.command()
def find(
    words: Annotated[
        list[str], typer.Argument(metavar="WORD…", help="Sender, subject, file, invoice number, tenant, day, state.")
    ],
    *,
    tenant: Annotated[str | None, typer.Option(help="Only mails of the tenant with this id.")] = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Find mails by words, day and state.

    A day is 2026-11-26 or yesterday; a state is stored, waiting, quarantine, or held for the waiting room.

    \b
    Examples:
      python -m ingest messages find rechnung 4711
      python -m ingest messages find supplier.example yesterday --json
    """
    found = Search(operator_database_url(os.environ)).find(" ".join(words), tenant=tenant, limit=limit)
    form = form_of(as_json=as_json, as_csv=as_csv)
    rows: list[Row] = [
        {**asdict(mail), "state": WORDS[ClaimState(mail.state)] if form is Form.TABLE else mail.state} for mail in found
    ]
    print_rows(rows, form, empty="Nothing found.", limit=limit)


@app.command()
def show(message: MessageArgument, *, as_json: JsonOption = False) -> None:
    """Show everything that is on record of one message.

    Its way, each tenant's copy, and every part with its rule.

    \b
    Examples:
      python -m ingest messages show 4711
      python -m ingest messages show AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A… --json
    """
    claim = claim_of(message)
    copies, rejections, passed_over = _of_tenants(claim)
    if as_json:
        with_parts = [{**copy, "parts": parts} for copy, parts in copies]
        print_json_record({**asdict(claim), "copies": with_parts, "rejections": rejections, "passed_over": passed_over})
        return
    print_record({**asdict(claim), "state": WORDS[ClaimState(claim.state)]}, as_json=False)
    for rejection in rejections:
        say("")
        print_record(rejection, as_json=False)
    for copy, parts in copies:
        say("")
        held = copy["held_reason"]
        print_record({**copy, "held_reason": HELD_WORDS[HeldReason(str(held))] if held else None}, as_json=False)
        print_rows(parts, Form.TABLE, empty="No parts.")
    if passed_over:
        say("\nOther addresses of the mail, which brought no copy:")
        print_rows(passed_over, Form.TABLE, empty="")


def _of_tenants(claim: ClaimRecord) -> tuple[list[tuple[Row, list[Row]]], list[Row], list[Row]]:
    """Return each tenant's copy with its parts, the rejections, and the addressed tenants without a copy.

    Returns none, and writes a word on stderr, where this login may not see them.
    """
    try:
        histories = Histories(operator_database_url(os.environ))
        found = histories.mail(claim.number)
        copies: list[tuple[Row, list[Row]]] = [
            (
                {name: value for name, value in asdict(copy).items() if name != "id"},
                [_part(part) for part in histories.parts(copy.duplicate_of or copy.id)],
            )
            for copy in (found.copies if found else ())
        ]
        passed_over: list[Row] = [
            {
                "tenant_id": other.tenant_id,
                "tenant": other.tenant if other.tenant_id is not None else "unknown address",
                "why": PASSED_OVER_WORDS[PassedOver(other.why)],
            }
            for other in histories.passed_over(claim.number)
            if other.tenant_id not in {copy["tenant_id"] for copy, _ in copies}  # an operator assigned the mail
        ]
    except OperatorError as weak:
        say(f"The tenants' copies are not shown. {weak}", err=True)
        return [], [], []
    return copies, [asdict(rejection) for rejection in (found.rejections if found else ())], passed_over


def _part(part: PartRecord) -> Row:
    return {
        "position": part.position,
        "inside": part.parent,
        "name": part.name,
        "disposition": part.disposition,
        "rule": part.reason,
        "type": part.detected_type or part.declared_type,
        "size": part.size,
        "document": part.document_id,
        "malware": part.malware_verdict,
        "withheld": ", ".join(part.withheld) if part.withheld else None,
        "invoice": part.invoice_number,
    }


@app.command()
def download(
    message: MessageArgument,
    *,
    to: Annotated[Path, typer.Option(help="The file to write; nothing is overwritten.")],
    why: WhyOption,
    by: ByOption = "",
    part: Annotated[int | None, typer.Option(help="The part's position; default: the original.")] = None,
    tenant: Annotated[str | None, typer.Option(help="The id of the tenant whose copy; needed for several.")] = None,
) -> None:
    """Write the original of one message, or one part, to a file. The look at the content goes on record.

    \b
    Examples:
      python -m ingest messages download 4711 --to 4711.eml --why "the tenant asks"
      python -m ingest messages download 4711 --part 1 --to invoice.pdf --why "the tenant asks"
    """
    number, url = claim_of(message).number, operator_database_url(os.environ)
    blob = chosen_blob(Histories(url), number, tenant=tenant, part=part)
    what = "the original" if part is None else f"part {part}"
    # Recorded first: nothing leaves without an entry.
    Audit(url).record("content.read", f"message {number}", account(by, why), details={"what": f"download of {what}"})
    with containers_by_name(Settings.from_env(os.environ)) as container:
        size = write_blob(container(blob.container).read(blob.name), to)
    say(f"{to}: {size} bytes")
    malicious = malicious_parts(Histories(url), number)
    if malicious if part is None else part in malicious:
        say(_MALWARE, err=True)


@app.command()
def export(
    message: MessageArgument,
    *,
    to: Annotated[Path, typer.Option(help="The zip file to write; nothing is overwritten.")],
    by: ByOption = "",
    why: WhyOption,
) -> None:
    """Write the evidence of one message to a zip file.

    Original, parts, manifest, and hashes for sha256sum.

    \b
    Example:
      python -m ingest messages export 4711 --to 4711.zip --why "tax audit" && unzip 4711.zip && sha256sum -c SHA256SUMS
    """
    number, url = claim_of(message).number, operator_database_url(os.environ)
    # Recorded first: nothing leaves without an entry.
    Audit(url).record("content.export", f"message {number}", account(by, why), details={})
    with containers_by_name(Settings.from_env(os.environ)) as container:
        files = export_mail(Histories(url), number, to, reader=container)
    say(f"{to}: {files} files; unzip it and check them with: sha256sum -c SHA256SUMS")
    if malicious_parts(Histories(url), number):
        say(_MALWARE, err=True)


# Here, not in their own module: the help keeps this order.
app.command()(stored_messages.verify)
app.command()(stored_messages.rebuild)
app.command()(stored_messages.restore)
