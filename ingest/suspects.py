"""A mail over which processes died waits until no other such mail is being worked on in this process.

All mails that were in a process's hands when the process died are suspected alike. Worked on one by one, each shows
whether it was the cause, and the others do not follow the culprit to Quarantine.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import BoundedSemaphore, Lock

from ingest import log
from ingest.claims import OwnClaims, log_fields
from ingest.errors import Later
from ingest.model.claim import Claim
from ingest.model.outcome import Outcome

SUSPECT_CRASHES = 2  # owners that died over a message; from here on the message is suspected
WAITING_SUSPECTS = 4  # suspects that wait in one process; the queue brings the others again
TURN_SECONDS = 20.0  # a suspect waits no longer for its turn


class Suspects:
    """The turns of suspected mails in this process: one at a time."""

    def __init__(self, claims: OwnClaims) -> None:
        self._claims = claims
        self._turn = Lock()
        self._waiting = BoundedSemaphore(WAITING_SUSPECTS)

    def in_turn(self, claim: Claim, attempt: Callable[[Claim], Outcome]) -> Outcome:
        """Call `attempt` with the claim, for a suspected message only while no other one is worked on.

        Raises Later where the message's turn did not come, and the errors of `attempt`.
        """
        if claim.crashes < SUSPECT_CRASHES:
            return attempt(claim)
        if self._turn.acquire(blocking=False):
            try:
                return attempt(claim)
            finally:
                self._turn.release()
        return self._after_waiting(claim, attempt)

    def _after_waiting(self, claim: Claim, attempt: Callable[[Claim], Outcome]) -> Outcome:
        # The claim is given back for the wait: should the process die of the other mail, this one is not to blame.
        later = Later("waits until another message over which processes died has had its turn")
        log.info("message.waits", **log_fields(claim))
        self._claims.give_back(claim, later)
        if not self._turn_comes():
            raise later
        try:
            again = self._claims.take(claim.ref)
            if again is None:  # not given back, or taken by another owner: the queue looks again
                raise later
            return attempt(again)
        finally:
            self._turn.release()

    def _turn_comes(self) -> bool:
        """Wait for the turn, unless enough others wait: each waiting thread is missing for mails without suspicion."""
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return self._turn.acquire(timeout=TURN_SECONDS)
        finally:
            self._waiting.release()
