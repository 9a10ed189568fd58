"""The watch over verdicts: each setting's source, ignored results, reported results, and the trouble that counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from ingest import log
from ingest.codes import Verdict
from ingest.settings import Scanner
from scanning.results import TAG
from scanning.scans import MOST_LOOKS, Watch
from tests.fakes.scans import FOLDER, FakeClamd, FakeContent, FakeRecords, due, event


@pytest.fixture
def events() -> Iterator[list[tuple[str, Mapping[str, object]]]]:
    seen: list[tuple[str, Mapping[str, object]]] = []
    end = log.subscribe(lambda event, fields: seen.append((event, dict(fields))))
    yield seen
    end()


type Events = list[tuple[str, Mapping[str, object]]]


def names(events: Events) -> list[str]:
    return [name for name, _ in events]


def test_an_event_of_defender_is_recorded(events: Events) -> None:
    records = FakeRecords()
    Watch(scanner=Scanner.DEFENDER, records=records, blobs=FakeContent({})).take_event(event("malicious"))
    [(result, unexpected)] = records.results
    assert (result.verdict, unexpected) == (Verdict.MALICIOUS, False)
    assert names(events) == ["scan.recorded", "scan.malicious"]
    assert events[1][1]["tenant"] == "42"


def test_a_result_for_a_copy_is_ignored(events: Events) -> None:
    records = FakeRecords()
    Watch(scanner=Scanner.DEFENDER, records=records, blobs=FakeContent({})).take_event(event("copy_in_the_container"))
    assert records.results == []
    assert names(events) == ["scan.ignored"]


@pytest.mark.parametrize("scanner", [Scanner.OFF, Scanner.CLAMAV])
def test_a_result_that_is_not_expected_counts_and_is_reported(scanner: Scanner, events: Events) -> None:
    records = FakeRecords()
    Watch(scanner=scanner, records=records, blobs=FakeContent({}), clamd=FakeClamd()).take_event(event("malicious"))
    assert [(result.verdict, unexpected) for result, unexpected in records.results] == [(Verdict.MALICIOUS, True)]
    assert names(events)[0] == "scan.unexpected"


def test_switched_off_nothing_is_asked_for() -> None:
    records = FakeRecords(due=[due("001")])
    assert Watch(scanner=Scanner.OFF, records=records, blobs=FakeContent({})).look() == 0
    assert records.asked == []


def test_clamd_gives_the_verdict_on_each_blob() -> None:
    records = FakeRecords(due=[due("001"), due("002"), due("003")])
    blobs = FakeContent({f"{FOLDER}/001": b"a bill", f"{FOLDER}/002": b"EICAR"})
    watch = Watch(scanner=Scanner.CLAMAV, records=records, blobs=blobs, clamd=FakeClamd())
    assert watch.look() == 3
    assert [(result.verdict, result.malware) for result, _ in records.results] == [
        (Verdict.CLEAN, ()),
        (Verdict.MALICIOUS, ("Eicar-Test-Signature",)),
        (Verdict.FAILED, ()),  # the blob is missing
    ]


def test_an_outage_of_clamd_counts_against_no_blob(events: Events) -> None:
    records = FakeRecords(due=[due("001", looks=MOST_LOOKS)])
    watch = Watch(scanner=Scanner.CLAMAV, records=records, blobs=FakeContent({}), clamd=FakeClamd(up=False))
    assert watch.look() == 0
    assert (records.asked, records.results) == ([], [])
    assert names(events) == ["scan.unavailable"]


def test_a_blob_that_brings_clamd_down_each_time_is_given_up() -> None:
    blobs = FakeContent({f"{FOLDER}/001": b"bomb", f"{FOLDER}/002": b"a bill"})
    records = FakeRecords(due=[due("001", looks=MOST_LOOKS - 1), due("002")])
    watch = Watch(scanner=Scanner.CLAMAV, records=records, blobs=blobs, clamd=FakeClamd(dies_over=b"bomb"))
    assert watch.look() == 0
    records.due = [due("001", looks=MOST_LOOKS), due("002")]
    assert watch.look() == 2
    assert [result.verdict for result, _ in records.results] == [Verdict.FAILED, Verdict.CLEAN]


def test_the_tag_is_the_second_source() -> None:
    records = FakeRecords(due=[due("001"), due("002")])
    blobs = FakeContent({}, tags={f"{FOLDER}/001": {TAG: "No threats found"}})
    watch = Watch(scanner=Scanner.DEFENDER, records=records, blobs=blobs)
    assert watch.look() == 1
    assert [result.blob_name for result, _ in records.results] == [f"{FOLDER}/001"]
    assert records.asked[0][1] > 0, "the event comes first"
