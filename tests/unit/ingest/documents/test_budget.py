"""One mail, one budget: past the budget every part is still stored, but neither opened nor looked into."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from threading import Semaphore, Thread

import pytest

from ingest.codes import Disposition, Rule
from ingest.documents.budget import (
    BEAT_SECONDS,
    LIGHT_READING_SECONDS,
    LIGHT_SECONDS,
    MUCH_SECONDS,
    SHARE_ALONE,
    SHARE_BESIDE_OTHERS,
    SLICE_SECONDS,
    Budget,
    Lane,
    Pace,
)
from ingest.documents.sorting import Sorter
from ingest.documents.spool import Spool, read_range
from ingest.documents.unpacking.container import Member
from ingest.errors import LeaseLost, PartRejected
from ingest.model.blob import StoredBlob
from ingest.model.limits import Limits
from ingest.model.part import Part
from tests.mails.catalogue.contents import zipped

PDF = b"%PDF-1.7\n%%EOF"
XML = b'<?xml version="1.0"?><a/>'
ALL = Limits().processor_seconds


def stored(path: tuple[int, ...], _: str, spool: Spool) -> StoredBlob:
    content = b"".join(spool.blocks())
    return StoredBlob(
        container="documents", name=str(path), size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )


def sort(
    budget: Budget, *files: tuple[str, bytes], store: Callable[[tuple[int, ...], str, Spool], StoredBlob] = stored
) -> list[tuple[str, Disposition, Rule]]:
    sorter = Sorter(limits=Limits(), budget=budget, store=store)
    for name, content in files:
        with Spool(budget) as spool:
            spool.fill([content])
            sorter.take(Member(name=name), spool, shown=frozenset)
    parts: tuple[Part, ...] = sorter.parts()
    assert all(part.blob is not None for part in parts if part.disposition is Disposition.DOCUMENT)
    return [(part.name, part.disposition, part.rule) for part in parts]


def used_up() -> Budget:
    budget = Budget(Limits())
    budget.charge(ALL)
    return budget


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.zip", zipped({"a.pdf": PDF})), ("a.eml", b"From: a@b.c\nTo: d@e.f\nSubject: x\n\nText"), ("a.xml", XML)],
)
def test_past_the_budget_a_part_is_a_document_as_it_is(name: str, content: bytes) -> None:
    assert sort(used_up(), (name, content)) == [(name, Disposition.DOCUMENT, Rule.TOO_COSTLY)]


def test_past_the_budget_a_file_that_needs_no_look_is_a_file() -> None:
    assert sort(used_up(), ("a.txt", b"Text")) == [("a.txt", Disposition.DOCUMENT, Rule.FILE)]


def test_past_the_budget_a_program_is_still_rejected() -> None:
    script = ("a.js", b"alert(1)")
    assert sort(used_up(), script) == [("a.js", Disposition.REJECTED, Rule.DANGEROUS_TYPE)]


def test_a_container_on_which_the_budget_ends_is_a_document_beside_what_was_taken_out() -> None:
    budget = Budget(Limits())

    def store(path: tuple[int, ...], name: str, spool: Spool) -> StoredBlob:
        if name == "1.pdf":
            budget.charge(ALL)
        return stored(path, name, spool)

    inner = zipped({"2.pdf": PDF + b"2"})
    outer = zipped({"1.pdf": PDF + b"1", "inner.zip": inner})
    assert sort(budget, ("outer.zip", outer), store=store) == [
        ("outer.zip", Disposition.DOCUMENT, Rule.TOO_COSTLY),
        ("1.pdf", Disposition.DOCUMENT, Rule.FILE),
        ("inner.zip", Disposition.REJECTED, Rule.TOO_COSTLY),
    ]


def test_all_parts_share_one_budget() -> None:
    budget = Budget(Limits(parts=3))
    two = zipped({"1": b"1", "2": b"2"})
    other = zipped({"3": b"3", "4": b"4"})
    rules = [rule for _, _, rule in sort(budget, ("a.zip", two), ("b.zip", other))]
    assert rules == [Rule.ZIP_ARCHIVE, Rule.FILE, Rule.FILE, Rule.TOO_MANY]


def test_a_reader_is_stopped_at_its_next_read() -> None:
    budget = Budget(Limits())
    with Spool(budget) as spool:
        spool.fill([b"x" * 1_000_000])
        blocks = read_range(spool.file, 0, spool.size)
        next(blocks)
        budget.charge(ALL)
        with pytest.raises(PartRejected) as refused:
            next(blocks)
        assert refused.value.rule is Rule.TOO_COSTLY
        assert b"".join(spool.blocks()) == b"x" * 1_000_000  # what is uploaded is whole


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_wall_time_ends_the_budget_but_that_of_transfers_does_not_count() -> None:
    clock = Clock()
    budget = Budget(Limits(wall_seconds=10), clock=clock)
    with budget.uncounted():
        clock.now = 100
    budget.ask()
    clock.now = 111
    with pytest.raises(PartRejected):
        budget.ask()
    with budget.uncounted():
        budget.ask()


def test_the_lease_is_kept_alive_and_its_loss_ends_the_work() -> None:
    clock = Clock()
    beats: list[float] = []
    budget = Budget(Limits(), keep_alive=lambda: beats.append(clock.now), clock=clock)
    for clock.now in (0.0, BEAT_SECONDS / 2, BEAT_SECONDS * 1.5, BEAT_SECONDS * 2, BEAT_SECONDS * 3):
        budget.ask()
    assert beats == [BEAT_SECONDS * 1.5, BEAT_SECONDS * 3]

    def lost() -> None:
        raise LeaseLost("lost")

    budget = Budget(Limits(), keep_alive=lost, clock=clock)
    with Spool(budget) as spool:
        spool.fill([zipped({"a": b"1"})])
        clock.now += 2 * BEAT_SECONDS
        with pytest.raises(LeaseLost):
            Sorter(limits=Limits(), budget=budget, store=stored).take(Member(name="a.zip"), spool, shown=frozenset)


def work(seconds: float) -> None:
    """Use processor time in this thread."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


