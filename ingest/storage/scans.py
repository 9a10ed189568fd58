"""Scans: the verdict on malware for each blob, and the blobs that wait for one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ingest.model.blob import ScanResult
from ingest.storage.database import Database, as_text


class Recording(StrEnum):
    """The effect of a result on the record. UNKNOWN: its blob lies below no tenant."""

    RECORDED = "recorded"
    REPEATED = "repeated"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class DueScan:
    """A blob without a verdict. `looks`: the looks for one so far, this one included."""

    container: str
    blob_name: str
    looks: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanState:
    """The blobs without a verdict, and the results of the last week that came while scanning was off."""

    waiting: int
    oldest_seconds: float
    unexpected: int


class Scans:
    """The scans of one database. Every call may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    RECORD = """
    select ingest.record_scan(%(container)s, %(blob_name)s, %(verdict)s, %(scanner)s, %(malware)s, %(said)s,
        %(scanned_at)s, %(unexpected)s) as outcome
    """

    def record(self, result: ScanResult, *, unexpected: bool) -> Recording:
        """Record a result; the graver one of several stands. `unexpected`: scanning is off."""
        row = self._database.one(
            "record_scan",
            self.RECORD,
            container=result.container,
            blob_name=result.blob_name,
            verdict=result.verdict,
            scanner=result.scanner,
            malware=[as_text(name) for name in result.malware],
            said=as_text(result.said),
            scanned_at=result.scanned_at,
            unexpected=unexpected,
        )
        return Recording(row["outcome"]) if row else Recording.UNKNOWN

    TAKE = """
    select container, blob_name, looks
    from ingest.take_scans(%(most)s, %(age)s * interval '1 second', %(distance)s * interval '1 second')
    """

    def take(self, most: int, *, age: float, distance: float) -> list[DueScan]:
        """Return blobs that are due for a look, none younger than `age` seconds, and put the next look off.

        The distance to the next look, `distance` seconds at first, doubles up to a day.
        """
        rows = self._database.all("take_scans", self.TAKE, most=most, age=age, distance=distance)
        return [DueScan(**row) for row in rows]

    STATE = "select waiting, oldest_seconds, unexpected from ingest.scan_state()"

    def state(self) -> ScanState:
        """Return what waits, and what came unexpected."""
        row = self._database.one("scan_state", self.STATE)
        assert row is not None  # noqa: S101 - the function returns one row
        return ScanState(**row)
