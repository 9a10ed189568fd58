"""The ends of a message: deleted when stored, moved to Quarantine with a reason, or gone without the app."""

from __future__ import annotations

from collections.abc import Sequence

from ingest import log
from ingest.claims import log_fields
from ingest.codes import Reason
from ingest.errors import Later, NotFound
from ingest.model.answer import Answer
from ingest.model.claim import Claim, ClaimState
from ingest.model.message import Scope
from ingest.model.outcome import CleanedUp, Gone, Outcome, Quarantined
from ingest.ports import Claims, Mail


class Ends:
    """The last steps on a message: at the mailbox first, then on the record."""

    def __init__(self, mail: Mail, claims: Claims) -> None:
        self._mail = mail
        self._claims = claims

    def delete(self, claim: Claim, scope: Scope) -> None:
        """Delete a message that this attempt has filed from the mailbox."""
        self._mail.delete(claim.ref, scope)
        self._claims.end(claim, ClaimState.DELETED)

    def quarantine(
        self, claim: Claim, reason: Reason, categories: Sequence[str], answer: Answer | None = None
    ) -> Outcome:
        """Move a message to Quarantine, or end it as gone. `categories`: those that the message has.

        `answer`: to the sender, due with the end of the message.
        """
        # The reason is recorded first: an owner that dies after the move leaves a record that can be completed.
        self._claims.renew(claim, reason=reason, answer=answer)
        try:
            self._mail.quarantine(claim.ref, reason, categories)
        except NotFound:
            return self.gone(claim)
        self._claims.end(claim, ClaimState.QUARANTINED, reason=reason)
        log.warning("message.rejected", **log_fields(claim), reason=reason)
        return Quarantined(reason=reason)

    def gone(self, claim: Claim) -> Outcome:
        """End the claim of a message that left the inbox; complete the quarantine that an earlier owner began.

        Raises Later where the message is back in the inbox by then: a person moved it, and the notification met a claim
        that had not ended yet. No other notification follows, and a message that was read shows in no listing. The next
        attempt takes the message up where a notification brought this one. What the sweep brought counts as ended: then
        the next sweep finds an unread message, and `doctor` names a read one.
        """
        outcome = self._end_gone(claim)
        if self._mail.categories_in_inbox(claim.ref) is not None:
            raise Later("the message came back to the inbox while its claim ended")
        return outcome

    def _end_gone(self, claim: Claim) -> Outcome:
        if claim.reason is not None:
            self._claims.end(claim, ClaimState.QUARANTINED, reason=claim.reason)
            return Quarantined(reason=claim.reason)
        if claim.stored_before:
            self._claims.end(claim, ClaimState.DELETED)
            return CleanedUp()
        self._claims.end(claim, ClaimState.GONE)
        return Gone()
