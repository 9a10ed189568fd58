"""`sweep`: what is left in the inboxes, ingested here and now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace

import typer

from commands.context import MailboxOption, chosen_mailboxes, connected
from commands.output import JsonOption, print_record, progress
from ingest import log
from ingest.errors import IngestError, Later
from ingest.model import Busy, CleanedUp, Gone, MessageRef, Quarantined, Stored, Trigger
from ingest.storage.gate import PLACES
from ingest.wiring import App

# What a message comes to, in the words of the summary; the first two are trouble.
_NAMES: dict[type[object], str] = {
    Quarantined: "quarantined",
    CleanedUp: "cleaned_up",
    Busy: "busy",
    Gone: "gone",
}
_SUMMARY = ("failed", "put_off", "stored", "documents", *_NAMES.values())


def sweep(*, mailbox: MailboxOption = None, as_json: JsonOption = False) -> None:
    """Ingest what is left in the inboxes, in this process: no queue and no running app is needed.

    Takes what INGEST_SWEEP_SCOPE says (unread mails, or all). Safe beside the running app: what that works on is
    reported as busy. Exit code 1 where something was put off or failed; it is in the inbox as before.

    \b
    Example:
      python -m ingest sweep --mailbox upload@dms.cloud
    """
    with connected() as ours:
        refs = [ref for name in chosen_mailboxes(ours.settings, mailbox) for ref in _left_over(ours, name)]
        counts = _ingest_all(ours, refs)
    print_record({"messages": len(refs), **{name: counts[name] for name in _SUMMARY}}, as_json=as_json)
    if counts["failed"] or counts["put_off"]:
        raise typer.Exit(1)


def _left_over(ours: App, mailbox: str) -> Iterator[MessageRef]:
    """Return what is in the inbox, as the operator's own wish: an earlier end on record does not count."""
    for ref in ours.backlog.enqueue_abandoned(mailbox, outstanding=0):
        yield replace(ref, trigger=Trigger.OPERATOR)
    for page in ours.mailboxes.left_over(mailbox):
        for item in page:
            yield replace(item.ref, trigger=Trigger.OPERATOR)


def _ingest_all(ours: App, refs: list[MessageRef]) -> Counter[str]:
    counts: Counter[str] = Counter()
    with progress() as bar, ThreadPoolExecutor(PLACES) as workers:
        task = bar.add_task("Ingesting", total=len(refs))
        for done in as_completed([workers.submit(_ingest, ours, ref) for ref in refs]):
            counts.update(done.result())
            bar.advance(task)
    return counts


def _ingest(ours: App, ref: MessageRef) -> dict[str, int]:
    try:
        with ours.gate.yielding():
            outcome = ours.pipeline.ingest_message(ref)
    except Later as later:
        typer.echo(f"put off: {log.describe(later)}", err=True)
        return {"put_off": 1}
    except IngestError as error:
        typer.echo(f"failed: {log.describe(error)}", err=True)
        return {"failed": 1}
    if isinstance(outcome, Stored):
        return {"stored": 1, "documents": outcome.documents}
    return {_NAMES[type(outcome)]: 1}
