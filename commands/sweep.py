"""`sweep`: everything left in the inboxes, ingested here and now."""

from __future__ import annotations

from collections import Counter

import typer

from commands.context import MailboxOption, chosen_mailboxes, connected
from commands.output import JsonOption, print_record, progress, say


def sweep(*, mailbox: MailboxOption = None, as_json: JsonOption = False) -> None:
    """Ingest what is left in the inboxes, in this process.

    No queue and no running app is needed.

    Takes what INGEST_SWEEP_SCOPE says (unread mails, or all). Safe beside the running app: what that works on is
    reported as busy. Exit code 1 where something was put off or failed; it is in the inbox as before.

    \b
    Example:
      python -m ingest sweep --mailbox upload@dms.cloud
    """
    from operations.mails.ingestion import Result, ingest_all, waiting_messages

    counts: Counter[str] = Counter()
    with connected() as ours:
        refs = waiting_messages(ours, chosen_mailboxes(ours.settings, mailbox))
        with progress() as bar:
            task = bar.add_task("Ingesting", total=len(refs))
            for attempt in ingest_all(ours, refs):
                counts.update({attempt.result: 1, "documents": attempt.documents})
                if attempt.trouble is not None:
                    say(f"{attempt.result.replace('_', ' ')}: {attempt.trouble}", err=True)
                bar.advance(task)
    names = (*Result, "documents")
    print_record({"messages": len(refs), **{name: counts[name] for name in names}}, as_json=as_json)
    if counts[Result.FAILED] or counts[Result.PUT_OFF]:
        raise typer.Exit(1)
