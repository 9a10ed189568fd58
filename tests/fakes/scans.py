"""Scans for malware between fakes: records, blobs and clamd in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ingest.codes import Verdict
from ingest.errors import BlobMissing, ScannerUnavailable
from ingest.model.blob import ScanResult
from ingest.storage.scans import DueScan, Recording
from scanning.clamd import Response
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


def due(place: str, looks: int = 1) -> DueScan:
    return DueScan(container="documents", blob_name=f"{FOLDER}/{place}", looks=looks)


def event(case: str) -> str:
    return payload(f"scan_results/{case}").decode()
