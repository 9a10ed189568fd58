"""`messages …`: messages, as on record."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

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
    progress,
    say,
)
from ingest import wiring
from ingest.codes import HeldReason, PassedOver
from ingest.documents.reader_pool import ReaderPool
from ingest.errors import OperatorError
from ingest.model import ClaimState
from ingest.settings import ScanHold, Scanner, Settings, operator_database_url, owner_database_url
from operations.audit import Account, Audit
from operations.blobs import containers_by_name
from operations.derivation import Comparison, Derivation
from operations.export import chosen_blob, export_mail, write_blob
from operations.history import Histories, PartRecord
from operations.inspection import ClaimRecord
from operations.search import Search
from operations.verification import Verdict, Verification
from operations.verification import unrecorded as find_unrecorded

app = typer.Typer(no_args_is_help=True, help="What became of messages, as on record.")

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


PASSED_OVER = {
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
    words: Annotated[list[str], typer.Argument(help="Sender, subject, file, invoice number, tenant, day, state.")],
    *,
    tenant: Annotated[str | None, typer.Option(help="Only mails of the tenant with this id.")] = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Find mails by words of theirs, a day (2026-11-26, yesterday), a state (stored, waiting, quarantine) or `held`.

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
    """Show everything that is on record of one message: its way, each tenant's copy, every part with its rule.

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
                "why": PASSED_OVER[PassedOver(other.why)],
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


@app.command()
def export(
    message: MessageArgument,
    *,
    to: Annotated[Path, typer.Option(help="The zip file to write; nothing is overwritten.")],
    by: ByOption = "",
    why: WhyOption,
) -> None:
    """Write the evidence of one message to a zip file: original, parts, manifest, and hashes for sha256sum.

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


@app.command()
def verify(
    message: Annotated[
        str | None, typer.Argument(metavar="MESSAGE", help="A message's number (messages list) or its Graph id.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All messages of all tenants.")] = False,
    derive: Annotated[
        bool, typer.Option("--derive", help="Also prove that each stored part is in its mail's original.")
    ] = False,
    unrecorded: Annotated[
        bool, typer.Option("--unrecorded", help="List the blobs that no record names, of tries that did not commit.")
    ] = False,
    delete_after: Annotated[
        int | None,
        typer.Option("--delete-after", metavar="DAYS", min=1, help="Delete those that are older than DAYS."),
    ] = None,
    by: ByOption = "",
    why: Annotated[str, typer.Option("--why", help="The reason for --delete-after, for the record.")] = "",
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Read back what was stored, and compare it with the hashes on record. Changes nothing without --delete-after.

    Needs a login that sees every tenant's mails: a member of ingest_operator (INGEST_OPERATOR_DATABASE_URL). Exit
    code 1 where a blob is missing or not what was stored; those are printed.

    \b
    Examples:
      python -m ingest messages verify 4711
      python -m ingest messages verify --all --json | jq -r '.[].name'
      python -m ingest messages verify --all --derive
      python -m ingest messages verify --unrecorded --delete-after 30 --why "tidy up"     (mutable blobs only)
    """
    form = form_of(as_json=as_json, as_csv=as_csv)
    if unrecorded or delete_after is not None:
        words = None if delete_after is None else account(by, why)
        _list_unrecorded(delete_after, words, form)
        return
    if (message is None) is not every:
        raise OperatorError("Name one message, or say --all.")
    number = None if message is None else claim_of(message).number
    if derive:
        _prove(number, form)
        return
    damaged, count = _damaged(number)
    print_rows(
        [{**asdict(verdict.blob), "damage": verdict.damage} for verdict in damaged],
        form,
        empty=f"All of {count} blobs are what was stored." if count else "Nothing is stored of it.",
    )
    if damaged:
        say(f"{len(damaged)} of {count} blobs are not what was stored.", err=True)
        raise typer.Exit(1)


