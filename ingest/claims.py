"""Claims of this process: taken, and given back even where Postgres was down at the time."""

from __future__ import annotations

from threading import Lock

from ingest import log
from ingest.errors import DatabaseUnavailable, Later, LeaseLost, TooCostly
from ingest.model.claim import Claim, ClaimInDoubt
from ingest.model.message_ref import MessageRef
from ingest.ports import Claims


class OwnClaims:
    """The claims that this process takes and gives back.

    A claim that was not given back because Postgres was down is remembered, and given back before the next claim
    is taken. Otherwise its lease would expire and look like a crash, and an outage would bring the mail nearer to
    Quarantine.
    """

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._remembered: list[tuple[Claim, Exception]] = []
        self._lock = Lock()

    def take(self, ref: MessageRef) -> Claim | None:
        """Claim a message; None while another owner's lease is valid. Raises DatabaseUnavailable."""
        self._give_back_remembered()
        try:
            claim = self._claims.claim(ref)
        except ClaimInDoubt as doubt:
            self.give_back(doubt.claim, doubt)
            raise
        if claim is None:
            log.info("claim.busy", mailbox=ref.mailbox, message=ref.message_id)
        elif claim.taken_over:
            log.warning("claim.taken_over", **log_fields(claim))
        return claim

    def give_back(self, claim: Claim, error: Exception) -> None:
        """Give a claim back unfinished. An error other than Later counts as a defect, TooCostly as an overrun.

        Raises nothing of Postgres: where Postgres is down, the claim is remembered.
        """
        with self._lock:
            self._remembered.append((claim, error))
        self._give_back_remembered()

    def _give_back_remembered(self) -> None:
        with self._lock:
            claims, self._remembered = self._remembered, []
        for index, (claim, error) in enumerate(claims):
            try:
                self._end_attempt(claim, error)
            except LeaseLost:
                continue
            except DatabaseUnavailable as unavailable:
                log.warning("claim.not_given_back", **log_fields(claim), cause=log.describe(unavailable))
                with self._lock:
                    self._remembered += claims[index:]
                return

    def _end_attempt(self, claim: Claim, error: Exception) -> None:
        match error:
            case TooCostly():
                self._claims.count_overrun(claim, log.describe(error))
            case Later():
                self._claims.put_off(claim, log.describe(error))
            case _:
                self._claims.count_defect(claim, log.describe(error))


def log_fields(claim: Claim) -> dict[str, object]:
    """Return the fields that name a claim in every log event."""
    return {"mailbox": claim.ref.mailbox, "message": claim.ref.message_id, "attempts": claim.attempts}
