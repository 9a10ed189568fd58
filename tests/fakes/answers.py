"""The outbox of answers between fakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from answers.letter import Letter
from answers.outbox import Outbox
from answers.texts import Templates
from ingest.codes import AnswerKind, AnswerState
from ingest.model.answer import Answer, AnswerTarget
from ingest.storage.answers import DueAnswer


@dataclass
class FakeRecords:
    due: list[DueAnswer]
    ended: list[tuple[int, str, float]] = field(default_factory=list)

    def take(self, most: int, *, a_day: int) -> Sequence[DueAnswer]:
        assert a_day == 3
        taken, self.due = self.due[:most], self.due[most:]
        return taken

    def end(self, due: DueAnswer, state: AnswerState, *, again_after: float = 0.0) -> None:
        self.ended.append((due.claim, state, again_after))


@dataclass
class FakeTransport:
    trouble: Exception | None = None
    letters: list[Letter] = field(default_factory=list)

    def send(self, letter: Letter) -> None:
        self.letters.append(letter)
        if self.trouble:
            raise self.trouble


def due(claim: int, attempts: int = 1) -> DueAnswer:
    target = AnswerTarget(recipient="anna@supplier.example", message_id=None, references=(), subject="", language="en")
    return DueAnswer(
        claim=claim,
        kind=AnswerKind.RECEIVED,
        answer=Answer(target=target, kinds=(AnswerKind.RECEIVED,)),
        attempts=attempts,
    )


def outbox(records: FakeRecords, transport: FakeTransport) -> Outbox:
    return Outbox(records=records, transport=transport, templates=Templates(), sender="upload@dms.example", a_day=3)
