"""One mail, one budget: past the budget every part is still stored, but neither opened nor looked into."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from threading import Lock

import pytest

from ingest.codes import Disposition, Rule
from ingest.documents.budget import BEAT_SECONDS, LIGHT_SECONDS, Budget
from ingest.documents.sorting import Sorter
from ingest.documents.spool import Spool, read_range
from ingest.documents.unpacking.container import Member
from ingest.errors import LeaseLost, PartRejected
from ingest.model import Limits, Part, StoredBlob
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


def costly(budget: Budget) -> None:
    """Use up what a light mail may, and a little more."""
    budget.charge(LIGHT_SECONDS * 2)


def test_a_light_mail_needs_no_lane() -> None:
    lane = Lock()
    with Budget(Limits(), lane=lane) as budget:
        budget.ask()
        assert not lane.locked()


def test_a_costly_mail_is_in_the_lane_but_for_its_transfers_and_leaves_it_at_the_end() -> None:
    lane = Lock()
    with Budget(Limits(), lane=lane) as budget:
        costly(budget)
        budget.ask()
        assert lane.locked()
        with budget.uncounted():
            assert not lane.locked()
            budget.ask()
            assert not lane.locked()
        budget.ask()
        assert lane.locked()
    assert not lane.locked()


def test_a_mail_that_waits_for_the_lane_keeps_its_lease_alive() -> None:
    lane = Lock()
    lane.acquire()
    beats: list[float] = []

    def beat() -> None:
        beats.append(clock.now)
        lane.release()  # the other mail is done

    clock = Clock()
    with Budget(Limits(), keep_alive=beat, lane=lane, clock=clock) as budget:
        costly(budget)
        clock.now = 2 * BEAT_SECONDS
        budget.ask()
    assert beats == [2 * BEAT_SECONDS]
    assert not lane.locked()


def test_files_need_no_budget() -> None:
    with Spool() as spool:
        spool.fill([b"a\nb"])
        spool.file.seek(0)
        assert spool.file.readline() == b"a\n"
        assert io.BytesIO(b"".join(spool.blocks())).read() == b"a\nb"
