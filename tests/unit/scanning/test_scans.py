"""The watch over verdicts: each setting's source, ignored results, reported results, and the trouble that counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from ingest import log
from ingest.codes import Verdict
from ingest.errors import BlobMissing, ScannerUnavailable
from ingest.model.blob import ScanResult
from ingest.settings import Scanner
from ingest.storage.scans import DueScan, Recording
from scanning.clamd import Response
from scanning.results import TAG
from scanning.scans import MOST_LOOKS, Watch
from tests.fakes.payloads import payload

FOLDER = f"42/{'0123456789abcdef' * 2}/{'0123456789abcdef' * 4}"


@dataclass
class FakeRecords:
    due: list[DueScan] = field(default_factory=list)
    results: list[tuple[ScanResult, bool]] = field(default_factory=list)
    asked: list[tuple[int, float]] = field(default_factory=list)

    def record(self, result: ScanResult, *, unexpected: bool) -> Recording:
        self.results.append((result, unexpected))
        return Recording.RECORDED

    def take(self, most: int, *, age: float, distance: float) -> Sequence[DueScan]:
        assert distance > 0
        self.asked.append((most, age))
        taken, self.due = self.due[:most], self.due[most:]
        return taken


class FakeContent:
    container = "documents"

    def __init__(self, contents: Mapping[str, bytes], tags: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._contents = contents
        self._tags = tags or {}

    def name_of(self, url: str) -> str | None:
        folder = "https://dms.blob.core.windows.net/documents/"
        return url.removeprefix(folder) if url.startswith(folder) else None

    def read(self, name: str) -> Iterator[bytes]:
        if name not in self._contents:
            raise BlobMissing("there is no such blob")
        yield self._contents[name]

    def tags(self, name: str) -> Mapping[str, str]:
        return self._tags.get(name, {})


class FakeClamd:
    def __init__(self, *, up: bool = True, dies_over: bytes | None = None) -> None:
        self.up = up
        self._dies_over = dies_over

    def ping(self) -> str:
        if not self.up:
            raise ScannerUnavailable("clamd: ConnectionRefusedError")
        return "ClamAV"

    def scan(self, content: Iterator[bytes]) -> Response:
        whole = b"".join(content)
        if whole == self._dies_over:
            raise ScannerUnavailable("clamd: ConnectionResetError")
        if b"EICAR" in whole:
            return Response(verdict=Verdict.MALICIOUS, malware=("Eicar-Test-Signature",))
        return Response(verdict=Verdict.CLEAN)


@pytest.fixture
def events() -> Iterator[list[tuple[str, Mapping[str, object]]]]:
    seen: list[tuple[str, Mapping[str, object]]] = []
    end = log.subscribe(lambda event, fields: seen.append((event, dict(fields))))
    yield seen
    end()


type Events = list[tuple[str, Mapping[str, object]]]


def names(events: Events) -> list[str]:
    return [name for name, _ in events]


def due(place: str, looks: int = 1) -> DueScan:
    return DueScan(container="documents", blob_name=f"{FOLDER}/{place}", looks=looks)


def event(case: str) -> str:
    return payload(f"scan_results/{case}").decode()


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
