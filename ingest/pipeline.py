"""The whole story of one message: claim → fetch → route → process for its tenants → clean up.

Whatever stops it in between, the message is still in the inbox: it leaves as the last step, after its content
is verified in Blob and its records are committed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock

from ingest import log, routing
from ingest.codes import Reason
from ingest.errors import (
    DatabaseUnavailable,
    Defect,
    Later,
    LeaseLost,
    NotFound,
    Rejected,
)
from ingest.filing import Filing, FilingRules
from ingest.model import (
    Busy,
    Claim,
    ClaimInDoubt,
    ClaimState,
    CleanedUp,
    Gone,
    Message,
    MessageRef,
    Outcome,
    Quarantined,
    Stored,
    Tenant,
)
from ingest.ports import Blobs, Claims, Copies, Mail, Tenants
from ingest.settings import RouteMode

DEFECT_LIMIT = 5  # tries that ended in a fault of our own
CRASH_LIMIT = 5  # owners that died over the same message
SUSPECT_CRASHES = 2  # from so many on, a message has to show that it was not its fault
WAITING_SUSPECTS = 4  # so many wait for their turn in a process; the queue brings the others again
TURN_SECONDS = 20.0  # and not for longer


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Whom a mail is for and how it is filed, as configured."""

    address_pattern: re.Pattern[str]
    address_domains: AbstractSet[str] = frozenset()
    route: RouteMode = RouteMode.FIRST
    filing: FilingRules = field(default_factory=FilingRules)


