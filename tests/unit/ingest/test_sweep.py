"""Mails left in the inbox come up again: oldest first, every page, and never more than the queue should hold."""

import itertools
from dataclasses import replace

import pytest

from ingest.errors import DatabaseUnavailable, GraphRefused, GraphUnavailable, NotFound
from ingest.model.claim import Claim, ClaimState
from ingest.model.message_ref import MessageRef, Trigger
from ingest.sweep import Sweep
from tests.fakes.journal import Journal
from tests.fakes.mail import FakeMail, email
from tests.fakes.records import FakeRecords
from tests.fakes.values import MAILBOX, OTHER_MAILBOX


class World:
    def __init__(self, *, mails: int = 0, limit: int = 100) -> None:
        self.journal = Journal()
        self.mail = FakeMail(self.journal)
        self.records = FakeRecords(journal=self.journal)
        self.refs = [self.mail.deliver(email(subject=str(number))) for number in range(mails)]
        self.sweep = Sweep(inbox=self.mail, backlog=self.records, limit=limit)

    def swept(self) -> list[str]:
        found = self.sweep.sweep(MAILBOX)
        assert {ref.trigger for ref in found} <= {Trigger.SWEEP}
        return [ref.message_id for ref in found]

    def ids(self, start: int, end: int | None = None) -> list[str]:
        return [ref.message_id for ref in self.refs[start:end]]

    def take_up(self, ref: MessageRef) -> Claim:
        claim = self.records.claim(replace(ref, trigger=Trigger.SWEEP))
        assert claim
        return claim

    def end(self, ref: MessageRef) -> None:
        claim = self.take_up(ref)
        self.mail.remove(ref)
        self.records.end(claim, ClaimState.DELETED)


def test_the_sweep_reads_all_pages_oldest_first() -> None:
    world = World(mails=5)
    assert world.swept() == world.ids(0)


def test_junk_is_left_alone_unless_the_settings_ask_for_it() -> None:
    world = World(mails=1)
    world.mail.move(world.refs[0], "Junk Email")
    assert world.swept() == []
    world.sweep = Sweep(inbox=world.mail, backlog=world.records, limit=100, junk=world.mail)
    assert world.swept() == world.ids(0)
    assert world.mail.folder(world.refs[0]) == "inbox"


def test_trouble_with_junk_does_not_stop_the_sweep_of_the_inbox() -> None:
    world = World(mails=1)
    world.sweep = Sweep(inbox=world.mail, backlog=world.records, limit=100, junk=world.mail)
    world.journal.trouble["bring_in_junk"] = [GraphUnavailable("down")]
    assert world.swept() == world.ids(0)


def test_only_the_mailbox_that_was_asked_for() -> None:
    world = World(mails=1)
    world.mail.deliver(email(), OTHER_MAILBOX)
    assert world.swept() == world.ids(0)


def test_what_is_on_its_way_is_not_enqueued_again() -> None:
    world = World(mails=3)
    world.take_up(world.refs[1])
    assert world.swept() == [world.refs[0].message_id, world.refs[2].message_id]
    assert world.swept() == []


def test_what_was_enqueued_and_lost_comes_again_each_time_later() -> None:
    world = World(mails=1)
    comes = []
    for second in range(0, 20_000, 10):
        world.records.now = second
        if world.swept():
            comes.append(second)
    distances = [later - sooner for sooner, later in itertools.pairwise(comes)]
    assert distances[:4] == [300, 600, 1200, 2400]
    assert set(distances[4:]) == {3600}


def test_what_died_in_the_middle_comes_again_even_if_no_listing_shows_it() -> None:
    world = World(mails=1)
    world.take_up(world.refs[0])
    world.mail.move(world.refs[0], "Quarantine")
    world.records.crash(world.refs[0])
    assert world.swept() == world.ids(0)


def test_the_queue_gets_no_more_than_its_limit(caplog: pytest.LogCaptureFixture) -> None:
    world = World(mails=5, limit=2)
    assert world.swept() == world.ids(0, 2)
    assert "sweep.limit_reached" in caplog.text
    assert world.swept() == []
    world.take_up(world.refs[0])
    assert world.swept() == [], "what is being worked on has not ended"
    world.records.crash(world.refs[0])
    world.end(world.refs[0])
    assert world.swept() == world.ids(2, 3)


def test_a_listing_stops_where_the_queue_is_full() -> None:
    world = World(mails=5, limit=2)
    world.swept()
    assert world.journal.steps.count("list_inbox") == 2


def test_the_limit_counts_what_is_new_and_not_what_is_known() -> None:
    world = World(mails=5, limit=4)
    for ref in world.refs[:4]:
        world.take_up(ref)
    assert world.swept() == world.ids(4)


@pytest.mark.parametrize("step", ["list_inbox", "enqueue"])
def test_what_was_found_before_the_trouble_is_enqueued(step: str, caplog: pytest.LogCaptureFixture) -> None:
    # It is on record as enqueued: without its queue message it would wait for its next turn, and longer each time.
    world = World(mails=4)
    world.journal.trouble[step] = [None, None, GraphUnavailable("down")]
    assert world.swept() == world.ids(0, 2)
    assert "sweep.interrupted" in caplog.text
    assert world.swept() == world.ids(2)


@pytest.mark.parametrize(
    "trouble", [GraphRefused("list_inbox", 400, "ErrorInvalidRequest"), NotFound("list_inbox: Graph answered 404")]
)
def test_what_was_found_before_a_refused_listing_is_enqueued(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(mails=4)
    world.journal.trouble["list_inbox"] = [None, None, trouble]
    assert world.swept() == world.ids(0, 2)
    assert "sweep.interrupted" in caplog.text


@pytest.mark.parametrize("step", ["enqueue_abandoned", "outstanding", "list_inbox", "enqueue"])
def test_trouble_before_the_first_message_is_raised(step: str) -> None:
    world = World(mails=1)
    world.journal.trouble[step] = [DatabaseUnavailable("down")]
    with pytest.raises(DatabaseUnavailable):
        world.swept()