class RecordedLane(Lane):
    """A lane that is always free."""

    def __init__(self) -> None:
        super().__init__()
        self.paid: list[tuple[float, float]] = []
        self.others = 0

    def note_others(self, change: int) -> None:
        self.others += change

    def await_turn(self, used: float, seconds: float, meanwhile: Callable[[], None]) -> None:
        self.paid.append((used, seconds))
        meanwhile()


def test_a_light_mail_does_not_rest() -> None:
    lane = RecordedLane()
    Budget(Limits(), pace=Pace(lane)).ask()
    assert not lane.paid


def test_a_costly_mail_rests_for_all_of_its_time_but_never_within_a_transfer() -> None:
    lane = RecordedLane()
    budget = Budget(Limits(), pace=Pace(lane))
    with budget.uncounted():
        work(LIGHT_SECONDS + 2 * SLICE_SECONDS)
        budget.ask()
        assert not lane.paid
    budget.ask()
    assert len(lane.paid) == 1
    assert lane.paid[0] >= (LIGHT_SECONDS + 2 * SLICE_SECONDS, 2 * SLICE_SECONDS)


def test_a_mail_is_costly_by_its_reading_alone_and_pays_only_for_what_is_above_a_light_one() -> None:
    lane = RecordedLane()
    budget = Budget(Limits(), pace=Pace(lane))
    work(LIGHT_READING_SECONDS + SLICE_SECONDS)
    budget.ask()
    [(used, paid)] = lane.paid
    assert SLICE_SECONDS <= paid <= used - LIGHT_READING_SECONDS


def test_reading_in_another_process_makes_no_mail_costly() -> None:
    lane = RecordedLane()
    budget = Budget(Limits(), pace=Pace(lane))
    budget.charge(2 * LIGHT_SECONDS)
    budget.ask()
    assert not lane.paid


@pytest.mark.parametrize(("others", "share"), [(0, SHARE_ALONE), (1, SHARE_BESIDE_OTHERS)])
def test_the_turns_of_costly_mails_leave_their_share_to_others(others: int, share: float) -> None:
    clock = Clock()
    lane = Lane(clock=clock)
    lane.note_others(others)
    clock.now = 1.0
    lane.await_turn(0.1, 0.1, lambda: None)
    waits: list[float] = []

    def meanwhile() -> None:
        waits.append(clock.now)
        clock.now = 0.9 + 0.1 / share

    lane.await_turn(0.1, 0.1, meanwhile)
    assert waits == [1.0]


def test_a_mail_is_one_of_the_others_until_it_is_costly_or_ends() -> None:
    lane = RecordedLane()
    with Pace(lane) as costly, Pace(lane):
        assert lane.others == 2
        work(LIGHT_SECONDS + SLICE_SECONDS)
        costly.rest(lambda: None)
        assert lane.others == 1
    assert lane.others == 0


def test_a_mail_that_has_used_little_goes_before_the_others_that_wait() -> None:
    clock = Clock()
    lane, turns = Lane(clock=clock), list[str]()
    lane.await_turn(0.01, 0.01, lambda: None)  # the lane is not free now
    waiting = Semaphore(0)

    def wait(name: str, used: float) -> None:
        lane.await_turn(used, 0.01, waiting.release)
        turns.append(name)

    much, little = (Thread(target=wait, args=each) for each in (("much", 2 * MUCH_SECONDS), ("little", 0.0)))
    for thread in (much, little):
        thread.start()
        waiting.acquire()
    clock.now = 10.0
    little.join()
    assert turns == ["little"]
    clock.now = 20.0
    much.join()
    assert turns == ["little", "much"]


def test_a_mail_that_is_taken_over_while_it_waits_leaves_the_line() -> None:
    clock = Clock()
    lane = Lane(clock=clock)
    lane.await_turn(0.01, 0.01, lambda: None)

    def lost() -> None:
        raise LeaseLost("lost")

    with pytest.raises(LeaseLost):
        lane.await_turn(0.0, 0.0, lost)
    clock.now = 10.0
    lane.await_turn(1.0, 1.0, lost)  # without a wait


def test_files_need_no_budget() -> None:
    with Spool() as spool:
        spool.fill([b"a\nb"])
        spool.file.seek(0)
        assert spool.file.readline() == b"a\n"
        assert io.BytesIO(b"".join(spool.blocks())).read() == b"a\nb"
