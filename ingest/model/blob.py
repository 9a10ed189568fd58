"""A blob as stored, and a scanner's verdict on one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ingest.codes import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredBlob:
    """A blob with its verified length in bytes and its SHA-256 in hex."""

    container: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanResult:
    """One result of a scan for malware. `malware`: names, as the scanner calls them.

    `said`: the scanner's reason for a scan that failed. `scanned_at`: by the scanner's clock.
    """

    container: str
    blob_name: str
    verdict: Verdict
    scanner: str
    malware: tuple[str, ...] = ()
    said: str | None = None
    scanned_at: datetime | None = None
