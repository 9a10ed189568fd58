"""`messages verify`, `rebuild` and `restore`: what is stored, compared with the record, the originals and the mails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from commands.context import ByOption, WhyOption, account, claim_of, connected
from commands.output import CsvOption, Form, JsonOption, Row, form_of, print_rows, progress, say
from ingest import wiring
from ingest.documents.pdf.reader_pool import ReaderPool
from ingest.errors import OperatorError
from ingest.settings import ScanHold, Scanner, Settings
from operations.audit import Account, Audit
from operations.blobs.containers import containers_by_name
from operations.blobs.derivation import Comparison, Derivation
from operations.blobs.restoration import Restoration
from operations.blobs.storage_account import must_hold_records
from operations.blobs.verification import CheckedBlob, Verification
from operations.blobs.verification import unrecorded as find_unrecorded
from operations.database import connect_alone
from operations.settings import operator_database_url, owner_database_url

OneMessageArgument = Annotated[
    str | None, typer.Argument(metavar="MESSAGE", help="A message's number (messages list) or its Graph id.")
]
EveryOption = Annotated[bool, typer.Option("--all", help="All messages of all tenants.")]


def verify(
    message: OneMessageArgument = None,
    *,
    every: EveryOption = False,
    derive: Annotated[bool, typer.Option("--derive", help="Compare the stored parts with the originals.")] = False,
    unrecorded: Annotated[bool, typer.Option("--unrecorded", help="List the blobs that no record names.")] = False,
    delete_after: Annotated[
        int | None,
        typer.Option(
            "--delete-after", metavar="DAYS", min=1, help="Delete the unrecorded blobs that are older than DAYS."
        ),
    ] = None,
    by: ByOption = "",
    why: Annotated[str, typer.Option("--why", help="The reason for --delete-after, for the record.")] = "",
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Compare what is stored with the record, and print what differs. Exit code 1 where a mail is damaged.

    \b
    MESSAGE or --all            each blob is there, with the length and the hash on record
    MESSAGE or --all, --derive  each part on record is in its mail's original
    --unrecorded                blobs that no record names: of attempts that did not commit, or were linked

    Changes nothing without --delete-after. Needs a login that sees every tenant's mails: a member of ingest_operator
    (INGEST_OPERATOR_DATABASE_URL).

    \b
    Examples:
      python -m ingest messages verify 4711
      python -m ingest messages verify --all --json | jq -r '.[].name'
      python -m ingest messages verify --all --derive
      python -m ingest messages verify --unrecorded --delete-after 30 --why "tidy up"     (mutable blobs only)
    """
    form = form_of(as_json=as_json, as_csv=as_csv)
    if unrecorded or delete_after is not None:
        if message is not None or every or derive:
            raise OperatorError(
                "--unrecorded looks at the whole container: it takes no message, no --all, no --derive."
            )
        _list_unrecorded(delete_after, None if delete_after is None else account(by, why), form)
        return
    number = _number(message, every=every)
    if derive:
        _prove(number, form)
        return
    damaged, count = _damaged(number)
    print_rows(
        [{**asdict(one.blob), "damage": one.damage} for one in damaged],
        form,
        empty=f"All of {count} blobs are what was stored." if count else "Nothing is stored of it.",
    )
    if damaged:
        say(f"{len(damaged)} of {count} blobs are not what was stored.", err=True)
        raise typer.Exit(1)


