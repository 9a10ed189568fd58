"""The way of one message: claim → read → route → file for its tenants → clean up.

Wherever the way is interrupted, the message is still in the inbox: it leaves as the last step, after its content
is verified in Blob and its records are committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from ingest import log, routing
from ingest.answers import OwnAddresses, answer_to_rejected
from ingest.attempts import Attempts
from ingest.claims import OwnClaims, log_fields
from ingest.codes import Reason
from ingest.documents.budget import Pace
from ingest.documents.spool import Spool
from ingest.ends import Ends
from ingest.errors import (
    AttachmentPending,
    Defect,
    GraphRefused,
    Later,
    NotFound,
    Rejected,
)
from ingest.filing import Filing, FilingOptions
from ingest.model.claim import Claim
from ingest.model.message import Message, Scope
from ingest.model.message_ref import MessageRef, Trigger
from ingest.model.outcome import Busy, CleanedUp, Outcome, Stored, Waits
from ingest.model.tenant import Tenant
from ingest.original import Original
from ingest.ports import Blobs, Claims, Copies, Mail, Tenants, Turns
from ingest.ports import Rejections as RejectionRecords
from ingest.reading import Reading
from ingest.rejections import Rejections
from ingest.routing import Addressing
from ingest.suspects import Suspects
from ingest.transfer import Transfer

DEFECT_LIMIT = 5  # attempts that ended in a defect of our own
CRASH_LIMIT = 5  # owners that died over the same message
ATTACHMENT_PATIENCE = timedelta(hours=1)  # from the mail's arrival, for an attachment that Microsoft still scans
OVERRUN_LIMIT = 2  # attempts that took the whole time of a message, while others were filed


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
        rejections: RejectionRecords,
        addressing: Addressing,
        filing: FilingOptions | None = None,
        authserv_id: str | None = None,
        own: OwnAddresses | None = None,
    ) -> None:
        """`own`: our addresses, where senders get answers; None where they get none."""
        self._mail = mail
        self._blobs = blobs
        self._claims = claims
        self._tenants = tenants
        self._copies = copies
        self._turns = turns
        self._addressing = addressing
        self._filing = filing or FilingOptions()
        self._authserv_id = authserv_id
        self._own = own
        self._own_claims = OwnClaims(claims)
        self._suspects = Suspects(self._own_claims)
        self._attempts = Attempts(self._own_claims)
        self._ends = Ends(mail, claims)
        self._rejections = Rejections(mail, tenants, rejections, addressing)

    def ingest_message(self, ref: MessageRef, *, assigned: Tenant | None = None) -> Outcome:
        """Bring one message to where it belongs, from any state that earlier attempts left.

        `assigned`: an operator chose this tenant; folder and addresses of the message do not matter then. Raises
        Later (the queue tries again, nothing counts) and Defect (counted on the record; the queue tries again too).
        In both cases the message is in the inbox and its claim is given back.
        """
        claim = self._own_claims.take(ref)
        if claim is None:
            return Busy()
        return self._suspects.in_turn(
            claim, lambda claim: self._attempts.run(claim, partial(self._work_or_wait, claim, assigned))
        )

    def _work_or_wait(self, claim: Claim, assigned: Tenant | None) -> Outcome:
        try:
            return self._work(claim, assigned)
        except routing.TurnAwaited as awaited:
            with self._tenants.tenant_context(awaited.tenant):
                self._turns.wait(claim, sender=awaited.sender)
            return Waits()

    def _work(self, claim: Claim, assigned: Tenant | None) -> Outcome:
        if claim.stored_before and assigned is not None:
            # The copies on record may be those of other tenants.
            raise Later("the message was stored before: nothing is deleted on an assignment")
        if (reason := _reason_to_give_up(claim)) is not None:
            return self._give_up(claim, reason, assigned)
        pace = Pace(self._filing.lane)
        transfer = Transfer(claim, self._claims, pace=pace)  # from here on the message's time counts
        # A new claim needs no look: the notification or the listing has just shown the message in the inbox.
        if assigned is None and claim.may_have_left and self._mail.categories_in_inbox(claim.ref) is None:
            return self._ends.gone(claim)
        if assigned is None and claim.sender_released and not claim.sender_admitted:
            self._claims.admit_sender(claim)
            claim = replace(claim, sender_admitted=True)
        scope = Scope.INBOX if assigned is None else Scope.MAILBOX
        reading = Reading(self._mail, transfer, claim, scope, authserv_id=self._authserv_id, own=self._own)
        try:
            with pace:
                return self._ingest(claim, assigned, reading, transfer)
        except Rejected as rejected:
            categories = self._mail.categories_in_inbox(claim.ref)
            return self._quarantine(claim, rejected.reason, categories, assigned, message=reading.message)
        except NotFound as missing:
            if self._mail.categories_in_inbox(claim.ref) is not None:
                # If we recorded it as gone, the mail would stay in the inbox forever.
                raise Later(f"a message in the inbox was not found ({missing})") from None
            return self._ends.gone(claim)

    def _ingest(self, claim: Claim, assigned: Tenant | None, reading: Reading, transfer: Transfer) -> Outcome:
        """File the message and delete it.

        A record of `stored` by another owner is no proof: a stolen login of the database can write such a record. The
        attempt that deletes a message has filed the message itself. A second filing changes nothing.
        """
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
        self._attempts.note_filed()
        if original.message.receipt_requested:
            self._mark_read(claim, reading.scope)
        self._ends.delete(claim, reading.scope)
        if claim.stored_before:
            return CleanedUp()
        return Stored(
            documents=documents,
            received_at=original.message.received_at,
            tenants=tenants,
            form=original.message.form,
        )

    def _mark_read(self, claim: Claim, scope: Scope) -> None:
        """Mark a message as read: Exchange may report an unread one to its sender as "deleted without being read".

        A message that Graph does not mark is deleted all the same: a stored one must not stay in the inbox for ever.
        """
        try:
            self._mail.mark_read(claim.ref, scope)
        except NotFound:
            return
        except GraphRefused as refused:
            log.warning("message.not_marked_read", **log_fields(claim), cause=log.describe(refused))

    def _route(self, claim: Claim, message: Message) -> tuple[Tenant, ...]:
        resolved = routing.resolve(message, self._addressing, self._tenants)
        passed_over = routing.passed_over(resolved)
        if passed_over or claim.may_have_left:  # an earlier attempt may have passed over others
            self._tenants.note_passed_over(claim, passed_over)
        tenants = routing.choose_tenants(resolved)
        if not (claim.sender_admitted or claim.stored_before):
            routing.check_sender(tenants, resolved)
        # A message of the sweep comes behind all new mail as it is, and a stored one has had its turn.
        if claim.ref.trigger is Trigger.WEBHOOK and not claim.stored_before:
            routing.await_turn(tenants, resolved.matches, message.authentication)
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

    def _quarantine(
        self,
        claim: Claim,
        reason: Reason,
        categories: Sequence[str] | None,
        assigned: Tenant | None,
        *,
        message: Message | None = None,
    ) -> Outcome:
        """Quarantine the message. `categories`: those that the message has in the inbox; None where it is not there.

        A message that an Outlook user moved out of the inbox stays in its folder.
        """
        if categories is None and assigned is None:
            return self._ends.gone(claim)
        # Before the move: an owner that dies after the move leaves a record that people can find.
        self._rejections.note(claim, reason, message, assigned)
        answer = None if message is None else answer_to_rejected(message.answer_target, reason)
        return self._ends.quarantine(claim, reason, categories or (), answer)


def _reason_to_give_up(claim: Claim) -> Reason | None:
    if claim.crashes >= CRASH_LIMIT:
        return Reason.CRASHED_REPEATEDLY
    if claim.defects >= DEFECT_LIMIT:
        return Reason.PROCESSING_FAILED
    if claim.overruns >= OVERRUN_LIMIT:
        return Reason.TOO_COSTLY
    return None
