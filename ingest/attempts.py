"""The account of an attempt: each error is counted or not, logged, and the claim is given back with it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime

from ingest import log
from ingest.claims import OwnClaims, log_fields
from ingest.errors import Defect, GraphRefused, Later, LeaseLost, Overdue, TooCostly
from ingest.model.claim import Claim
from ingest.model.message_ref import Trigger
from ingest.model.outcome import Outcome, Stored
from ingest.refusals import Refusals


class Attempts:
    """The attempts of this process."""

    def __init__(self, claims: OwnClaims) -> None:
        self._claims = claims
        self._refusals = Refusals()
        self._filed_at = -math.inf  # the last filing of any message in this process, on the monotonic clock

    def note_filed(self) -> None:
        """Remember that a message was filed just now."""
        self._filed_at = time.monotonic()

    def run(self, claim: Claim, work: Callable[[], Outcome]) -> Outcome:
        """Call `work` and return its outcome. Raises Later and Defect only; then the claim is given back."""
        began = time.monotonic()
        try:
            outcome = self._judged(claim, work)
        except LeaseLost as lost:
            log.warning("claim.lost", **log_fields(claim), cause=log.describe(lost))
            self._claims.give_back(claim, lost)  # the lease expired, but its owner is alive
            raise
        except Overdue as overdue:
            self._put_off_overdue(claim, overdue, began)
            raise
        except Later as later:
            log.warning("message.put_off", **log_fields(claim), cause=log.describe(later))
            self._claims.give_back(claim, later)
            raise
        except Exception as error:  # noqa: BLE001 - any other exception is a defect: counted, logged, given back
            log.error("message.defect", **log_fields(claim), defects=claim.defects + 1, frames=log.frames(error))
            self._claims.give_back(claim, error)
            # From None: what a foreign exception quotes must not reach the host's log.
            raise Defect(f"message {claim.ref.key}: {log.describe(error)}") from None
        log.info("message.done", **log_fields(claim), **_done_fields(claim, outcome))
        return outcome

    def _judged(self, claim: Claim, work: Callable[[], Outcome]) -> Outcome:
        """Work on the message; let a refusal of Graph count only where the refusal is about this message."""
        try:
            outcome = work()
        except GraphRefused as refused:
            self._refusals.must_count(claim.ref, refused)
            raise
        self._refusals.note_end(outcome)
        return outcome

    def _put_off_overdue(self, claim: Claim, overdue: Overdue, began: float) -> None:
        """Count an attempt that took the whole time of a message, if other messages were filed meanwhile."""
        if self._filed_at < began:
            log.warning("message.put_off", **log_fields(claim), cause=log.describe(overdue))
            self._claims.give_back(claim, overdue)
            return
        log.warning("message.too_costly", **log_fields(claim), overruns=claim.overruns + 1)
        self._claims.give_back(claim, TooCostly(str(overdue)))


def _done_fields(claim: Claim, outcome: Outcome) -> dict[str, object]:
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