@app.command()
def rebuild(
    message: Annotated[
        str | None, typer.Argument(metavar="MESSAGE", help="A message's number (messages list) or its Graph id.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All messages of all tenants.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the differences, change nothing.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also take documents off the record that the rules do not find any more.")
    ] = False,
    by: ByOption = "",
    why: Annotated[str, typer.Option("--why", help="The reason, for the record; not with --dry-run.")] = "",
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Derive parts and documents again from the stored originals, without Graph, and put new documents on record.

    Needs the database's owner (INGEST_OWNER_DATABASE_URL). A committed document stays without --replace; a document
    of the same content keeps its id.

    \b
    Examples:
      python -m ingest messages rebuild 4711 --dry-run
      python -m ingest messages rebuild --all --dry-run --json
      python -m ingest messages rebuild --all --why "rules of 1.5"
    """
    if (message is None) is not every:
        raise OperatorError("Name one message, or say --all.")
    words = None if dry_run else account(by, why)
    number = None if message is None else claim_of(message).number
    rows: list[Row] = []
    with _derivation(owner_database_url(os.environ), number, upload=not dry_run) as derivation:
        for comparison in _with_progress(derivation, "Deriving"):
            rows += _differences(comparison)
            if words is not None and replace and (comparison.found or comparison.lost):
                derivation.replace(comparison, words)
            elif words is not None and comparison.found:
                derivation.add(comparison, words)
    print_rows(rows, form_of(as_json=as_json, as_csv=as_csv), empty="The record has what the originals have.")


def _differences(comparison: Comparison) -> list[Row]:
    number = comparison.copy.number
    if comparison.problem is not None:
        return [{"number": number, "difference": "not derived", "name": comparison.problem, "sha256": None}]
    return [
        *({"number": number, "difference": "new", "name": p.name, "sha256": p.sha256} for p in comparison.found),
        *({"number": number, "difference": "lost", "name": p.name, "sha256": p.sha256} for p in comparison.lost),
    ]


def _prove(number: int | None, form: Form) -> None:
    rows: list[Row] = []
    count = 0
    with _derivation(operator_database_url(os.environ), number, upload=False) as derivation:
        for comparison in _with_progress(derivation, "Deriving"):
            count += 1
            if comparison.problem is not None:
                rows.append({"number": comparison.copy.number, "name": None, "problem": comparison.problem})
            rows += [
                {"number": comparison.copy.number, "name": part.blob_name, "problem": "not in the original"}
                for part in comparison.unproved
            ]
    print_rows(rows, form, empty=f"The parts of all {count} copies are in their originals.")
    if rows:
        raise typer.Exit(1)


def _list_unrecorded(delete_after: int | None, words: Account | None, form: Form) -> None:
    settings = Settings.from_env(os.environ)
    before = None if delete_after is None else datetime.now(UTC) - timedelta(days=delete_after)
    rows: list[Row] = []
    if words is not None:  # recorded first: no blob goes without an entry
        details = {"older_than_days": delete_after}
        audit = Audit(operator_database_url(os.environ))
        audit.record("blobs.delete_unrecorded", f"container {settings.container}", words, details=details)
    with containers_by_name(settings) as container:
        store = container(settings.container)
        for blob in find_unrecorded(operator_database_url(os.environ), store, settings.container):
            deleted = before is not None and blob.modified_at < before
            if deleted:
                store.delete(blob.name)
            rows.append({**asdict(blob), "deleted": deleted})
    print_rows(rows, form, empty="Each blob is on record.")


@contextmanager
def _derivation(database_url: str, number: int | None, *, upload: bool) -> Iterator[Derivation]:
    settings = Settings.from_env(os.environ)
    with containers_by_name(settings) as container, closing(ReaderPool()) as readers:
        options = wiring.filing_options(settings, readers)
        scan = None if settings.scanner is Scanner.OFF else settings.scan_hold is ScanHold.UNTIL_CLEAN
        yield Derivation(database_url, container=container, options=options, number=number, upload=upload, scan=scan)


def _with_progress(derivation: Derivation, title: str) -> Iterator[Comparison]:
    underivable = 0
    with progress() as bar:
        task = bar.add_task(title, total=derivation.count())
        for comparison in derivation.comparisons():
            bar.advance(task)
            if comparison.derivable:
                yield comparison
            else:
                underivable += 1
    if underivable:
        say(f"{underivable} copies were left out: Exchange had no MIME of them, only Graph's message.", err=True)


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
