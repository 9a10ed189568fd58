"""Content on its way through a worker's memory and disk."""

import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.documents.spool import IN_MEMORY, Spool
from ingest.errors import DiskUnavailable, Later


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A full disk for its writer: the system refuses, at this write or at a later one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_filled_in_again_counts_alone() -> None:
    with Spool() as spool:
        spool.fill([b"half of i"])
        spool.fill([b"all", b" of it"])
        assert (b"".join(spool.blocks()), spool.size) == (b"all of it", 9)


def test_a_disk_that_is_not_there_is_no_fault_of_the_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with Spool() as spool:
        spool.fill([bytes(IN_MEMORY)])  # still in memory
        with pytest.raises(DiskUnavailable):
            spool.fill([bytes(IN_MEMORY), b"one more"])
    assert issubclass(DiskUnavailable, Later)


@pytest.mark.parametrize("block", [3_000, 4_096, 256 * 1024])
@pytest.mark.parametrize("over", [1, 4_000, 100_000])
def test_a_full_disk_is_no_fault_of_the_mail(block: int, over: int) -> None:
    full = 2 * IN_MEMORY
    content = bytes(full + over)
    with files_of_at_most(full), Spool() as spool, pytest.raises(DiskUnavailable):
        spool.fill(content[start : start + block] for start in range(0, len(content), block))


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY, 3 * IN_MEMORY, 3 * IN_MEMORY + 7])
def test_an_upload_is_the_content_in_blocks_of_the_asked_size(size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    with Spool() as spool:
        spool.fill([content])
        blocks = list(spool.upload(IN_MEMORY))
    assert b"".join(blocks) == content
    assert all(len(block) == IN_MEMORY for block in blocks[:-1])


def test_a_disk_that_returns_other_bytes_shows_before_the_last_block() -> None:
    with Spool() as spool:
        spool.fill([bytes(3 * IN_MEMORY)])
        spool.file.seek(IN_MEMORY)
        spool.file.write(b"1")
        blocks = spool.upload(2 * IN_MEMORY)
        next(blocks)
        with pytest.raises(DiskUnavailable):
            next(blocks)
