"""An inbox of 50,000 mails at the first start, in simulated time: what lies on the queues, and what a mail costs."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from ingest.model.claim import ClaimState
from ingest.model.message import ListedMessage
from ingest.model.message_ref import MessageRef, Trigger
from ingest.settings import DEFAULT_SWEEP_LIMIT
from ingest.sweep import Sweep
from tests.fakes.records import FakeRecords
from tests.fakes.values import MAILBOX

START = datetime(2026, 3, 1, tzinfo=UTC)
SWEEP_SECONDS = 300
PAGE = 1000
HOUR = 3600


class Mailbox:
    """An inbox, the two queues, and a consumer of each; time passes second by second."""

    def __init__(self, mails: int) -> None:
        self.records = FakeRecords()
        self.inbox = {f"old-{n}": START + timedelta(seconds=n) for n in range(mails)}
        self.sweep = Sweep(inbox=self, backlog=self.records, limit=DEFAULT_SWEEP_LIMIT)
        self.backlog: deque[MessageRef] = deque()
        self.announced: deque[MessageRef] = deque()
        self.requests: Counter[str] = Counter()  # mails for which Graph was asked, each time it was
        self.stored: dict[str, float] = {}
        self.longest = 0

    def list_inbox(self, mailbox: str) -> Iterator[Sequence[ListedMessage]]:
        listed = iter(list(self.inbox.items()))
        while page := list(islice(listed, PAGE)):
            yield [
                ListedMessage(ref=MessageRef(mailbox=mailbox, message_id=one, trigger=Trigger.SWEEP), received_at=when)
                for one, when in page
            ]

    def deliver(self, message_id: str) -> None:
        """Put a mail into the inbox, and announce it."""
        self.inbox[message_id] = START + timedelta(days=1, seconds=self.records.now)
        self.announced.append(MessageRef(mailbox=MAILBOX, message_id=message_id))

    def run(self, seconds: int, *, mails_per_second: float) -> None:
        """Work on the backlog at this speed; a new mail is taken up in the second in which it is announced."""
        done = 0.0
        for _ in range(seconds):
            if self.records.now % SWEEP_SECONDS == 0:
                self.backlog += self.sweep.sweep(MAILBOX)
                self.longest = max(self.longest, len(self.backlog))
            while self.announced and mails_per_second:
                self.ingest(self.announced.popleft())
            done += mails_per_second
            while done >= 1 and self.backlog:
                done -= self.ingest(self.backlog.popleft())
            done = min(done, 1.0)
            self.records.now += 1

    def ingest(self, ref: MessageRef) -> int:
        """Return how many mails were worked on: none where the queue's message is a repetition."""
        claim = self.records.claim(ref)
        if claim is None:
            return 0
        self.requests[ref.message_id] += 1
        self.inbox.pop(ref.message_id, None)
        self.records.end(claim, ClaimState.DELETED)
        self.stored[ref.message_id] = self.records.now
        return 1


@pytest.mark.parametrize("mails_per_second", [8.0, 1.0])
def test_the_queue_never_holds_more_than_the_limit_and_no_mail_twice(mails_per_second: float) -> None:
    mailbox = Mailbox(10_000)
    mailbox.run(3 * HOUR, mails_per_second=mails_per_second)
    assert len(mailbox.stored) == min(10_000, 3 * HOUR * mails_per_second)
    assert mailbox.longest <= DEFAULT_SWEEP_LIMIT
    assert set(mailbox.requests.values()) == {1}


def test_a_night_without_a_consumer_repeats_a_few_messages_and_no_request() -> None:
    mailbox = Mailbox(5_000)
    mailbox.run(8 * HOUR, mails_per_second=0)
    assert len(mailbox.backlog) <= 4 * DEFAULT_SWEEP_LIMIT
    mailbox.run(HOUR, mails_per_second=8)
    assert len(mailbox.stored) == 5_000
    assert set(mailbox.requests.values()) == {1}


def test_what_the_queue_has_lost_comes_again() -> None:
    mailbox = Mailbox(DEFAULT_SWEEP_LIMIT)
    mailbox.run(1, mails_per_second=0)
    mailbox.backlog.clear()
    mailbox.run(2 * HOUR, mails_per_second=8)
    assert mailbox.inbox == {}


def test_a_mail_that_comes_during_a_backlog_of_50000_is_stored_within_a_minute() -> None:
    mailbox = Mailbox(50_000)
    announced = {}
    for number in range(20):
        mailbox.run(271, mails_per_second=8)
        mailbox.deliver(f"new-{number}")
        announced[f"new-{number}"] = mailbox.records.now
    mailbox.run(1, mails_per_second=8)
    waited = [mailbox.stored[one] - since for one, since in announced.items()]
    assert max(waited) <= 60
    assert len(mailbox.backlog) > 0, "the backlog is still being worked on"
    assert mailbox.longest <= DEFAULT_SWEEP_LIMIT


def test_a_mail_that_is_restored_to_the_inbox_is_no_repetition() -> None:
    mailbox = Mailbox(1)
    mailbox.run(1, mails_per_second=8)
    mailbox.inbox["old-0"] = START
    mailbox.run(SWEEP_SECONDS, mails_per_second=8)
    assert mailbox.requests == {"old-0": 2}


def test_an_operator_ends_no_message_by_an_earlier_end() -> None:
    mailbox = Mailbox(1)
    mailbox.run(1, mails_per_second=8)
    ref = MessageRef(mailbox=MAILBOX, message_id="old-0", trigger=Trigger.SWEEP)
    assert mailbox.ingest(ref) == 0
    assert mailbox.ingest(replace(ref, trigger=Trigger.OPERATOR)) == 1
