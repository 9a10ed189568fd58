"""The content of one part between download and upload: hashed, in memory while small, on the local disk beyond.

Detection, unpacking and the upload read the content several times, partly at random. Memory does not follow its size.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from types import TracebackType
from typing import IO, Self, override

from ingest.codes import Rule
from ingest.documents.budget import Budget
from ingest.errors import DiskUnavailable, PartRejected

IN_MEMORY = 1024 * 1024  # bytes of one content; the platform runs 16 and more side by side
BLOCK = 256 * 1024  # bytes read at a time
HEAD = 64 * 1024  # bytes that a type is detected from


class _File(tempfile.SpooledTemporaryFile[bytes]):
    """A file that asks the budget on each read. The file on the disk is made only when the content outgrows memory."""

    def __init__(self, budget: Budget | None) -> None:
        super().__init__(max_size=IN_MEMORY)
        self.budget = budget

    @override
    def read(self, *size: int) -> bytes:
        if self.budget is not None:
            self.budget.ask()
        return super().read(*size)

    @override
    def readline(self, *size: int) -> bytes:  # type: ignore[override]  # typeshed has two overloads of one meaning
        if self.budget is not None:
            self.budget.ask()
        return super().readline(*size)


class Spool:
    """One content, kept for the duration of a `with` block. `size` in bytes, `sha256` in hex.

    `file` is for readers and asks the budget. `head` and `blocks` work past the budget as well.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.file = _File(budget)
        self._budget = budget
        self._start_over()

    def fill(self, blocks: Iterable[bytes], *, at_most: int | None = None) -> None:
        """Replace the content by all of `blocks`.

        Raises PartRejected(too_large) beyond `at_most` bytes, and DiskUnavailable if the local disk is full. An error
        of `blocks` passes through; the content is then incomplete, and the caller discards the spool.
        """
        self._start_over()
        for block in blocks:
            self.size += len(block)
            if at_most is not None and self.size > at_most:
                raise PartRejected(Rule.TOO_LARGE)
            self._digest.update(block)
            with on_disk():
                self.file.write(block)
        with on_disk():
            self.file.flush()  # a full disk must show here, not in a reader

    @property
    def sha256(self) -> str:
        """Return the hash of the content, in hex."""
        return self._digest.hexdigest()

    def head(self) -> bytes:
        """Return the first bytes, at most HEAD."""
        with self._uncounted():
            self.file.seek(0)
            return self.file.read(HEAD)

    def blocks(self) -> Iterator[bytes]:
        """Yield the content in blocks, from its first byte."""
        for start in range(0, self.size, BLOCK):
            yield self._read(start, BLOCK)

    def upload(self, block_size: int) -> Iterator[bytes]:
        """Yield the content in blocks of `block_size` bytes, the last one shorter; none of them is kept.

        A content that outgrew memory is hashed again on its way from the disk. Raises DiskUnavailable in the place of
        the last block where the disk returned other bytes than were written: such an upload is never committed.
        """
        again = hashlib.sha256() if self.size > IN_MEMORY else None
        for start in range(0, self.size, block_size):
            yield self._read(start, block_size, again)

    def _read(self, start: int, size: int, again: hashlib._Hash | None = None) -> bytes:
        with self._uncounted():
            self.file.seek(start)
            block = self.file.read(size)
        if again is not None:
            again.update(block)
            if start + size >= self.size and again.digest() != self._digest.digest():
                raise DiskUnavailable("the local disk returned other bytes than were written")
        return block

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):  # close() flushes, and a full disk refuses again
            self.file.close()

    @contextmanager
    def charged_to(self, budget: Budget) -> Iterator[None]:
        """Let the readers of this content ask `budget` for the duration of the block."""
        before, self._budget = self._budget, budget
        self.file.budget = budget
        try:
            yield
        finally:
            self._budget = self.file.budget = before

    def _uncounted(self) -> AbstractContextManager[None]:
        return self._budget.uncounted() if self._budget is not None else nullcontext()

    def _start_over(self) -> None:
        with on_disk():
            self.file.seek(0)
            self.file.truncate()
        self.size = 0
        self._digest = hashlib.sha256()


@contextmanager
def on_disk() -> Iterator[None]:
    """Raise DiskUnavailable for an OSError: a full disk is no fault of the mail."""
    try:
        yield
    except OSError as error:
        raise DiskUnavailable(f"the local disk takes nothing more ({error.strerror})") from None


def read_range(file: IO[bytes], start: int, end: int, *, step: int = BLOCK) -> Iterator[bytes]:
    """Yield the bytes from `start` up to `end` in blocks of `step` bytes.

    Other readers may move the file's position in between.
    """
    while start < end:
        file.seek(start)
        block = file.read(min(step, end - start))
        if not block:
            return
        start += len(block)
        yield block
