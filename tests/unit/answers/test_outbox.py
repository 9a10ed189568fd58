"""The outbox: each answer of a transport ends as it has to, and none is sent twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from answers.letter import Letter
from answers.outbox import MOST_ATTEMPTS, Outbox
from answers.texts import Templates
from ingest.codes import AnswerKind, AnswerState
from ingest.errors import AnswerRefused, GraphThrottled, InDoubt
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


def test_what_is_due_is_sent_and_marked() -> None:
    records, transport = FakeRecords([due(number) for number in range(25)]), FakeTransport()
    assert outbox(records, transport).send() == 25
    assert {outcome for _, outcome, _ in records.ended} == {"sent"}
    assert len({letter.id for letter in transport.letters}) == 25


@pytest.mark.parametrize(
    ("trouble", "attempts", "end"),
    [
        (InDoubt("send_mail: 503"), 1, ("in_doubt", 0.0)),
        (AnswerRefused("send_mail: 400"), 1, ("refused", 0.0)),
        (GraphThrottled("send_mail: 429", retry_after=4000), 1, ("queued", 4000.0)),
        (GraphThrottled("send_mail: 429", retry_after=1e300), 1, ("queued", 86_400.0)),
        (GraphThrottled("send_mail: 429"), 3, ("queued", 1200.0)),
        (GraphThrottled("send_mail: 429"), MOST_ATTEMPTS, ("refused", 0.0)),
        (ZeroDivisionError(), 1, ("refused", 0.0)),
    ],
)
def test_trouble_ends_as_it_has_to(trouble: Exception, attempts: int, end: tuple[str, float]) -> None:
    records, transport = FakeRecords([due(1, attempts)]), FakeTransport(trouble)
    assert outbox(records, transport).send() == 0
    assert records.ended == [(1, *end)]
    assert len(transport.letters) == 1
