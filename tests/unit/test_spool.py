"""Content on its way through a worker's memory and disk."""

import tempfile
from pathlib import Path

import pytest

from ingest.errors import DiskUnavailable, Later
from ingest.spool import IN_MEMORY, Spool


def test_what_is_filled_in_again_counts_alone() -> None:
    with Spool() as spool:
        spool.fill([b"half of i"])
        spool.fill([b"all", b" of it"])
        assert (b"".join(spool.blocks()), spool.size) == (b"all of it", 9)


def test_a_disk_that_takes_nothing_is_no_fault_of_the_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with Spool() as spool:
        spool.fill([bytes(IN_MEMORY)])  # still in memory
        with pytest.raises(DiskUnavailable):
            spool.fill([bytes(IN_MEMORY), b"one more"])
    assert issubclass(DiskUnavailable, Later)
