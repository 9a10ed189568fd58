"""The scans of one app: results as they come, and a regular look at blobs that wait for one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Protocol

from ingest import log, wiring
from ingest.codes import Verdict
from ingest.errors import BlobMissing, ScannerUnavailable
from ingest.model.blob import ScanResult
from ingest.settings import Scanner
from ingest.storage.scans import DueScan, Recording, Scans
from scanning.clamd import CLAMAV, Clamd, Response
from scanning.results import read_event, read_tags

TAGS_AT_A_TIME = 50  # blobs that are taken for a look at their tags
LOOK_SECONDS = 45.0  # of one run of the timer, which comes each minute
# Defender's event comes within minutes. The tag is asked for a blob that has waited longer, and then ever more rarely.
TAG_AGE = 900.0  # seconds that a blob has waited
TAG_DISTANCE = 900.0  # seconds to the second look, doubled for each further one
CLAMD_DISTANCE = 60.0  # seconds, likewise
MOST_LOOKS = 5  # by clamd at one blob: one that brings clamd down is given up


class Recorded(Protocol):
    """The records of scans. Every call may raise DatabaseUnavailable."""

    def record(self, result: ScanResult, *, unexpected: bool) -> Recording:
        """Record a result; return the effect."""

    def take(self, most: int, *, age: float, distance: float) -> Sequence[DueScan]:
        """Return blobs that are due for a look."""


class Content(Protocol):
    """The blobs of the app's container. Every call may raise BlobMissing and BlobUnavailable."""

    @property
    def container(self) -> str:
        """The container's name."""

    def name_of(self, url: str) -> str | None:
        """Return the name of a blob in this container by its URL; None for a URL elsewhere."""

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a blob's content."""

    def tags(self, name: str) -> Mapping[str, str]:
        """Return a blob's index tags."""


class Scanning(Protocol):
    """A scanner that is asked for a verdict. Every call may raise ScannerUnavailable."""

    def ping(self) -> str:
        """Return the scanner's version."""

    def scan(self, content: Iterator[bytes]) -> Response:
        """Return the verdict on a content."""


class Watch:
    """The watch over verdicts. `clamd` is the scanner where the setting says so, else None."""

    def __init__(self, *, scanner: Scanner, records: Recorded, blobs: Content, clamd: Scanning | None = None) -> None:
        self._scanner = scanner
        self._records = records
        self._blobs = blobs
        self._clamd = clamd

    def take_event(self, text: str) -> None:
        """Record the result in an event of Defender. Raises NotAResult, DatabaseUnavailable.

        Ignored: results for copies and for blobs of other programs. A result counts also where no result was expected,
        and is reported.
        """
        result = read_event(text, self._blobs.name_of, self._blobs.container)
        if result is None:
            log.info("scan.ignored")
            return
        unexpected = self._scanner is not Scanner.DEFENDER
        if unexpected:
            log.error("scan.unexpected", scanner=result.scanner, expected=self._scanner)
        self._record(result, unexpected=unexpected)

    def look(self) -> int:
        """Ask for the verdict on blobs that wait for one; return the number of verdicts.

        Raises DatabaseUnavailable, BlobUnavailable.
        """
        match self._scanner:
            case Scanner.OFF:
                return 0
            case Scanner.DEFENDER:
                return self._look(TAGS_AT_A_TIME, age=TAG_AGE, distance=TAG_DISTANCE)
            case Scanner.CLAMAV:
                try:
                    return self._look_by_clamd()
                except ScannerUnavailable as unavailable:
                    log.warning("scan.unavailable", cause=log.describe(unavailable))
                    return 0

    def _look_by_clamd(self) -> int:
        assert self._clamd is not None  # noqa: S101 - the setting has clamd's address
        # A look counts against a blob, and clamd's outage against none: no blob is taken while clamd is down.
        self._clamd.ping()
        return self._look(1, age=0.0, distance=CLAMD_DISTANCE)

    def _look(self, at_a_time: int, *, age: float, distance: float) -> int:
        until = time.monotonic() + LOOK_SECONDS
        verdicts = 0
        while time.monotonic() < until and (due := self._records.take(at_a_time, age=age, distance=distance)):
            verdicts += sum(self._look_at(scan) for scan in due)
        return verdicts

    def _look_at(self, scan: DueScan) -> int:
        try:
            result = self._verdict(scan)
        except BlobMissing:
            result = _given_up(scan, self._scanner, "the blob is missing")
        except ScannerUnavailable:
            if scan.looks < MOST_LOOKS:
                raise
            result = _given_up(scan, self._scanner, "clamd gave no verdict")
        if result is None:
            return 0
        self._record(result, unexpected=False)
        return 1

    def _verdict(self, scan: DueScan) -> ScanResult | None:
        """Return the verdict on one blob; None where Defender has none yet."""
        if self._clamd is None:
            return read_tags(self._blobs.tags(scan.blob_name), scan.container, scan.blob_name)
        response = self._clamd.scan(self._blobs.read(scan.blob_name))
        return ScanResult(
            container=scan.container,
            blob_name=scan.blob_name,
            verdict=response.verdict,
            scanner=CLAMAV,
            malware=response.malware,
            said=response.said,
        )

    def _record(self, result: ScanResult, *, unexpected: bool) -> None:
        recording = self._records.record(result, unexpected=unexpected)
        if recording is Recording.UNKNOWN:
            log.info("scan.ignored")
        elif recording is Recording.RECORDED:
            log.info("scan.recorded", verdict=result.verdict, scanner=result.scanner, said=result.said)
            if result.verdict is Verdict.MALICIOUS:
                # The tenant and the message, as in the blob's name; the malware's name is its scanner's word.
                tenant, message, *_ = result.blob_name.split("/")
                log.error("scan.malicious", tenant=tenant, key=message, malware=", ".join(result.malware))


def _given_up(scan: DueScan, scanner: Scanner, said: str) -> ScanResult:
    return ScanResult(
        container=scan.container, blob_name=scan.blob_name, verdict=Verdict.FAILED, scanner=scanner, said=said
    )


@cache
def watch() -> Watch:
    """Return the watch of this process. Raises SettingsError."""
    app = wiring.app()
    clamd = app.settings.clamd if app.settings.scanner is Scanner.CLAMAV else None
    return Watch(
        scanner=app.settings.scanner,
        records=Scans(app.database),
        blobs=app.blobs,
        clamd=None if clamd is None else Clamd(clamd),
    )
