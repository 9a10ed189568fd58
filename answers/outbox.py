"""The outbox of answers, worked off by a timer: taken first, then sent, then marked.

A process that dies between sending and marking leaves the answer in doubt, and no process sends it again: an answer
comes at most once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Protocol

from answers.letter import Letter
from answers.texts import Templates
from answers.transports import AcsTransport, GraphTransport, Transport
from ingest import log, wiring
from ingest.codes import AnswerState
from ingest.errors import AnswerRefused, InDoubt, Later
from ingest.settings import AnswerTransport
from ingest.storage import entra
from ingest.storage.answers import Answers, DueAnswer

AT_A_TIME = 10  # answers that a process takes before it sends them
RUN_SECONDS = 45.0  # of one run of the timer, which comes each minute
MOST_ATTEMPTS = 6  # to send one answer
FIRST_DISTANCE = 300.0  # seconds to the second attempt; doubled for each further one
MOST_DISTANCE = 86_400.0  # seconds, of those that a transport asks for


class Recorded(Protocol):
    """The queued answers. Every call may raise DatabaseUnavailable."""

    def take(self, most: int, *, a_day: int) -> Sequence[DueAnswer]:
        """Return answers that no other process sends."""

    def end(self, due: DueAnswer, state: AnswerState, *, again_after: float = 0.0) -> None:
        """Record the state after an attempt."""


class Outbox:
    """The answers of one app. `sender`: the address that they come from. `a_day`: answers of one recipient in a day."""

    def __init__(
        self, *, records: Recorded, transport: Transport, templates: Templates, sender: str, a_day: int
    ) -> None:
        self._records = records
        self._transport = transport
        self._templates = templates
        self._sender = sender
        self._a_day = a_day

    def send(self) -> int:
        """Send the answers that are due; return the number of those sent. Raises DatabaseUnavailable."""
        until = time.monotonic() + RUN_SECONDS
        sent = 0
        while time.monotonic() < until and (due := self._records.take(AT_A_TIME, a_day=self._a_day)):
            sent += sum(self._send(one) for one in due)
        return sent

    def _send(self, due: DueAnswer) -> bool:
        state, again_after = self._attempt(due)
        self._records.end(due, state, again_after=again_after)
        log.info("answer.ended", kind=due.kind, outcome=state, tries=due.attempts)
        return state is AnswerState.SENT

    def _attempt(self, due: DueAnswer) -> tuple[AnswerState, float]:
        """Return the state after an attempt, and the seconds to the next one where there is one."""
        try:
            self._transport.send(self._letter(due))
        except AnswerRefused as refused:
            log.warning("answer.refused", kind=due.kind, cause=log.describe(refused))
            return AnswerState.REFUSED, 0.0
        except InDoubt as doubt:
            log.warning("answer.in_doubt", kind=due.kind, cause=log.describe(doubt))
            return AnswerState.IN_DOUBT, 0.0
        except Later as later:
            log.warning("answer.put_off", kind=due.kind, cause=log.describe(later))
            if due.attempts >= MOST_ATTEMPTS:
                return AnswerState.REFUSED, 0.0
            asked = min(later.retry_after or 0.0, MOST_DISTANCE)
            return AnswerState.QUEUED, max(asked, FIRST_DISTANCE * 2 ** (due.attempts - 1))
        except Exception as defect:  # noqa: BLE001 - a defect over one answer stops no other
            log.error("answer.defect", kind=due.kind, frames=log.frames(defect))
            return AnswerState.REFUSED, 0.0
        return AnswerState.SENT, 0.0

    def _letter(self, due: DueAnswer) -> Letter:
        return Letter(
            id=uuid.uuid4(),
            sender=self._sender,
            target=due.answer.target,
            text=self._templates.text(due.kind, due.answer),
            written_at=datetime.now(UTC),
        )


@cache
def outbox() -> Outbox | None:
    """Return the outbox of this process; None where senders get no answers. Raises SettingsError."""
    app = wiring.app()
    settings = app.settings
    transport: Transport
    match settings.answers:
        case AnswerTransport.OFF:
            return None
        case AnswerTransport.GRAPH:
            transport = GraphTransport(app.graph)
        case AnswerTransport.ACS:
            transport = AcsTransport(settings.answer_endpoint or "", entra.communication_token)
    return Outbox(
        records=Answers(app.database),
        transport=transport,
        templates=Templates(settings.answer_templates),
        sender=settings.answer_from,
        a_day=settings.answers_a_day,
    )
