"""The outbox: each answer of a transport ends as it has to, and none is sent twice."""

from __future__ import annotations

import pytest

from answers.outbox import MOST_ATTEMPTS
from ingest.errors import AnswerRefused, GraphThrottled, InDoubt
from tests.fakes.answers import FakeRecords, FakeTransport, due, outbox


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
