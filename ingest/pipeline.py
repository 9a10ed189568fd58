"""The way of one message: claim → read → route → file for its tenants → clean up.

Wherever the way is interrupted, the message is still in the inbox: it leaves as the last step, after its content
is verified in Blob and its records are committed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from ingest import log, routing
from ingest.claims import HeldClaims, log_fields
from ingest.codes import Reason
from ingest.documents.spool import Spool
from ingest.errors import (
    AttachmentPending,
    Defect,
    GraphRefused,
    Later,
    LeaseLost,
    NotFound,
    Overdue,
    Rejected,
    TooCostly,
)
from ingest.filing import Filing, FilingOptions
from ingest.model import (
    Busy,
    Claim,
    ClaimState,
    CleanedUp,
    Gone,
    Message,
    MessageRef,
    Outcome,
    Quarantined,
    Scope,
    Stored,
    Tenant,
    Trigger,
    Waits,
)
from ingest.original import Original
from ingest.ports import Blobs, Claims, Copies, Mail, Tenants, Turns
from ingest.reading import Reading
from ingest.refusals import Refusals
from ingest.routing import Addressing
from ingest.suspects import Suspects
from ingest.transfer import Transfer

DEFECT_LIMIT = 5  # tries that ended in a defect of our own
CRASH_LIMIT = 5  # owners that died over the same message
ATTACHMENT_PATIENCE = timedelta(hours=1)  # from the mail's arrival, for an attachment that Microsoft still scans
OVERRUN_LIMIT = 2  # tries that took the whole time of a message, while others were filed


class Pipeline:
    """The way of every message; one call takes one message."""

    def __init__(
        self,
        *,
        mail: Mail,
        blobs: Blobs,
        claims: Claims,
        tenants: Tenants,
        copies: Copies,
        turns: Turns,
        addressing: Addressing,
        filing: FilingOptions | None = None,
        authserv_id: str | None = None,
    ) -> None:
        self._mail = mail
        self._blobs = blobs
        self._claims = claims
        self._tenants = tenants
        self._copies = copies
        self._turns = turns
        self._addressing = addressing
        self._filing = filing or FilingOptions()
        self._authserv_id = authserv_id
        self._held = HeldClaims(claims)
        self._suspects = Suspects(self._held)
        self._refusals = Refusals()
        self._filed_at = -math.inf  # when a message was filed last, by any thread

    def ingest_message(self, ref: MessageRef, *, assigned: Tenant | None = None) -> Outcome:
        """Bring one message to where it belongs, from any state that earlier tries left.

        `assigned`: an operator chose this tenant; folder and addresses of the message do not matter then. Raises
        Later (the queue tries again, nothing counts) and Defect (counted on the record; the queue tries again too).
        In both cases the message is in the inbox and its claim is given back.
        """
        claim = self._held.take(ref)
        if claim is None:
            return Busy()
        return self._suspects.in_turn(claim, partial(self._attempt, assigned=assigned))

    def _attempt(self, claim: Claim, *, assigned: Tenant | None) -> Outcome:
        began = time.monotonic()
        try:
            outcome = self._judged(claim, assigned)
        except LeaseLost as lost:
            log.warning("claim.lost", **log_fields(claim), cause=log.describe(lost))
            self._held.give_back(claim, lost)  # the lease expired, but its owner is alive
            raise
        except Overdue as overdue:
            self._put_off_overdue(claim, overdue, began)
            raise
        except Later as later:
            log.warning("message.put_off", **log_fields(claim), cause=log.describe(later))
            self._held.give_back(claim, later)
            raise
        except Exception as error:  # noqa: BLE001 - any other exception is a defect: counted, logged, given back
            log.error("message.defect", **log_fields(claim), defects=claim.defects + 1, frames=log.frames(error))
            self._held.give_back(claim, error)
            # From None: what a foreign exception quotes must not reach the host's log.
            raise Defect(f"message {claim.ref.key}: {log.describe(error)}") from None
        log.info("message.done", **log_fields(claim), **_told(claim, outcome))
        return outcome

    def _put_off_overdue(self, claim: Claim, overdue: Overdue, began: float) -> None:
        """Count a try that took the whole time of a message, if other messages were filed meanwhile."""
        if self._filed_at < began:
            log.warning("message.put_off", **log_fields(claim), cause=log.describe(overdue))
            self._held.give_back(claim, overdue)
            return
        log.warning("message.too_costly", **log_fields(claim), overruns=claim.overruns + 1)
        self._held.give_back(claim, TooCostly(str(overdue)))

    def _judged(self, claim: Claim, assigned: Tenant | None) -> Outcome:
        """Work on the message; let a refusal of Graph count only where the refusal is about this message."""
        try:
            outcome = self._work_or_wait(claim, assigned)
        except GraphRefused as refused:
            self._refusals.must_count(claim.ref, refused)
            raise
        self._refusals.note_end(outcome)
        return outcome

    def _work_or_wait(self, claim: Claim, assigned: Tenant | None) -> Outcome:
        try:
            return self._work(claim, assigned)
        except routing.TurnAwaited as awaited:
            with self._tenants.tenant_context(awaited.tenant):
                self._turns.wait(claim)
            return Waits()

    def _work(self, claim: Claim, assigned: Tenant | None) -> Outcome:
        if claim.state in {ClaimState.STORED, ClaimState.DELETED}:
            self._clean_up(claim, Scope.MAILBOX)
            return CleanedUp()
        if (reason := _reason_to_give_up(claim)) is not None:
            return self._give_up(claim, reason, assigned)
        # A new claim needs no look: the notification or the listing has just shown the message in the inbox.
        if assigned is None and claim.may_have_left and self._mail.categories_in_inbox(claim.ref) is None:
            return self._end_as_gone(claim)
        try:
            return self._ingest(claim, assigned)
        except Rejected as rejected:
            return self._quarantine(claim, rejected.reason, self._mail.categories_in_inbox(claim.ref), assigned)
        except NotFound as missing:
            if self._mail.categories_in_inbox(claim.ref) is not None:
                # If we recorded it as gone, the mail would stay in the inbox forever.
                raise Later(f"a message in the inbox was not found ({missing})") from None
            return self._end_as_gone(claim)

    def _ingest(self, claim: Claim, assigned: Tenant | None) -> Stored:
        scope = Scope.INBOX if assigned is None else Scope.MAILBOX
        transfer = Transfer(claim, self._claims)
        reading = Reading(self._mail, transfer, claim, scope, authserv_id=self._authserv_id)
        with Spool() as spool:
            original, tenants = reading.read(
                spool, decide=partial(self._route, claim) if assigned is None else lambda _message: (assigned,)
            )
            try:
                documents = self._file(claim, original, tenants, transfer)
            except AttachmentPending:
                if datetime.now(UTC) - original.message.received_at > ATTACHMENT_PATIENCE:
                    raise Rejected(Reason.ATTACHMENT_PENDING) from None
                raise
        self._filed_at = time.monotonic()
        if original.message.receipt_requested:
            # Exchange may report an unread message to its sender as "deleted without being read".
            with suppress(NotFound):
                self._mail.mark_read(claim.ref, scope)
        self._clean_up(claim, scope)
        return Stored(documents=documents, received_at=original.message.received_at, tenants=tenants)

    def _route(self, claim: Claim, message: Message) -> tuple[Tenant, ...]:
        tokens = routing.candidate_tokens(message, self._addressing)
        if tokens:
            matches = self._tenants.resolve_tokens(tokens)
        else:  # redirected, and no header kept the token
            matches = self._tenants.resolve_addresses((*message.to, *message.cc))
        tenants = routing.choose_tenants(tokens, matches, self._addressing.route)
        if claim.ref.trigger is Trigger.WEBHOOK:  # a message of the sweep comes behind all new mail as it is
            routing.await_turn(tenants, matches)
        return tenants

    def _file(self, claim: Claim, original: Original, tenants: Sequence[Tenant], transfer: Transfer) -> int:
        filing = Filing(claim, transfer=transfer, options=self._filing, blobs=self._blobs, copies=self._copies)
        documents = 0
        for tenant in tenants:
            with self._tenants.tenant_context(tenant):
                documents += filing.process_email_message(original, tenant, last=tenant is tenants[-1])
        return documents

    def _give_up(self, claim: Claim, reason: Reason, assigned: Tenant | None) -> Outcome:
        categories: Sequence[str] | None = ()
        try:
            categories = self._mail.categories_in_inbox(claim.ref)
        except (Later, Defect) as error:
            # The same fault may be the reason for giving the message up.
            log.warning("message.not_located", **log_fields(claim), cause=log.describe(error))
        return self._quarantine(claim, reason, categories, assigned)

    def _clean_up(self, claim: Claim, scope: Scope) -> None:
        # The message is stored and committed, so that any owner may delete it: the claim needs no further proof.
        self._mail.delete(claim.ref, scope)
        self._claims.end(claim, ClaimState.DELETED)

    def _quarantine(
        self, claim: Claim, reason: Reason, categories: Sequence[str] | None, assigned: Tenant | None
    ) -> Outcome:
        """Quarantine the message. `categories`: those that it has in the inbox; None where it is not there.

        A message that an Outlook user moved out of the inbox stays in its folder.
        """
        if categories is None and assigned is None:
            return self._end_as_gone(claim)
        # The reason is recorded first: an owner that dies after the move leaves a record that can be completed.
        self._claims.renew(claim, reason=reason)
        try:
            self._mail.quarantine(claim.ref, reason, categories or ())
        except NotFound:
            return self._end_as_gone(claim)
        self._claims.end(claim, ClaimState.QUARANTINED, reason=reason)
        log.warning("message.rejected", **log_fields(claim), reason=reason)
        return Quarantined(reason=reason)

    def _end_as_gone(self, claim: Claim) -> Outcome:
        """End the claim of a message that left the inbox; complete the quarantine that an earlier owner began."""
        if claim.reason is not None:
            self._claims.end(claim, ClaimState.QUARANTINED, reason=claim.reason)
            return Quarantined(reason=claim.reason)
        self._claims.end(claim, ClaimState.GONE)
        return Gone()


def _told(claim: Claim, outcome: Outcome) -> dict[str, object]:
    """Return the fields of `message.done`: the ages are seconds since Exchange's receipt, by our clock."""
    fields: dict[str, object] = {"outcome": type(outcome).__name__, "trigger": claim.ref.trigger}
    if isinstance(outcome, Stored):
        fields["tenants"] = ",".join(str(tenant.id) for tenant in outcome.tenants)
        if outcome.received_at is not None:
            fields["age_seconds"] = _seconds(outcome.received_at, datetime.now(UTC))
            if claim.ref.announced is not None and claim.ref.trigger is Trigger.WEBHOOK:
                fields["announced_after_seconds"] = _seconds(outcome.received_at, claim.ref.announced.at)
    return fields


def _seconds(since: datetime, until: datetime) -> float:
    """Return the seconds between two clocks' times; 0 where the clocks disagree about the order."""
    return round(max(0.0, (until - since).total_seconds()), 3)


def _reason_to_give_up(claim: Claim) -> Reason | None:
    if claim.crashes >= CRASH_LIMIT:
        return Reason.CRASHED_REPEATEDLY
    if claim.defects >= DEFECT_LIMIT:
        return Reason.PROCESSING_FAILED
    if claim.overruns >= OVERRUN_LIMIT:
        return Reason.TOO_COSTLY
    return None
