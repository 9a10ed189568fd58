"""The claim: the right of one owner to work on a message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ingest.codes import Reason
from ingest.errors import DatabaseUnavailable
from ingest.model.message_ref import MessageRef


class ClaimState(StrEnum):
    """The state of a message, in `ingest.claim.state`."""

    WAITING = "waiting"
    PROCESSING = "processing"
    STORED = "stored"
    DELETED = "deleted"
    QUARANTINED = "quarantined"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The right to work on one message until the lease ends, proved by `fence` in every later statement.

    `state` is PROCESSING for a message to ingest, STORED where an earlier owner has recorded its copies.
    `reason` is set where an earlier owner had already decided to quarantine and may have died on the way.
    `received_at`: the message's time in a listing of the inbox. `reopened`: the message was quarantined or gone before.
    `sender_released`: the message was in Quarantine for its sender, and may be back in the inbox. `sender_admitted`: an
    owner has seen the message there: a person brought it back.
    """

    id: int
    ref: MessageRef
    fence: int
    state: ClaimState
    attempts: int
    crashes: int
    defects: int
    overruns: int
    lease_seconds: float
    reason: Reason | None = None
    received_at: datetime | None = None
    reopened: bool = False
    taken_over: bool = False
    sender_released: bool = False
    sender_admitted: bool = False

    @property
    def may_have_left(self) -> bool:
        """Return whether the message may lie outside of the inbox by now: an earlier owner has worked on it."""
        return self.reopened or self.attempts > 1 or self.stored_before

    @property
    def stored_before(self) -> bool:
        """Return whether an earlier owner has recorded the message as stored."""
        return self.state is ClaimState.STORED


class ClaimInDoubt(DatabaseUnavailable):
    """Postgres has granted `claim`, unless the connection broke before it was committed."""

    def __init__(self, message: str, claim: Claim) -> None:
        super().__init__(message)
        self.claim = claim
