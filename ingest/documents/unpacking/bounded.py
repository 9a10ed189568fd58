"""A file view that stops readers from taking the file into memory or from reading in circles."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from ingest.codes import Rule
from ingest.errors import IngestError, PartRejected


class Bounded(io.RawIOBase):
    """A view of `file` for a library that trusts its input.

    Raises PartRejected(`rule`) beyond `at_once` bytes in one call, `in_all` bytes in all calls, or `calls` calls:
    a library that follows the pointers in a file can be led in circles.
    """

    def __init__(
        self, file: IO[bytes], *, at_once: int, rule: Rule, in_all: int | None = None, calls: int | None = None
    ) -> None:
        super().__init__()
        self._file = file
        self._position = 0
        self._at_once = at_once
        self._rule = rule
        self._left = in_all
        self._calls = calls
        self._size = file.seek(0, io.SEEK_END)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `io.RawIOBase.read` does."""
        available = max(0, self._size - self._position)
        wanted = available if size is None or size < 0 else min(size, available)
        if wanted > self._at_once:
            raise PartRejected(self._rule)
        self._count(wanted)
        self._file.seek(self._position)
        data = self._file.read(wanted)
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        """Read as `io.RawIOBase.readall` does."""
        return self.read(-1)

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]  # typeshed's Buffer
        """Read as `io.RawIOBase.readinto` does."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position, as `io.RawIOBase.seek` does."""
        self._count(0)
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readable(self) -> bool:
        """Return True: the view only reads."""
        return True

    def seekable(self) -> bool:
        """Return True, as spools are seekable."""
        return True

    def _count(self, size: int) -> None:
        if self._left is not None:
            self._left -= size
        if self._calls is not None:
            self._calls -= 1
        if (self._left is not None and self._left < 0) or (self._calls is not None and self._calls < 0):
            raise PartRejected(self._rule)


@contextmanager
def readable() -> Iterator[None]:
    """Raise PartRejected(unreadable) for any error of a library that documents no root error; pass our own errors."""
    try:
        yield
    except IngestError:
        raise
    except Exception:  # noqa: BLE001 - the libraries document no root error
        raise PartRejected(Rule.UNREADABLE) from None
