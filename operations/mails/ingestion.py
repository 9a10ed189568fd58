"""Ingestion in an operator's own process: everything left in the inboxes, or one assigned mail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from enum import StrEnum

from ingest import log
from ingest.errors import IngestError, Later, OperatorError
from ingest.model.message_ref import MessageRef, Trigger
from ingest.model.outcome import Busy, CleanedUp, Gone, Outcome, Quarantined, Stored, Waits
from ingest.model.tenant import Tenant
from ingest.storage.gate import PLACES
from ingest.wiring import App


class Result(StrEnum):
    """The end of an attempt to ingest a message, in the words of the summary. The first two are trouble."""

    FAILED = "failed"
    PUT_OFF = "put_off"
    STORED = "stored"
    QUARANTINED = "quarantined"
    CLEANED_UP = "cleaned_up"
    BUSY = "busy"
    WAITING = "waiting"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One attempt: `documents` that were stored, and the `trouble` where there was any."""

    result: Result
    documents: int = 0
    trouble: str | None = None


def waiting_messages(app: App, mailboxes: Sequence[str]) -> list[MessageRef]:
    """Return the messages that were begun and not finished, then those in the inboxes. Raises Later.

    They are the operator's own wish: an earlier end on record does not count.
    """
    refs: list[MessageRef] = []
    for mailbox in mailboxes:
        refs += app.backlog.enqueue_abandoned(mailbox, outstanding=0)
        refs += [item.ref for page in app.mailboxes.list_inbox(mailbox) for item in page]
    return [replace(ref, trigger=Trigger.OPERATOR) for ref in refs]


def ingest_all(app: App, refs: Sequence[MessageRef]) -> Iterator[Attempt]:
    """Ingest messages side by side, as many as a mailbox allows; yield each one's end as it comes."""
    with ThreadPoolExecutor(PLACES) as workers:
        for done in as_completed([workers.submit(_attempt, app, ref) for ref in refs]):
            yield done.result()


def ingest_assigned(app: App, ref: MessageRef, tenant: Tenant) -> str:
    """Ingest a message for the tenant that it was assigned to; return what was stored, in words.

    Raises OperatorError where the message could not be ingested; it lies in Quarantine as before.
    """
    try:
        outcome = app.pipeline.ingest_message(ref, assigned=tenant)
    except Later as later:
        raise OperatorError(f"Not now, try again later; the mail is in Quarantine as before. {later}") from None
    match outcome:
        case Stored(documents=documents):
            return f"{documents} document(s)"
        case _:
            raise OperatorError(f"Not ingested: {type(outcome).__name__.lower()} (see messages show).")


def _attempt(app: App, ref: MessageRef) -> Attempt:
    try:
        with app.gate.yielding():
            outcome = app.pipeline.ingest_message(ref)
    except Later as later:
        return Attempt(result=Result.PUT_OFF, trouble=log.describe(later))
    except IngestError as error:
        return Attempt(result=Result.FAILED, trouble=log.describe(error))
    return Attempt(result=_result(outcome), documents=outcome.documents if isinstance(outcome, Stored) else 0)


def _result(outcome: Outcome) -> Result:
    match outcome:
        case Stored():
            return Result.STORED
        case Quarantined():
            return Result.QUARANTINED
        case CleanedUp():
            return Result.CLEANED_UP
        case Busy():
            return Result.BUSY
        case Waits():
            return Result.WAITING
        case Gone():
            return Result.GONE