class Pipeline:
    """Takes messages through, one call each."""

    def __init__(
        self, *, mail: Mail, blobs: Blobs, claims: Claims, tenants: Tenants, copies: Copies, rules: Rules
    ) -> None:
        self._mail = mail
        self._blobs = blobs
        self._claims = claims
        self._tenants = tenants
        self._copies = copies
        self._rules = rules
        self._unreturned = _Unreturned(claims)
        self._suspects = Lock()
        self._waiting = BoundedSemaphore(WAITING_SUSPECTS)

    def ingest_message(self, ref: MessageRef, *, assigned: Tenant | None = None) -> Outcome:
        """Bring one message to where it belongs, whatever was done for it before.

        `assigned`: an operator has chosen this tenant, wherever the message lies and whatever its address is.
        Raises Later (the queue tries again, nothing counts) and Defect (counted on the record; the queue tries
        again too). In both cases the message is in the inbox and its claim is given back.
        """
        self._unreturned.give_back()
        claim = self._claim(ref)
        if claim is None:
            return Busy()
        if claim.crashes >= SUSPECT_CRASHES:
            return self._in_turn(claim, assigned)
        return self._attempt(claim, assigned)

    def _claim(self, ref: MessageRef) -> Claim | None:
        try:
            claim = self._claims.claim(ref)
        except ClaimInDoubt as doubt:
            self._unreturned.add(doubt.claim, doubt)
            raise
        if claim is None:
            log.info("claim.busy", mailbox=ref.mailbox, message=ref.message_id)
        elif claim.taken_over:
            log.warning("claim.taken_over", **_fields(claim))
        return claim

    def _in_turn(self, claim: Claim, assigned: Tenant | None) -> Outcome:
        """A mail over which processes died is worked on with no other of its kind beside it.

        All that was in a process's hands when it died is suspected alike. One by one, they show whose fault it was,
        and the others do not follow it to Quarantine. Raises Later where its turn does not come.
        """
        if self._suspects.acquire(blocking=False):
            try:
                return self._attempt(claim, assigned)
            finally:
                self._suspects.release()
        # Given back while it waits: should the process die of the other one, this one was not in its hands.
        later = Later("waits until another message over which processes died has had its turn")
        log.info("message.waits", **_fields(claim))
        self._unreturned.add(claim, later)
        if not self._turn_comes():
            raise later
        try:
            self._unreturned.give_back()
            again = self._claim(claim.ref)
            if again is None:  # it could not be given back, or somebody else has it: the queue looks again
                raise later
            return self._attempt(again, assigned)
        finally:
            self._suspects.release()

    def _turn_comes(self) -> bool:
        """Wait for it, unless enough others do: a thread that waits is kept from mails that nobody suspects."""
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return self._suspects.acquire(timeout=TURN_SECONDS)
        finally:
            self._waiting.release()

    def _attempt(self, claim: Claim, assigned: Tenant | None) -> Outcome:
        try:
            outcome = self._work(claim, assigned)
        except LeaseLost as lost:
            log.warning("claim.lost", **_fields(claim), cause=log.describe(lost))
            self._unreturned.add(claim, lost)  # it runs no longer, but its owner did not die
            raise
        except Later as later:
            log.warning("message.put_off", **_fields(claim), cause=log.describe(later))
            self._unreturned.add(claim, later)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is counted, told and given back
            log.error("message.defect", **_fields(claim), defects=claim.defects + 1, frames=log.frames(error))
            self._unreturned.add(claim, error)
            # From None: whatever a foreign exception quotes must not reach the host's log.
            raise Defect(f"message {claim.ref.key}: {log.describe(error)}") from None
        log.info("message.done", **_fields(claim), outcome=type(outcome).__name__)
        return outcome

    def _work(self, claim: Claim, assigned: Tenant | None) -> Outcome:
        if claim.state in {ClaimState.STORED, ClaimState.DELETED}:
            self._clean_up(claim)
            return CleanedUp()
        if (reason := _given_up(claim)) is not None:
            return self._give_up(claim, reason, assigned)
        categories: tuple[str, ...] = ()
        try:
            message = self._mail.fetch(claim.ref)
            categories = message.categories
            if assigned is None and not self._mail.in_inbox(message):
                return self._gone(claim)
            tenants = self._route(message) if assigned is None else (assigned,)
            return self._ingest(claim, message, tenants)
        except Rejected as rejected:
            return self._quarantine(claim, rejected.reason, categories)
        except NotFound as missing:
            if self._still_there(claim.ref):
                # Acknowledged as gone, it would lie in the inbox for ever.
                raise Defect(f"part of a message that is there is missing ({missing})") from None
            return self._gone(claim)

    def _ingest(self, claim: Claim, message: Message, tenants: Sequence[Tenant]) -> Stored:
        documents = 0
        for tenant in tenants:
            filing = Filing(
                claim,
                last=tenant is tenants[-1],
                rules=self._rules.filing,
                mail=self._mail,
                blobs=self._blobs,
                claims=self._claims,
                copies=self._copies,
            )
            with self._tenants.tenant_context(tenant):
                documents += filing.process_email_message(message, tenant)
        self._clean_up(claim)
        return Stored(documents=documents)

    def _still_there(self, ref: MessageRef) -> bool:
        try:
            return self._mail.in_inbox(self._mail.fetch(ref))
        except NotFound:
            return False

    def _give_up(self, claim: Claim, reason: Reason, assigned: Tenant | None) -> Outcome:
        """To Quarantine, unless somebody has moved the message elsewhere in the meantime: that is his to decide."""
        categories: Sequence[str] | None = ()
        try:
            categories = self._mail.categories_in_inbox(claim.ref)
        except (Later, Defect) as error:
            # That it can't be looked at may be what it is given up for.
            log.warning("message.not_located", **_fields(claim), cause=log.describe(error))
        if categories is None and assigned is None:
            return self._gone(claim)
        return self._quarantine(claim, reason, categories or ())

    def _route(self, message: Message) -> tuple[Tenant, ...]:
        tokens = routing.candidate_tokens(message, self._rules.address_pattern, self._rules.address_domains)
        matches = self._tenants.resolve_tokens(tokens) if tokens else []
        return routing.choose_tenants(tokens, matches, self._rules.route)

    def _clean_up(self, claim: Claim) -> None:
        # It is stored and committed, so whoever deletes it does right: no need to prove the claim once more.
        self._mail.delete(claim.ref)
        self._claims.end(claim, ClaimState.DELETED)

    def _quarantine(self, claim: Claim, reason: Reason, categories: Sequence[str] = ()) -> Outcome:
        # The reason is recorded first: whoever dies after the move leaves a record that can be completed.
        self._claims.renew(claim, reason=reason)
        try:
            self._mail.quarantine(claim.ref, reason, categories)
        except NotFound:
            return self._gone(claim)
        self._claims.end(claim, ClaimState.QUARANTINED, reason=reason)
        log.warning("message.rejected", **_fields(claim), reason=reason)
        return Quarantined(reason=reason)

    def _gone(self, claim: Claim) -> Outcome:
        """Not in the inbox any more: an earlier owner's quarantine is completed, anything else acknowledged."""
        if claim.reason is not None:
            self._claims.end(claim, ClaimState.QUARANTINED, reason=claim.reason)
            return Quarantined(reason=claim.reason)
        self._claims.end(claim, ClaimState.GONE)
        return Gone()


class _Unreturned:
    """Claims that this process could not give back while Postgres was down.

    Given back later, they do not run out and look like the work of a process that died: an outage must not bring
    a mail nearer to Quarantine.
    """

    def __init__(self, records: Claims) -> None:
        self._records = records
        self._claims: list[tuple[Claim, Exception]] = []
        self._lock = Lock()

    def add(self, claim: Claim, error: Exception) -> None:
        with self._lock:
            self._claims.append((claim, error))
        self.give_back()

    def give_back(self) -> None:
        with self._lock:
            claims, self._claims = self._claims, []
        for index, (claim, error) in enumerate(claims):
            try:
                give_back = self._records.put_off if isinstance(error, Later) else self._records.count_defect
                give_back(claim, log.describe(error))
            except LeaseLost:
                continue
            except DatabaseUnavailable as unavailable:
                log.warning("claim.not_given_back", **_fields(claim), cause=log.describe(unavailable))
                with self._lock:
                    self._claims += claims[index:]
                return


def _given_up(claim: Claim) -> Reason | None:
    if claim.crashes >= CRASH_LIMIT:
        return Reason.CRASHED_REPEATEDLY
    if claim.defects >= DEFECT_LIMIT:
        return Reason.PROCESSING_FAILED
    return None


def _fields(claim: Claim) -> dict[str, object]:
    return {"mailbox": claim.ref.mailbox, "message": claim.ref.message_id, "attempts": claim.attempts}