def rebuild(
    message: OneMessageArgument = None,
    *,
    every: EveryOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the differences, change nothing.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also take documents off the record that the rules do not find any more.")
    ] = False,
    by: ByOption = "",
    why: Annotated[str, typer.Option("--why", help="The reason, for the record; not with --dry-run.")] = "",
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Derive the documents again from the stored originals.

    Graph is not asked. New documents go on record. Needs the database's owner (INGEST_OWNER_DATABASE_URL). A
    committed document stays without --replace; a document of the same content keeps its id.

    \b
    Examples:
      python -m ingest messages rebuild 4711 --dry-run
      python -m ingest messages rebuild --all --dry-run --json
      python -m ingest messages rebuild --all --why "rules of 1.5"
    """
    words = None if dry_run else account(by, why)
    number = _number(message, every=every)
    rows: list[Row] = []
    with _derivation(owner_database_url(os.environ), number, upload=not dry_run) as derivation:
        for comparison in _with_progress(derivation, "Deriving"):
            rows += _differences(comparison)
            if words is not None and replace and (comparison.found or comparison.lost):
                derivation.replace(comparison, words)
            elif words is not None and comparison.found:
                derivation.add(comparison, words)
    print_rows(rows, form_of(as_json=as_json, as_csv=as_csv), empty="The record has what the originals have.")


def restore(
    message: OneMessageArgument = None,
    *,
    every: EveryOption = False,
    why: WhyOption,
    by: ByOption = "",
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Store lost blobs again, from the mails in the mailbox.

    A mail may lie in each folder: a stored one is in Deleted Items. Only missing blobs are written. Where Exchange
    gives a mail in other bytes than before, the record names the new original. Exit code 1 where a blob stays missing.

    Needs the app's settings, the mailbox, and the database's owner (INGEST_OWNER_DATABASE_URL).

    \b
    Examples:
      python -m ingest messages restore 4711 --why "blob was deleted by mistake"
      python -m ingest messages restore --all --why "loss of the storage account"
    """
    words, number = account(by, why), _number(message, every=every)
    rows: list[Row] = []
    incomplete = False
    url = owner_database_url(os.environ)
    with connected() as ours, containers_by_name(ours.settings) as container, closing(ReaderPool()) as readers:
        verification = Verification(url, reader=container, number=number)
        options = wiring.filing_options(ours.settings, readers)
        restoration = Restoration(
            url, mail=ours.mailboxes, container=container, options=options, scan=_scan(ours.settings)
        )
        for one in restoration.restore(verification.check(), words):
            incomplete |= bool(one.missing)
            rows.append(
                {
                    "number": one.number,
                    "stored": len(one.stored),
                    "missing": len(one.missing),
                    "original": "of other bytes" if one.other_bytes else "as it was",
                    "problem": one.problem,
                }
            )
    print_rows(rows, form_of(as_json=as_json, as_csv=as_csv), empty="No blob is missing.")
    if incomplete:
        raise typer.Exit(1)


def _number(message: str | None, *, every: bool) -> int | None:
    """Return the number of the one message that is named; None for all of them."""
    if (message is None) is not every:
        raise OperatorError("Name one message, or say --all.")
    return None if message is None else claim_of(message).number


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
        if words is not None:  # in the account of another database each blob is unrecorded
            must_hold_records(operator_database_url(os.environ), store)
        for blob in find_unrecorded(operator_database_url(os.environ), store, settings.container):
            deleted = (
                before is not None
                and blob.modified_at < before
                and store.delete_unused(blob.name, since=blob.modified_at)
            )
            rows.append({**asdict(blob), "deleted": deleted})
    print_rows(rows, form, empty="Each blob is on record.")


@contextmanager
def _derivation(database_url: str, number: int | None, *, upload: bool) -> Iterator[Derivation]:
    settings = Settings.from_env(os.environ)
    with ExitStack() as opened:
        if upload:
            opened.enter_context(connect_alone(database_url))
        container = opened.enter_context(containers_by_name(settings))
        readers = opened.enter_context(closing(ReaderPool()))
        options = wiring.filing_options(settings, readers)
        scan = _scan(settings)
        yield Derivation(database_url, container=container, options=options, number=number, upload=upload, scan=scan)


def _scan(settings: Settings) -> bool | None:
    """Return None where no scanner gets new documents, else whether the DMS sees them only after that."""
    return None if settings.scanner is Scanner.OFF else settings.scan_hold is ScanHold.UNTIL_CLEAN


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


def _damaged(number: int | None) -> tuple[list[CheckedBlob], int]:
    """Return the damaged blobs, and the number of blobs that were read."""
    damaged, count = [], 0
    with containers_by_name(Settings.from_env(os.environ)) as container, progress() as bar:
        verification = Verification(operator_database_url(os.environ), reader=container, number=number)
        task = bar.add_task("Verifying", total=verification.count())
        for checked in verification.check():
            count += 1
            bar.advance(task)
            if checked.damage is not None:
                damaged.append(checked)
    return damaged, count
