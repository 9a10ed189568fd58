"""Content on its way: hashed, kept in memory while it is small and on the local disk beyond that.

Detection, unpacking and the upload each want to read it, some of them at random; memory must not follow its size.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import IO, Self

from ingest.codes import Rule
from ingest.errors import DiskUnavailable, PartRejected

IN_MEMORY = 1024 * 1024  # bytes of one content; the platform runs 16 and more side by side
BLOCK = 256 * 1024  # bytes read at a time
HEAD = 64 * 1024  # bytes that are enough to tell a type


class Spool:
    """One content, as long as the `with` block lasts. `size` in bytes, `sha256` in hex."""

    def __init__(self) -> None:
        # Makes its file on the disk only when it has outgrown memory.
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed by __exit__
        self._start_over()

    def fill(self, blocks: Iterable[bytes], *, at_most: int | None = None) -> None:
        """Take all of `blocks`, in the place of what was here.

        Raises PartRejected(too_large) beyond `at_most` bytes, DiskUnavailable where the local disk is full. Whatever
        reading `blocks` raises passes through; what was read by then counts for nothing.
        """
        self._start_over()
        for block in blocks:
            self.size += len(block)
            if at_most is not None and self.size > at_most:
                raise PartRejected(Rule.TOO_LARGE)
            self._digest.update(block)
            with _on_disk():
                self.file.write(block)
        with _on_disk():
            self.file.flush()  # what is still in the buffer must not fail in a reader's hands

    @property
    def sha256(self) -> str:
        """Of everything that was filled in."""
        return self._digest.hexdigest()

    def head(self) -> bytes:
        """The first bytes, at most HEAD."""
        self.file.seek(0)
        return self.file.read(HEAD)

    def blocks(self) -> Iterator[bytes]:
        """All of it, from the start."""
        return read_range(self.file, 0, self.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):  # what a full disk did not take is not wanted any more
            self.file.close()

    def _start_over(self) -> None:
        with _on_disk():
            self.file.seek(0)
            self.file.truncate()
        self.size = 0
        self._digest = hashlib.sha256()


@contextmanager
def _on_disk() -> Iterator[None]:
    """The disk's troubles are no fault of the mail's, and must not be held against it."""
    try:
        yield
    except OSError as error:
        raise DiskUnavailable(f"the local disk takes nothing more ({error.strerror})") from None


def read_range(file: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    """The bytes from `start` up to `end` in blocks; others may move the file's position in between."""
    while start < end:
        file.seek(start)
        block = file.read(min(BLOCK, end - start))
        if not block:
            return
        start += len(block)
        yield block
